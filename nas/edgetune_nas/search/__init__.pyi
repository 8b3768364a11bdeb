from .goal import Goal as Goal
from .progress import SearchPhase as SearchPhase, SearchProgress as SearchProgress
from .run import SearchResult as SearchResult, search as search
from .short_time import short_time as short_time
