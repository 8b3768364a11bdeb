"""What can go wrong in the demo."""

from __future__ import annotations

from edgetune_node.errors import NodeError


class DemoError(NodeError):
    """A step of the demo did not happen.

    Attributes
    ----------
    step
        What should have happened.
    log_tail
        Last lines of the log of the process that should have done it; empty where there is none.
    """

    def __init__(self, step: str, reason: str, log_tail: str = "") -> None:
        self.step = step
        self.reason = reason
        self.log_tail = log_tail
        tail = f"\n--- last lines of its log ---\n{log_tail}" if log_tail else ""
        super().__init__(f"the demo expects that {step}, but {reason}{tail}")
