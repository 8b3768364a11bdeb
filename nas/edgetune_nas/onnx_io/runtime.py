"""A network in onnxruntime: sessions as the node runs them, probabilities or distances, and what they cost here."""

from __future__ import annotations

import json
import os
import tempfile
import time
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edgetune_nas.card import Measured
from edgetune_nas.usage import batches

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when onnxruntime is imported

import onnxruntime

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

INPUT: Final = "window"
OUTPUT: Final = "probabilities"
DISTANCE: Final = "distance"
"""Output of a health model, in the place of `OUTPUT`; of a network of classes beside it, where the budget held both."""
WARM_UP_RUNS: Final = 20
MAX_RUNS: Final = 2000
MEASURE_SECONDS: Final = 0.4
LOG_ERRORS_ONLY: Final = 3


def open_session(model: bytes | Path, *, exact: bool = False) -> onnxruntime.InferenceSession:
    """Session of one thread that never spins; what serves one window at a time best at this size.

    ``exact``: int8 sums are never saturated, as they may be on processors without VNNI; this takes longer.

    Raises
    ------
    Exception
        Whatever onnxruntime raises for a file that is no ONNX model or that it cannot run; its classes have no
        common base below `Exception`.
    """
    options = _options()
    if exact:
        options.add_session_config_entry("session.x64quantprecision", "1")
    return _open(model, options)


def outputs(session: onnxruntime.InferenceSession, x: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """Return everything that a network gives for windows ``x``, by what it is: ``probabilities``, ``distances``."""
    found = zip(session.get_outputs(), session.run(None, {INPUT: x}), strict=True)
    return {"distances" if each.name == DISTANCE else each.name: values for each, values in found}


class Classifier:
    """Class probabilities of windows.

    Parameters
    ----------
    session
        From `open_session`.
    rows
        Class of each row of the output; None where row and class are the same. A class is as probable as the most
        probable of its rows, and classes together sum to one again.
    """

    def __init__(self, session: onnxruntime.InferenceSession, rows: Sequence[int] | None = None) -> None:
        self._session = session
        self._of_class = None if rows is None else [np.flatnonzero(np.equal(rows, each)) for each in sorted(set(rows))]

    def probabilities(self, x: NDArray[np.floating]) -> NDArray[np.float32]:
        """Probabilities ``float32 (windows, classes)`` of ``x``, ``(windows, channels, length)``."""
        if len(x) > 1:
            return np.concatenate([self._run(batch) for batch in batches(x)])
        return self._run(x)

    def _run(self, x: NDArray[np.floating]) -> NDArray[np.float32]:
        return self.together(self._session.run([OUTPUT], {INPUT: np.ascontiguousarray(x, np.float32)})[0])

    def together(self, result: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the probabilities of classes, of those of rows ``(windows, rows)``."""
        if self._of_class is None:
            return result
        best: NDArray[np.float32] = np.stack([result[:, rows].max(axis=1) for rows in self._of_class], axis=1)
        best /= best.sum(axis=1, keepdims=True)
        return best


class HealthDistance:
    """Distance of windows from healthy ones, by the graph of a health model.

    Attributes
    ----------
    limit
        Distance beyond which a window is unlike health.
    """

    def __init__(self, session: onnxruntime.InferenceSession, limit: float) -> None:
        self._session = session
        self.limit = limit

    def distances(self, x: NDArray[np.floating], said: NDArray[np.integer] | None = None) -> NDArray[np.float64]:
        """Compute the distance ``(windows,)`` of ``x``, ``(windows, channels, length)``, whatever class is ``said``."""
        del said
        return np.concatenate([self._run(batch) for batch in batches(x)])

    def unknown(self, x: NDArray[np.floating], said: NDArray[np.integer] | None = None) -> NDArray[np.bool_]:
        """Mark the windows ``(windows,)`` that are unlike health."""
        return ~(self.distances(x, said) <= self.limit)  # nor is it known where it is no number

    def _run(self, x: NDArray[np.floating]) -> NDArray[np.float64]:
        found: NDArray[np.float32] = self._session.run([DISTANCE], {INPUT: np.ascontiguousarray(x, np.float32)})[0]
        return found[:, 0].astype(np.float64)


class ClassDistance:
    """Distance of windows from known classes, by the graph of their network.

    Parameters
    ----------
    session
        From `open_session`; its graph has `OUTPUT` and `DISTANCE`.
    classifier
        Of the same session.
    labels
        Class of each centre that the graph gives a distance to.
    limit
        Distance beyond which a window is unlike its class.
    """

    def __init__(
        self, session: onnxruntime.InferenceSession, classifier: Classifier, labels: Sequence[int], limit: float
    ) -> None:
        self._session = session
        self._classifier = classifier
        self._labels = np.array(labels)
        self.limit = limit

    def judge(self, x: NDArray[np.floating]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Run ``x`` once: return probabilities ``(windows, classes)``, and the distance to the most probable class."""
        fed = {INPUT: np.ascontiguousarray(x, np.float32)}
        rows, apart = self._session.run([OUTPUT, DISTANCE], fed)
        probabilities = self._classifier.together(rows)
        return probabilities, self._to(apart, probabilities.argmax(axis=1))

    def distances(self, x: NDArray[np.floating], said: NDArray[np.integer] | None = None) -> NDArray[np.float64]:
        """Compute the distance ``(windows,)`` to the class that each window is said to be, or to the nearest.

        Parameters
        ----------
        x
            ``(windows, channels, length)``.
        said
            ``(windows,)``, indices of classes; of one that has no centre the nearest class counts.
        """
        found = [
            self._session.run([DISTANCE], {INPUT: np.ascontiguousarray(batch, np.float32)})[0] for batch in batches(x)
        ]
        return self._to(np.concatenate(found), said)

    def unknown(self, x: NDArray[np.floating], said: NDArray[np.integer] | None = None) -> NDArray[np.bool_]:
        """Mark the windows ``(windows,)`` that are unlike the class that each is said to be, or unlike all."""
        return ~(self.distances(x, said) <= self.limit)  # nor is it known where it is no number

    def _to(self, apart: NDArray[np.float32], said: NDArray[np.integer] | None) -> NDArray[np.float64]:
        distances = apart[:, :, 0].astype(np.float64)
        own = np.zeros(distances.shape, bool) if said is None else said[:, None] == self._labels
        own |= ~own.any(axis=1, keepdims=True)
        nearest: NDArray[np.float64] = np.where(own, distances, np.inf).min(axis=1)
        return nearest


def measure(model: bytes, windows: NDArray[np.float32], *, health: bool = False) -> Measured:
    """Cost of a model file on this machine, one window at a time, in about half a second.

    ``session_rss_bytes`` is how much the resident memory of this process grew from opening the session and running one
    window. It is 0 where that fitted into memory that the process already held. ``ort_peak_bytes`` is the largest sum
    of bytes that onnxruntime's nodes had requested and not returned. Packed weights are included, the caller's window
    is not.

    Parameters
    ----------
    windows
        ``float32 (windows, channels, length)``, at least one; they are taken in turn.
    health
        Whether it is a health model's.
    """
    if not len(windows):
        raise ValueError("measuring a model needs at least one window")
    before = _resident_bytes()
    session = open_session(model)
    network = HealthDistance(session, float("inf")) if health else Classifier(session)
    _look(network)(windows[:1])
    grown = max(0, _resident_bytes() - before)
    p50, p99 = latency_us(network, windows)
    return Measured(
        ort_peak_bytes=peak_bytes(node_memory(model, windows[:1])),
        session_rss_bytes=grown,
        latency_p50_us=p50,
        latency_p99_us=p99,
        onnx_bytes=len(model),
    )


def latency_us(network: Classifier | HealthDistance, windows: NDArray[np.float32]) -> tuple[float, float]:
    """Median and 99th percentile, in microseconds, of judging one window; windows are taken in turn for 0.4 s."""
    look = _look(network)
    singles = [windows[index : index + 1] for index in range(len(windows))]
    micros: list[float] = []
    started = time.perf_counter_ns()
    for run, window in enumerate(cycle(singles)):
        begin = time.perf_counter_ns()
        look(window)
        end = time.perf_counter_ns()
        if run >= WARM_UP_RUNS:
            micros.append((end - begin) / 1e3)
        if micros and (len(micros) >= MAX_RUNS or end - started > MEASURE_SECONDS * 1e9):
            break
    return round(float(np.percentile(micros, 50)), 1), round(float(np.percentile(micros, 99)), 1)


def node_memory(model: bytes, window: NDArray[np.float32]) -> list[dict[str, Any]]:
    """Run one window and return what the profiler says of each node of the graph that ran, in order.

    The memory pattern optimisation is off: with it one block is requested ahead for all tensors. Of each node
    ``mem_bytes_requested_in_use`` is read after it ran and before its inputs are returned. So consecutive values are
    the liveness of the fused graph, plus a constant (packed weights).
    """
    with tempfile.TemporaryDirectory(prefix="edgetune-profile-") as folder:
        options = _options()
        options.enable_mem_pattern = False
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder, "ort"))
        session = _open(model, options)
        session.run(None, {INPUT: window})
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    return [event["args"] for event in events if event["name"].endswith("_kernel_time")]


def peak_bytes(nodes: list[dict[str, Any]]) -> int:
    """Peak over `node_memory`; where onnxruntime is too old to count, the largest inputs and outputs of a node."""
    return max(
        int(node.get("mem_bytes_requested_in_use") or int(node["activation_size"]) + int(node["output_size"]))
        for node in nodes
    )


def _look(network: Classifier | HealthDistance) -> Callable[[NDArray[np.float32]], object]:
    return network.probabilities if isinstance(network, Classifier) else network.distances


def _options() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = LOG_ERRORS_ONLY
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _open(model: bytes | Path, options: onnxruntime.SessionOptions) -> onnxruntime.InferenceSession:
    source = str(model) if isinstance(model, Path) else model
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def _resident_bytes() -> int:
    import psutil

    return int(psutil.Process().memory_info().rss)
