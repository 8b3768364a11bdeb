"""What can go wrong between labelled windows and a bundle.

NasError
├── BudgetError      no network fits the budget; carries the smallest arena that would
├── DataError        the data cannot be searched on (one class, too few windows, not finite)
├── JournalError     a journal belongs to another search, or is damaged beyond its tail
└── BundleError      a bundle is missing, damaged, of a newer format, or does not fit
"""

from __future__ import annotations


class NasError(Exception):
    """Base of every error of this package; the message says what, where and what to do."""


class BudgetError(NasError):
    """No network of the space fits the budget.

    Attributes
    ----------
    limit
        The budget's field that nothing fits: ``ram_bytes``, ``flash_bytes`` or ``macs``; or ``latency_us`` of the goal.
    smallest
        The smallest value of that field that would admit a network.
    """

    def __init__(self, limit: str, asked: int, smallest: int) -> None:
        self.limit = limit
        self.asked = asked
        self.smallest = smallest
        super().__init__(f"no network fits {limit} = {asked}; the smallest that would do is {limit} = {smallest}")


class DataError(NasError):
    """The data cannot be searched on."""


class JournalError(NasError):
    """A journal belongs to another search, or is damaged beyond its tail."""


class BundleError(NasError):
    """A bundle is missing, damaged, of a newer format, or does not fit."""
