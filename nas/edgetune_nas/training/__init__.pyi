from .candidate import Candidate as Candidate, Interrupted as Interrupted, Result as Result, Scored as Scored
from .cross_validation import (
    fewest_takes as fewest_takes,
    folds as folds,
    folds_by_condition as folds_by_condition,
    held_out_pieces as held_out_pieces,
)
from .dataset_parts import Parts as Parts, divide as divide
from .estimator import TrainingSet as TrainingSet, never as never
from .evaluation import (
    FEW_WINDOWS as FEW_WINDOWS,
    EvaluatedCandidate as EvaluatedCandidate,
    Problem as Problem,
    evaluate_candidate as evaluate_candidate,
    refit as refit,
)
from .task_profile import (
    BRACKET_SIZE as BRACKET_SIZE,
    PROFILES as PROFILES,
    TaskProfile as TaskProfile,
    standard_error as standard_error,
)
