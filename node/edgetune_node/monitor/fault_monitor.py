"""Monitors a machine: verdicts become one debounced fault with its evidence, samples become vibration indicators."""

from __future__ import annotations

from datetime import timedelta
from math import isfinite
from typing import TYPE_CHECKING, Final

from edgetune_node.clock import from_ns
from edgetune_node.contract import NOVEL, Context
from edgetune_node.events import Durability
from edgetune_node.monitor.alarm import Alarm
from edgetune_node.monitor.confidence import ConfidenceMonitor
from edgetune_node.monitor.effort import Following
from edgetune_node.monitor.evidence import EvidenceCollector
from edgetune_node.monitor.heard import HealthyTime, Heard
from edgetune_node.monitor.machine_state import MachineState
from edgetune_node.monitor.messages import fault_message
from edgetune_node.monitor.modes import ADVICE, UNSEEN, Impulsiveness, ModesHeard
from edgetune_node.monitor.sensor_check import SensorCheck
from edgetune_node.monitor.severity import NO_SIGNS, PhysicalSigns
from edgetune_node.monitor.vibration import VibrationMonitor

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgetune_nas.bundle import Bundle
    from edgetune_node.config import AssetSection
    from edgetune_node.contract import Fault, NovelKind, Shelve
    from edgetune_node.events import Publish, Publisher
    from edgetune_node.monitor.alarm_state import AlarmState
    from edgetune_node.monitor.drift import DriftMonitor
    from edgetune_node.monitor.inference import Verdict
    from edgetune_node.monitor.novelty import NoveltyRecorder
    from edgetune_signal import Chunk, Window
    from edgetune_signal.stream import Samples

NO_MODEL: Final = "no model yet: publish recalibrate"
NOTHING_YET: Final = "no window has been judged yet"


class FaultMonitor:
    """The `TaskMonitor` of a machine.

    Parameters
    ----------
    settings
        The asset's configuration.
    publisher
        Stamps messages.
    new_id
        Returns a fresh identifier for each fault.
    novelty, drift
        The asset's, which windows without a known fault are reported to.
    alarm
        State of the alarm when the node stopped, so that a fault keeps its event id.
    heard
        What was learned of the healthy machine when the node stopped.
    said
        The fault as it was published last, whose evidence an active event keeps.
    """

    rest_class: Final = None

    def __init__(
        self,
        settings: AssetSection,
        publisher: Publisher,
        new_id: Callable[[], str],
        novelty: NoveltyRecorder,
        drift: DriftMonitor,
        alarm: AlarmState | None,
        heard: Heard | None = None,
        said: Fault | None = None,
    ) -> None:
        self._settings = settings
        self._publisher = publisher
        self._clock = publisher.clock
        self._novelty = novelty
        self._drift = drift
        hop_s = settings.window.hop / settings.rate_hz
        self._alarm = Alarm(settings.alarm, settings.healthy_class, new_id, alarm, hop_s=hop_s)
        self._running = MachineState(settings.machine)
        self._vibration = VibrationMonitor(settings)
        self._evidence = EvidenceCollector(settings, self._vibration, said)
        self._confidence = ConfidenceMonitor(settings.alarm.min_confidence)
        self._model: str | None = None
        kept = heard or Heard(model="")
        self._heard_by: str | None = kept.model
        self._sensor = SensorCheck(settings.unit, settings.rate_hz, kept.looks(settings.channels))
        self._modes = ModesHeard(kept.modes)
        duty = settings.source.duty
        self._time = HealthyTime(hop_s if duty is None else max(hop_s, duty.every_s), kept.seconds, kept.raised)
        self._impulsive = Impulsiveness()
        self._context = Context()
        self._signs = NO_SIGNS
        self._ever_judged = False
        self._why = NO_MODEL
        self._kind_said = None if said is None else said.kind
        self._last_fault = float("-inf")

    @property
    def suggestions(self) -> tuple[str, ...]:
        """A network that is sure of hardly anything."""
        return () if self._confidence.reason is None else (self._confidence.reason,)

    @property
    def problem(self) -> str | None:
        """Gravity in another unit than is configured."""
        return self._vibration.unit_problem

    def paused(self, context: Context) -> str:
        """Return why nothing is classified: the machine does not run; empty while it does."""
        return self._running.pause(context)

    # ---- samples -----------------------------------------------------------------------------------------------

    @property
    def armband(self) -> None:
        """Nothing: a machine wears no armband."""
        return

    @property
    def sensor(self) -> tuple[str, str]:
        """Quality that the sensor gives every window, and why, for people; both empty while it is sound."""
        return self._sensor.trouble or "", self._sensor.reason

    def usable(self, window: Window) -> None:
        """Note whether the machine runs."""
        self._running.hear(window.samples)

    def classified(self, window: Window, verdict: Verdict, *, paused: bool) -> list[Publish]:
        """Count a window's verdict; publish each change of the fault."""
        class_, confidence = vote = (NOVEL, 1.0) if verdict.novel else verdict.told
        if not paused:
            self._evidence.hear(class_, window.samples)
        change = self._alarm.observe(*vote, from_ns(window.time_ns), self._signs)
        self._ever_judged = self._ever_judged or verdict.inference_us is not None
        messages = [] if change is None else [self._fault(change.state, Durability.RARE)]
        if verdict.inference_us is not None:
            raised = change is not None and change.kind == "raised"
            self._time.hear(window.time_ns / 1e9, active=self._alarm.state.active, raised=raised)
        self._novelty.hear(window, verdict.distance, self._alarm.state, self._clock.monotonic())
        if verdict.shares:
            self._confidence.hear(confidence)
        if verdict.inference_us is not None and not self._alarm.suspected:
            healthy = verdict.shares.get(self._settings.healthy_class, verdict.told[1]) if verdict.shares else None
            self._drift.hear(healthy, verdict.distance)
            if class_ == self._settings.healthy_class:
                self._modes.hear(self._context)
        return messages

    def push(self, chunk: Chunk, context: Context, *, rate_off: bool) -> list[Publish]:
        """Publish how the machine vibrates; repeat the fault if the physical evidence on it has changed."""
        self._context = context
        if self.paused(context):
            self._vibration.forget()
            self._impulsive.forget()
            self._evidence.forget()
            self._signs = NO_SIGNS
            return []
        self._vibration.push(chunk)
        healthy = None if self._model is None else self._drift.healthy_lines
        found = self._vibration.look(self._clock.monotonic(), context, rate_off=rate_off, healthy=healthy)
        if found is None:
            return []
        if not self._alarm.suspected and not rate_off:
            self._drift.look(found)
        self._impulsive.look(found.indicators.kurtosis)
        self._signs = self._severity_signs()
        if self._vibration.seen is not None and not rate_off:
            self._look_at_sensor(self._vibration.seen, context)
        message = self._vibration.message(found)
        messages = [self._publisher.publish(message, self._settings.id, Durability.TELEMETRY)]
        if self._evidence.turned(self._alarm.state, heard=self._model is not None):
            messages.append(self._fault(self._alarm.state, Durability.TELEMETRY))
        return messages

    def gap(self) -> list[Publish]:
        """Do nothing: votes span a gap."""
        return []

    # ---- what happens besides ----------------------------------------------------------------------------------

    def following(self) -> Following:
        """Return nothing: there is nothing to drive with a fault."""
        return Following()

    def order(self) -> None:
        """Return None: channels stay as they come."""
        return

    def hold(self, *, held: bool) -> None:
        """Do nothing: channels stay as they come."""

    def as_worn(self) -> None:
        """Do nothing: channels stay as they come."""

    def swap(self, bundle: Bundle | None) -> None:
        """Go on with another model."""
        self._model = None if bundle is None else bundle.card.id
        self._confidence.forget()
        if self._model != self._heard_by:
            self._heard_by = self._model
            self._sensor.forget()
            self._modes.forget()
            self._time.forget()
        if bundle is None:
            self._ever_judged = False

    def heard(self) -> Heard | None:
        """Return what is learned of the healthy machine, to be kept; None without a model."""
        if self._model is None:
            return None
        return Heard(
            model=self._model,
            seconds=self._time.seconds,
            raised=self._time.raised,
            modes=self._modes.kept(),
            sensor=self._sensor.kept(),
        )

    def judged(self, why_not: str) -> list[Publish]:
        """Note why the machine is not judged, empty while it is; publish the fault's state where that is news."""
        if not why_not and not self._ever_judged:
            why_not = NOTHING_YET
        if bool(why_not) == bool(self._why):
            self._why = why_not
            return []
        self._why = why_not
        return self.announce()

    def wear(self, subject: str) -> list[Publish]:
        """Do nothing: a machine's models do not depend on its subject."""
        del subject
        return []

    def tick(self) -> list[Publish]:
        """Repeat the fault's state if its heartbeat is due; end what was shelved for a time."""
        unshelved = self._alarm.unshelve(self._clock.utc(), self._clock.monotonic())
        if unshelved is not None:
            return [self._fault(unshelved, Durability.RARE)]
        if self._clock.monotonic() - self._last_fault < self._settings.alarm.heartbeat_s:
            return []
        return self.announce()

    def announce(self) -> list[Publish]:
        """Publish the fault's state as it is."""
        return [self._fault(self._alarm.state, Durability.TELEMETRY)]

    def acknowledge(self, event: str | None, by: str, comment: str) -> list[Publish]:
        """Note that a person has seen the fault; raise `Refused` if there is none to acknowledge."""
        state = self._alarm.acknowledge(event, by, comment, self._clock.utc())
        return [self._fault(state, Durability.RARE)]

    def shelve(self, command: Shelve) -> list[Publish]:
        """Suppress the alarm of a class of faults for a time; raise `Refused` if that cannot be."""
        now = self._clock.utc()
        until = now + timedelta(seconds=command.seconds)
        now_s = self._clock.monotonic()
        state = self._alarm.shelve(command.class_, until, command.by, command.comment, now, now_s)
        return [self._fault(state, Durability.RARE)]

    def _fault(self, state: AlarmState, durability: Durability) -> Publish:
        self._last_fault = self._clock.monotonic()
        novel_s = self._novelty.seconds_of(state.event)
        stays = self._evidence.stays(state)
        evidence = self._evidence.message(state, heard=self._model is not None, novel_s=novel_s)
        mode = self._modes.word(self._context)
        kind = None
        if state.active and state.class_ == NOVEL:
            kind = (self._kind_said if stays else None) or self._kind()
        if kind is not None and evidence.zone != "D":
            action = (UNSEEN if mode == "unseen" and kind == "changed" else "") + ADVICE[kind]
            evidence = evidence.model_copy(update={"action": action})
        self._kind_said = kind
        message = fault_message(state, self._model, evidence, unjudged=self._why, kind=kind, mode=mode)
        return self._publisher.publish(message, self._settings.id, durability)

    def _look_at_sensor(self, samples: Samples, context: Context) -> None:
        """Hold some samples against the sensor's baseline."""
        healthy = not self._why and not self._alarm.suspected
        rpm = context.shaft_rpm if context.shaft_rpm is not None else self._settings.machine.shaft_rpm
        self._sensor.look(samples, healthy=healthy, shaft_hz=None if rpm is None else rpm / 60)

    def _kind(self) -> NovelKind:
        return self._impulsive.kind(self._drift.healthy("kurtosis"))

    def _severity_signs(self) -> PhysicalSigns:
        physics = self._vibration.physics
        look = physics.condition
        velocity = None if look is None or look.velocity_rms_mm_s is None else max(look.velocity_rms_mm_s)
        rms = None if look is None else max(look.indicators.rms)
        unseen = self._modes.word(self._context) == "unseen"  # another speed is louder or quieter by itself
        return PhysicalSigns(
            zone=physics.zone,
            velocity_growth=None if unseen else self._growth("velocity", velocity),
            growth=None if unseen else self._growth("rms", rms),
            defect=physics.match is not None,
            unseen_mode=unseen and physics.match is None and self._kind() == "changed",
        )

    def _growth(self, name: str, value: float | None) -> float | None:
        healthy = self._drift.healthy(name)
        return None if not healthy or value is None or not isfinite(value) else value / healthy
