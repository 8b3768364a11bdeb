from .cores import CORES as CORES
from .export import write_library as write_library
from .report import Report as Report
