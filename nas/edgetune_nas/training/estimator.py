"""Estimators of a network's weights: one protocol for networks that are solved for, trained, or merged from several."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from edgetune_nas.model import Dense, closed_form, fit_frontend, merge, split_frontend

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from edgetune_nas.model import ExpectedDrift, Floats, Labels, Layer, Network


def never() -> bool:
    """Return False: nothing stops the fit."""
    return False


@dataclass(frozen=True, slots=True, eq=False)
class TrainingSet:
    """Windows that an estimator is fitted to.

    Attributes
    ----------
    x
        ``float32 (windows, channels, length)``.
    y
        ``int64 (windows,)`` in ``range(classes)``.
    origin
        ``int64 (windows,)``: 0 for the condition that counts, other numbers for a library's; None without a library.
    kind
        ``int64 (windows,)``, number of each window's kind; None where every class is one.
    recording
        ``int64 (windows,)``, number of each window's recording; None where they are not told apart.
    """

    x: Floats
    y: Labels
    classes: int
    origin: Labels | None = None
    kind: Labels | None = None
    recording: Labels | None = None

    def select(self, keep: NDArray[np.bool_]) -> TrainingSet:
        """Return the windows that ``keep`` marks; no copy if it marks all."""
        if keep.all():
            return self
        return replace(
            self,
            x=self.x[keep],
            y=self.y[keep],
            origin=None if self.origin is None else self.origin[keep],
            kind=None if self.kind is None else self.kind[keep],
            recording=None if self.recording is None else self.recording[keep],
        )


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A network with weights, and its training loss epoch by epoch (empty if it was solved for)."""

    network: Network
    curve: tuple[float, ...] = ()


class Estimator(Protocol):
    """Finds the weights of one list of layers."""

    def fit(self, data: TrainingSet, stop: Callable[[], bool] = never) -> Fitted:
        """Fit the network to ``data``.

        Raises
        ------
        edgetune_nas.training.candidate.Interrupted
            As soon as ``stop()`` is true; an estimator that takes only a moment may ignore it.
        """

    def logits(self, network: Network, x: Floats) -> Floats:
        """Compute the logits ``(windows, classes)`` of a network that this estimator fitted."""

    def for_folds(self, data: TrainingSet) -> tuple[Estimator, TrainingSet]:
        """Do once what all folds of a cross-validation share; return what is left to fit, and to what."""


@dataclass(frozen=True, slots=True)
class ClosedForm:
    """Fixed frontend and linear discriminant, solved for with numpy.

    Attributes
    ----------
    drift
        Drift that the discriminant expects; what `closed_form.expected_drift` says of the frontend if None.
    """

    layers: tuple[Layer, ...]
    drift: ExpectedDrift | None = None

    def fit(self, data: TrainingSet, stop: Callable[[], bool] = never) -> Fitted:
        """Solve for the discriminant, with a row for each kind; ``stop`` is not asked."""
        del stop
        y = data.y if data.kind is None else data.kind
        rows = next(layer.outputs for layer in self.layers if isinstance(layer, Dense))
        network = closed_form.fit(
            self.layers,
            data.x,
            y,
            classes=rows,
            origin=data.origin,
            drift=self.drift,
            recording=data.recording,
        )
        return Fitted(network)

    def logits(self, network: Network, x: Floats) -> Floats:
        """Compute the logits ``(windows, classes)``."""
        return closed_form.logits(network, x)

    def for_folds(self, data: TrainingSet) -> tuple[ClosedForm, TrainingSet]:
        """Fit the frontend once on all windows, without their labels; the folds solve for discriminants alone."""
        frontend, head = split_frontend(self.layers)
        frontend, features = fit_frontend(frontend, data.x)
        return ClosedForm(head, closed_form.expected_drift(frontend, data.origin)), replace(data, x=features)


@dataclass(frozen=True, slots=True)
class Ensemble:
    """Several estimators of the same layers, merged into one network that computes the mean of their logits."""

    members: tuple[Estimator, ...]

    def fit(self, data: TrainingSet, stop: Callable[[], bool] = never) -> Fitted:
        """Fit each member and merge them; the curve is the first one's."""
        fits = [member.fit(data, stop) for member in self.members]
        return Fitted(merge([each.network for each in fits]), fits[0].curve)

    def logits(self, network: Network, x: Floats) -> Floats:
        """Compute the logits ``(windows, classes)``."""
        return self.members[0].logits(network, x)

    def for_folds(self, data: TrainingSet) -> tuple[Ensemble, TrainingSet]:
        """Return both as they are."""
        return self, data
