"""Evaluating a bundle on labelled windows, through onnxruntime, as it is deployed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgetune_nas.bundle.learned import seen
from edgetune_nas.bundle.scores import check_indices, confusion, macro_f1
from edgetune_nas.bundle.write import MAX_CALIBRATION_WINDOWS
from edgetune_nas.errors import BundleError
from edgetune_nas.novelty import NEXT_SESSION
from edgetune_nas.onnx_io import latency_us

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgetune_nas.bundle.read import Bundle
    from edgetune_nas.card import Precision


@dataclass(frozen=True, slots=True)
class Figures:
    """How a bundle does on the windows of a class or of a recording.

    ``right``, ``unknown`` and ``alarmed`` count windows. ``alarmed`` are those said to be a fault, or unknown; None
    where the model knows no healthy class.
    """

    name: str
    label: str
    windows: int
    right: int
    unknown: int
    alarmed: int | None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How a bundle does on windows it is given; ``confusion`` has true classes in rows, named by ``classes``.

    ``unknown`` has the windows of each class that a node would call unknown, ``unknown_rate`` is their share of all.
    ``seen_windows`` counts those that the bundle has learned, None where it does not know them; ``accuracy_unseen`` is
    the accuracy on the others, None where there is none or that is not known. A health model names no faults, so its
    accuracies are None, and what counts is ``alarmed``; a window is right where healthy is called so and no other.
    """

    accuracy: float | None
    macro_f1: float | None
    windows: int
    unknown_rate: float
    unknown: list[int]
    confusion: list[list[int]]
    classes: list[str]
    precision_used: Precision
    latency_p50_us: float
    latency_p99_us: float
    by_class: list[Figures]
    by_recording: list[Figures]
    seen_windows: int | None
    accuracy_unseen: float | None


def evaluate(
    bundle: Bundle,
    x: NDArray[np.float32],
    label: NDArray[np.integer],
    classes: Sequence[str],
    *,
    recording: NDArray[np.integer] | None = None,
    recordings: Sequence[str] = (),
    healthy: str | None = None,
) -> Evaluation:
    """Score a bundle on labelled windows, by argmax over all of them; classes are matched by name.

    A window of a class that the model does not know counts as wrong. ``macro_f1`` is over the classes that occur. The
    distance to the training data alters neither; it is in ``unknown`` (0 of a bundle that has none); of signs
    a node takes the median distance of a gesture's windows.

    Parameters
    ----------
    x
        ``float32 (windows, channels, length)``.
    label
        ``(windows,)``, index into ``classes``.
    recording, recordings
        Number of each window's recording, and names of recordings, by number where there are none.
    healthy
        Class that is no fault.

    Raises
    ------
    BundleError
        When there is no window, or their shape is not the model's.
    DataError
        When the labels do not fit windows and classes.
    """
    spec = bundle.card.input
    if x.shape[1:] != (spec.channels, spec.length) or not len(x):
        raise BundleError(
            f"{bundle.path.name} takes windows of {spec.channels} channels and {spec.length} samples, at least one; "
            f"these have shape {x.shape}"
        )
    check_indices("label", label, len(x), len(classes))
    names = [*bundle.card.classes, *(name for name in dict.fromkeys(classes) if name not in bundle.card.classes)]
    truth = np.array([names.index(name) for name in classes])[label]
    health = bundle.card.kind == "health"
    guess = np.zeros(len(x), np.int64) if health else bundle.classifier.probabilities(x).argmax(axis=1)
    matrix = confusion(truth, guess, len(names))
    unknown = np.zeros(len(x), bool)
    if bundle.novelty is not None:
        limit = bundle.novelty.limit * (NEXT_SESSION if bundle.card.task == "sign" else 1.0)  # a node's own, by default
        unknown = ~(bundle.novelty.distances(x, guess) <= limit)  # nor is it known where it is no number
    known = seen(bundle, x)
    alarming = None
    right = guess == truth
    if health:
        alarming, right = unknown, unknown == (truth != 0)
    elif healthy in bundle.card.classes:
        alarming = unknown | (guess != bundle.card.classes.index(healthy))

    def figures(name: str, chosen: NDArray[np.bool_]) -> Figures:
        labels = dict.fromkeys(names[int(each)] for each in truth[chosen])
        return Figures(
            name=name,
            label=" ".join(labels),
            windows=int(chosen.sum()),
            right=int(right[chosen].sum()),
            unknown=int(unknown[chosen].sum()),
            alarmed=None if alarming is None else int(alarming[chosen].sum()),
        )

    numbers = [] if recording is None else dict.fromkeys(recording.tolist())
    p50, p99 = latency_us(bundle.network, x[:MAX_CALIBRATION_WINDOWS])
    return Evaluation(
        accuracy=None if health else float(right.mean()),
        macro_f1=None if health else macro_f1(matrix),
        windows=len(x),
        unknown_rate=float(unknown.mean()),
        unknown=np.bincount(truth[unknown], minlength=len(names)).tolist(),
        confusion=matrix.tolist(),
        classes=names,
        precision_used=bundle.precision,
        latency_p50_us=p50,
        latency_p99_us=p99,
        by_class=[figures(names[index], truth == index) for index in np.unique(truth).tolist()],
        by_recording=[
            figures(recordings[number] if number < len(recordings) else str(number), recording == number)
            for number in numbers
        ],
        seen_windows=None if known is None else int(known.sum()),
        accuracy_unseen=None if health or known is None or known.all() else float(right[~known].mean()),
    )
