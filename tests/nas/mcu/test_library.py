"""A bundle as C: the same outputs as onnxruntime, bit by bit, in the bytes that the card says."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from bundles import write_network

from edgetune_nas.bundle.read import read_card
from edgetune_nas.card import InputSpec
from edgetune_nas.errors import BundleError
from edgetune_nas.mcu.export import write_library
from edgetune_nas.mcu.reference import Answers
from edgetune_nas.mcu.report import Difference
from edgetune_nas.model.layers import (
    ClassMax,
    Conv,
    Dense,
    Flatten,
    GlobalPool,
    Layer,
    Log,
    LpPool,
    MaxPool,
    Network,
    Softmax,
)
from edgetune_nas.model.search_space import (
    Bank,
    ConvBlock,
    Envelope,
    Genotype,
    Prior,
    Stem,
    Together,
    expand,
    mutate,
    sample,
)
from edgetune_nas.model.seed_architectures import vibration_closed_forms, vibration_networks
from edgetune_nas.onnx_io import quantisation

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgetune_nas.model.layers import Shape

ONE, FEW = (1, 256), (4, 60)
BANK = Bank(8, 32, 8, 1, 4, 2)


def layers_of(genotype: Genotype, shape: Shape, kinds: tuple[int, ...] = ()) -> tuple[Layer, ...]:
    return expand(genotype, shape, len(kinds) or 3, kinds)


NETWORKS: dict[str, tuple[Shape, tuple[Layer, ...]]] = {
    "padded stem, average": (ONE, layers_of(Genotype(None, Stem(6, 64, 16), (), "average"), ONE)),
    "stem, maximum, both": (
        ONE,
        layers_of(Genotype(None, Stem(6, 32, 8, 2), (ConvBlock("full", 4, 3, 1),), "both"), ONE),
    ),
    "bank, separable, maximum": (
        ONE,
        layers_of(Genotype(BANK, None, (ConvBlock("separable", 4, 3, 1, 2),), "max"), ONE),
    ),
    "bank of several channels": (FEW, layers_of(Genotype(Bank(4, 8, 2, 2, 4, 2), None, (), "flat"), FEW)),
    "closed form with kinds": (
        ONE,
        layers_of(Genotype(Bank(8, 32, 8, 1), None, (), "flat"), ONE, (2, 1, 3)),
    ),
    "envelope": (FEW, layers_of(Genotype(Envelope(10, 10), None, (), "flat"), FEW)),
    "overlapping envelope, linear block": (
        FEW,
        layers_of(Genotype(Envelope(6, 3, 2), None, (ConvBlock("linear", 4, 3, 2),), "flat"), FEW),
    ),
    "short envelope": (FEW, (LpPool(3, 2), Conv(4, 3), GlobalPool("max"), Dense(3), Softmax())),
    "raw correlations": (FEW, layers_of(Genotype(Together("each", 0, True), None, (), "flat"), FEW)),
    "mixed correlations": (FEW, layers_of(Genotype(Together("ring", 1, True), None, (), "flat"), FEW, (1, 2))),
    "mixed levels": (FEW, layers_of(Genotype(Together("ring", 2, False, 2), None, (), "flat"), FEW)),
    "hum off": (ONE, layers_of(Genotype(BANK, None, (), "flat", mains=1 / 20), ONE)),
    "stride beyond the kernel": (ONE, (Conv(5, 4, 7), GlobalPool("max"), Dense(3), Softmax())),
    "strided maxima, kinds": (
        ONE,
        (Conv(5, 9, 2, 4), MaxPool(3, 2), LpPool(0, 1, 2), Log(0.1), Dense(5), ClassMax((1, 4)), Softmax()),
    ),
}
QUICK = {"padded stem, average": True, "bank of several channels": False, "mixed correlations": True}


def test_a_gram_layer_may_differ_by_two_steps_and_no_other() -> None:
    wanted = Answers(np.zeros((2, 3), np.int8), np.zeros(2, np.int32), np.zeros(2, np.float32))
    close, far = (Answers(wanted.output + np.int8(step), wanted.answer, wanted.distance) for step in (2, 3))

    steps = [Difference.of(each, wanted).steps for each in (wanted, close, far)]

    assert steps == [0, 2, 3]
    assert [Difference.of(each, wanted).acceptable(gram=True) for each in (wanted, close, far)] == [True, True, False]
    assert [Difference.of(each, wanted).acceptable(gram=False) for each in (wanted, close)] == [True, False]


def check(bundle: Path, out: Path, *, streaming: bool, x: Any = None) -> dict[str, Any]:
    report = write_library(bundle, out, streaming=streaming, x=x, cores=())

    cost = read_card(bundle).cost
    assert report.model.layout.bytes == (cost.streamed_bytes if streaming else cost.arena_bytes)
    fields = report.fields()
    assert report.acceptable
    if report.model.has_float_sums:  # they have an order of their own
        assert fields["outputs_differ"] <= 0.05 * fields["windows"]
    else:
        assert (fields["outputs_differ"], fields["answers_differ"], fields["equal"]) == (0, 0, True)
    return fields


@pytest.mark.usefixtures("host_compiler")
@pytest.mark.parametrize("network", QUICK)
def test_a_library_gives_what_onnxruntime_gives(
    network: str, write_bundle_of: Callable[..., Path], tmp_path: Path
) -> None:
    fields = check(write_bundle_of(*NETWORKS[network]), tmp_path / "library", streaming=QUICK[network])

    assert fields["windows"] == 48 + 1000


@pytest.mark.usefixtures("host_compiler")
@pytest.mark.slow
@pytest.mark.parametrize("network", NETWORKS)
def test_every_layer_gives_what_onnxruntime_gives_stored_and_streamed(
    network: str, write_bundle_of: Callable[..., Path], tmp_path: Path
) -> None:
    bundle = write_bundle_of(*NETWORKS[network])

    check(bundle, tmp_path / "stored", streaming=False)
    check(bundle, tmp_path / "streamed", streaming=True)


@pytest.mark.usefixtures("host_compiler")
@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "hop", "way"),
    [
        ("stem, maximum, both", 64, "window"),  # it is padded
        ("closed form with kinds", 64, "held"),
        ("overlapping envelope, linear block", 30, "held"),
        ("overlapping envelope, linear block", 31, "window"),  # no whole number of strides
        ("mixed correlations", 20, "window"),
    ],
)
@pytest.mark.usefixtures("host_compiler")
def test_windows_overlap(
    network: str, hop: int, way: str, write_bundle_of: Callable[..., Path], tmp_path: Path
) -> None:
    shape, layers = NETWORKS[network]
    x = np.random.default_rng(1).normal(size=(20, *shape)).astype(np.float32)

    report = write_library(write_bundle_of(shape, layers), tmp_path / "c", streaming=True, hop=hop, x=x, cores=())

    fields = report.fields()
    assert (report.model.layout.way, fields["hop"]) == (way, hop)
    assert fields["windows"] == (20 * shape[1] - shape[1]) // hop + 1
    assert report.acceptable


@pytest.mark.parametrize(("streaming", "hop"), [(False, 30), (True, 61)])
def test_a_hop_that_is_none_is_refused(
    *, streaming: bool, hop: int, write_bundle_of: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(BundleError, match=rf"a hop of {hop} samples needs a stream, and windows of 60"):
        write_library(write_bundle_of(*NETWORKS["envelope"]), tmp_path / "c", streaming=streaming, hop=hop, cores=())


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_what_the_search_draws_gives_what_onnxruntime_gives(
    seed: int, write_bundle_of: Callable[..., Path], tmp_path: Path
) -> None:
    shape = ((1, 256), (2, 128))[seed % 2]
    prior = Prior(vibration_closed_forms, vibration_networks, (0.4, 0.3, 0.3), mains=1 / 20)
    rng = np.random.default_rng(seed)
    genotype = mutate(sample(rng, shape, prior), rng, shape, prior)

    check(write_bundle_of(shape, layers_of(genotype, shape), seed), tmp_path / "c", streaming=bool(seed // 2 % 2))


@pytest.mark.usefixtures("host_compiler")
@pytest.mark.slow
def test_correlations_of_earlier_versions_are_sums_of_floats(
    write_bundle_of: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantisation, "with_exact_sums", lambda model: model)
    bundle = write_bundle_of(*NETWORKS["mixed correlations"])

    check(bundle, tmp_path / "c", streaming=False)

    assert "may differ by up to 2 steps" in (tmp_path / "c" / "README.md").read_text()


@pytest.mark.usefixtures("host_compiler")
def test_a_library_is_compared_on_the_windows_that_are_given(
    write_bundle_of: Callable[..., Path], tmp_path: Path
) -> None:
    x = np.random.default_rng(1).normal(size=(7, *FEW)).astype(np.float32)

    fields = check(write_bundle_of(*NETWORKS["raw correlations"]), tmp_path / "c", streaming=False, x=x)

    assert fields["windows"] == 7


def test_a_library_says_what_it_is_and_has_no_heap(
    write_bundle_of: Callable[..., Path], tmp_path: Path, host_compiler: str
) -> None:
    bundle = write_bundle_of(*NETWORKS["envelope"])
    write_library(bundle, tmp_path / "c", name="model", cores=())

    header = (tmp_path / "c" / "model.h").read_text()
    readme = (tmp_path / "c" / "README.md").read_text()
    assert "int32_t model_run(const int8_t *window);" in header
    assert "#define MODEL_CLASSES 3U" in header
    assert "equal onnxruntime's, bit by bit" in readme
    objects = [tmp_path / f"{each}.o" for each in ("model", "edgetune_kernels")]
    for each in (*objects, tmp_path / "model_selftest.o", tmp_path / "example.o"):
        source = tmp_path / "c" / f"{each.stem}.c"
        strict = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-ffreestanding"]
        subprocess.run(
            [host_compiler, *strict, "-Os", "-S" if each.stem == "example" else "-c", source, "-o", each], check=True
        )
    wanted = subprocess.run(["nm", "-u", *objects], check=True, capture_output=True, text=True).stdout.split()
    outside = {each for each in wanted if each != "U" and not each.endswith(":") and "edgetune_" not in each}
    assert outside <= {"memcpy", "memmove", "memset", "_GLOBAL_OFFSET_TABLE_", "__stack_chk_fail"}


@pytest.mark.slow
def test_two_models_stand_in_one_program_of_c_or_cpp(
    write_bundle_of: Callable[..., Path], tmp_path: Path, host_compiler: str, cpp_compiler: str
) -> None:
    for name, network in (("one", "envelope"), ("two", "mixed levels")):
        write_library(write_bundle_of(*NETWORKS[network]), tmp_path / name, name=name, streaming=True, cores=())
    main = '#include "edgetune_kernels.h"\n#include "one.h"\n#include "two.h"\n'
    main += "int main(void) { return (int)(one_selftest() + two_selftest()); }\n"
    folders = [f"-I{tmp_path / each}" for each in ("one", "two")]
    compiled = []
    for each in ("one/one", "one/one_selftest", "one/edgetune_kernels", "two/two", "two/two_selftest"):
        compiled.append(tmp_path / f"{each}.o")
        subprocess.run([host_compiler, "-std=c99", "-c", tmp_path / f"{each}.c", "-o", compiled[-1]], check=True)

    strict = ["-pedantic", "-Wall", "-Wextra", "-Werror"]
    for language, command in (("c", [host_compiler, "-std=c99"]), ("cpp", [cpp_compiler, "-std=c++11"])):
        source, program = tmp_path / f"main.{language}", tmp_path / language
        source.write_text(main)
        subprocess.run([*command, *strict, *folders, source, *compiled, "-o", program], check=True)
        assert subprocess.run([program], check=False).returncode == 0


@pytest.mark.usefixtures("host_compiler")
def test_a_sensor_of_sixteen_bits_has_a_step_of_its_own(make_network: Callable[..., Network], tmp_path: Path) -> None:
    shape, layers = NETWORKS["envelope"]
    x = np.random.default_rng(3).integers(-20000, 20000, size=(48, *shape)) * 1e-3
    spec = InputSpec(channels=shape[0], length=shape[1], rate_hz=1000.0, unit="g", scale=1e-3)
    card = write_network(
        tmp_path, make_network(shape, layers), x.astype(np.float32), classes=["a", "b", "c"], input_spec=spec
    )
    bundle = tmp_path / f"model-{card.id}"

    check(bundle, tmp_path / "c", streaming=False)

    step = json.loads((bundle / "card.json").read_text())["notes"]["int8"]["window_scale"]
    assert step == pytest.approx(np.abs(x).max() / 127, rel=1e-5)
    source = next((tmp_path / "c").glob("model_*[0-9a-f].c")).read_text()
    assert "return " in source
    assert "_raw(int32_t sample)" in source


@pytest.mark.usefixtures("host_compiler")
def test_whole_numbers_of_eight_bits_lose_nothing(make_network: Callable[..., Network], tmp_path: Path) -> None:
    shape, layers = NETWORKS["envelope"]
    x = np.random.default_rng(3).integers(-90, 90, size=(48, *shape)).astype(np.float32)
    spec = InputSpec(channels=shape[0], length=shape[1], rate_hz=200.0, unit="count")
    card = write_network(tmp_path, make_network(shape, layers), x, classes=["a", "b", "c"], input_spec=spec)

    check(tmp_path / f"model-{card.id}", tmp_path / "c", streaming=True)

    assert card.notes["int8"]["window_scale"] == 1.0


@pytest.mark.parametrize("first", [MaxPool(4, 4), Flatten()])
def test_a_first_layer_that_takes_float_samples_is_refused(
    first: Layer, write_bundle_of: Callable[..., Path], tmp_path: Path
) -> None:
    bundle = write_bundle_of(
        (2, 40), (first, *(() if isinstance(first, Flatten) else (Flatten(),)), Dense(3), Softmax())
    )

    with pytest.raises(BundleError, match=r"cannot become C: .* takes float samples"):
        write_library(bundle, tmp_path / "c", cores=())


def test_a_softmax_without_a_dense_layer_is_refused(tmp_path: Path) -> None:
    network = Network(
        (1, 9),
        (Conv(3, 9, 4), Softmax()),
        ({"weight": np.ones((3, 1, 9), np.float32), "bias": np.zeros(3, np.float32)}, {}),
    )
    x = np.random.default_rng(0).normal(size=(48, 1, 9)).astype(np.float32)
    spec = InputSpec(channels=1, length=9, rate_hz=1000.0, unit="g")
    card = write_network(tmp_path / "other", network, x, classes=["a", "b", "c"], input_spec=spec)

    with pytest.raises(BundleError, match=r"cannot become C: probabilities .Softmax."):
        write_library(tmp_path / "other" / f"model-{card.id}", tmp_path / "c", cores=())
    assert not (tmp_path / "c").exists()


def test_a_bundle_without_an_int8_network_is_refused(write_bundle_of: Callable[..., Path], tmp_path: Path) -> None:
    bundle = write_bundle_of(*NETWORKS["envelope"])
    card = json.loads((bundle / "card.json").read_text())
    del card["sha256"]["model.int8.onnx"], card["measured"]["int8"]
    card["deployed"] = "float"
    (bundle / "card.json").write_text(json.dumps(card))
    (bundle / "model.int8.onnx").unlink()

    with pytest.raises(BundleError, match="has no int8 network"):
        write_library(bundle, tmp_path / "c", cores=())


@pytest.mark.slow
def test_no_unit_of_a_card_becomes_code(
    write_tiny_bundle: Callable[..., Path], tmp_path: Path, host_compiler: str
) -> None:
    bundle = write_tiny_bundle(tmp_path, unit="*/ int x; /*\n\\")

    assert write_library(bundle, tmp_path / "c", cores=()).acceptable

    assert host_compiler
    assert "/* Round a sample in / int x; /. */" in next((tmp_path / "c").glob("model_*.h")).read_text()


@pytest.mark.parametrize("dangling", [False, True])
def test_a_folder_that_is_there_is_not_written_over(
    *, dangling: bool, write_bundle_of: Callable[..., Path], tmp_path: Path
) -> None:
    if dangling:
        (tmp_path / "c").symlink_to(tmp_path / "nowhere")
    else:
        (tmp_path / "c").mkdir()

    with pytest.raises(BundleError, match="exists already"):
        write_library(write_bundle_of(*NETWORKS["envelope"]), tmp_path / "c", cores=())


@pytest.mark.parametrize("name", ["2-fast", "Pump", "string", "stddef", "limits", "edgetune_kernels"])
def test_a_prefix_that_is_no_name_is_refused(name: str, write_tiny_bundle: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="can be no prefix of names in C"):
        write_library(write_tiny_bundle(tmp_path), tmp_path / "c", name=name, cores=())
