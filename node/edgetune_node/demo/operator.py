"""The demo's operator: asks the node for a new model and follows the job to its end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from edgetune_node.demo.errors import DemoError
from edgetune_node.operator import COLLECTING, SEARCHING, FollowedJob, follow

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgetune_nas.card import Budget
    from edgetune_node.contract import CalibrationStatus, Topics
    from edgetune_node.demo.screen import Screen
    from edgetune_node.operator import OperatorClient

COUNTDOWN_S = 1.5
POLL_S = 0.2


class Operator:
    """A person at a terminal, with a connection of their own.

    Parameters
    ----------
    client
        Its connection, made for the asset it commands; closed by its owner.
    topics, asset
        Whom it commands.
    screen
        Where it says what it does.
    """

    def __init__(self, client: OperatorClient, topics: Topics, asset: str, screen: Screen) -> None:
        self._client = client
        self._screen = screen
        client.subscribe(topics.asset(asset, "calibration"), topics.asset(asset, "model"), topics.node("status"))

    def recalibrate(
        self,
        classes: Sequence[str],
        seconds_per_take: float,
        budget: Budget,
        *,
        rest_seconds: float | None = None,
        patience_s: float,
        check: Callable[[], None],
    ) -> dict[str, float]:
        """Collect ``classes`` live, search under ``budget``, and follow the job until it is done.

        Parameters
        ----------
        rest_seconds
            Rest with slight movements that a person is asked for at the end; None of a machine.
        patience_s
            How long all of it may take.
        check
            Called a few times a second; raises where something else has broken.

        Returns
        -------
        dict
            Seconds that ``collect``, ``search`` and ``deploy`` took.

        Raises
        ------
        DemoError
            The job was rejected, failed, or did not end in time.
        """
        job = FollowedJob(
            self._client.send(
                "recalibrate",
                source="live",
                classes=list(classes),
                seconds_per_take=seconds_per_take,
                countdown_s=COUNTDOWN_S,
                rest_seconds=rest_seconds,
                budget=budget.model_dump(exclude_none=True),
                deploy="always",
            ),
            "recalibrate",
        )
        deadline = time.monotonic() + patience_s
        seconds = {"collect": 0.0, "search": 0.0, "deploy": 0.0}
        since, chapter = time.monotonic(), "collect"
        while not job.ended:
            with self._screen.bar("NODE") as show:
                while not job.ended and chapter_of(job.calibration, chapter) == chapter:
                    check()
                    if time.monotonic() >= deadline:
                        raise DemoError(
                            f"the node ends the phase {chapter!r}", f"the job did not end within {patience_s:.0f} s"
                        )
                    for topic, payload in self._client.messages(POLL_S):
                        job = follow(job, topic, payload)
                        if job.ended or chapter_of(job.calibration, chapter) != chapter:
                            break
                        if job.calibration is not None:
                            show(job.calibration.percent, progress_sentence(job.calibration))
            now = time.monotonic()
            seconds[chapter] += now - since
            since, chapter = now, chapter_of(job.calibration, chapter)
        if job.status != "done":
            raise DemoError("the node makes a new model", f"the job was {job.status}: {job.reason}")
        self._screen.say(
            "OPERATOR", f"the node has a new model, {sum(seconds.values()):.0f} s after it was asked for one"
        )
        return seconds


def chapter_of(calibration: CalibrationStatus | None, before: str) -> str:
    """Which part of the job a calibration status belongs to: ``collect``, ``search`` or ``deploy``."""
    if calibration is None or calibration.phase not in SEARCHING | COLLECTING:
        return before
    if calibration.phase == "deploying":
        return "deploy"
    return "search" if calibration.phase in SEARCHING else "collect"


def progress_sentence(calibration: CalibrationStatus) -> str:
    """Return what to show beside the bar."""
    if calibration.phase != "searching":
        return calibration.instruction
    best = ""
    if calibration.best_accuracy is not None:
        best = f", best {calibration.best_accuracy:.1%} with an arena of {calibration.best_arena_bytes} B"
    eta = "" if calibration.eta_s is None else f", {calibration.eta_s:.0f} s left"
    step = (calibration.search_phase or "starting").replace("_", " ")
    return (
        f"{step}: {calibration.candidates or 0} candidates seen, {calibration.rejected or 0} over budget, "
        f"{calibration.trained or 0} trained{best}{eta}"
    )
