from .inputs import SearchDone as SearchDone, SearchProgress as SearchProgress, input_of as input_of
from .job import Calibration as Calibration
from .rules import check as check
