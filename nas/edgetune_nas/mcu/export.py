"""Writing a bundle's int8 network as a C library, measured and compared with onnxruntime."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from edgetune_nas.bundle import MODEL_FILES, load_bundle, read_verified, self_test, write_folder
from edgetune_nas.errors import BundleError
from edgetune_nas.mcu.cores import CORES, run_on
from edgetune_nas.mcu.host import KERNELS, check_model, run_here
from edgetune_nas.mcu.layout import overlapped, streamed, whole
from edgetune_nas.mcu.library_model import Model
from edgetune_nas.mcu.operations import UINT8_ZERO, Scale, UnsupportedError
from edgetune_nas.mcu.program import read_program
from edgetune_nas.mcu.reference import as_the_sensor_gives, reference
from edgetune_nas.mcu.report import Difference, Report, readme
from edgetune_nas.mcu.source import header, selftest, source
from edgetune_nas.model import ARENA_RULE
from edgetune_nas.onnx_io import window_scale

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgetune_nas.bundle import Bundle
    from edgetune_nas.mcu.cores import Core
    from edgetune_nas.mcu.layout import Layout
    from edgetune_nas.mcu.operations import Program
    from edgetune_nas.mcu.reference import Answers

SEEDED: Final = 1000
"""Windows of noise that are compared besides the self-test's, where there are no data."""
EMULATED: Final = 100
"""Windows that are run on each emulated core: a second or two each."""
STORED: Final = 4
"""Windows of the library's own self-test."""
LARGEST: Final = 2**16 - 1
NAME: Final = re.compile(r"(?!edgetune)[a-z][a-z0-9_]{0,40}")
TAKEN: Final = frozenset(
    {
        *("assert", "complex", "ctype", "errno", "fenv", "float", "inttypes", "iso646", "limits", "locale", "math"),
        *("setjmp", "signal", "stdalign", "stdarg", "stdatomic", "stdbool", "stddef", "stdint", "stdio", "stdlib"),
        *("stdnoreturn", "string", "tgmath", "threads", "time", "uchar", "wchar", "wctype"),
        *("features", "newlib", "unistd", "check", "check_arm", "check_host", "check_model", "example"),
    }
)
"""Names whose header would stand in the place of one of C's, which includes it, or of a file beside the library."""


def write_library(
    folder: Path,
    out: Path,
    *,
    streaming: bool = False,
    hop: int | None = None,
    x: NDArray[np.float32] | None = None,
    name: str | None = None,
    cores: Sequence[Core] = CORES,
) -> Report:
    """Write the bundle in ``folder`` as a C library in the new folder ``out``.

    Parameters
    ----------
    streaming
        Whether samples are pushed one by one; else whole windows are stored.
    hop
        Samples from window to window of a stream whose windows overlap.
    x
        Windows ``(windows, channels, length)`` to compare on; without, the self-test's and a thousand seeded ones.
    name
        Prefix of all names of the library; without, ``model_`` and the bundle's id.
    cores
        Cores to emulate.

    Raises
    ------
    BundleError
        When the bundle is damaged, or has no int8 network or one with layers that the library has not. Also when
        ``out`` exists, or when the library does not compile.
    """
    bundle = load_bundle(folder, "int8")
    card = bundle.card
    hop = None if hop == card.input.length else hop
    name = name or f"model_{card.id}".replace("-", "_")
    if not NAME.fullmatch(name) or name in TAKEN:
        raise BundleError(
            f"{name!r} can be no prefix of names in C; use lower-case letters, digits and _, "
            "and no name that edgetune or C has already"
        )
    if os.path.lexists(out):
        raise BundleError(f"{out} exists already; name a folder that does not")
    file = MODEL_FILES["int8"]
    data = read_verified(folder, {file: card.sha256[file]}, {})[file]
    windows = "the data" if x is not None else "self-test and seeded"
    given = x if x is not None else _own_windows(bundle)
    samples = _sample_scale(bundle, given)
    try:
        program = read_program(data, samples)
        layout = _layout(program, streaming=streaming, hop=hop)
        model = Model(name, card, program, layout, program.window or samples, card.input.scale, hop)
        _check(model, streaming=streaming)
    except UnsupportedError as error:
        raise BundleError(f"{folder.name} cannot become C: {error}") from error
    fed = compared = as_the_sensor_gives(given, model.window, rounded=program.window is None)
    if hop is not None:
        compared = _overlapping(fed, hop)
    wanted = reference(data, program, card, compared)
    files = _files(model, compared, wanted, streaming=streaming)
    with tempfile.TemporaryDirectory(prefix="edgetune-c-") as temporary:
        library, work = Path(temporary, "library"), Path(temporary, "work")
        library.mkdir()
        work.mkdir()
        for each in (f"{name}.h", f"{name}.c", f"{name}_selftest.c", "edgetune_kernels.h", "edgetune_kernels.c"):
            (library / each).write_bytes(files[each])
        here = run_here(model, library, work, fed, streaming=streaming)
        some = fed[:EMULATED]
        emulated = {}
        for core in cores:
            figures = run_on(core, model, library, work, some, streaming=streaming)
            answers = None if figures is None else figures.answers
            emulated[core.name] = figures, None if answers is None else Difference.of(answers, wanted)
    report = Report(model, streaming, windows, None if here is None else Difference.of(here, wanted), emulated)
    files["README.md"] = readme(report).encode()
    write_folder(out.parent, out.name, files)
    return report


def _files(model: Model, x: NDArray[np.float32], wanted: Answers, *, streaming: bool) -> dict[str, bytes]:
    name = model.name
    stored = np.clip(np.rint(x[:STORED] / model.window.scale) + model.window.zero, -UINT8_ZERO, UINT8_ZERO - 1)
    own = selftest(model, stored.astype(np.int8).transpose(0, 2, 1), wanted.output[:STORED], streaming=streaming)
    sources = f"{name}.c {name}_selftest.c edgetune_kernels.c"
    scale = f"#define EDGETUNE_SAMPLE_SCALE {name.upper()}_SAMPLE_SCALE\n"
    written = {
        f"{name}.h": header(model, streaming=streaming),
        f"{name}.c": source(model, streaming=streaming),
        f"{name}_selftest.c": own,
        "example.h": check_model(model, streaming=streaming) + scale,
        "CMakeLists.txt": (KERNELS / "CMakeLists.txt").read_text(encoding="utf-8").replace("@SOURCES@", sources),
    }
    fixed = ("edgetune_kernels.h", "edgetune_kernels.c", "example.c", "board.ld")
    return {each: text.encode() for each, text in written.items()} | {
        each: (KERNELS / each).read_bytes() for each in fixed
    }


def _check(model: Model, *, streaming: bool) -> None:
    """Raise `UnsupportedError` where a size is beyond the library's 16 bits, or the plan is not the card's."""
    cost = model.card.cost
    planned = cost.streamed_bytes if streaming else cost.arena_bytes
    if model.hop is None and cost.arena_rule == ARENA_RULE and planned != model.layout.bytes:
        raise UnsupportedError(f"its arena has {model.layout.bytes} bytes, its card says {planned}")
    largest = max(max(*before, *after) for before, after in model.sizes())
    if largest > LARGEST or len(model.card.classes) > UINT8_ZERO:
        raise UnsupportedError(
            f"a layer of {largest} values, or {len(model.card.classes)} classes, are more than it counts"
        )


def _sample_scale(bundle: Bundle, x: NDArray[np.float32]) -> Scale:
    """Return the scale of samples for a network that takes them in float: see `QuantisationNote.window_scale`."""
    note = bundle.card.notes.get("int8")
    known = note.get("window_scale") if isinstance(note, dict) else None
    return Scale(np.float32(known if isinstance(known, float) and known > 0 else window_scale(x)), 0)


def _own_windows(bundle: Bundle) -> NDArray[np.float32]:
    """Return the self-test windows, and noise as loud as they are, some of it louder and some softer."""
    card = bundle.card
    kept = self_test(bundle)
    shape = card.input.channels, card.input.length
    rng = np.random.default_rng(0)
    known = np.zeros((0, *shape), np.float32) if kept is None else kept[0]
    loud = float(known.std()) if len(known) else 1.0
    noise = rng.normal(size=(SEEDED, *shape)) * loud * np.exp(rng.normal(size=(SEEDED, 1, 1)))
    return np.concatenate([known, noise.astype(np.float32)])


def _layout(program: Program, *, streaming: bool, hop: int | None) -> Layout:
    length = program.input_shape[1]
    if hop is None:
        return (streamed if streaming else whole)(program.input_shape, program.layers)
    if not streaming or not 0 < hop < length:
        raise UnsupportedError(f"a hop of {hop} samples needs a stream, and windows of {length} that are longer")
    return overlapped(program.input_shape, program.layers, hop)


def _overlapping(x: NDArray[np.float32], hop: int) -> NDArray[np.float32]:
    """Return all windows that begin every ``hop`` samples of windows one after another."""
    whole_signal = x.transpose(1, 0, 2).reshape(x.shape[1], -1)
    cut = np.lib.stride_tricks.sliding_window_view(whole_signal, x.shape[2], axis=1)[:, ::hop]
    return np.ascontiguousarray(cut.transpose(1, 0, 2))
