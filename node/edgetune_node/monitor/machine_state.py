"""Whether a machine runs, from the plant's word and from the signal: what stands still or runs up is not in fault."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgetune_node.config import MachineSection
    from edgetune_node.contract import Context
    from edgetune_signal.stream import Samples

RESUMES_AT = 1.5
"""Times ``min_rms`` that the signal must have to count as running again, so that noise at the limit does not toggle."""
NOT_RUNNING = "not_running"


class MachineState:
    """Knows whether one machine runs.

    Parameters
    ----------
    machine
        The asset's ``[asset.machine]``; without ``min_rpm`` and ``min_rms`` only the plant's ``running`` counts, and a
        ``shaft_rpm`` of 0.
    """

    def __init__(self, machine: MachineSection) -> None:
        self._machine = machine
        self._quiet = False

    def hear(self, samples: Samples) -> None:
        """Decide from a window, ``(channels, n)``: its loudest channel's RMS without the mean counts."""
        least = self._machine.min_rms
        if least is not None:
            self._quiet = float(samples.std(axis=1).max()) < least * (RESUMES_AT if self._quiet else 1.0)

    def pause(self, context: Context) -> str:
        """Return why the machine cannot be judged now; empty while it runs."""
        least = self._machine.min_rpm
        if context.running is False:
            return "the machine does not run (context: running is false)"
        if context.shaft_rpm == 0:
            return "the machine stands still (context: shaft_rpm is 0)"
        if least is not None and context.shaft_rpm is not None and context.shaft_rpm < least:
            return f"the machine stands still or runs up (context: shaft_rpm is under min_rpm, {least:g})"
        if self._quiet:
            return f"the machine stands still (the signal's RMS is under min_rms, {self._machine.min_rms:g})"
        return ""
