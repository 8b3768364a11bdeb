"""Sum up at the end of a run what the tests of each folder took, those of xdist's workers as well."""

from __future__ import annotations

from collections import Counter
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest
    from _pytest.terminal import TerminalReporter


class Durations:
    """Adds up the set-up, the call and the tear-down of every test under the folder of its file."""

    def __init__(self) -> None:
        self._seconds: Counter[str] = Counter()
        self._tests: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        folder = str(PurePosixPath(report.nodeid.split("::")[0]).parent)
        self._seconds[folder] += report.duration  # type: ignore[assignment]
        self._tests[folder] += report.when == "call"

    def pytest_terminal_summary(self, terminalreporter: TerminalReporter) -> None:
        if len(self._seconds) < 2:
            return
        terminalreporter.section("seconds by folder")
        for folder, seconds in self._seconds.most_common():
            terminalreporter.write_line(f"{seconds:8.1f} s {self._tests[folder]:5} tests  {folder}")
