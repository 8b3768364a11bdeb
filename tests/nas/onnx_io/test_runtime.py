"""Sessions, class probabilities, and what a model file costs in onnxruntime."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING

import numpy as np
import pytest
from live_elements import live_elements

from edgetune_nas.model.arena import lifetimes
from edgetune_nas.onnx_io.runtime import Classifier, measure, node_memory, open_session, peak_bytes
from edgetune_nas.onnx_io.writer import write_onnx
from edgetune_nas.usage import BATCH_BYTES, batches

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from edgetune_nas.model.layers import Network


def test_a_model_opens_from_bytes_and_from_a_file_alike(
    vibration_network: Network, windows: NDArray[np.float32], tmp_path: Path
) -> None:
    data = write_onnx(vibration_network).SerializeToString()
    path = tmp_path / "model.onnx"
    path.write_bytes(data)

    from_bytes = Classifier(open_session(data)).probabilities(windows)
    assert np.array_equal(from_bytes, Classifier(open_session(path)).probabilities(windows))
    assert from_bytes.dtype == np.float32
    assert from_bytes.shape == (64, 10)


def test_a_session_has_one_thread_that_does_not_spin(vibration_network: Network) -> None:
    options = open_session(write_onnx(vibration_network).SerializeToString()).get_session_options()

    assert options.intra_op_num_threads == 1
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


def test_more_than_one_batch_of_windows_comes_back_in_order(
    vibration_network: Network, windows: NDArray[np.float32]
) -> None:
    classifier = Classifier(open_session(write_onnx(vibration_network).SerializeToString()))
    in_a_batch = BATCH_BYTES // windows[0].nbytes
    many = np.tile(windows, (2 * in_a_batch // len(windows) + 1, 1, 1))[: 2 * in_a_batch + 3]
    assert [len(batch) for batch in batches(many)] == [in_a_batch, in_a_batch, 3]

    repeated = np.resize(classifier.probabilities(windows), (len(many), 10))
    np.testing.assert_allclose(classifier.probabilities(many), repeated, atol=1e-6)


def test_windows_of_another_type_or_layout_are_converted(
    vibration_network: Network, windows: NDArray[np.float32]
) -> None:
    classifier = Classifier(open_session(write_onnx(vibration_network).SerializeToString()))
    reversed_in_memory = np.asfortranarray(windows.astype(np.float64))

    assert np.array_equal(classifier.probabilities(reversed_in_memory), classifier.probabilities(windows))


def test_measuring_gives_every_figure_and_leaves_no_file(
    vibration_network: Network, windows: NDArray[np.float32], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    data = write_onnx(vibration_network).SerializeToString()

    measured = measure(data, windows)

    assert measured.onnx_bytes == len(data)
    assert 0 < measured.latency_p50_us <= measured.latency_p99_us
    assert measured.session_rss_bytes >= 0
    assert list(tmp_path.iterdir()) == []


def test_the_measured_peak_is_the_planned_one_and_packed_weights(
    vibration_network: Network, windows: NDArray[np.float32]
) -> None:
    live = live_elements(lifetimes(vibration_network.input_shape, vibration_network.layers))
    nodes = node_memory(write_onnx(vibration_network).SerializeToString(), windows[:1])
    packed = int(nodes[0]["mem_bytes_requested_in_use"]) - int(nodes[0]["mem_requested_in_use_delta"])

    assert peak_bytes(nodes) == packed + 4 * max(live[0] - 512, *live[1:])


def test_an_onnxruntime_that_does_not_count_memory_is_judged_by_inputs_and_outputs() -> None:
    nodes = [{"activation_size": "2048", "output_size": "816"}, {"activation_size": "816", "output_size": "40"}]

    assert peak_bytes(nodes) == 2864


def test_measuring_needs_a_window(vibration_network: Network, windows: NDArray[np.float32]) -> None:
    with pytest.raises(ValueError, match="at least one window"):
        measure(write_onnx(vibration_network).SerializeToString(), windows[:0])


def test_running_a_model_needs_neither_torch_nor_onnx_nor_scipy_and_reports_to_nobody() -> None:
    program = (
        "import os, sys\n"
        "import edgetune_nas.card, edgetune_nas.model.cost, edgetune_nas.bundle.scores\n"
        "import edgetune_nas.onnx_io.runtime, edgetune_nas.bundle.read\n"
        "print(sorted({'torch', 'onnx', 'scipy', 'matplotlib'} & set(sys.modules)))\n"
        "print(os.environ['ORT_DISABLE_TELEMETRY'])\n"
    )

    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=300)

    assert result.stdout.split() == ["[]", "1"]
