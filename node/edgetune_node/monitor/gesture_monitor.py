"""Monitors a person: verdicts become one sign for each gesture, samples become features of the muscles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edgetune_node.contract import UNKNOWN, Armband
from edgetune_node.errors import Refused
from edgetune_node.events import Durability
from edgetune_node.monitor.armband import ArmbandWatch, Placement
from edgetune_node.monitor.effort import Effort, Following, Smoother
from edgetune_node.monitor.emg import EmgMonitor
from edgetune_node.monitor.gestures import SignStart
from edgetune_node.monitor.messages import sign_message, sign_start_message

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from edgetune_nas.bundle import Bundle
    from edgetune_node.config import AssetSection
    from edgetune_node.contract import Context, Shelve
    from edgetune_node.events import Publish, Publisher
    from edgetune_node.monitor.drift import DriftMonitor
    from edgetune_node.monitor.gestures import Told
    from edgetune_node.monitor.heard import Heard
    from edgetune_node.monitor.inference import Verdict
    from edgetune_node.monitor.novelty import NoveltyRecorder
    from edgetune_signal import Chunk, Window


UNHEARD_S: Final = 30.0
"""Seconds without rest after which ``health`` says why there are no signs."""


class GestureMonitor:
    """The `TaskMonitor` of a person.

    Parameters
    ----------
    settings
        The asset's configuration.
    publisher
        Stamps messages.
    new_id
        Returns a fresh identifier for each sign.
    novelty, drift
        The asset's, which unknown and known signs are reported to.
    turned
        How the armband's channels were turned back before a restart; None where they were not.
    """

    def __init__(
        self,
        settings: AssetSection,
        publisher: Publisher,
        new_id: Callable[[], str],
        novelty: NoveltyRecorder,
        drift: DriftMonitor,
        turned: Armband | None = None,
    ) -> None:
        self.rest_class = settings.healthy_class
        self._settings = settings
        self._publisher = publisher
        self._new_id = new_id
        self._novelty = novelty
        self._drift = drift
        self._emg = EmgMonitor(settings, new_id)
        hop_s = settings.window.hop / settings.rate_hz
        self._effort = Effort(settings.healthy_class, settings.window.length / settings.rate_hz, hop_s)
        self._smoother = Smoother(round(settings.sign.smooth_ms / 1000 / hop_s))
        self._smoothed: str | None = None
        self._worn = ArmbandWatch(settings.channels, settings.healthy_class)
        self._turned = Placement()
        self._held = False
        self._before = turned if settings.sign.armband == "ring" else None
        self._order: NDArray[np.intp] | None = None
        self._subject = settings.subject
        self._model: str | None = None

    def paused(self, context: Context) -> str:
        """Return an empty text: a person is never paused."""
        del context
        return ""

    # ---- samples -----------------------------------------------------------------------------------------------

    def usable(self, window: Window) -> None:
        """Do nothing: all windows are classified."""

    def classified(self, window: Window, verdict: Verdict, *, paused: bool) -> list[Publish]:
        """Count a window's verdict; publish the sign that begins or ends with it."""
        del paused
        self._effort.hear(window.samples)
        self._smoothed = self._smoother.hear(verdict.told[0])
        told = self._emg.observe(verdict, window)
        self._look_at_armband(window)
        return [message for each in told for message in self._tell(each)]

    def following(self) -> Following:
        """Return the smoothed class, and the strength of the running sign."""
        return Following(self._smoothed, self._effort.strength(self._emg.running))

    def push(self, chunk: Chunk, context: Context, *, rate_off: bool) -> list[Publish]:
        """Publish the features of the muscles if they are due."""
        del context
        self._emg.push(chunk)
        features = self._emg.look(self._publisher.clock.monotonic(), rate_off=rate_off)
        if features is None:
            return []
        turned = {"turn": self._turned.turn, "mirrored": self._turned.mirrored}
        features = features.model_copy(update=turned)
        return [self._publisher.publish(features, self._settings.id, Durability.TELEMETRY)]

    def gap(self) -> list[Publish]:
        """Publish the running sign, if there is one: it ends here."""
        ended = self._emg.gap()
        self._effort.forget()
        self._smoother.forget()
        return [] if ended is None else self._tell(ended)

    def _tell(self, sign: Told) -> list[Publish]:
        if self._model is None:
            return []
        if isinstance(sign, SignStart):
            start = sign_start_message(sign, self._model, self._subject)
            return [self._publisher.publish(start, self._settings.id, Durability.TELEMETRY)]
        if sign.class_ != UNKNOWN:
            self._drift.hear_sign(sign.confidence, sign.distance)
        elif sign.distance is not None:
            now = self._publisher.clock.monotonic()
            self._novelty.gesture(sign.event, sign.start, sign.end, sign.distance, now)
        message = sign_message(sign, self._model, self._subject)
        return [self._publisher.publish(message, self._settings.id, Durability.SIGN)]

    # ---- what happens besides ----------------------------------------------------------------------------------

    def swap(self, bundle: Bundle | None) -> None:
        """Go on with another model, and what its card says of signs."""
        self._model = None if bundle is None else bundle.card.id
        self._effort.calibrate(None if bundle is None else bundle.card.signs)
        self._smoother.forget()
        self._worn.use(bundle)
        before = self._before
        if before is not None and bundle is not None:
            self._before = None
            if before.model == bundle.card.id:
                self._turn(Placement(before.turn, before.mirrored, before.gain))

    @property
    def armband(self) -> Armband | None:
        """How the channels are turned back while the model is in use; None where they are as they come."""
        if self._before is not None:  # no model is in use yet
            return self._before
        if self._model is None or self._turned.as_before:
            return None
        turned = self._turned
        return Armband(model=self._model, turn=turned.turn, mirrored=turned.mirrored, gain=turned.gain)

    @property
    def suggestions(self) -> tuple[str, ...]:
        """That the armband is worn in another way than at calibration, and what to do."""
        channels = self._settings.channels
        if not self._turned.as_before:
            back = "its channels are turned back; publish profile with the subject to undo that"
            return (f"{self._turned.text(channels)}: {back}",)
        if not self._worn.placement.as_before:
            return (
                f"{self._worn.placement.text(channels)}: wear it as before, or recalibrate with one take of each sign",
            )
        return ()

    @property
    def problem(self) -> str | None:
        """Which electrodes have a fault, and that rest has not been heard."""
        if self._model is not None and self._emg.unheard_s > UNHEARD_S:
            rest = self._settings.healthy_class
            return f"{self._settings.id}: no sign is recognised before rest was heard: rest; else record {rest!r} again"
        faults = [
            f"channel {number} {' and '.join(each)}" for number, each in enumerate(self._emg.electrodes, 1) if each
        ]
        return f"{self._settings.id}: electrodes: {', '.join(faults)}; check contact and cable" if faults else None

    def order(self) -> NDArray[np.intp] | None:
        """Return which channel stands where each one stood at calibration; None where they stay as they come."""
        return self._order

    def hold(self, *, held: bool) -> None:
        """Turn no channels while ``held``: what one job records has them all in one order, and so has its model."""
        self._held = held

    def as_worn(self) -> None:
        """Take the channels as they come from now on."""
        self._turn(Placement())

    def _look_at_armband(self, window: Window) -> None:
        """Let the armband be looked at after each sign; turn its channels back where the configuration wants that."""
        if self._held:
            return
        changed = self._worn.hear(window.samples, running=self._emg.running is not None)
        if changed and self._settings.sign.armband == "ring":
            self._turn(self._turned.then(self._worn.placement, self._settings.channels))

    def _turn(self, placement: Placement) -> None:
        self._turned = placement
        self._order = None if placement.as_before else placement.order(self._settings.channels)
        self._worn.forget()

    def wear(self, subject: str) -> list[Publish]:
        """Go on with another person; publish the running sign of the one before."""
        ended = self.gap()
        self._subject = subject
        self.as_worn()
        self._emg = EmgMonitor(self._settings, self._new_id)
        return ended

    @property
    def sensor(self) -> tuple[str, str]:
        """Nothing: a person's electrodes are not an accelerometer."""
        return "", ""

    def heard(self) -> Heard | None:
        """Return nothing: what is learned of a person is in the model."""
        return None

    def judged(self, why_not: str) -> list[Publish]:
        """Publish nothing: there is no fault."""
        del why_not
        return []

    def tick(self) -> list[Publish]:
        """Publish nothing: signs have no state that is repeated."""
        return []

    def announce(self) -> list[Publish]:
        """Publish nothing: signs are events."""
        return []

    def acknowledge(self, event: str | None, by: str, comment: str) -> list[Publish]:
        """Raise `Refused`: there is no fault."""
        del event, by, comment
        raise Refused("no fault is active; there is nothing to acknowledge")

    def shelve(self, command: Shelve) -> list[Publish]:
        """Raise `Refused`: there are no faults."""
        del command
        raise Refused(f"{self._settings.id} has task sign: it has no faults to shelve")
