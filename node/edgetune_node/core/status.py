"""Publishes an asset's ``state`` and ``calibration``, each when it changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgetune_node.contract import CalibrationStatus, State
from edgetune_node.core.phase import AssetPhase
from edgetune_node.events import Durability

if TYPE_CHECKING:
    from edgetune_node.contract import Armband, CalibrationPhase, Drift
    from edgetune_node.events import Origin, Publish, Publisher
    from edgetune_node.monitor import Asset

PROGRESS_S = 0.5


class StatusReporter:
    """Remembers what was published of one asset, so that nothing is published twice.

    Parameters
    ----------
    asset
        Whose state is published.
    publisher
        Stamps messages.
    """

    def __init__(self, asset: Asset, publisher: Publisher) -> None:
        self._asset = asset
        self._publisher = publisher
        self._shown: tuple[Any, ...] = ()
        self._phase = AssetPhase(asset, publisher.clock)
        self._last_view: tuple[Any, ...] = ()
        self._last_progress = float("-inf")
        self._suggested: tuple[tuple[str, ...], Drift | None, Armband | None] = self._news

    def state(
        self, calibration: CalibrationPhase | None, origin: Origin | None, note: str, *, always: bool
    ) -> list[Publish]:
        """State of the asset, if it changed since it was last published.

        ``calibration`` is the phase of a running one, ``origin`` that of any job, ``note`` is about the last job.
        """
        current = self._phase.current(calibration, "" if origin is None else origin.name, note)
        job = None if origin is None else origin.command_id
        bundle = self._asset.bundle
        model = None if bundle is None else bundle.card.id
        classifying = bundle is not None and not self._asset.paused
        shown = (current.phase, current.reason, job, model, classifying, self._asset.subject)
        if shown == self._shown and not always:
            return []
        durability = Durability.TELEMETRY if shown == self._shown else Durability.RARE
        self._shown = shown
        return [
            self._publisher.publish(
                State(
                    phase=current.phase,
                    reason=current.reason,
                    since=current.since,
                    job=job,
                    model=model,
                    subject=self._asset.subject,
                    classifying=classifying,
                ),
                self._asset.settings.id,
                durability,
            )
        ]

    def calibration(self, view: CalibrationStatus | None, now: float, *, always: bool) -> list[Publish]:
        """Return the calibration: at once where it or what is suggested changed, else twice a second while it runs.

        ``view`` is that of a running job, None where none runs.
        """
        suggested, drift, armband = now_known = self._news
        news = now_known != self._suggested
        if view is None:
            if not always and not news:
                return []
            to_do = suggested[0] if suggested else "Nothing to do."
            view = CalibrationStatus(phase="idle", instruction=to_do, percent=0.0)
        key = (view.phase, view.class_, view.take, view.instruction, view.search_phase)
        if not always and not news and key == self._last_view and now - self._last_progress < PROGRESS_S:
            return []
        self._last_view, self._last_progress, self._suggested = key, now, now_known
        durability = Durability.RARE if news else Durability.TELEMETRY
        status = view.model_copy(update={"suggested": list(suggested), "drift": drift, "armband": armband})
        return [self._publisher.publish(status, self._asset.settings.id, durability)]

    @property
    def _news(self) -> tuple[tuple[str, ...], Drift | None, Armband | None]:
        """What is said at once where it changed, and kept over a restart."""
        return self._asset.suggested, self._asset.drift.known, self._asset.armband
