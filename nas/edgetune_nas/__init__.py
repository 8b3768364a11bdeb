"""From labelled windows to a model bundle.

The names below load neither torch nor onnx. `edgetune_nas.search.search` is the search, `edgetune_nas.worker.job.SearchJob` a
search in a process of its own; `edgetune_nas.bundle` reads, verifies and evaluates bundles.
"""

from __future__ import annotations

from edgetune_nas.card import Budget, Cost, FrontPoint, Metrics, ModelCard
from edgetune_nas.errors import BudgetError, BundleError, DataError, JournalError, NasError
from edgetune_nas.search.progress import SearchEvent
from edgetune_nas.search.run import SearchResult

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
]
