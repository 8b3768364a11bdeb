"""What can go wrong between a sensor and a window.

SignalError
├── SourceError          a source cannot be opened or read
│   ├── SourceOptionsError   its options are wrong (every problem is named)
│   └── SourceEnded          a finite source has played its last sample
├── RecordingError       a recording or data set cannot be read or written
│   └── QuotaExceededError   the recordings' quota is full
└── BlockError           a sample block is malformed
"""

from __future__ import annotations


class SignalError(Exception):
    """Base of every error of this package; the message says what, where and what to do."""


class SourceError(SignalError):
    """A source cannot be opened or read."""


class SourceOptionsError(SourceError):
    """A source's options are wrong.

    Attributes
    ----------
    problems
        One sentence per wrong option, each starting with the option's name.
    """

    def __init__(self, source: str, problems: list[str]) -> None:
        self.source = source
        self.problems = problems
        super().__init__(f"source {source}: " + "; ".join(problems))


class SourceEnded(SourceError):  # noqa: N818 - the end of a recording is an event, not a failure
    """A finite source has played its last sample."""


class RecordingError(SignalError):
    """A recording or a data set cannot be read or written."""


class QuotaExceededError(RecordingError):
    """The recordings' quota is full."""


class BlockError(SignalError):
    """A sample block is malformed."""
