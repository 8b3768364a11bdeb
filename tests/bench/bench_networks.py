"""Network searches to compare with: the paper's family, random search and TPE; our cost model, training and export."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgetune_nas.model import search_space as space
from edgetune_nas.model.cost import plan
from edgetune_nas.model.layers import Conv, Dense, GlobalPool, Layer, MaxPool, Network, Softmax
from edgetune_nas.model.temperature import best_temperature, true_probability, with_temperature
from edgetune_nas.training import trainer as training
from edgetune_nas.training.candidate import Candidate
from edgetune_nas.training.evaluation import Problem, evaluate_candidate, refit
from edgetune_nas.training.task_profile import PROFILES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edgetune_nas.card import Task
    from edgetune_nas.model.layers import Shape
    from edgetune_nas.model.search_space import Genotype
    from edgetune_nas.training.estimator import TrainingSet
    from edgetune_nas.training.task_profile import Recipe
    from edgetune_signal.datasets.load import Dataset

TRAINED = 12
"""Networks that random search and TPE train: as many training steps as two brackets of our own search."""
STEPS: dict[Task, int] = {"fault": 270, "sign": 90}
"""Training steps of each: what our finalists get."""
CELL_STEPS: dict[Task, int] = {"fault": 90, "sign": 90}
"""Training steps while cells are tried; a step of these networks takes many times as long as one of ours."""
FIRST_KERNELS = 4
MAX_CELLS = 6
TRIES = 2000


class NothingFitsError(Exception):
    """No network of the family fits the budget."""


def problem_of(task: Task, train: Dataset, validation: Dataset) -> Problem:
    """Put training and validation windows as our own search does."""
    return Problem(
        PROFILES[task],
        len(train.classes),
        np.concatenate([train.x, validation.x]),
        np.concatenate([train.label, validation.label]),
        len(train),
        np.zeros(len(validation), np.int64),
    )


# ---- the paper's family ------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Found:
    """A network of the paper's family, by its kernels and cells, with its score."""

    kernels: int
    cells: int
    score: float


def cell_layers(kernels: int, cells: int, classes: int) -> tuple[Layer, ...]:
    """Convolutions of three taps: ``kernels`` filters, then cells that halve the length and widen ever less."""
    layers: list[Layer] = [Conv(kernels, 3, padding=1)]
    filters, factor = kernels, 2.0
    for cell in range(1, cells + 1):
        filters = int(np.ceil(filters * factor))
        factor -= 2.0**-cell
        layers += [MaxPool(2, 2), Conv(filters, 3, padding=1)]
    return (*layers, GlobalPool(), Dense(classes), Softmax())


def paper_family(problem: Problem, ram_bytes: int, seed: int) -> Network:
    """Search greedily: cells are added while that helps, kernels doubled (or halved, where none fits) while that does.

    Raises
    ------
    NothingFitsError
        When not even one kernel fits.
    """
    shape = problem.input_shape
    kernels = FIRST_KERNELS
    while kernels and not _fits(cell_layers(kernels, 0, problem.classes), shape, ram_bytes):
        kernels -= 1
    if not kernels:
        needed = plan(shape, cell_layers(1, 0, problem.classes)).arena_bytes
        raise NothingFitsError(f"the family's smallest network needs {needed} B")
    best = _best_cells(problem, kernels, ram_bytes, seed)
    step = kernels
    while step:  # doubling while it helps, then by halves of the last step
        other = _best_cells(problem, best.kernels + step, ram_bytes, seed)
        if other is not None and best is not None and other.score > best.score:
            best, step = other, 2 * step
        else:
            step //= 2
    layers = cell_layers(best.kernels, best.cells, problem.classes)
    profile = problem.profile
    network = _trained(problem.training, layers, STEPS[profile.task], profile.recipe, seed)
    scores = training.logits(network, problem.x_validation)
    temperature = best_temperature(scores, problem.y_validation)
    return with_temperature(_trained(problem.learned, layers, profile.final_steps, profile.recipe, seed), temperature)


def _best_cells(problem: Problem, kernels: int, ram_bytes: int, seed: int) -> Found | None:
    best: Found | None = None
    for cells in range(MAX_CELLS + 1):
        layers = cell_layers(kernels, cells, problem.classes)
        if not _fits(layers, problem.input_shape, ram_bytes):
            break
        profile = problem.profile
        network = _trained(problem.training, layers, CELL_STEPS[profile.task], profile.recipe, seed)
        scores = training.logits(network, problem.x_validation)
        right = float((scores.argmax(axis=1) == problem.y_validation).mean())
        sure = float(
            true_probability(scores, problem.y_validation, best_temperature(scores, problem.y_validation)).mean()
        )
        score = (right + sure) / 2
        if best is not None and score <= best.score:
            break
        best = Found(kernels, cells, score)
    return best


def _fits(layers: tuple[Layer, ...], shape: Shape, ram_bytes: int) -> bool:
    try:
        return plan(shape, layers).arena_bytes <= ram_bytes
    except ValueError:  # the window is too short for so many cells
        return False


def _trained(data: TrainingSet, layers: tuple[Layer, ...], steps: int, recipe: Recipe, seed: int) -> Network:
    epochs = max(3, min(120, round(steps / training.steps_per_epoch(len(data.y), recipe))))
    return training.train(layers, data, recipe=recipe, epochs=epochs, seed=seed).network


# ---- our space, searched otherwise -------------------------------------------------------------------------------


def random_search(
    problem: Problem, ram_bytes: int, seed: int, final: TrainingSet | None = None, seconds: float | None = None
) -> Network:
    """Train networks drawn from our space at random; no closed forms, no seed architectures.

    The best learns ``final`` in the end; what it was chosen on if None. With ``seconds`` of processor it draws until
    the last training would need what is left, without them until `TRAINED` networks are trained.
    """
    rng = np.random.Generator(np.random.PCG64(seed))

    def draws() -> Iterator[tuple[Genotype, Callable[[float | None], None]]]:
        while True:
            yield space.sample(rng, problem.input_shape, problem.profile.prior), lambda _score: None

    return _best_of(problem, draws(), ram_bytes, seed, final, seconds)


def tpe_search(
    problem: Problem, ram_bytes: int, seed: int, final: TrainingSet | None = None, seconds: float | None = None
) -> Network:
    """Search our space with Optuna's tree-structured Parzen estimator; the rest as for `random_search`."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=5))

    def draws() -> Iterator[tuple[Genotype, Callable[[float | None], None]]]:
        while True:
            trial = study.ask()

            def tell(score: float | None, trial: optuna.Trial = trial) -> None:
                study.tell(trial, 0.0 if score is None else score)

            yield _suggested(trial, problem.input_shape), tell

    return _best_of(problem, draws(), ram_bytes, seed, final, seconds)


def _best_of(
    problem: Problem,
    draws: Iterator[tuple[Genotype, Callable[[float | None], None]]],
    ram_bytes: int,
    seed: int,
    final: TrainingSet | None,
    seconds: float | None,
) -> Network:
    """Train what fits until `TRAINED` networks are or ``seconds`` are used, and the best of them again on all."""
    seen: set[Genotype] = set()
    best: tuple[float, Candidate, float] | None = None
    for _ in range(TRIES):
        genotype, tell = next(draws)
        if genotype in seen or not space.fits_input(genotype, problem.input_shape):
            tell(None)
            continue
        cost = plan(problem.input_shape, space.expand(genotype, problem.input_shape, problem.classes))
        if cost.arena_bytes > ram_bytes:
            tell(None)
            continue
        seen.add(genotype)
        candidate = Candidate(len(seen), genotype, cost, STEPS[problem.profile.task], seed * 100_003 + len(seen))
        began = time.process_time()
        result = evaluate_candidate(problem, candidate).result
        took = time.process_time() - began
        tell(result.score)
        if best is None or result.score > best[0]:
            best = result.score, candidate, result.temperature
        last = took * problem.profile.final_steps / candidate.steps
        if len(seen) == TRAINED if seconds is None else time.process_time() + took + last > seconds:
            break
    if best is None:
        raise NothingFitsError(f"none of {TRIES} networks fits")
    _, candidate, temperature = best
    steps = problem.profile.final_steps
    again = refit(problem, candidate, final or problem.learned, steps=steps, stop=lambda: False)
    return with_temperature(again.network, temperature)


def _suggested(trial: Any, shape: Shape) -> Genotype:
    """Genotype of an Optuna trial: the same choices as `space.sample`, as parameters."""
    length = shape[1]
    frontend: space.Bank | space.Envelope | None = None
    stem = None
    first = trial.suggest_categorical("first", ["stem", "bank", "envelope"])
    if first == "stem":
        longest = 2 ** int(np.log2(max(8, min(256, length // 2))))
        taps = max(3, longest >> trial.suggest_int("taps", 0, 3))
        stride = max(1, min(64, taps // 2 ** trial.suggest_int("overlap", 1, 3)))
        pool = trial.suggest_categorical("stem_pool", [1, 2])
        stem = space.Stem(trial.suggest_categorical("stem_filters", space.FILTERS), taps, stride, pool)
    elif first == "bank":
        taps = 2 ** int(np.log2(max(1, min(128, length // 2 ** trial.suggest_int("bank_taps", 2, 4)))))
        stride = max(1, taps // 2 ** trial.suggest_int("bank_overlap", 1, 2))
        outputs = max(1, (length - taps) // stride + 1)
        frame = max(1, outputs // trial.suggest_categorical("bank_frames", [4, 8, 14]))
        bands = trial.suggest_categorical("bands", [8, 12, 16, 24])
        frontend = space.Bank(bands, taps, stride, trial.suggest_categorical("p", [1, 2]), frame, max(1, frame // 2))
    else:
        frame = max(2, length // trial.suggest_categorical("frames", [8, 10, 16, 20, 32]))
        hop = frame if trial.suggest_categorical("disjoint", [True, False]) else max(1, frame // 2)
        frontend = space.Envelope(frame, hop, trial.suggest_categorical("p", [1, 2]))
    blocks = tuple(
        space.ConvBlock(
            trial.suggest_categorical(f"kind{index}", ["full", "separable", "linear"]),
            trial.suggest_categorical(f"filters{index}", space.FILTERS),
            trial.suggest_categorical(f"kernel{index}", space.BLOCK_KERNELS),
            trial.suggest_categorical(f"stride{index}", [1, 2]),
            trial.suggest_categorical(f"pool{index}", [1, 2]),
        )
        for index in range(trial.suggest_int("blocks", 0 if stem else 1, 3))
    )
    return space.Genotype(frontend, stem, blocks, trial.suggest_categorical("head", ["average", "max", "both", "flat"]))
