"""Emulated cores: the memory that the card says, and the answers of the host."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from edgetune_nas.bundle.read import read_card
from edgetune_nas.mcu.cores import CORES, linked
from edgetune_nas.mcu.export import write_library
from edgetune_nas.model.layers import Conv, Dense, Flatten, GlobalPool, Softmax
from edgetune_nas.model.search_space import Bank, Envelope, Genotype, Stem, Together, expand

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgetune_nas.model.layers import Layer, Shape

ONE, FEW = (1, 512), (4, 60)
NETWORKS: dict[str, tuple[Shape, tuple[Layer, ...]]] = {
    "stem": (ONE, expand(Genotype(None, Stem(12, 128, 32), (), "average"), ONE, 10)),
    "bank": (ONE, expand(Genotype(Bank(16, 64, 32, 2), None, (), "flat"), ONE, 4)),
    "envelope": (FEW, expand(Genotype(Envelope(12, 6), None, (), "flat"), FEW, 4)),
    "one to seven filters": (
        FEW,
        (Conv(7, 5, 2, 2), Conv(1, 4), Conv(2, 3), Conv(6, 3, groups=2), Flatten(), Dense(3), Softmax()),
    ),
    "correlations": (FEW, expand(Genotype(Together("each", 1, correlate=True), None, (), "flat"), FEW, 4)),
}
LONG_STEM = ((1, 512), (Conv(12, 128, 8), GlobalPool("average"), Dense(10), Softmax()))
MANY_CHANNELS = ((1, 512), (Conv(16, 32, 8), Conv(16, 3), Conv(16, 3), GlobalPool("average"), Dense(4), Softmax()))

TOLERANCE = 0.2
"""Share by which the card's estimate may be wrong; docs/reference/cost.md states it."""

MAP = """
Discarded input sections
 .text.unused   0x00000000       0x30 work/model_x.o

Linker script and memory map
 .text.judge    0x00000100       0x24 work/model_x.o
 .text.edgetune_very_long_name
                0x00000124       0x40 work/edgetune_kernels.o
 .rodata.layer0_weight
                0x00000164        0xc work/model_x.o
 .bss.model_x_arena
                0x20000000       0xd0 work/model_x.o
 .bss.samples   0x200000d0        0x4 work/check.o
 *fill*         0x200000d4        0x4
"""


def test_a_map_counts_what_the_linker_kept_of_an_object() -> None:
    assert linked(MAP, {"model_x.o", "edgetune_kernels.o"}) == {
        (".text", "model_x.o"): 0x24,
        (".text", "edgetune_kernels.o"): 0x40,
        (".rodata", "model_x.o"): 0xC,
        (".bss", "model_x.o"): 0xD0,
    }


@pytest.mark.slow
@pytest.mark.usefixtures("emulator", "host_compiler")
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("streaming", [False, True])
def test_static_memory_is_what_the_card_says_on_every_core(
    network: str, *, streaming: bool, write_bundle_of: Callable[..., Path], tmp_path: Path
) -> None:
    bundle = write_bundle_of(*NETWORKS[network])

    report = write_library(bundle, tmp_path / "c", streaming=streaming, name="m")

    cost = read_card(bundle).cost
    apart = 0 if report.model.layout.position is not None or not streaming else 2
    fields = report.fields()
    assert report.acceptable
    assert fields["equal"]
    assert set(fields["cores"]) == {core.name for core in CORES}
    assert cost.mcu is not None
    ram = cost.mcu.streamed_bss_bytes if streaming else cost.mcu.bss_bytes
    assert ram == (cost.streamed_bytes if streaming else cost.arena_bytes) + apart
    for core, figures in fields["cores"].items():
        assert figures["bss_bytes"] == ram
        assert figures["equal"]
        assert 64 <= figures["stack_bytes"] <= 512
        assert figures["text_bytes"] > figures["model_text_bytes"] > cost.parameters
        estimated = cost.mcu.cores[core]
        instructions, text = estimated.instructions, estimated.text_bytes
        if streaming:
            instructions, text = estimated.streamed_instructions, estimated.streamed_text_bytes
        assert instructions == pytest.approx(figures["instructions"], rel=TOLERANCE)
        assert text == pytest.approx(figures["text_bytes"], rel=TOLERANCE)
        assert figures["stack_bytes"] <= (1 + TOLERANCE) * estimated.stack_bytes
        assert figures["worst_instructions"] <= 1.01 * figures["instructions"] + 100


@pytest.mark.slow
@pytest.mark.usefixtures("emulator")
def test_a_multiplication_takes_few_instructions(write_bundle_of: Callable[..., Path], tmp_path: Path) -> None:
    most = {"cortex-m4": 3.0, "cortex-m33": 3.0, "cortex-m55": 1.2}
    for name, network, streaming, times in (
        ("long", LONG_STEM, False, 1.0),
        ("streamed", LONG_STEM, True, 1.0),
        ("short", MANY_CHANNELS, False, 2.0),
    ):
        bundle = write_bundle_of(*network)
        fields = write_library(bundle, tmp_path / name, streaming=streaming, name="m").fields()
        for core, figures in fields["cores"].items():
            assert figures["instructions"] / fields["macs"] <= times * most[core], (name, core)


@pytest.mark.slow
@pytest.mark.parametrize("streaming", [False, True])
def test_the_example_firmware_says_classes_over_its_uart(
    *, streaming: bool, emulator: str, write_bundle_of: Callable[..., Path], tmp_path: Path
) -> None:
    if shutil.which("cmake") is None:
        pytest.skip("cmake is not here (apt install cmake)")
    library, build = tmp_path / "c", tmp_path / "build"
    write_library(write_bundle_of(*NETWORKS["stem"]), library, streaming=streaming, cores=())
    subprocess.run(["cmake", "-S", library, "-B", build], check=True, capture_output=True)
    subprocess.run(["cmake", "--build", build], check=True, capture_output=True)

    command = [emulator, "-M", "mps2-an386", "-nographic", "-monitor", "none", "-serial", "stdio"]
    with subprocess.Popen(
        [*command, "-kernel", build / "example.elf"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ},
    ) as board:
        assert board.stdout is not None
        said = []
        for line in board.stdout:  # the timeout of pytest ends a board that is silent
            said.append(line.strip())
            if said[-1] == "end":
                break
        board.kill()

    assert said[0] == "self-test passed"
    assert len(said) == 6
    assert all(each.startswith("class ") for each in said[1:5])


@pytest.mark.slow
@pytest.mark.usefixtures("emulator")
@pytest.mark.parametrize("network", ["one to seven filters", "envelope"])
def test_plain_c_gives_the_same_on_a_core(network: str, write_bundle_of: Callable[..., Path], tmp_path: Path) -> None:
    plain = replace(CORES[0], options=(*CORES[0].options, "-DEDGETUNE_PLAIN"))

    report = write_library(write_bundle_of(*NETWORKS[network]), tmp_path / "c", name="m", cores=[plain])

    figures, difference = report.cores["cortex-m4"]
    assert figures is not None
    assert difference is not None
    assert difference.equal
