from .goal import Goal as Goal
from .progress import SearchEvent as SearchEvent
from .run import SearchResult as SearchResult, search as search
