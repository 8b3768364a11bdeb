"""Biosignal boards that BrainFlow knows (OpenBCI, Muse, g.tec and others)."""

from __future__ import annotations

import threading
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from edgetune_signal.errors import SourceError
from edgetune_signal.hints import install_hint
from edgetune_signal.options import OptionReader
from edgetune_signal.sources.live import LiveSource, cut_at_gaps
from edgetune_signal.stream import SourceClock

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgetune_signal.sources.base import Source
    from edgetune_signal.sources.live import Piece
    from edgetune_signal.stream import StreamSpec

SIGNALS = {"emg": "uV", "eeg": "uV", "ecg": "uV", "accel": "g"}
"""What a board measures, and the unit in which BrainFlow gives it."""
PRESETS = ("default", "auxiliary", "ancillary")
POLL_S = 0.02
SILENT_S = 5.0
"""BrainFlow says nothing of a board that was switched off."""
BUFFER_SAMPLES = 45_000
PARAMETERS = ("serial_port", "mac_address", "ip_address", "serial_number", "other_info")


class BrainflowDevice:
    """A board.

    Parameters
    ----------
    spec
        What it has to deliver.
    board
        BrainFlow's name of it, such as ``CYTON_BOARD``.
    signal
        Which of its signals.
    preset
        Where several run at several rates, which.
    parameters
        How it is reached.
    clock
        Where the time comes from.
    """

    def __init__(
        self,
        spec: StreamSpec,
        board: str,
        signal: str,
        preset: str,
        parameters: Mapping[str, str],
        clock: SourceClock,
    ) -> None:
        self._spec = spec
        self._name = board
        self._signal = signal
        self._preset_name = preset
        self._parameters = dict(parameters)
        self._clock = clock
        self._woken = threading.Event()
        self._board: Any = None
        self._prepared = False
        self._package: float | None = None
        self._heard_s = 0.0

    def open(self) -> None:
        """Connect and start the stream."""
        board_shim, flow = _brainflow()
        board_id = flow.BoardIds[self._name].value
        self._preset = flow.BrainFlowPresets[f"{self._preset_name.upper()}_PRESET"].value
        parameters = flow.BrainFlowInputParams()
        for name, value in self._parameters.items():
            setattr(parameters, name, value)
        try:
            self._rows, self._counter = self._read_layout(board_shim.get_board_descr(board_id, self._preset))
            self._board = board_shim(board_id, parameters)
            self._board.prepare_session()
            self._prepared = True
            self._board.start_stream(BUFFER_SAMPLES)
        except flow.BrainFlowError as error:
            raise SourceError(
                f"board {self._name} cannot be started: {error}; is it on, and how is it reached?"
            ) from error
        self._package = None
        self._heard_s = self._clock.monotonic()

    def receive(self, timeout_s: float) -> list[Piece]:
        """Return what has come."""
        if self._board is None:
            raise SourceError("the board is not open")
        data = self._board.get_board_data(preset=self._preset)
        if data.shape[1] == 0:
            self._clock.wait(self._woken, min(timeout_s, POLL_S))
            data = self._board.get_board_data(preset=self._preset)
        if data.shape[1] == 0:
            if self._clock.monotonic() - self._heard_s > SILENT_S:
                raise SourceError(f"board {self._name} has sent nothing for {SILENT_S:g} s: is it still on?")
            return []
        self._heard_s = self._clock.monotonic()
        samples = np.ascontiguousarray(data[self._rows], dtype=np.float32)
        return cut_at_gaps(samples, self._gaps(data[self._counter]))

    def wake(self) -> None:
        """Let a waiting `receive` return."""
        self._woken.set()

    def close(self) -> None:
        """Stop and disconnect."""
        board, self._board = self._board, None
        if board is not None and self._prepared:
            self._prepared = False
            board.release_session()

    def _gaps(self, packages: Any) -> list[int]:
        """Return the samples before which others are missing: a packet's number repeats, grows by one or is 0 again."""
        steps = np.diff(packages, prepend=packages[0] if self._package is None else self._package)
        self._package = float(packages[-1])
        return [int(at) for at in np.flatnonzero((steps != 0) & (steps != 1) & (packages != 0))]

    def _read_layout(self, board: Mapping[str, Any]) -> tuple[list[int], int]:
        spec, rows = self._spec, board.get(f"{self._signal}_channels", [])
        if len(rows) < spec.channels:
            signals = ", ".join(f"{len(board[f'{s}_channels'])} {s}" for s in SIGNALS if board.get(f"{s}_channels"))
            raise SourceError(
                f"board {self._name} has {signals or 'no known'} channels in its {self._preset_name} preset, not "
                f"{spec.channels} {self._signal}: set signal or preset of the source, or channels of the asset"
            )
        if board["sampling_rate"] != spec.rate_hz:
            raise SourceError(
                f"board {self._name} gives {board['sampling_rate']} Hz where the asset has {spec.rate_hz:g} Hz: "
                "set rate_hz, or sensor_rate_hz of the source"
            )
        return list(rows[: spec.channels]), int(board["package_num_channel"])


def _brainflow() -> tuple[Any, Any]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its first call imports pkg_resources, which says that it will go
            import brainflow.board_shim as flow

            flow.BoardShim.disable_board_logger()
    except ImportError as error:
        raise SourceError(
            f"source brainflow needs brainflow and an older setuptools: {install_hint('brainflow', pinned=False)}"
        ) from error
    return flow.BoardShim, flow


def open_brainflow(spec: StreamSpec, options: Mapping[str, object]) -> Source:
    """Stream from a board that BrainFlow knows.

    Parameters
    ----------
    spec
        What it has to deliver: ``uV`` for ``emg``, ``eeg`` and ``ecg``, ``g`` for ``accel``.
    options
        ``board`` (BrainFlow's name, ``CYTON_BOARD``), ``signal`` (``emg``), ``preset`` (``default``), and how it is
        reached: ``serial_port``, ``mac_address``, ``ip_address``, ``serial_number``, ``other_info``.

    Raises
    ------
    SourceOptionsError
        Options are wrong; every problem is named.
    SourceError
        BrainFlow is not installed.
    """
    reader = OptionReader("brainflow", options)
    board = reader.text("board", None)
    signal = reader.choice("signal", "emg", tuple(SIGNALS))
    preset = reader.choice("preset", "default", PRESETS)
    given = {name: text for name in PARAMETERS if (text := reader.text(name, None)) is not None}
    if board is None and not reader.given("board"):
        reader.problem("board", "is missing: give BrainFlow's name of it, such as CYTON_BOARD")
    if spec.unit != SIGNALS[signal]:
        reader.problem("unit", f"of {signal} is {SIGNALS[signal]}, not {spec.unit!r}: set unit, or sensor_unit")
    flow = None if reader.problems else _brainflow()[1]
    if flow is not None and board not in flow.BoardIds.__members__:
        reader.problem("board", f"must be one of {', '.join(flow.BoardIds.__members__)}, not {board!r}")
    reader.finish()
    clock = SourceClock()
    device = BrainflowDevice(spec, board or "", signal, preset, given, clock)
    return LiveSource(device, spec, f"brainflow {board}", clock=clock)
