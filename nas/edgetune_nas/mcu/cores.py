"""Emulated microcontroller cores: memory from the linker, instructions and stack from a run."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from edgetune_nas.errors import BundleError
from edgetune_nas.mcu.host import FLAGS, KERNELS, call, check_model, parse

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from edgetune_nas.mcu.library_model import Model
    from edgetune_nas.mcu.reference import Answers

COMPILER: Final = "arm-none-eabi-gcc"
EMULATOR: Final = "qemu-system-arm"
LOOP: Final = 2_000_000
"""Instructions of the loop that calibrates the count."""
OWN_CALLS: Final = 10_000
"""Empty calls of what counts, by which its own instructions are known."""
RUN_TIMEOUT_S: Final = 240.0
SIZED: Final = re.compile(r"^\s+0x[0-9a-f]+\s+0x([0-9a-f]+)\s+(\S+\.o)$")


@dataclass(frozen=True, slots=True)
class Core:
    """A core: how to compile for it, and the board that emulates it, with the addresses of its memory."""

    name: str
    options: tuple[str, ...]
    board: str
    code: int
    data: int


CORES: Final = (
    Core("cortex-m4", ("-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16"), "mps2-an386", 0x00000000, 0x20000000),
    Core("cortex-m33", ("-mcpu=cortex-m33", "-mfpu=fpv5-sp-d16"), "mps2-an505", 0x10000000, 0x38000000),
    Core("cortex-m55", ("-mcpu=cortex-m55",), "mps3-an547", 0x00000000, 0x20000000),
)


@dataclass(frozen=True, slots=True)
class Figures:
    """Figures of a core.

    Attributes
    ----------
    bss_bytes, text_bytes
        Static memory of the library, and its code and tables, after the linker has left out what is not used.
    model_text_bytes
        Of these, what belongs to the model; the rest are kernels, which several models share.
    stack_bytes
        Deepest stack of a window, or of a sample where samples are pushed.
    instructions
        Mean of a window; of a stream those of all its samples.
    worst_instructions
        Largest of a window, or of a single sample where samples are pushed.
    answers
        What was said of the windows that were run.
    """

    bss_bytes: int
    text_bytes: int
    model_text_bytes: int
    stack_bytes: int | None
    instructions: int | None
    worst_instructions: int | None
    answers: Answers | None


def has_compiler() -> bool:
    """Return whether the cross compiler is there."""
    return shutil.which(COMPILER) is not None


def run_on(
    core: Core, model: Model, library: Path, work: Path, x: NDArray[np.float32], *, streaming: bool
) -> Figures | None:
    """Compile a library for a core and run it on windows ``(windows, channels, length)``; None without a compiler.

    Without an emulator there are figures of the linker alone.

    Raises
    ------
    BundleError
        When the library does not compile, or the run ends badly.
    """
    if not has_compiler():
        return None
    (work / "check_model.h").write_text(check_model(model, streaming=streaming), encoding="utf-8")
    program, listing = work / f"{core.name}.elf", work / f"{core.name}.map"
    common = (*core.options, "-mthumb", "-mfloat-abi=hard", *FLAGS, "-O2", "-ffunction-sections", "-fdata-sections")
    common = (*common, "-fno-tree-loop-distribute-patterns")
    objects: list[str | Path] = []
    for source in [*sorted(library.glob("*.c")), KERNELS / "check.c", KERNELS / "check_arm.c"]:
        own = ("-Wno-pedantic",) if source.name == "check_arm.c" else ()
        objects.append(work / f"{source.stem}.o")
        call([COMPILER, *common, *own, f"-I{library}", f"-I{work}", f"-I{KERNELS}", "-c", source, "-o", objects[-1]])
    placed = f"-Wl,-Map={listing},--defsym=CODE={core.code:#x},--defsym=DATA={core.data:#x},--gc-sections,-ereset"
    linker = ("-nostartfiles", "--specs=nano.specs", placed, f"-T{KERNELS / 'board.ld'}")
    call([COMPILER, *common, *objects, *linker, "-o", program])
    memory = linked(listing.read_text(encoding="utf-8"), {f"{model.name}.o", "edgetune_kernels.o"})
    bss = sum(size for (section, _), size in memory.items() if section == ".bss")
    text = sum(size for (section, _), size in memory.items() if section in (".text", ".rodata"))
    own_text = sum(
        size
        for (section, each), size in memory.items()
        if section in (".text", ".rodata") and each.startswith(model.name)
    )
    if any(size for (section, _), size in memory.items() if section == ".data"):
        raise BundleError(f"{model.name} has variables with values on {core.name}; report this")
    found = Figures(bss, text, own_text, None, None, None, None)
    if shutil.which(EMULATOR) is None:
        return found
    return _emulated(core, model, work, x, found)


def _emulated(core: Core, model: Model, work: Path, x: NDArray[np.float32], memory: Figures) -> Figures:
    (work / "windows.bin").write_bytes(np.ascontiguousarray(x.transpose(0, 2, 1), "<f4").tobytes())
    command = [EMULATOR, "-M", core.board, "-nographic", "-monitor", "none", "-serial", "none", "-icount", "shift=0"]
    command += ["-semihosting-config", "enable=on,target=native", "-kernel", str(work / f"{core.name}.elf")]
    try:
        done = subprocess.run(
            command, cwd=work, capture_output=True, check=False, timeout=RUN_TIMEOUT_S, stdin=subprocess.DEVNULL
        )
        figures = (work / "figures.bin").read_bytes()
        results = (work / "results.bin").read_bytes()
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BundleError(f"{model.name} did not run on an emulated {core.name}: {error}") from error
    if len(figures) != struct.calcsize("<6I"):
        said = done.stderr.decode(errors="replace").strip()[-500:]
        raise BundleError(f"{model.name} did not come to its end on an emulated {core.name}: {said}")
    ticks, calls, worst, calibration, stack, own = struct.unpack("<6I", figures)
    for name in ("figures.bin", "results.bin"):
        (work / name).unlink()
    per_tick = LOOP / calibration
    counting = own / OWN_CALLS
    answers = parse(model, results)
    return Figures(
        memory.bss_bytes,
        memory.text_bytes,
        memory.model_text_bytes,
        stack,
        round((ticks - calls * counting) * per_tick / len(answers.answer)),
        round((worst - counting) * per_tick),
        answers,
    )


def linked(listing: str, objects: set[str]) -> dict[tuple[str, str], int]:
    """Return bytes by section and object of a linker map, of these ``objects``, after sections were left out."""
    found: dict[tuple[str, str], int] = {}
    _, _, body = listing.partition("Linker script and memory map")
    section = ""
    for line in body.splitlines():
        named = re.match(r"^ (\.(?:text|rodata|data|bss))(\S*)(.*)$", line)
        rest = line
        if named:
            section, rest = named.group(1), named.group(3)
        elif not line.startswith("  "):
            section = ""
        match = SIZED.match(rest if rest.startswith(" ") else f" {rest}")
        if section and match:
            name = match.group(2).rsplit("/", 1)[-1]
            if name in objects:
                found[section, name] = found.get((section, name), 0) + int(match.group(1), 16)
            section = ""
    return found
