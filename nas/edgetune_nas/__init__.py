"""From labelled windows to a model bundle.

The names below load neither torch nor onnx. A search in a process of its own is `edgetune_nas.job`; bundles are read,
verified and evaluated by `edgetune_nas.bundle`.
"""

from __future__ import annotations

from edgetune_nas.card import Budget, Cost, Metrics, ModelCard
from edgetune_nas.errors import BudgetError, BundleError, DataError, JournalError, NasError
from edgetune_nas.progress import FrontPoint, SearchEvent
from edgetune_nas.search import SearchResult, search

__all__ = [
    "Budget",
    "BudgetError",
    "BundleError",
    "Cost",
    "DataError",
    "FrontPoint",
    "JournalError",
    "Metrics",
    "ModelCard",
    "NasError",
    "SearchEvent",
    "SearchResult",
    "search",
]
