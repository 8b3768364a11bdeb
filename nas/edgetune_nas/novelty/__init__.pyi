from .detector import (
    NOVELTY as NOVELTY,
    Classes as Classes,
    Novelty as Novelty,
    fit_novelty as fit_novelty,
    vibration_limit as vibration_limit,
)
from .gestures import fit_sign_novelty as fit_sign_novelty
from .limits import NEXT_SESSION as NEXT_SESSION
