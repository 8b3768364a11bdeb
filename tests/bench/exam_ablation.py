"""Searches of the ablation: the search with parts of it left out, and other searches of the same space."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bench_networks import problem_of, random_search, tpe_search

from edgetune_nas.model import plan
from edgetune_nas.onnx_io import Classifier, open_session, write_onnx
from edgetune_nas.training import PROFILES, TaskProfile, TrainingSet, divide
from edgetune_signal.datasets import merge_library

if TYPE_CHECKING:
    from collections.abc import Callable

    from exam_protocols import Protocol, Sheet

    from edgetune_nas.card import Task
    from edgetune_nas.model.layers import Network, Shape

NEVER = 10**9


def closed_forms_alone(profile: TaskProfile) -> TaskProfile:
    """Train nothing."""
    return replace(profile, takes_to_train=NEVER)


def networks_alone(profile: TaskProfile) -> TaskProfile:
    """Ask seed architectures, drawn ones and mutants by successive halving; no closed forms."""
    return replace(profile, takes_to_train=0, prior=replace(profile.prior, closed_forms=lambda _shape: ((),)))


def seeds_alone(profile: TaskProfile) -> TaskProfile:
    """Ask seed architectures for as many steps as finalists get, and no more than these (`count_seeds`)."""
    steps = profile.rungs[-1][1]
    return replace(networks_alone(profile), rungs=((profile.rungs[0][0], steps),))


def halving_and_mutation(profile: TaskProfile) -> TaskProfile:
    """Ask drawn architectures and mutants by successive halving; neither closed forms nor seed architectures."""
    alone = networks_alone(profile)
    return replace(alone, prior=replace(alone.prior, seed_architectures=lambda _shape: ()))


def count_seeds(task: Task, shape: Shape) -> int:
    """Return the number of seed architectures."""
    return len(PROFILES[task].prior.seed_architectures(shape))


SEEDS = "seed architectures"
PARTS: dict[str, Callable[[TaskProfile], TaskProfile]] = {
    "closed forms": closed_forms_alone,
    SEEDS: seeds_alone,
    "halving and mutation": halving_and_mutation,
    "all but closed forms": networks_alone,
}
OTHERS: dict[str, Callable[..., Network]] = {"random search": random_search, "TPE (Optuna)": tpe_search}


def adapted(name: str, task: Task) -> None:
    """Leave a part of the search out, for the rest of this process."""
    PROFILES[task] = PARTS[name](PROFILES[task])


def searched_otherwise(name: str, sheet: Sheet, protocol: Protocol, seed: int, seconds: float) -> dict[str, Any]:
    """Search networks otherwise for as long, on the same division, and ask the winner's float file.

    The winner learns all windows in the end, as that of our own search does.
    """
    learn = sheet.learn if sheet.library is None else merge_library(sheet.learn, sheet.library)
    parts = divide(learn, None, seed)
    everything = parts.everything
    final = TrainingSet(everything.x, everything.label, len(everything.classes))
    problem = problem_of(protocol.task, parts.train, parts.validation)
    network = OTHERS[name](problem, protocol.ram_bytes, seed, final, seconds)
    classifier = Classifier(open_session(write_onnx(network).SerializeToString()))
    guesses = {test: classifier.probabilities(each.x).argmax(axis=1) for test, each in sheet.tests.items()}
    cost = plan(network.input_shape, network.layers)
    return {"guesses": guesses, "arena_bytes": cost.arena_bytes, "flash_bytes": cost.flash_bytes}
