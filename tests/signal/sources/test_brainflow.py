"""BrainFlow's boards, of which the synthetic one is on every machine."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgetune_signal import SourceError, SourceOptionsError, StreamSpec, open_source
from edgetune_signal.sources import brainflow
from edgetune_signal.sources.brainflow import BrainflowDevice, _brainflow
from edgetune_signal.sources.conformance import CHECKS, read_chunk
from edgetune_signal.stream.clock import SourceClock

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgetune_signal import Source

try:
    _brainflow()
except SourceError as missing:
    pytest.skip(str(missing), allow_module_level=True)

SPEC = StreamSpec(8, 250.0, "uV")
SYNTHETIC = {"board": "SYNTHETIC_BOARD"}


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(brainflow, "SILENT_S", 60.0)  # for a machine on which the board's thread has to wait


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_brainflow_keeps_the_contract(check: Callable[[Callable[[], Source]], None]) -> None:
    check(lambda: open_source("brainflow", SPEC, SYNTHETIC))


def test_signals_are_chosen_by_name() -> None:
    with closing(open_source("brainflow", StreamSpec(3, 250.0, "g"), SYNTHETIC | {"signal": "accel"})) as source:
        chunk = read_chunk(source)
    assert chunk.samples.shape[0] == 3
    assert np.abs(chunk.samples).max() < 10


def test_lost_packets_are_gaps() -> None:
    device = BrainflowDevice(SPEC, "SYNTHETIC_BOARD", "emg", "default", {}, SourceClock())
    assert device._gaps(np.array([7.0, 8.0, 8.0, 9.0, 255.0, 0.0])) == [4]
    assert device._gaps(np.array([1.0, 2.0])) == []
    assert device._gaps(np.array([5.0, 6.0])) == [0]


@pytest.mark.parametrize(
    ("spec", "options", "message"),
    [
        (StreamSpec(8, 200.0, "uV"), {}, "gives 250 Hz where the asset has 200 Hz: set rate_hz, or sensor_rate_hz"),
        (StreamSpec(4, 250.0, "g"), {"signal": "accel"}, "16 emg, 16 eeg, 16 ecg, 3 accel channels .* not 4 accel"),
        (SPEC, {"board": "CYTON_BOARD", "serial_port": "/dev/nowhere"}, "CYTON_BOARD cannot be started: .*reached"),
    ],
)
def test_a_board_that_does_not_fit_is_refused_with_what_to_do(
    spec: StreamSpec, options: dict[str, Any], message: str
) -> None:
    with (
        closing(open_source("brainflow", spec, SYNTHETIC | options)) as source,
        pytest.raises(SourceError, match=message),
    ):
        source.read(0.0)


@pytest.mark.parametrize(
    ("spec", "options", "names"),
    [
        (SPEC, {}, {"board"}),
        (SPEC, {"board": "TOASTER"}, {"board"}),
        (
            StreamSpec(8, 250.0, "g"),
            {"board": 3, "signal": "ppg", "preset": "x"},
            {"board", "signal", "preset", "unit"},
        ),
    ],
)
def test_all_wrong_options_are_named(spec: StreamSpec, options: dict[str, Any], names: set[str]) -> None:
    with pytest.raises(SourceOptionsError) as caught:
        open_source("brainflow", spec, options)
    assert {problem.split()[0] for problem in caught.value.problems} == names
