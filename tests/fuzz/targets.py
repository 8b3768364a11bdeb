"""What reads bytes from outside, each as a function that lets through its own error alone, and bytes to begin with."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import sys
import tempfile
import wave
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgetune_nas.bundle.archive import export_bundle, import_bundle
from edgetune_nas.bundle.files import CARD, MODEL_FILES
from edgetune_nas.bundle.pareto import read_points
from edgetune_nas.bundle.read import load_bundle, read_card
from edgetune_nas.errors import BundleError, JournalError
from edgetune_nas.model.layers import Conv, Dense, GlobalPool, Log, LpPool, Network, Softmax
from edgetune_nas.novelty.detector import Classes, Novelty, fit_novelty
from edgetune_nas.novelty.features import Levels
from edgetune_nas.onnx_io.validate import check_network
from edgetune_nas.search.journal import Journal
from edgetune_node.contract.commands import COMMANDS, parse_command
from edgetune_node.contract.context import parse_context
from edgetune_node.errors import CommandError, PayloadError
from edgetune_signal import Block, Recording, encode_block, read_recording, write_recording
from edgetune_signal.errors import BlockError, RecordingError
from edgetune_signal.files import ReadOptions, open_file, pieces
from edgetune_signal.sources.blocks import decode_block

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
from bundles import write_network

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
HEADER = {"seed": 1, "fingerprint": "f"}
CLASSES = ("normal", "inner")
LENGTH = 64


@dataclass(frozen=True)
class Target:
    """``read`` returns, whatever it is given; every other end is a finding."""

    read: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]


@cache
def folder() -> Path:
    """A folder of this process; whoever asks for it first removes it in the end."""
    return Path(tempfile.mkdtemp(prefix="edgetune-fuzz-"))


@cache
def bundle() -> Path:
    """A small bundle with every kind of operation in it."""
    random = np.random.default_rng(0)
    layers = (Conv(4, 8, 4), LpPool(3, 2), Log(0.5), GlobalPool("both"), Dense(2), Softmax())
    weights = {
        0: {"weight": random.normal(size=(4, 1, 8)), "bias": random.normal(size=4)},
        4: {"weight": random.normal(size=(2, 8)), "bias": random.normal(size=2)},
    }
    network = Network(
        (1, LENGTH),
        layers,
        tuple({name: x.astype(np.float32) for name, x in weights.get(at, {}).items()} for at in range(len(layers))),
    )
    windows = random.normal(size=(16, 1, LENGTH)).astype(np.float32)
    card = write_network(folder() / "made", network, windows, classes=CLASSES, created=NOW)
    return folder() / "made" / f"model-{card.id}"


@cache
def victim() -> Path:
    """A copy of the bundle whose card is written over."""
    copy: Path = shutil.copytree(bundle(), folder() / "victim" / bundle().name)
    return copy


def read_command(data: bytes) -> None:
    """Read it as every command."""
    for name in COMMANDS:
        with contextlib.suppress(CommandError):
            parse_command(name, data, now=NOW)


def command_seeds() -> list[bytes]:
    """Return a command of each kind of field."""
    return [
        b'{"id": "j1", "source": "live", "classes": ["normal"], "pace": {"countdown_s": 3}, "budget": {"macs": 1e6}}',
        b'{"id": "j1", "expires": "2026-01-31T13:00:00+00:00", "label": "inner", "seconds": 2}',
        b'{"id": "j1", "by": "operator", "seconds": 60.0, "class": "inner", "comment": "\\u00e9"}',
    ]


def read_context(data: bytes) -> None:
    """Read it as a context."""
    with contextlib.suppress(PayloadError):
        parse_context(data)


def read_recording_file(data: bytes) -> None:
    """Read it as a recording."""
    path = folder() / "recording.npz"
    path.write_bytes(data)
    with contextlib.suppress(RecordingError):
        read_recording(path)


def recording_seeds() -> list[bytes]:
    """Return a recording as it is written, and one that is compressed."""
    samples = np.ones((1, 32), np.float32)
    path = folder() / "seed.npz"
    write_recording(path, Recording(samples, 1000.0, "normal", unit="g", shaft_rpm=1797.0))
    packed = io.BytesIO()
    np.savez_compressed(packed, samples=samples, rate_hz=1000.0, label="normal")
    return [path.read_bytes(), packed.getvalue()]


def read_bundle_card(data: bytes) -> None:
    """Load a bundle with this card."""
    (victim() / CARD).write_bytes(data)
    with contextlib.suppress(BundleError):
        load_bundle(victim())


def read_network(data: bytes) -> None:
    """Check it as the network of a card."""
    with contextlib.suppress(BundleError):
        check_network(data, read_card(bundle()), "model.onnx")


def read_novelty(data: bytes) -> None:
    """Read it as the distance file of a bundle, and measure with it."""
    with contextlib.suppress(BundleError):
        novelty = Novelty.from_bytes(data, 1, LENGTH, len(CLASSES))
        if not np.isfinite(novelty.distances(fuzzed_windows()) / novelty.limit).all():
            raise AssertionError("a distance is no number")


@cache
def fuzzed_windows() -> NDArray[np.float32]:
    """Noise, silence and the largest that a sensor may give."""
    windows = np.random.default_rng(1).normal(size=(32, 1, LENGTH)).astype(np.float32)
    windows[0], windows[1] = 0, 1e18
    return windows


def novelty_seeds() -> list[bytes]:
    """Return a distance file of each kind, and one that is compressed."""
    windows = fuzzed_windows()[2:]
    label = np.arange(len(windows)) % 2
    fitted = fit_novelty(windows, label, windows)
    levels = Levels.fit(windows)
    of_signs = Novelty(levels, Classes.fit(levels.of(windows), label), 1.0)
    return [fitted.to_bytes(), compressed(fitted.to_bytes()), of_signs.to_bytes()]


def compressed(data: bytes) -> bytes:
    """Pack the arrays of an ``.npz`` file."""
    packed = io.BytesIO()
    with np.load(io.BytesIO(data)) as arrays:
        np.savez_compressed(packed, **arrays)
    return packed.getvalue()


def read_front(data: bytes) -> None:
    """Read it as the front of a bundle."""
    with contextlib.suppress(BundleError):
        read_points(data, Path("front.npz"))


def front_seeds() -> list[bytes]:
    """Return a front of one point, and one that is compressed."""
    card = read_card(bundle())
    point = {
        "layers": card.layers,
        "cost": dict.fromkeys(MODEL_FILES, card.cost.model_dump()),
        "metrics": dict.fromkeys(MODEL_FILES, card.metrics.model_dump()),
        "validation_accuracy": 0.5,
        "trained": False,
        "variant": "per channel",
        "agreement": 1.0,
        "validation_windows": 16,
    }
    networks = {
        f"0.{name}": np.frombuffer((bundle() / file).read_bytes(), np.uint8) for name, file in MODEL_FILES.items()
    }
    front = io.BytesIO()
    np.savez(front, points=np.array(json.dumps([point])), **networks)
    read_points(front.getvalue(), Path("front.npz"))  # else nothing would be fuzzed but its refusal
    return [front.getvalue(), compressed(front.getvalue())]


def read_archive(data: bytes) -> None:
    """Import it."""
    path = folder() / "archive.zip"
    path.write_bytes(data)
    incoming = folder() / "incoming"
    with contextlib.suppress(BundleError):
        import_bundle(path, incoming, None)
    shutil.rmtree(incoming, ignore_errors=True)


def archive_seeds() -> list[bytes]:
    """Return an exported bundle."""
    path = folder() / "seed.zip"
    path.unlink(missing_ok=True)
    export_bundle(bundle(), path, None)
    return [path.read_bytes()]


def read_journal(data: bytes) -> None:
    """Open it as the journal of a search, append, and find the same and the new record when it is opened again."""
    path = folder() / "journal.jsonl"
    path.write_bytes(data)
    try:
        with Journal(path, HEADER) as journal:
            before = journal.records
            journal.append({"candidate": 9})
    except JournalError:
        return
    with Journal(path, HEADER) as journal:
        if repr(journal.records) != repr([*before, {"candidate": 9}]):
            raise AssertionError(f"{before} became {journal.records}")


def journal_seeds() -> list[bytes]:
    """Return a journal of two records, and one with a torn tail."""
    path = folder() / "seed.jsonl"
    path.unlink(missing_ok=True)
    with Journal(path, HEADER) as journal:
        journal.append({"candidate": 1, "accuracy": 0.5})
        journal.append({"candidate": 2, "state": [1, 2.5, None]})
    return [path.read_bytes(), path.read_bytes() + b'{"candidate": 3']


def read_block(data: bytes) -> None:
    """Read it as a block of samples; what is not finite in it is a matter of the windows' quality."""
    try:
        block = decode_block(data)
    except BlockError:
        return
    with np.errstate(over="ignore", invalid="ignore"):
        samples = block.physical()
    if samples.dtype != np.float32 or samples.shape != block.samples.shape or not samples.size:
        raise AssertionError(f"a block became {samples.dtype} {samples.shape}")


def block_seeds() -> list[bytes]:
    """Return blocks of both kinds of samples."""
    return [
        encode_block(Block(samples, 7, 10**18, 1000.0, "g"))
        for samples in (np.ones((2, 5), np.float32), np.ones((1, 3), np.int16))
    ]


def read_foreign(data: bytes, name: str) -> None:
    """Read it as a file of another program, by its name."""
    path = folder() / name
    path.write_bytes(data)
    with contextlib.suppress(RecordingError):
        for piece in pieces(open_file(path, ReadOptions(rate_hz=None))):
            assert np.isfinite(piece.samples).all()


def text_seeds() -> list[bytes]:
    """Return text files of several dialects."""
    return [
        b"t [s],x [g]\n0.00,1.5\n0.01,\n0.02,2.5\n",
        "Zeit;x [m/s\xb2]\n31.01.2026 12:00:00,5;1,5\n31.01.2026 12:00:00,6;2,5\n".encode("cp1252"),
        b"%Sample Rate = 250 Hz\nSample Index, EXG, Timestamp\n0, 1.5, 1767225600.0\n1, 2.5, 1767225600.004\n",
        "a\tb\n1\t2\n3\t4\n".encode("utf-16"),
    ]


def wav_seeds() -> list[bytes]:
    """Return WAV files of 16 and 24 bits."""
    found = []
    for width in (2, 3):
        file = io.BytesIO()
        with wave.open(file, "wb") as writer:
            writer.setnchannels(1)
            writer.setsampwidth(width)
            writer.setframerate(8000)
            writer.writeframes(bytes(12 * width))
        found.append(file.getvalue())
    return found


TARGETS = {
    "command": Target(read_command, command_seeds),
    "context": Target(read_context, lambda: [b'{"shaft_rpm": 1797.0, "load": 0.5, "running": true}']),
    "recording": Target(read_recording_file, recording_seeds),
    "card": Target(read_bundle_card, lambda: [(bundle() / CARD).read_bytes()]),
    "network": Target(read_network, lambda: [(bundle() / name).read_bytes() for name in MODEL_FILES.values()]),
    "novelty": Target(read_novelty, novelty_seeds),
    "front": Target(read_front, front_seeds),
    "archive": Target(read_archive, archive_seeds),
    "journal": Target(read_journal, journal_seeds),
    "block": Target(read_block, block_seeds),
    "text": Target(lambda data: read_foreign(data, "a.csv"), text_seeds),
    "wav": Target(lambda data: read_foreign(data, "a.wav"), wav_seeds),
}
