"""What a person does between two takes of signs is recorded as rest, and only where it is rest."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from calibrating import LIVE, job, saved

from edgetune_node.calibration import inputs as cal
from edgetune_node.events.effects import SaveRecording, StartSearch
from edgetune_node.events.events import RecordingSaved

if TYPE_CHECKING:
    from calibrating import Job

    from edgetune_signal import Recording

SIGNS = {**LIVE, "classes": ["rest", "fist", "open"]}
QUIET, LOUD = 0.1, 1.0


def signing(**changes: Any) -> Job:
    return job(SIGNS, task="sign", rest_class="rest", subject="anna", **changes)


def take(running: Job, loudness: float) -> None:
    running.tell(cal.ContinueRequested())
    running.stream(2.0, loudness=loudness)
    running.tell(saved(f"/{running.sequence}.npz"))


def kept(running: Job) -> list[Recording]:
    return [each.recording for each in running.wants if isinstance(each, SaveRecording) and each.pause]


def test_the_rest_after_a_sign_is_recorded_without_its_edges() -> None:
    running = signing()
    take(running, QUIET)
    running.stream(4.0, loudness=QUIET)
    take(running, LOUD)
    running.stream(4.0, loudness=QUIET)
    assert kept(running) == []
    take(running, LOUD)
    (pause,) = kept(running)
    assert (pause.label, pause.subject, pause.unit) == ("rest", "anna", "g")
    assert pause.seconds == 2.5  # four without the first, in which one lets go, and a quarter at either end
    assert pause.held_out_from == 188
    assert abs(pause.samples).max() < 0.5


def test_a_pause_is_half_a_minute_at_most() -> None:
    running = signing()
    take(running, QUIET)
    take(running, LOUD)
    running.stream(60.0, loudness=QUIET)
    take(running, LOUD)
    assert kept(running)[0].seconds == 29.5


def test_a_sign_that_is_made_before_its_take_is_cut_off() -> None:
    running = signing()
    take(running, QUIET)
    take(running, LOUD)
    running.stream(3.0, loudness=QUIET)
    running.stream(1.5, loudness=LOUD)
    take(running, LOUD)
    (pause,) = kept(running)
    assert pause.seconds == 1.5
    assert abs(pause.samples).max() < 0.5


def test_who_lets_go_late_rests_all_the_same() -> None:
    running = signing()
    take(running, QUIET)
    take(running, LOUD)
    running.stream(2.5, loudness=LOUD)
    running.stream(3.0, loudness=QUIET)
    take(running, LOUD)
    (pause,) = kept(running)
    assert pause.seconds == 2.5
    assert abs(pause.samples).max() < 0.5


@pytest.mark.parametrize(
    "between",
    [
        [(4.0, {"loudness": LOUD})],
        [(1.5, {"loudness": QUIET})],
        [(1.5, {"loudness": QUIET}), (0.1, {"gap": True, "loudness": QUIET}), (4.0, {"loudness": QUIET})],
        [(4.0, {"value": 0.0})],
        [(4.0, {"value": float("nan")})],
        [(4.0, {"channels": 2, "loudness": QUIET})],
    ],
    ids=["held", "short", "gap", "flat", "not finite", "other channels"],
)
def test_what_is_no_rest_is_not_kept(between: list[tuple[float, dict[str, Any]]]) -> None:
    running = signing()
    take(running, QUIET)
    take(running, LOUD)
    for seconds, how in between:
        running.stream(seconds, **how)
    take(running, LOUD)
    assert running.phase == "queued"
    assert kept(running) == []


def test_nobody_knows_rest_that_was_not_recorded_before() -> None:
    running = job({**SIGNS, "classes": ["fist", "open"]}, task="sign", rest_class="rest")
    take(running, LOUD)
    running.stream(4.0, loudness=QUIET)
    take(running, LOUD)
    assert kept(running) == []


def test_a_machine_does_not_rest() -> None:
    running = job({**SIGNS, "classes": ["rest", "fist", "open"]}, rest_class="rest")
    for loudness in (QUIET, LOUD, LOUD):
        take(running, loudness)
        running.stream(4.0, loudness=QUIET)
    assert kept(running) == []


def test_the_search_learns_pauses_and_the_answer_names_them() -> None:
    running = signing(stored={"rest": 10.0, "fist": 10.0, "open": 10.0})
    take(running, QUIET)
    take(running, LOUD)
    running.stream(4.0, loudness=QUIET)
    running.tell(cal.ContinueRequested())
    running.tell(RecordingSaved("arm", "j1", Path("/pause.npz"), pause=True))
    running.stream(2.0, loudness=LOUD)
    (search,) = running.tell(saved("/open.npz"))
    assert isinstance(search, StartSearch)
    assert [path.name for path in search.collected][-2:] == ["open.npz", "pause.npz"]
    assert running.tell(cal.CancelRequested())[-1].detail["pauses"] == ["/pause.npz"]


def test_a_pause_that_cannot_be_stored_is_a_warning() -> None:
    running = signing()
    take(running, QUIET)
    running.tell(RecordingSaved("arm", "j1", None, "disk full", pause=True))
    take(running, LOUD)
    take(running, LOUD)
    assert running.phase == "queued"
    warnings = running.tell(cal.CancelRequested())[-1].detail["warnings"]
    assert warnings == ["the rest between two takes could not be stored: disk full"]


def test_a_restart_keeps_the_pauses_that_are_stored() -> None:
    before = (Path("/rest.npz"), Path("/fist.npz"))
    running = signing(collected=before, pauses=(Path("/pause.npz"),))
    take(running, LOUD)
    (search,) = [each for each in running.wants if isinstance(each, StartSearch)]
    assert [path.name for path in search.collected][0::3] == ["rest.npz", "pause.npz"]
