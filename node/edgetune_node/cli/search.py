"""``edgetune search``: a network for a set of data under budgets, searched in a child process."""

from __future__ import annotations

from edgetune_node.cli.evaluate import evaluate
from edgetune_node.cli.report import report

__all__ = ["evaluate", "report"]
