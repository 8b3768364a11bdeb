from .card import Budget as Budget, Cost as Cost, FrontPoint as FrontPoint, Metrics as Metrics, ModelCard as ModelCard
from .errors import (
    BudgetError as BudgetError,
    BundleError as BundleError,
    DataError as DataError,
    JournalError as JournalError,
    NasError as NasError,
)
from .search import SearchProgress as SearchProgress, SearchResult as SearchResult
from .worker import SearchEvent as SearchEvent
