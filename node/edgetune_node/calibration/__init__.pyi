from .job import Calibration as Calibration
from .rules import reasons_against as reasons_against, rest_seconds as rest_seconds
