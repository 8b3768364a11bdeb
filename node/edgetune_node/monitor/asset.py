"""One asset: samples become windows, windows become verdicts, and the monitor of its task makes the rest of them."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from edgetune_node.clock import from_ns
from edgetune_node.contract import NOVEL, AssetHealth, Classification, Context, parse_context
from edgetune_node.errors import PayloadError
from edgetune_node.events import Durability, SourceRefused
from edgetune_node.monitor.drift import DriftMonitor
from edgetune_node.monitor.fault_monitor import NO_MODEL
from edgetune_node.monitor.inference import Verdict, judge
from edgetune_node.monitor.labelling import UNUSABLE, Recent, novel_recording
from edgetune_node.monitor.machine_state import NOT_RUNNING
from edgetune_node.monitor.messages import model_message
from edgetune_node.monitor.novelty import NoveltyRecorder
from edgetune_node.monitor.sensor_check import TEXTS as SENSOR_TROUBLES
from edgetune_node.monitor.stream_health import StreamHealth
from edgetune_node.monitor.task_monitor import task_monitor
from edgetune_node.monitor.trend_recorder import TrendRecorder
from edgetune_signal import Windower, did_you_mean
from edgetune_signal.stream import RATE_OFF

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgetune_nas.bundle import Bundle
    from edgetune_node.config import AssetSection
    from edgetune_node.contract import Armband, Shelve
    from edgetune_node.events import LostSamples, NovelChanged, Publish, Publisher, SourceChanged
    from edgetune_node.monitor.heard import Heard
    from edgetune_node.monitor.restoring import Restored
    from edgetune_signal import Chunk, Recording, Window

NOT_JUDGED = UNUSABLE | {NOT_RUNNING, RATE_OFF, *SENSOR_TROUBLES}
"""Qualities of windows that the network is not asked about."""
LATENCIES_KEPT = 512
MAX_TOLD = 500
"""Characters of what is told of a context that was refused."""


class Asset:
    """Monitors one stream with the current model, if there is one.

    Its state is changed by its methods only.

    Parameters
    ----------
    settings
        The asset's configuration.
    publisher
        Stamps messages.
    new_id
        Returns a fresh identifier for each fault or sign event.
    restored
        What was published last before the node stopped, so that a fault keeps its event id.

    Attributes
    ----------
    settings
        The asset's configuration.
    recent
        The last seconds of the stream.
    novelty
        What is unlike everything known.
    drift
        What slowly leaves the baseline.
    trend
        Means of each minute, for the history.
    """

    def __init__(
        self,
        settings: AssetSection,
        publisher: Publisher,
        new_id: Callable[[], str],
        restored: Restored | None = None,
    ) -> None:
        self.settings: Final = settings
        self.recent: Final = Recent(settings.rate_hz)
        self.novelty: Final = NoveltyRecorder(settings)
        self.drift: Final = DriftMonitor(settings, None if restored is None else restored.drift)
        self.trend: Final = TrendRecorder()
        self._publisher = publisher
        self._monitor = task_monitor(settings, publisher, new_id, self.novelty, self.drift, restored)
        self._stream = StreamHealth(settings, publisher.clock)
        self._windower = Windower(
            settings.channels, settings.window.length, settings.window.hop, clip_level=settings.clip_level
        )
        self._order = self._monitor.order()
        self._times = settings.distance_times
        self._bundle: Bundle | None = None
        self._previous: str | None = None
        self._subject = settings.subject
        self._context = Context()
        self._misunderstood: str | None = None
        self._latencies: deque[float] = deque(maxlen=LATENCIES_KEPT)
        self._last_classification = float("-inf")

    # ---- what others see ---------------------------------------------------------------------------------------

    @property
    def bundle(self) -> Bundle | None:
        """The model in use."""
        return self._bundle

    @property
    def subject(self) -> str:
        """Who wears the sensor, or which machine it is on."""
        return self._subject

    @property
    def context(self) -> Context:
        """What the plant said last."""
        return self._context

    @property
    def heard(self) -> bool:
        """Whether there ever were samples."""
        return self._stream.samples > 0

    @property
    def paused(self) -> str:
        """Why nothing is classified although samples come; empty while the machine runs."""
        return self._monitor.paused(self._context)

    @property
    def trouble(self) -> str:
        """What is wrong with the samples, for longer than a moment; empty if nothing is."""
        paused = bool(self.paused)
        return self._stream.trouble(paused=paused) or ("" if paused else self._monitor.sensor[1])

    @property
    def _unjudged(self) -> str:
        """Why the asset is not judged; empty while it is."""
        if self._bundle is None:
            return NO_MODEL
        return self.paused or self.trouble

    @property
    def problems(self) -> tuple[str, ...]:
        """What was refused or not understood, and another rate or unit, for ``health``."""
        refused, rate = self._stream.problems
        found = refused, self._misunderstood, rate, self._monitor.problem
        return tuple(problem for problem in found if problem)

    @property
    def suggested(self) -> tuple[str, ...]:
        """Why a recalibration is suggested, for people; empty where it is not."""
        novel = self.novelty.suggestion(self._subject if self.settings.personal else None)
        return (*([] if novel is None else [novel]), *self._monitor.suggestions, *self.drift.reasons)

    @property
    def armband(self) -> Armband | None:
        """How the channels of an armband are turned back; None where they are as they come."""
        return self._monitor.armband

    def learned(self) -> Heard | None:
        """Return what is learned of the healthy machine, to be kept over a restart; None where nothing is."""
        return self._monitor.heard()

    def health(self, missed: LostSamples) -> AssetHealth:
        """Return the asset's part of ``health``."""
        heard = self.learned()
        seconds, supported = None, None
        if heard is not None and self._bundle is not None:
            seconds, supported = heard.claim(self._bundle.card.metrics)
        p50, p99 = np.percentile(self._latencies, (50, 99)) if self._latencies else (None, None)
        return AssetHealth(
            id=self.settings.id,
            samples=self._stream.samples,
            windows=self._stream.windows,
            dropped_chunks=missed.dropped_chunks,
            gaps=self._stream.gaps,
            lost_blocks=missed.lost_blocks,
            sample_age_s=self._stream.sample_age_s,
            inference_p50_us=None if p50 is None else round(float(p50), 1),
            inference_p99_us=None if p99 is None else round(float(p99), 1),
            source_error=self._stream.source_error,
            novel_kept_s=round(sum(each.seconds for each in self.novelty.kept), 3),
            novel_events=list(dict.fromkeys(each.event for each in self.novelty.kept)),
            novel_problem=self.novelty.problem,
            healthy_seconds=None if seconds is None else round(seconds, 1),
            raised=None if heard is None else heard.raised,
            supported_per_month=None if supported is None else float(f"{supported:.3g}"),
        )

    # ---- samples -----------------------------------------------------------------------------------------------

    def as_calibrated(self, chunk: Chunk, *, held: bool = False) -> Chunk:
        """Return samples with the channels of a turned armband turned back, where the configuration wants that.

        While ``held`` they stay in the order that they have: what a job records is in one order.
        """
        self._monitor.hold(held=held)
        order = self._monitor.order()
        if order is not self._order:
            self._order = order
            self._windower.reset()
            self.recent.forget()
        return chunk if order is None else replace(chunk, samples=chunk.samples[order])

    def listen(self, chunk: Chunk) -> list[Publish]:
        """Process samples; return what there is to publish about them."""
        self._stream.hear(chunk)
        anew = self.recent.push(chunk)
        if anew:
            self.novelty.gap()
        elif self.recent.moved_ns:
            self.novelty.move(self.recent.moved_ns)
        messages = self._monitor.gap() if chunk.gap or self.recent.moved_ns else []
        for window in self._windower.push(chunk):
            if self._stream.window(window):
                self._monitor.usable(window)
            if self._bundle is not None:
                messages += self._classify(window, self._bundle)
        messages += self._monitor.push(chunk, self._context, rate_off=self._stream.rate_off)
        return messages + self._monitor.judged(self._unjudged)

    def recorded(self, chunk: Chunk) -> None:
        """Note that samples are recorded with a label, so that they need not be kept as novel."""
        self.novelty.record(chunk.time_ns)

    def novel_stretches(self, subject: str, condition: str) -> list[tuple[Recording, float]]:
        """Return what is to be kept of the samples processed last, each with its distance, once."""
        speed = self._context.shaft_rpm
        found = [
            (
                novel_recording(
                    self.recent.chunks, self.settings, span, subject=subject, condition=condition, shaft_rpm=speed
                ),
                span.distance,
            )
            for span in self.novelty.take()
        ]
        return [(recording, distance) for recording, distance in found if recording is not None]

    def _classify(self, window: Window, bundle: Bundle) -> list[Publish]:
        paused = bool(self.paused)
        off, _ = self._monitor.sensor
        quality = [*window.quality, *([NOT_RUNNING] if paused else []), *([off] if off else [])]
        verdict = Verdict()
        if NOT_JUDGED.isdisjoint(quality):
            distant = self.settings.alarm.severity.get(NOVEL) != "none"
            verdict = judge(window, bundle, rest_class=self._monitor.rest_class, distant=distant, times=self._times)
        if verdict.inference_us is not None:
            self._latencies.append(verdict.inference_us)
        if verdict.distance is not None:
            self.trend.distance(verdict.distance, window.time_ns)
        if verdict.novel:
            quality.append(NOVEL)
        class_, confidence = verdict.told
        end = from_ns(window.time_ns)
        told = self._monitor.classified(window, verdict, paused=paused)
        messages: list[Publish] = []
        if self._due(end.timestamp()):
            following = self._monitor.following()
            classification = Classification(
                ts=end,
                window=window.sequence,
                class_=class_,
                confidence=round(confidence, 4),
                probabilities={name: round(share, 4) for name, share in verdict.shares.items()},
                model=bundle.card.id,
                quality=quality,
                distance=None if verdict.distance is None else round(verdict.distance, 4),
                smoothed=following.smoothed,
                strength=following.strength,
            )
            messages.append(self._publisher.publish(classification, self.settings.id, Durability.TELEMETRY))
        return messages + told

    def _due(self, seconds: float) -> bool:
        """Whether ``classification_hz`` lets this window out."""
        rate = self.settings.classification_hz
        if rate is not None and 0 <= seconds - self._last_classification < 1 / rate:
            return False
        self._last_classification = seconds
        return True

    # ---- what happens besides ----------------------------------------------------------------------------------

    def context_arrived(self, payload: bytes) -> list[Publish]:
        """Read what the plant says; what cannot be understood is shown in `problems`, and the last context stays."""
        try:
            self._context, self._misunderstood = parse_context(payload), None
        except PayloadError as error:
            self._misunderstood = f"context refused, what it said before still counts: {error}"[:MAX_TOLD]
        return self._monitor.judged(self._unjudged)

    def source_changed(self, event: SourceChanged | SourceRefused) -> None:
        """Note what the source reports."""
        if isinstance(event, SourceRefused):
            self._stream.source_refused(event.reason)
        else:
            self._stream.source_changed("the recording has ended" if event.ended else event.error)

    def novel_changed(self, event: NovelChanged) -> None:
        """Note what is kept on disk of the unknown; that labelling failed is for the job's answer to say."""
        self.novelty.stored(event.kept)
        if not event.job:
            self.novelty.failed(event.error)

    def rename(self, subject: str) -> None:
        """Mark what follows with another subject; its model stays in use, and channels are as they come."""
        self._monitor.as_worn()
        self._subject = subject

    def swap(self, bundle: Bundle | None, previous: str | None) -> list[Publish]:
        """Classify with ``bundle`` from the next window on."""
        self._bundle = bundle
        self._previous = previous
        self._latencies.clear()
        model = None if bundle is None else bundle.card.id
        self.drift.swap(model)
        self._monitor.swap(bundle)
        return [self._model(Durability.RARE), *self._monitor.judged(self._unjudged)]

    def wear(self, subject: str, bundle: Bundle | None, previous: str | None) -> list[Publish]:
        """Monitor another person with their model, and forget the samples of the one before."""
        ended = self._monitor.wear(subject)
        self._subject = subject
        self.recent.forget()
        self._windower.reset()
        return [*ended, *self.swap(bundle, previous)]

    def tick(self) -> list[Publish]:
        """Return what is due by time."""
        return [*self._monitor.judged(self._unjudged), *self._monitor.tick()]

    def announce(self) -> list[Publish]:
        """Return what a new subscriber should know."""
        return [self._model(Durability.TELEMETRY), *self._monitor.announce()]

    def acknowledge(self, event: str | None, by: str, comment: str) -> list[Publish]:
        """Note that a person has seen the fault; raise `Refused` if there is none to acknowledge."""
        return self._monitor.acknowledge(event, by, comment)

    def shelve(self, command: Shelve) -> list[Publish]:
        """Suppress the alarm of a class of faults for a time; raise `Refused` if that cannot be."""
        return self._monitor.shelve(command)

    def doubt_shelf(self, command: Shelve) -> dict[str, list[str]] | None:
        """Return a warning for the answer if the model does not tell the class that is shelved; None if it does."""
        known = [] if self._bundle is None else self._bundle.card.classes
        class_ = command.class_
        if not known or class_ is None or class_ in known or not command.seconds:
            return None
        near = did_you_mean(class_, known)
        return {"warnings": [f"the model has no class {class_!r}; it has {', '.join(known)}{near}"]}

    def _model(self, durability: Durability) -> Publish:
        message = model_message(self._bundle, self._previous, self._subject)
        return self._publisher.publish(message, self.settings.id, durability)
