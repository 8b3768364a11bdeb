"""Everything that an asset's folder has of a person goes, also when a kill came in between."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgetune_node.config.settings import AssetSection
from edgetune_node.events.evidence import Capture, KeepEvidence
from edgetune_node.monitor.trend_recorder import TREND_FIGURES, TREND_ROW
from edgetune_node.storage.evidence import EvidenceStore
from edgetune_node.storage.forgetting import copies, erase_person
from edgetune_node.storage.people import Profiles
from edgetune_node.storage.trends import TrendStore
from edgetune_node.storage.unknowns import NoveltyStore
from edgetune_signal import Chunk, Recording, RecordingStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
SECTION = AssetSection(
    id="arm", task="sign", rate_hz=1000, unit="g", subject="annika", window={"length": 64, "hop": 64}
)
ERASED = {"recordings": 2, "models": 1, "unknown_signs": 1, "trend_files": 1}


class Folder:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.profiles = Profiles(path, SECTION)
        self.recordings = RecordingStore(path / "recordings", 2**20)
        self.novel = NoveltyStore(path / "novel", 2**20)
        self.evidence = EvidenceStore(path / "evidence", SECTION)
        self.trends = TrendStore(path / "trend", 2**20)

    def erase(self, subject: str) -> tuple[dict[str, int], list[str]]:
        return erase_person(
            subject,
            SECTION,
            self.profiles,
            self.recordings,
            novel=self.novel,
            evidence=self.evidence,
            trends=self.trends,
        )

    def capture(self, subject: str, number: int) -> None:
        """Keep a signal that was asked for."""
        samples = np.random.default_rng(number).normal(0, 1, (1, 640)).astype(np.float32)
        chunk = Chunk(samples, 10**9 * number, 1000.0, number)
        self.evidence.keep(KeepEvidence("arm", Capture(f"c{number}", "asked"), (chunk,), 640, subject=subject))

    def names(self) -> set[str]:
        """Every file that has a person's name in its path or content."""
        return {
            name
            for path in self.path.rglob("*")
            if path.is_file()
            for name in ("annika", "benno")
            if f"/{name}/" in str(path) or name.encode() in path.read_bytes()
        }


@pytest.fixture
def folder(tmp_path: Path, write_tiny_bundle: Callable[..., Path]) -> Folder:
    """Ann's armband, worn by Ben: each has a model, two recordings and an unknown sign."""
    folder = Folder(tmp_path / "arm")
    for number, subject in enumerate(("annika", "benno")):
        made = write_tiny_bundle(tmp_path / subject, classes=("fist", "rest"), seed=number)
        card = json.loads((made / "card.json").read_text(encoding="utf-8"))
        (made / "card.json").write_text(json.dumps({**card, "task": "sign"}), encoding="utf-8")
        folder.profiles.switch(subject).install(made)
        for take in range(2):
            samples = np.random.default_rng(take).normal(0, 1, (1, 640)).astype(np.float32)
            mark = "" if (subject, take) == ("annika", 0) else subject  # as made before people had names
            recording = Recording(samples, 1000.0, "fist", "g", subject=mark, time_ns=10 * take + number)
            folder.recordings.add(recording)
        folder.novel.keep(Recording(samples, 1000.0, "novel", "g", subject=subject, time_ns=number), 2.0)
        folder.capture(subject, number)
    folder.capture("", 2)
    folder.trends.append(TREND_ROW.pack(29_000_000, *[1.0] * len(TREND_FIGURES)))
    return folder


def test_the_wearer_goes_and_the_configured_person_stays(folder: Folder) -> None:
    erased, remains = folder.erase("benno")
    assert erased == {**ERASED, "captures": 1}
    assert remains == [
        "models of other people may have learned from these recordings as a library; recalibrate them to be sure: 1"
    ]
    assert folder.names() == {"annika"}
    assert folder.profiles.subject == "annika"
    assert folder.profiles.store.current() is not None
    assert Folder(folder.path).profiles.subject == "annika"
    assert folder.erase("benno")[0] == dict.fromkeys(erased, 0)
    assert len(list((folder.path / "evidence").glob("*.npz"))) == 2
    assert not list((folder.path / "trend").iterdir())


def test_the_configured_person_goes_with_recordings_that_name_nobody(folder: Folder) -> None:
    erased, remains = folder.erase("annika")
    assert erased == {**ERASED, "captures": 2}
    assert "the configuration of arm names this person (subject); change it" in remains
    assert folder.names() == {"benno"}
    assert folder.profiles.subject == "benno"
    folder.profiles.switch("annika")
    assert folder.profiles.restore() is None  # nothing in memory brings the model back
    assert folder.profiles.open()[0] is None


def test_a_recording_that_cannot_be_read_is_named(folder: Folder) -> None:
    for kind in ("recordings", "novel", "evidence"):
        (folder.path / kind / f"broken-{kind}.npz").write_bytes(b"no")
    told = [line for line in folder.erase("benno")[1] if "cannot be read" in line]
    assert [line.split(".npz")[0] for line in told] == ["broken-recordings", "broken-novel", "broken-evidence"]


@pytest.mark.parametrize("step", range(10))
def test_an_erasure_that_was_cut_off_is_done_by_the_next(
    folder: Folder, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    class CutOff(BaseException):
        pass

    left = [step]

    def counting(original: Callable[..., object]) -> Callable[..., object]:
        def act(*arguments: object, **options: object) -> object:
            left[0] -= 1
            if left[0] < 0:
                raise CutOff
            return original(*arguments, **options)

        return act

    with monkeypatch.context() as patched:
        for name in ("unlink", "rename"):
            patched.setattr(f"pathlib.Path.{name}", counting(getattr(type(folder.path), name)))
        with pytest.raises(CutOff):
            folder.erase("benno")
    after = Folder(folder.path)
    bundle, warnings = after.profiles.open()
    assert warnings == []  # no half of a model is in use
    assert bundle is None or bundle.path.parent == after.profiles.store.folder
    after.erase("benno")
    assert after.names() == {"annika"}


def test_backups_and_what_a_restore_moved_aside_are_told(tmp_path: Path) -> None:
    assert copies(tmp_path) == []
    for name in ("backups/1.zip", "replaced-20260131T120000Z/audit.jsonl"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(b"")
    [told] = copies(tmp_path)
    assert told.startswith("backups/1.zip and 1 more")
