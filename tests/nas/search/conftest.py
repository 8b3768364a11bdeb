"""Reports are drawn in the process of the test: as the search draws them, without an interpreter for each."""

from __future__ import annotations

import pytest

from edgetune_nas.bundle import report


@pytest.fixture(autouse=True)
def _draw_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "render_apart", report.render_noted)
