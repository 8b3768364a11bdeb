"""A closed form's discriminant for int8: solved again where eight bits hide what the exact one relies on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from onnx import numpy_helper

from edgetune_nas.model import closed_form, search_space as space
from edgetune_nas.model.search_space import Bank, Envelope, Genotype
from edgetune_nas.onnx_io.int8_head import _spread, head_for_int8
from edgetune_nas.onnx_io.quantisation import quantise
from edgetune_nas.onnx_io.runtime import Classifier, open_session
from edgetune_nas.onnx_io.writer import write_onnx
from edgetune_signal.datasets.load import INDEPENDENT, Dataset

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

    from edgetune_nas.model.layers import Network

LEARNED, ASKED = 400, 200


def loud_machine(seed: int, count: int) -> Dataset:
    """Four states that differ in a loud low tone, and more surely in a quiet high one that eight bits drown."""
    rng = np.random.default_rng(seed)
    label = np.arange(count) % 4
    time = np.arange(256) / 1000.0
    phase = rng.uniform(0, 2 * np.pi, (2, count, 1))
    loud = (1 + 0.3 * label[:, None] + 0.06 * rng.normal(size=(count, 1))) * np.sin(2 * np.pi * 60 * time + phase[0])
    quiet = 1e-2 * (1 + label[:, None]) * np.sin(2 * np.pi * 420 * time + phase[1])
    x = (loud + quiet)[:, None].astype(np.float32)
    return dataset(x, label)


def dataset(x: NDArray[np.float32], label: NDArray[np.int64]) -> Dataset:
    """Windows that have nothing to do with one another."""
    alone = np.arange(len(x))
    return Dataset(
        x=x,
        label=label,
        classes=tuple("abcd"[: label.max() + 1]),
        rate_hz=1000.0,
        unit="g",
        group=alone,
        start=np.full(len(x), INDEPENDENT),
        condition=0 * alone,
        conditions=("",),
    )


def right(model: onnx.ModelProto, asked: Dataset) -> float:
    guess = Classifier(open_session(model.SerializeToString())).probabilities(asked.x).argmax(axis=1)
    return float((guess == asked.label).mean())


def fitted(learned: Dataset) -> Network:
    classes = len(learned.classes)
    layers = space.expand(Genotype(Bank(16, 64, 16), None, (), "flat"), (1, 256), classes)
    return closed_form.fit(layers, learned.x, learned.label, classes=classes)


def test_a_discriminant_that_eight_bits_blind_is_solved_again() -> None:
    learned, asked = loud_machine(0, LEARNED), loud_machine(1, ASKED)
    network = fitted(learned)
    model = write_onnx(network)
    plain, note = quantise(model, learned.x)
    adapted, better = quantise(model, learned.x, head_for_int8(network, learned))
    assert right(model, asked) > 0.9
    assert right(plain, asked) < 0.6
    assert right(adapted, asked) > 0.7
    assert better.agreement > note.agreement
    assert (note.adapted, better.adapted) == (False, True)


def test_behind_a_clipped_bank_the_discriminant_is_solved_on_what_it_gives() -> None:
    learned = loud_machine(0, LEARNED)
    network = fitted(learned)
    _, note = quantise(write_onnx(network), learned.x)
    adapted, again = quantise(write_onnx(network), learned.x, head_for_int8(network, learned))
    assert (note.adapted, again.adapted, again.clipped) == (False, True, True)
    assert again.agreement >= note.agreement
    constants = {each.name: float(numpy_helper.to_array(each).max()) for each in adapted.graph.initializer}
    loudest = (255 - constants["window_zero_point"]) * constants["window_scale"]
    assert 0.5 * np.abs(learned.x).max() < loudest < np.abs(learned.x).max()


def test_where_int8_says_what_float_says_nothing_is_solved_again() -> None:
    rng = np.random.default_rng(0)
    label = np.arange(64) % 2
    levels = np.where(label == 0, 1.0, 8.0)[:, None, None]
    x = (levels * rng.normal(size=(64, 1, 256))).astype(np.float32)
    learned = dataset(x, label)
    layers = space.expand(Genotype(Envelope(32, 32), None, (), "flat"), (1, 256), 2)
    network = closed_form.fit(layers, x, label, classes=2)
    plain, note = quantise(write_onnx(network), x)
    same, again = quantise(write_onnx(network), x, head_for_int8(network, learned))
    assert note.agreement == 1
    assert again == note
    assert same.SerializeToString() == plain.SerializeToString()


def test_a_trained_network_has_no_discriminant(vibration_network: Network) -> None:
    assert head_for_int8(vibration_network, loud_machine(0, 8)) is None


def test_the_few_new_windows_beside_a_large_library_are_all_looked_at() -> None:
    learned = loud_machine(0, 4 * 3000)
    new = np.arange(len(learned)) % 1000 < 8
    mixed = replace(learned, library=~new)
    picked = _spread(mixed, mixed.label, 400)
    assert set(np.flatnonzero(new)) <= set(picked)
    assert np.bincount(mixed.label[picked][~new[picked]]).tolist() == [100] * 4
