"""Monitors a person: verdicts become one sign for each gesture, samples become features of the muscles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edgetune_node.contract import UNKNOWN
from edgetune_node.errors import Refused
from edgetune_node.events import Durability
from edgetune_node.monitor.emg import EmgMonitor
from edgetune_node.monitor.messages import sign_message

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgetune_node.config import AssetSection
    from edgetune_node.contract import Context, Shelve
    from edgetune_node.events import Publish, Publisher
    from edgetune_node.monitor.drift import DriftMonitor
    from edgetune_node.monitor.gestures import SignEvent
    from edgetune_node.monitor.inference import Verdict
    from edgetune_node.monitor.novelty import NoveltyRecorder
    from edgetune_signal import Chunk, Window


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
    """

    suggestions: Final[tuple[str, ...]] = ()
    problem: Final = None

    def __init__(
        self,
        settings: AssetSection,
        publisher: Publisher,
        new_id: Callable[[], str],
        novelty: NoveltyRecorder,
        drift: DriftMonitor,
    ) -> None:
        self.rest_class = settings.healthy_class
        self._settings = settings
        self._publisher = publisher
        self._new_id = new_id
        self._novelty = novelty
        self._drift = drift
        self._emg = EmgMonitor(settings, new_id)
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
        """Count a window's verdict; publish the sign that it ends."""
        del paused
        return self._ended(self._emg.observe(verdict, window))

    def push(self, chunk: Chunk, context: Context, *, rate_off: bool) -> list[Publish]:
        """Publish the features of the muscles if they are due."""
        del context
        self._emg.push(chunk)
        features = self._emg.look(self._publisher.clock.monotonic(), rate_off=rate_off)
        if features is None:
            return []
        return [self._publisher.publish(features, self._settings.id, Durability.TELEMETRY)]

    def gap(self) -> list[Publish]:
        """Publish the running sign, if there is one: it ends here."""
        return self._ended(self._emg.gap())

    def _ended(self, sign: SignEvent | None) -> list[Publish]:
        if sign is None or self._model is None:
            return []
        if sign.class_ != UNKNOWN:
            self._drift.hear_sign(sign.confidence, sign.distance)
        elif sign.distance is not None:
            now = self._publisher.clock.monotonic()
            self._novelty.gesture(sign.event, sign.start, sign.end, sign.distance, now)
        message = sign_message(sign, self._model, self._subject)
        return [self._publisher.publish(message, self._settings.id, Durability.SIGN)]

    # ---- what happens besides ----------------------------------------------------------------------------------

    def swap(self, model: str | None) -> None:
        """Go on with another model."""
        self._model = model

    def wear(self, subject: str) -> list[Publish]:
        """Go on with another person; publish the running sign of the one before."""
        ended = self.gap()
        self._subject = subject
        self._emg = EmgMonitor(self._settings, self._new_id)
        return ended

    @property
    def sensor(self) -> tuple[str, str]:
        """Nothing: a person's electrodes are not an accelerometer."""
        return "", ""

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
        """Raise ``ValueError``: there is no fault."""
        del event, by, comment
        raise Refused("no fault is active; there is nothing to acknowledge")

    def shelve(self, command: Shelve) -> list[Publish]:
        """Raise ``ValueError``: there are no faults."""
        del command
        raise Refused(f"{self._settings.id} has task sign: it has no faults to shelve")
