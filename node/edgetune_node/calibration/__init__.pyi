from .job import Calibration as Calibration
from .rules import check as check
