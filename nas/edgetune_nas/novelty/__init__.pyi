from .detector import NOVELTY as NOVELTY, Novelty as Novelty, fit_novelty as fit_novelty
from .gestures import fit_sign_novelty as fit_sign_novelty
