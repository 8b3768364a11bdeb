"""One asset's listening: samples to windows, windows to verdicts, verdicts to a fault or a sign."""

from __future__ import annotations

from collections import deque
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

from edgetune_node.clock import from_ns
from edgetune_node.contract import NOVEL, UNKNOWN, AssetHealth, Classification, Context
from edgetune_node.events import Durability
from edgetune_node.monitor.alarm import Alarm
from edgetune_node.monitor.confidence import DoubtWatch
from edgetune_node.monitor.drift import DriftWatch
from edgetune_node.monitor.emg import MuscleWatch
from edgetune_node.monitor.evidence import EvidenceWatch
from edgetune_node.monitor.inference import Verdict, judge
from edgetune_node.monitor.labelling import UNUSABLE, Recent, novel_recording
from edgetune_node.monitor.machine_state import NOT_RUNNING, Running
from edgetune_node.monitor.messages import fault_message, model_message, sign_message
from edgetune_node.monitor.novelty import NovelWatch
from edgetune_node.monitor.stream_checks import RateCheck
from edgetune_node.monitor.vibration import VibrationWatch
from edgetune_signal import Windower
from edgetune_signal.stream import RATE_OFF

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgetune_nas.bundle import Bundle
    from edgetune_node.config import AssetSection
    from edgetune_node.contract import Message, Shelve
    from edgetune_node.events import Missed, Publish, Publisher
    from edgetune_node.monitor.alarm import AlarmState
    from edgetune_node.monitor.gestures import SignEvent
    from edgetune_node.monitor.novelty import Span
    from edgetune_node.monitor.restoring import Restored
    from edgetune_signal import Chunk, Recording, Window

NOT_JUDGED = UNUSABLE | {NOT_RUNNING, RATE_OFF}
"""Of a window with any of these no network is asked."""
LATENCIES_KEPT = 512
STALE_S = 5.0


class Asset:
    """Listens to one stream with the current model, if there is one.

    Parameters
    ----------
    settings
        The asset's configuration.
    publisher
        Stamps messages.
    new_id
        Gives a fresh identifier for each fault or sign event.
    restored
        What was said last before the node stopped, so that a fault keeps its event id.
    """

    def __init__(
        self,
        settings: AssetSection,
        publisher: Publisher,
        new_id: Callable[[], str],
        restored: Restored | None = None,
    ) -> None:
        self.settings = settings
        self.bundle: Bundle | None = None
        self.previous: str | None = None
        self.subject = settings.subject
        self.context = Context()
        self.source_error: str | None = None
        self.refused: str | None = None
        self.misunderstood: str | None = None
        self.last_sample = self.last_usable = publisher.clock.monotonic()
        self.quality: tuple[str, ...] = ()
        self.recent = Recent(settings.rate_hz)
        self._publisher = publisher
        self._new_id = new_id
        self._windower = Windower(
            settings.channels, settings.window.length, settings.window.hop, clip_level=settings.clip_level
        )
        self._vibration = VibrationWatch(settings)
        self._running = Running(settings.machine)
        self._rate = RateCheck(settings)
        self._alarm = Alarm(
            settings.alarm, settings.healthy_class, new_id, None if restored is None else restored.alarm
        )
        self._muscles = MuscleWatch(settings, new_id)
        self.novelty = NovelWatch(settings)
        self.drift = DriftWatch(settings, None if restored is None else restored.drift)
        self._doubt = DoubtWatch(settings.alarm.min_confidence)
        self._spans: list[Span] = []
        self._latencies: deque[float] = deque(maxlen=LATENCIES_KEPT)
        self._evidence = EvidenceWatch(settings, self._vibration)
        self._last_fault = self._last_classification = float("-inf")
        self._samples = self._windows = self._gaps = 0

    # ---- samples -----------------------------------------------------------------------------------------------

    def listen(self, chunk: Chunk) -> list[Publish]:
        """Take in samples; give what there is to say about them."""
        now = self._publisher.clock.monotonic()
        self.last_sample = now
        self._samples += chunk.samples.shape[1]
        self._rate.hear(chunk)
        anew = self.recent.push(chunk)
        if chunk.gap:
            self._gaps += 1
        if anew:
            self.novelty.gap()
        elif self.recent.moved_ns:
            self.novelty.move(self.recent.moved_ns)
        messages = self._spoken(self._muscles.gap()) if chunk.gap or self.recent.moved_ns else []
        for window in self._windower.push(chunk):
            self._windows += 1
            self.quality = window.quality
            if UNUSABLE.isdisjoint(window.quality):
                self.last_usable = now
                self._running.hear(window.samples)
            if self.bundle is not None:
                messages += self._classify(window, self.bundle)
        if self.paused:
            self._vibration.forget()
        elif self.settings.task == "fault":
            self._vibration.push(chunk)
            messages += self._look(now)
        else:
            self._muscles.push(chunk)
            features = self._muscles.look(now, rate_off=self._rate.off)
            if features is not None:
                messages.append(self._telemetry(features))
        return messages

    def novel_stretches(self, subject: str, condition: str) -> list[tuple[Recording, float]]:
        """Give what is to be kept of the samples taken in last, each with its distance, once."""
        spans, self._spans = self._spans, []
        speed = self.context.shaft_rpm
        found = [
            (
                novel_recording(
                    self.recent.chunks, self.settings, span, subject=subject, condition=condition, shaft_rpm=speed
                ),
                span.distance,
            )
            for span in spans
        ]
        return [(recording, distance) for recording, distance in found if recording is not None]

    @property
    def suggested(self) -> tuple[str, ...]:
        """Why a recalibration is suggested, for people; empty where it is not."""
        novel = self.novelty.suggestion(self.subject if self.settings.task == "sign" else None)
        reasons = novel, self._doubt.reason, *self.drift.reasons
        return tuple(reason for reason in reasons if reason is not None)

    @property
    def heard(self) -> bool:
        """Whether there ever were samples."""
        return self._samples > 0

    @property
    def paused(self) -> str:
        """Why nothing is classified although samples come; empty while the machine runs."""
        return self._running.pause(self.context) if self.settings.task == "fault" else ""

    @property
    def problems(self) -> tuple[str, ...]:
        """What `health` has to say besides: what was refused or not understood, and another rate or unit."""
        found = self.refused, self.misunderstood, self._rate.problem, self._vibration.unit_problem
        return tuple(problem for problem in found if problem)

    @property
    def trouble(self) -> str:
        """What is wrong with the samples, for longer than a moment or than a few windows take; empty if nothing is."""
        settings = self.settings
        moment = max(STALE_S, 3 * max(settings.window.length, settings.window.hop) / settings.rate_hz)
        now = self._publisher.clock.monotonic()
        if self.source_error:
            return self.source_error
        if self._rate.problem is not None and now - self.last_sample <= moment:
            return self._rate.problem
        if now - self.last_sample > moment:
            return f"no samples for more than {moment:g} s: check the sensor and its source"
        unusable = not UNUSABLE.isdisjoint(self.quality)  # of the last window: there may be none yet after a silence
        if unusable and now - self.last_usable > moment and not self.paused:
            return f"unusable samples ({', '.join(self.quality)}) for more than {moment:g} s: check the sensor"
        return ""

    def tick(self) -> list[Publish]:
        """Repeat the fault's state when its heartbeat is due; end what was shelved for a time."""
        if self.settings.task != "fault":
            return []
        unshelved = self._alarm.unshelve(self._publisher.clock.utc(), self._publisher.clock.monotonic())
        if unshelved is not None:
            return [self._fault(unshelved, Durability.RARE)]
        if self._publisher.clock.monotonic() - self._last_fault < self.settings.alarm.heartbeat_s:
            return []
        return [self._fault(self._alarm.state, Durability.TELEMETRY)]

    def swap(self, bundle: Bundle | None, previous: str | None) -> list[Publish]:
        """Classify with ``bundle`` from the next window on."""
        self.bundle = bundle
        self.previous = previous
        self._latencies.clear()
        self.drift.swap(None if bundle is None else bundle.card.id)
        self._doubt.forget()
        return [self._model(Durability.RARE)]

    def wear(self, subject: str, bundle: Bundle | None, previous: str | None) -> list[Publish]:
        """Listen to another person, with their model; what was heard of the one before is forgotten."""
        ended = self._spoken(self._muscles.gap())
        self.subject = subject
        self.recent = Recent(self.settings.rate_hz)
        self._windower.reset()
        self._muscles = MuscleWatch(self.settings, self._new_id)
        return [*ended, *self.swap(bundle, previous)]

    def acknowledge(self, event: str | None, by: str, comment: str) -> list[Publish]:
        """Note that a person has seen the fault; ``ValueError`` where there is none to acknowledge."""
        state = self._alarm.acknowledge(event, by, comment, self._publisher.clock.utc())
        return [self._fault(state, Durability.RARE)]

    def shelve(self, command: Shelve) -> list[Publish]:
        """Let a class of faults alarm nobody for a time; ``ValueError`` where that cannot be."""
        if self.settings.task != "fault":
            raise ValueError(f"{self.settings.id} has task sign: it has no faults to shelve")
        now = self._publisher.clock.utc()
        until = now + timedelta(seconds=command.seconds)
        now_s = self._publisher.clock.monotonic()
        state = self._alarm.shelve(command.class_, until, command.by, command.comment, now, now_s)
        return [self._fault(state, Durability.RARE)]

    # ---- what it says ------------------------------------------------------------------------------------------

    def announce(self) -> list[Publish]:
        """Say again what a subscriber that missed everything should know."""
        messages = [self._model(Durability.TELEMETRY)]
        if self.settings.task == "fault":
            messages.append(self._fault(self._alarm.state, Durability.TELEMETRY))
        return messages

    def health(self, missed: Missed) -> AssetHealth:
        """Give the asset's part of ``health``."""
        now = self._publisher.clock.monotonic()
        p50, p99 = np.percentile(self._latencies, (50, 99)) if self._latencies else (None, None)
        return AssetHealth(
            id=self.settings.id,
            samples=self._samples,
            windows=self._windows,
            dropped_chunks=missed.dropped_chunks,
            gaps=self._gaps,
            lost_blocks=missed.lost_blocks,
            sample_age_s=round(now - self.last_sample, 2) if self._samples else None,
            inference_p50_us=None if p50 is None else round(float(p50), 1),
            inference_p99_us=None if p99 is None else round(float(p99), 1),
            source_error=self.source_error,
            novel_kept_s=round(sum(each.seconds for each in self.novelty.kept), 3),
            novel_events=list(dict.fromkeys(each.event for each in self.novelty.kept)),
            novel_problem=self.novelty.problem,
        )

    # ---- inside ------------------------------------------------------------------------------------------------

    def _classify(self, window: Window, bundle: Bundle) -> list[Publish]:
        quality = [*window.quality, *([NOT_RUNNING] if self.paused else [])]
        verdict = Verdict()
        if NOT_JUDGED.isdisjoint(quality):
            distant = self.settings.alarm.severity.get(NOVEL) != "none"
            verdict = judge(window, bundle, self.settings, distant=distant)
        if verdict.inference_us is not None:
            self._latencies.append(verdict.inference_us)
        if verdict.novel:
            quality.append(NOVEL)
        class_, confidence = verdict.told
        end = from_ns(window.time_ns)
        messages: list[Publish] = []
        if self._due(end.timestamp()):
            classification = Classification(
                ts=end,
                window=window.sequence,
                class_=class_,
                confidence=round(confidence, 4),
                probabilities=dict(verdict.shares),
                model=bundle.card.id,
                quality=quality,
            )
            messages.append(self._telemetry(classification))
        if self.settings.task == "sign":
            return messages + self._spoken(self._muscles.observe(verdict, window))
        vote = (NOVEL, 1.0) if verdict.novel else (class_, confidence)
        if NOT_RUNNING not in quality:
            self._evidence.hear(vote[0], window.samples)
        messages += [self._fault(state, Durability.RARE) for state in self._alarm.observe(*vote, end)]
        span = self.novelty.hear(window, verdict.distance, self._alarm.state, self._publisher.clock.monotonic())
        self._spans += [] if span is None else [span]
        if verdict.shares:
            self._doubt.hear(vote[1])
        if verdict.shares and not self._alarm.state.active:
            self.drift.hear(verdict.shares.get(self.settings.healthy_class, confidence), verdict.distance)
        return messages

    def _spoken(self, sign: SignEvent | None) -> list[Publish]:
        """Publish a sign that has ended, if one has."""
        if sign is None or self.bundle is None:
            return []
        if sign.class_ != UNKNOWN:
            self.drift.hear_sign(sign.confidence, sign.distance)
        elif sign.distance is not None:
            now = self._publisher.clock.monotonic()
            span = self.novelty.gesture(sign.event, sign.start, sign.end, sign.distance, now)
            self._spans += [] if span is None else [span]
        message = sign_message(sign, self.bundle.card.id, self.subject)
        return [self._publisher.publish(message, self.settings.id, Durability.SIGN)]

    def _due(self, seconds: float) -> bool:
        """Whether ``classification_hz`` lets this window out."""
        rate = self.settings.classification_hz
        if rate is not None and 0 <= seconds - self._last_classification < 1 / rate:
            return False
        self._last_classification = seconds
        return True

    def _look(self, now: float) -> list[Publish]:
        """Say how the machine vibrates, and repeat the fault where physics' verdict on it has changed."""
        found = self._vibration.look(now, self.context, rate_off=self._rate.off)
        if found is None:
            return []
        if not self._alarm.state.active and not self._rate.off:
            self.drift.look(found)
        messages = [self._telemetry(self._vibration.message(found))]
        if self._evidence.turned(self._alarm.state, heard=self.bundle is not None):
            messages.append(self._fault(self._alarm.state, Durability.TELEMETRY))
        return messages

    def _fault(self, state: AlarmState, durability: Durability) -> Publish:
        self._last_fault = self._publisher.clock.monotonic()
        novel_s = self.novelty.seconds_of(state.event)
        evidence = self._evidence.message(state, heard=self.bundle is not None, novel_s=novel_s)
        message = fault_message(state, None if self.bundle is None else self.bundle.card.id, evidence)
        return self._publisher.publish(message, self.settings.id, durability)

    def _model(self, durability: Durability) -> Publish:
        message = model_message(self.bundle, self.previous, self.subject)
        return self._publisher.publish(message, self.settings.id, durability)

    def _telemetry(self, message: Message) -> Publish:
        return self._publisher.publish(message, self.settings.id, Durability.TELEMETRY)
