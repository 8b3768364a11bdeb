"""What a model says of one window: its class, and whether the window is like that class at all."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from math import isfinite
from typing import TYPE_CHECKING

import numpy as np

from edgetune_nas.onnx_io import ClassDistance, HealthDistance
from edgetune_node.contract import UNKNOWN
from edgetune_node.monitor.gestures import is_far

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgetune_nas.bundle import Bundle
    from edgetune_signal import Window


@dataclass(frozen=True, slots=True)
class Verdict:
    """A window's verdict; by default that of a window which was not looked at.

    Attributes
    ----------
    class_, confidence
        What the network says, and its probability; of a health model the healthy class, and 1.
    shares
        Probability of every class; empty of a health model, which has none.
    distance
        Distance to that class over the limit, so that more than 1 is unlike it; None where it is not known.
    novel
        Whether the window is unlike its class; rest may differ more from rest than a sign from its kind. So is one of
        which the network makes no finite number: its samples are too large for single precision.
    inference_us
        How long the network took; None where it was not asked.
    """

    class_: str = UNKNOWN
    confidence: float = 0.0
    shares: Mapping[str, float] = field(default_factory=dict)
    distance: float | None = None
    novel: bool = False
    inference_us: float | None = None

    @property
    def told(self) -> tuple[str, float]:
        """Class and confidence for those who follow single windows."""
        return (UNKNOWN, 0.0) if self.novel else (self.class_, self.confidence)


def judge(window: Window, bundle: Bundle, *, rest_class: str | None, distant: bool, times: float = 1.0) -> Verdict:
    """Classify a usable window.

    Parameters
    ----------
    window, bundle
        What is classified, with which model.
    rest_class
        Class that may be further from its training data than others; None if there is no such class.
    distant
        Whether to compute the distance to the training data.
    times
        Times the bundle's limit at which a window is unlike its class.
    """
    started = time.perf_counter_ns()
    if isinstance(bundle.network, HealthDistance):
        return _unlike_health(window, bundle.network, bundle.card.classes[0], started)
    apart = None
    if distant and isinstance(bundle.novelty, ClassDistance):
        shares_of, apart = bundle.novelty.judge(window.samples[np.newaxis])
        probabilities = shares_of[0]
    else:
        probabilities = bundle.classifier.probabilities(window.samples[np.newaxis])[0]
    took_us = (time.perf_counter_ns() - started) / 1000
    if not np.isfinite(probabilities).all():
        return Verdict(novel=True, inference_us=took_us)
    best = int(probabilities.argmax())
    class_ = bundle.card.classes[best]
    shares = {name: float(p) for name, p in zip(bundle.card.classes, probabilities, strict=True)}
    distance = None
    if distant and bundle.novelty is not None:
        if apart is None:
            apart = bundle.novelty.distances(window.samples[np.newaxis], np.array([best]))
        distance = float(apart[0]) / (times * bundle.novelty.limit)
    novel = is_far(distance, resting=class_ == rest_class)
    if distance is not None and not isfinite(distance):
        distance, novel = None, True
    return Verdict(class_, float(probabilities[best]), shares, distance, novel, took_us)


def _unlike_health(window: Window, health: HealthDistance, healthy: str, started: int) -> Verdict:
    """Judge a window by a health model: healthy, or unlike health."""
    distance = float(health.distances(window.samples[np.newaxis])[0]) / health.limit
    took_us = (time.perf_counter_ns() - started) / 1000
    if not isfinite(distance):
        return Verdict(healthy, 1.0, {}, None, novel=True, inference_us=took_us)
    return Verdict(healthy, 1.0, {}, distance, distance > 1, took_us)
