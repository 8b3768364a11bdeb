"""Every source keeps one contract; each names all that is wrong with its options at once."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy.io import savemat

from edgetune_signal import (
    Block,
    MqttSource,
    Recording,
    Source,
    SourceEnded,
    SourceError,
    SourceOptionsError,
    StreamSpec,
    encode_block,
    open_source,
    source_kinds,
    write_recording,
)
from edgetune_signal.sources.conformance import CHECKS, check_source

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgetune_signal.stream.types import Chunk

SPEC = StreamSpec(1, 12000.0, "g")
ARMBAND = StreamSpec(8, 200.0, "counts")


@pytest.fixture
def machine_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "machine"
    folder.mkdir()
    for number, name in enumerate(("inner", "normal", "outer")):
        samples = np.full((1, 3000), number, np.float32) + np.linspace(0, 0.5, 3000, dtype=np.float32)
        write_recording(folder / f"{name}.npz", Recording(samples, 12000.0, name, unit="g"))
    return folder


def fed_mqtt_source() -> Source:
    source = open_source("mqtt", SPEC, {})
    assert isinstance(source, MqttSource)
    for number in range(8):
        block = Block(np.ones((1, 120), np.int16), number, 10**18 + number * 10**7, 12000.0, "g")
        source.feed(encode_block(block))
    return source


def makers(folder: Path) -> dict[str, Callable[[], Source]]:
    return {
        "bearing": lambda: open_source("simulated", SPEC, {"speed": 20.0}),
        "bearing at any speed": lambda: open_source("simulated", replace(SPEC, channels=3), {"speed": 0}),
        "armband": lambda: open_source("simulated", ARMBAND, {"machine": "armband", "condition": "fist"}),
        "replay": lambda: open_source("replay", SPEC, {"path": str(folder)}),
        "replay in a loop": lambda: open_source("replay", SPEC, {"path": str(folder), "speed": 0, "loop": True}),
        "mqtt": fed_mqtt_source,
    }


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("source", makers(Path()))
def test_every_source_keeps_the_contract(
    source: str, check: Callable[[Callable[[], Source]], None], machine_folder: Path
) -> None:
    check(makers(machine_folder)[source])


def test_the_plug_in_of_the_page_keeps_the_contract() -> None:
    page = (Path(__file__).parents[3] / "docs" / "reference" / "sources.md").read_text()
    (example,) = (block for block in page.split("```python\n")[1:] if "class Silence" in block)
    names: dict[str, Any] = {}
    exec(example.partition("```")[0], names)  # noqa: S102 - our own page
    check_source(lambda: names["Silence"](SPEC, {}))


class Careless:
    """A source as somebody might write it: float64, never closed, any name accepted."""

    spec = SPEC

    def read(self, timeout_s: float) -> Chunk | None:
        from edgetune_signal import Chunk

        del timeout_s
        return Chunk(np.zeros((1, 4)), 0, 12000.0, 0)  # type: ignore[arg-type]

    def select(self, name: str) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    "check", [check for check in CHECKS if "no_time" not in check.__name__ and "wakes" not in check.__name__]
)
def test_the_contract_finds_a_careless_source(check: Callable[[Callable[[], Source]], None]) -> None:
    if "own" in check.__name__:
        shared = np.zeros((1, 4), np.float32)

        class Sharing(Careless):
            def read(self, timeout_s: float) -> Chunk | None:
                chunk = super().read(timeout_s)
                assert chunk is not None
                return replace(chunk, samples=shared)

        with pytest.raises(AssertionError):
            check(Sharing)
    else:
        with pytest.raises(AssertionError):
            check(Careless)


def test_the_whole_contract_runs_in_one_call() -> None:
    with pytest.raises(AssertionError, match="float64"):
        check_source(Careless)


def test_the_built_in_kinds_are_installed() -> None:
    assert {"mqtt", "replay", "simulated"} <= set(source_kinds())


def test_an_unknown_kind_is_refused_with_the_kinds_there_are() -> None:
    with pytest.raises(SourceOptionsError, match=r"mqtt, replay, .*simulated, .*not 'opcua'"):
        open_source("opcua", SPEC, {})


def test_the_message_does_not_put_more_than_the_kind_in_quotes() -> None:
    error = SourceOptionsError("noize of asset a1", ["kind must be one of mqtt, not 'noize'"])
    assert str(error) == "source noize of asset a1: kind must be one of mqtt, not 'noize'"


@pytest.mark.parametrize(
    ("kind", "spec", "options", "names"),
    [
        (
            "simulated",
            StreamSpec(2, 1000.0, "V"),
            {"condition": "rusty", "load": 3, "speed": "fast", "seed": -1, "subject": "2", "colour": "red"},
            {"condition", "load", "speed", "seed", "subject", "colour", "channels", "rate_hz", "unit"},
        ),
        (
            "simulated",
            SPEC,
            {"machine": "armband", "shaft_rpm": 5, "block_s": True},
            {"shaft_rpm", "block_s", "channels", "rate_hz", "unit"},
        ),
        ("simulated", SPEC, {"machine": "toaster"}, {"machine"}),
        ("replay", SPEC, {}, {"path"}),
        ("replay", SPEC, {"path": 7}, {"path"}),
        ("replay", SPEC, {"path": "/nowhere", "loop": "yes", "channel_key": "XX"}, {"path", "loop", "channel_key"}),
        ("mqtt", SPEC, {"topic": "a/b"}, {"topic"}),
    ],
)
def test_all_wrong_options_are_named_at_once(
    kind: str, spec: StreamSpec, options: dict[str, Any], names: set[str]
) -> None:
    with pytest.raises(SourceOptionsError) as caught:
        open_source(kind, spec, options)
    assert {problem.split()[0] for problem in caught.value.problems} == names


def test_a_recording_that_is_not_there_is_refused_with_those_that_are(machine_folder: Path) -> None:
    with pytest.raises(SourceOptionsError, match=r"select must be one of inner, normal, outer, not 'bent'"):
        open_source("replay", SPEC, {"path": str(machine_folder), "select": "bent"})


def read_all(source: Source) -> list[Chunk]:
    chunks: list[Chunk] = []
    while True:
        try:
            chunk = source.read(1.0)
        except SourceEnded:
            return chunks
        if chunk is not None:
            chunks.append(chunk)


def test_a_recording_is_played_once_from_its_first_to_its_last_sample(machine_folder: Path) -> None:
    chunks = read_all(open_source("replay", SPEC, {"path": str(machine_folder / "normal.npz"), "speed": 0}))
    played = np.concatenate([chunk.samples for chunk in chunks], axis=1)
    np.testing.assert_array_equal(played[0], 1 + np.linspace(0, 0.5, 3000, dtype=np.float32))
    assert not any(chunk.gap for chunk in chunks)


def test_a_loop_has_a_gap_at_its_seam_and_nowhere_else(machine_folder: Path) -> None:
    source = open_source("replay", SPEC, {"path": str(machine_folder), "speed": 0, "loop": True})
    chunks = [source.read(1.0) for _ in range(30)]
    firsts = [bool(chunk.samples[0, 0] == 0) for chunk in chunks if chunk]
    assert [chunk.gap for chunk in chunks if chunk] == [False, *firsts[1:]]
    assert sum(firsts) == 3


def test_switching_plays_the_other_recording_from_its_start_after_a_gap(machine_folder: Path) -> None:
    source = open_source("replay", SPEC, {"path": str(machine_folder), "speed": 0, "select": "normal"})
    source.read(1.0)
    source.select("outer")
    chunk = source.read(1.0)
    assert chunk is not None
    assert chunk.gap
    assert chunk.samples[0, 0] == 2


def test_a_recording_that_ended_can_be_followed_by_another(machine_folder: Path) -> None:
    source = open_source("replay", SPEC, {"path": str(machine_folder), "speed": 0})
    read_all(source)
    source.select("outer")
    assert len(read_all(source)) == 13


def test_selecting_the_recording_that_plays_changes_nothing_until_it_has_ended(machine_folder: Path) -> None:
    source = open_source("replay", SPEC, {"path": str(machine_folder), "speed": 0, "select": "normal"})
    first = source.read(1.0)
    source.select("normal")
    second = source.read(1.0)
    assert first is not None
    assert second is not None
    assert second.samples[0, 0] > first.samples[0, -1]
    assert not second.gap
    assert len(read_all(source)) == 11
    source.select("normal")
    assert len(read_all(source)) == 13


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"rate_hz": 48000.0}, "48000 Hz where the stream has 12000"),
        ({"samples": np.ones((3, 100), np.float32)}, r"3 channels where the stream has 1 \(columns chooses some\)"),
        ({"unit": "m/s2"}, "unit 'm/s2' where the stream has 'g'"),
    ],
)
def test_a_recording_that_does_not_fit_is_refused_by_name_and_the_old_one_plays_on(
    machine_folder: Path, change: dict[str, Any], complaint: str
) -> None:
    odd = replace(Recording(np.ones((1, 100), np.float32), 12000.0, "odd", unit="g"), **change)
    write_recording(machine_folder / "odd.npz", odd)
    source = open_source("replay", SPEC, {"path": str(machine_folder), "speed": 0})
    with pytest.raises(SourceError, match=rf"recording 'odd' has {complaint}: set the stream"):
        source.select("odd")
    assert len(read_all(source)) == 13
    with pytest.raises(SourceOptionsError, match="path: recording 'odd'"):
        open_source("replay", SPEC, {"path": str(machine_folder), "select": "odd"})


def test_a_recording_without_a_unit_plays_in_the_streams(machine_folder: Path) -> None:
    np.savez(machine_folder / "bare.npz", samples=np.ones((1, 240), np.float32), rate_hz=12000, label="bare")
    source = open_source("replay", SPEC, {"path": str(machine_folder), "select": "bare", "speed": 0})
    assert len(read_all(source)) == 1


def test_mat_files_are_played_by_channel(tmp_path: Path) -> None:
    content = {
        "X105_DE_time": np.full((500, 1), 0.5),
        "X105_FE_time": np.full((500, 1), 0.25),
        "X105RPM": np.array([[1797]]),
    }
    savemat(tmp_path / "105.mat", content)
    options = {"path": str(tmp_path), "speed": 0, "channel_key": "FE"}
    (first, *_) = read_all(open_source("replay", SPEC, options))
    assert first.samples[0, 0] == 0.25
    with pytest.raises(SourceError, match=r"no variable ends in _BA_time \(the file holds X105_DE_time"):
        open_source("replay", SPEC, options | {"channel_key": "BA"})
    (tmp_path / "105.mat").write_bytes(b"not a mat file")
    with pytest.raises(SourceError, match=r"cannot be read as a \.mat file"):
        open_source("replay", SPEC, options)


def test_importing_the_package_and_simulating_never_imports_scipy() -> None:
    program = (
        "import sys, edgetune_signal as s\n"
        "options = {'speed': 0, 'condition': 'inner_slight'}\n"
        "source = s.open_source('simulated', s.StreamSpec(1, 12000.0, 'g'), options)\n"
        "source.read(1.0)\n"
        "assert not [name for name in sys.modules if name.split('.')[0] in ('scipy', 'torch', 'onnx')]\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, env=dict(os.environ), timeout=300)
