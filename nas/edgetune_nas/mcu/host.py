"""Compile the library for this machine, with sanitizers, and run it on windows."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from edgetune_nas.errors import BundleError
from edgetune_nas.mcu.reference import Answers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgetune_nas.mcu.library_model import Model

FLAGS: Final = ("-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-ffp-contract=off")
SANITIZERS: Final = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
KERNELS: Final = Path(__file__).with_name("c")
TIMEOUT_S: Final = 300.0


def compiler() -> str | None:
    """Return the path of this machine's C compiler; None without one."""
    return shutil.which("gcc") or shutil.which("cc")


def check_model(model: Model, *, streaming: bool) -> str:
    """Write ``check_model.h``, which names the model to the check."""
    name, upper = model.name, model.name.upper()
    sizes = "".join(f"#define EDGETUNE_{each} {upper}_{each}\n" for each in ("CHANNELS", "LENGTH", "ROWS"))
    kinds = ("#define EDGETUNE_STREAMS\n" if streaming else "") + (
        "#define EDGETUNE_HEALTH\n" if model.card.kind == "health" else ""
    )
    return f'#include "{name}.h"\n\n#define EDGETUNE_MODEL(part) {name}_##part\n{sizes}{kinds}'


def run_here(model: Model, library: Path, work: Path, x: NDArray[np.float32], *, streaming: bool) -> Answers | None:
    """Run a library in the folder ``library`` on windows ``(windows, channels, length)``; None without a compiler.

    Raises
    ------
    BundleError
        When the library does not compile, or its check ends badly.
    """
    found = compiler()
    if found is None:
        return None
    (work / "check_model.h").write_text(check_model(model, streaming=streaming), encoding="utf-8")
    program = work / "check"
    sources = [*library.glob("*.c"), KERNELS / "check.c", KERNELS / "check_host.c"]
    call([found, *FLAGS, *SANITIZERS, f"-I{library}", f"-I{work}", f"-I{KERNELS}", *sources, "-o", program])
    frames = np.ascontiguousarray(x.transpose(0, 2, 1), "<f4").tobytes()
    return parse(model, call([program], frames))


def parse(model: Model, data: bytes) -> Answers:
    """Read what a check wrote."""
    row = np.dtype([("answer", "<i4"), ("distance", "<f4"), ("output", "i1", (model.rows,))])
    found = np.frombuffer(data, row)
    return Answers(found["output"], found["answer"], found["distance"])


def call(command: Sequence[str | Path], data: bytes = b"") -> bytes:
    """Run a command on ``data``; return what it prints. `BundleError` with its words where it fails."""
    try:
        done = subprocess.run(command, input=data, capture_output=True, check=False, timeout=TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BundleError(f"{Path(command[0]).name} did not run: {error}; check the C compiler") from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()[-2000:]
        raise BundleError(f"{Path(command[0]).name} ended with {done.returncode}: {said}")
    return done.stdout
