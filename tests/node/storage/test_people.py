"""Each person has models, recordings and a calibration of their own; who wears the sensor is remembered."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from manual_clock import ManualClock

from edgetune_nas.bundle.read import load_bundle
from edgetune_node.cli.local.model_checks import check_models
from edgetune_node.config.settings import AssetSection
from edgetune_node.contract.commands import Cancel, Profile, Recalibrate, Record, Rollback, parse_command
from edgetune_node.contract.topics import Topics
from edgetune_node.core.jobs import AssetJobs
from edgetune_node.core.resumption import InterruptedCommand, resumable
from edgetune_node.errors import CommandError, Refused, StoreError
from edgetune_node.events.effects import Install, NoteCommand, Publish
from edgetune_node.events.events import ModelReady
from edgetune_node.events.publisher import Publisher
from edgetune_node.events.records import Origin, Stored
from edgetune_node.monitor.asset import Asset
from edgetune_node.storage.people import WEARER_FILE, Profiles, worn
from edgetune_node.storage.recordings import list_recordings
from edgetune_signal import Recording, RecordingStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgetune_nas.bundle.read import Bundle
    from edgetune_node.events.effects import Effect

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def section(task: str = "sign", **settings: Any) -> AssetSection:
    return AssetSection(
        **{"id": "arm", "task": task, "rate_hz": 1000, "unit": "g", "window": {"length": 64, "hop": 64}, **settings}
    )


class Counter:
    """The jobs of an asset, and what came over it."""

    def __init__(self, settings: AssetSection, stored: Stored | None = None) -> None:
        publisher = Publisher(Topics("edgetune", "n"), "b", ManualClock(NOW))
        self.asset = Asset(settings, publisher, lambda: "e")
        self.jobs = AssetJobs(self.asset, publisher, lambda: stored or Stored({}))
        self._ids = itertools.count()

    def ask(self, command: Any, name: str) -> tuple[Any, list[Effect]]:
        answer, effects = self.jobs.command(command, Origin(name, command.id))
        return answer, effects

    def profile(self, **fields: Any) -> tuple[Any, list[Effect]]:
        return self.ask(Profile(id="p", **fields), "profile")

    def ready(
        self, bundle: Bundle | None, subject: str | None, job: str = "p", error: str | None = None
    ) -> list[Effect]:
        return self.jobs.model_ready(ModelReady("arm", job, bundle, None, error, subject))


def said(effects: list[Effect], topic: str) -> list[dict[str, Any]]:
    return [
        json.loads(effect.message.json_bytes())
        for effect in effects
        if isinstance(effect, Publish) and effect.topic.endswith(f"/{topic}")
    ]


@pytest.fixture
def bundle(tmp_path: Path, write_tiny_bundle: Callable[..., Path]) -> Bundle:
    return load_bundle(write_tiny_bundle(tmp_path / "made", classes=("fist", "pinch", "rest")))


# ---- what is asked -------------------------------------------------------------------------------------------------


def test_a_known_person_s_model_is_in_use_at_once_and_everything_says_whose_it_is(bundle: Bundle) -> None:
    counter = Counter(section(subject="anna"))
    answer, effects = counter.profile(subject="ben")
    assert (answer.status, answer.final) == ("accepted", False)
    assert effects == [Install("arm", "p", "profile", name="ben")]
    effects = counter.ready(bundle, "ben")
    (done,) = said(effects, "resp/profile")
    assert (done["status"], done["detail"]["subject"], done["detail"]["model"]) == ("done", "ben", bundle.card.id)
    (model,) = said(effects, "model")
    assert (model["subject"], model["id"], model["previous"]) == ("ben", bundle.card.id, None)
    (state,) = said(counter.jobs.state(), "state")
    assert (state["subject"], state["phase"], state["model"]) == ("ben", "monitoring", bundle.card.id)
    assert counter.jobs.job is None


def test_somebody_new_is_calibrated_for_the_signs_of_the_one_before_rest_first(bundle: Bundle) -> None:
    counter = Counter(section(subject="anna"))
    counter.ready(bundle, None, job="")
    counter.profile(subject="ben")
    effects = counter.ready(None, "ben")
    assert said(effects, "model")[-1]["id"] is None
    assert said(effects, "resp/profile")[-1]["status"] == "progress"
    (kept,) = [effect for effect in effects if isinstance(effect, NoteCommand)]
    (status,) = said(counter.jobs.progress(), "calibration")
    assert (status["job"], status["phase"], status["class"], status["takes"]) == ("p", "waiting", "rest", 2)
    assert "class 1 of 3" in status["instruction"]
    command, note = resumable(InterruptedCommand("arm", "profile", "p", b'{"id": "p", "subject": "ben"}', kept.note))
    assert (command.classes, note.subject) == (["rest", "fist", "pinch"], "ben")


def test_without_a_model_before_somebody_new_is_calibrated_for_all_signs_that_are_recorded() -> None:
    counter = Counter(section(), Stored({}, elsewhere=frozenset({"wave", "rest"})))
    counter.profile(subject="ben")
    counter.ready(None, "ben")
    assert said(counter.jobs.progress(), "calibration")[0]["class"] == "rest"


def test_where_no_signs_are_known_the_answer_says_what_to_do() -> None:
    counter = Counter(section())
    counter.profile(subject="ben")
    (done,) = said(counter.ready(None, "ben"), "resp/profile")
    assert done["status"] == "done"
    assert "publish recalibrate with source live and classes" in done["reason"]
    assert said(counter.jobs.state(), "state")[0]["subject"] == "ben"


def test_a_calibration_that_is_cancelled_leaves_the_new_person_without_a_model(bundle: Bundle) -> None:
    counter = Counter(section(subject="anna"))
    counter.ready(bundle, None, job="")
    counter.profile(subject="ben")
    counter.ready(None, "ben")
    answer, effects = counter.ask(Cancel(id="c"), "cancel")
    assert answer.status == "done"
    assert said(effects, "resp/profile")[-1]["reason"].startswith("cancelled")
    (state,) = said(counter.jobs.state(), "state")
    assert (state["subject"], state["phase"], state["classifying"]) == ("ben", "uncalibrated", False)


def test_who_cannot_be_remembered_is_not_switched_to(bundle: Bundle) -> None:
    counter = Counter(section(subject="anna"))
    counter.ready(bundle, None, job="")
    counter.profile(subject="ben")
    (failed,) = said(counter.ready(None, None, error="no space left on device"), "resp/profile")
    assert (failed["status"], failed["reason"]) == ("failed", "no space left on device")
    (state,) = said(counter.jobs.state(), "state")
    assert (state["subject"], state["model"]) == ("anna", bundle.card.id)


def test_nobody_is_switched_while_a_job_runs() -> None:
    counter = Counter(section(), Stored({"rest": 5.0}))
    counter.ask(Record(id="r", label="fist", seconds=1), "record")
    answer, effects = counter.profile(subject="ben")
    assert (answer.status, effects) == ("rejected", [])
    assert "busy: record r is running" in answer.reason
    counter.jobs.command(Cancel(id="c"), Origin("cancel", "c"))
    counter.profile(subject="ben")
    assert "busy: profile p is running" in counter.ask(Rollback(id="b"), "rollback")[0].reason
    assert "too short to be cancelled" in counter.ask(Cancel(id="c2"), "cancel")[0].reason


@pytest.mark.parametrize("fields", [{"subject": "anna"}, {"condition": "wet"}, {}])
def test_the_same_person_again_only_marks(fields: dict[str, str]) -> None:
    counter = Counter(section(subject="anna"))
    answer, effects = counter.profile(**fields)
    assert (answer.status, answer.final, effects) == ("done", True, [])
    assert answer.detail == {"subject": "anna", "condition": fields.get("condition", "")}


def test_a_machine_has_no_profile_and_is_only_marked(bundle: Bundle) -> None:
    counter = Counter(section("fault", subject="rig1"))
    counter.ready(bundle, None, job="")
    answer, effects = counter.profile(subject="rig2", condition="load2")
    assert (answer.status, effects) == ("done", [])
    (state,) = said(counter.jobs.state(), "state")
    assert (state["subject"], state["model"]) == ("rig2", bundle.card.id)


@pytest.mark.parametrize("name", ["", "../anna", "anna/ben", ".anna", "anna ben", "a" * 65, "ann\u00e4", "anna\n"])
def test_a_name_that_could_not_be_a_folder_is_refused(name: str) -> None:
    payload = json.dumps({"id": "p", "subject": name}).encode()
    with pytest.raises(CommandError) as caught:
        parse_command("profile", payload, now=NOW)
    assert [problem.split(":")[0] for problem in caught.value.problems] == ["subject"]


def test_a_switch_that_a_restart_interrupted_says_where_to_look() -> None:
    with pytest.raises(Refused, match="look at topic state"):
        resumable(InterruptedCommand("arm", "profile", "p", b'{"id": "p", "subject": "ben"}'))


# ---- what is on disk -----------------------------------------------------------------------------------------------


def test_models_belong_to_a_person_and_so_does_going_back(
    tmp_path: Path, write_tiny_bundle: Callable[..., Path]
) -> None:
    made = [write_tiny_bundle(tmp_path / f"m{seed}", classes=("fist", "rest"), seed=seed) for seed in range(3)]
    for path in made:
        card = json.loads((path / "card.json").read_text())
        (path / "card.json").write_text(json.dumps({**card, "task": "sign"}))
    profiles = Profiles(tmp_path / "arm", section(subject="anna"))
    first = profiles.store.install(made[0])
    second = profiles.store.install(made[1])
    ready = worn(Install("arm", "p", "profile", name="ben"), profiles)
    assert (ready.bundle, ready.previous, ready.subject, profiles.subject) == (None, None, "ben", "ben")
    with pytest.raises(StoreError, match="no previous model"):
        profiles.store.rollback()
    bens = profiles.store.install(made[2])

    again = Profiles(tmp_path / "arm", section(subject="anna"))
    found, warnings = again.open()
    assert (again.subject, found and found.card.id, warnings) == ("ben", bens.card.id, [])
    ready = worn(Install("arm", "p", "profile", name="anna"), again)
    assert ready.bundle is not None
    assert (ready.bundle.card.id, ready.previous) == (second.card.id, first.card.id)
    assert again.store.rollback().card.id == first.card.id
    assert (tmp_path / "arm" / "models" / "current").is_dir()  # where versions without people have it


def test_doctor_looks_at_everybody_s_models(tmp_path: Path) -> None:
    profiles = Profiles(tmp_path / "assets" / "arm", section(subject="anna"))
    profiles.switch("ben")
    profiles.store.folder.mkdir(parents=True)
    names = [finding.check for finding in check_models(section(subject="anna"), tmp_path)]
    assert names == ["models arm", "models arm ben"]


def test_who_cannot_be_written_down_on_a_full_disk_is_told_and_nothing_half_written_stays(small_disk: Any) -> None:
    profiles = Profiles(small_disk.folder / "arm", section(subject="anna"))
    profiles.switch("ben")
    small_disk.fill()
    with pytest.raises(StoreError, match=r"wearer\.json cannot be written: No space left on device; free some space"):
        profiles.switch("anna")
    assert profiles.subject == "ben"
    assert Profiles(small_disk.folder / "arm", section(subject="anna")).subject == "ben"
    assert sorted(path.name for path in (small_disk.folder / "arm").iterdir()) == [WEARER_FILE]


def test_what_a_kill_left_of_the_note_is_swept_at_the_next_start(tmp_path: Path) -> None:
    (tmp_path / ".tmp-wearer.json").write_text('{"subj')
    Profiles(tmp_path, section(subject="anna"))
    assert list(tmp_path.iterdir()) == []


def test_a_mistyped_person_leaves_no_folder(tmp_path: Path) -> None:
    profiles = Profiles(tmp_path, section(subject="anna"))
    for subject in ("benn", "anna"):
        profiles.switch(subject)
        assert profiles.open() == (None, [])
    assert [path.name for path in tmp_path.iterdir()] == [WEARER_FILE]


@pytest.mark.parametrize("content", [b"", b"{", b'{"subject": "../x"}', b'{"subject": ""}', b"\xff", b"[]"])
def test_a_damaged_note_of_who_wore_it_is_told_and_the_configured_person_is_taken(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / WEARER_FILE).write_bytes(content)
    profiles = Profiles(tmp_path, section(subject="anna"))
    assert profiles.subject == "anna"
    assert "publish cmd/profile" in profiles.open()[1][0]


def test_a_machine_s_note_is_not_looked_at(tmp_path: Path) -> None:
    (tmp_path / WEARER_FILE).write_text('{"subject": "ben"}')
    assert Profiles(tmp_path, section("fault", subject="rig")).subject == "rig"


def test_recordings_of_others_are_nobody_else_s(tmp_path: Path) -> None:
    store = RecordingStore(tmp_path, 10**7)
    for number, (label, subject) in enumerate((("rest", "anna"), ("fist", ""), ("wave", "ben"), ("rest", "ben"))):
        samples = np.random.default_rng(number).normal(0, 1, (1, 1000)).astype(np.float32)
        store.add(Recording(samples, 1000.0, label, "g", subject=subject, time_ns=number))
    signs = section(subject="anna")
    mine, bens = list_recordings(store, signs, "anna"), list_recordings(store, signs, "ben")
    assert (dict(mine.seconds), mine.elsewhere) == ({"rest": 1.0, "fist": 1.0}, {"wave", "rest"})
    assert (dict(bens.seconds), bens.elsewhere) == ({"wave": 1.0, "rest": 1.0}, {"rest", "fist"})
    assert {path.name for path in bens.files}.isdisjoint(path.name for path in mine.files)
    machine = list_recordings(store, section("fault", subject="anna"), "anna")
    assert dict(machine.seconds) == {"rest": 2.0, "fist": 1.0, "wave": 1.0}


@pytest.mark.parametrize("label", ["unknown", "novel"])
def test_what_the_node_says_by_itself_is_learnt_from_no_recording(tmp_path: Path, label: str) -> None:
    store = RecordingStore(tmp_path, 10**7)
    for name in ("normal", label):
        store.add(Recording(np.ones((1, 1000), np.float32), 1000.0, name, "g"))
    listed = list_recordings(store, section("fault"), "")
    assert dict(listed.seconds) == {"normal": 1.0}
    assert listed.passed_over == (
        f"{label}-0-0.npz is left out: nothing can be called {label}; store it under another label",
    )


def test_a_calibration_by_hand_is_the_new_person_s_too(bundle: Bundle) -> None:
    counter = Counter(section(subject="anna"))
    counter.profile(subject="ben")
    counter.ready(bundle, "ben")
    command = Recalibrate(id="r", source="live", classes=["rest", "fist"], seconds_per_take=1.0)
    assert counter.ask(command, "recalibrate")[0].status == "accepted"
    assert json.loads(counter.jobs.job_note)["subject"] == "ben"
