"""Where candidates are evaluated changes nothing: here, in a pool of processes, on a cluster that loses a worker."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

import pytest
from searches_elsewhere import alone, in_cluster, in_cluster_that_loses_a_worker, in_fresh_process, in_pool

if TYPE_CHECKING:
    from pathlib import Path

    from edgetune_nas.search.run import SearchResult

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed"),
]


def _essence(result: SearchResult) -> tuple[Any, ...]:
    """Return a search's outcome without what was measured.

    The metrics are those of the precision that ran faster, so they may differ; the networks of both may not.
    """
    card = result.card
    files = {name: value for name, value in card.sha256.items() if name != "report.html"}
    assert {"model.onnx", "model.int8.onnx"} <= files.keys()
    assert card.distance == "graph" or "novelty.npz" in files
    return card.layers, card.cost.arena_bytes, files, card.search.validation_accuracy, result.front


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, ...]:
    """What the search finds in one process."""
    result = in_fresh_process(alone, tmp_path_factory.mktemp("here"))
    assert result.card.search.trained > 0
    return _essence(result)


def test_a_pool_of_processes_finds_the_same(tmp_path: Path, here: tuple[Any, ...]) -> None:
    assert _essence(in_fresh_process(in_pool, tmp_path)) == here


@pytest.mark.parametrize("searching", [in_cluster, in_cluster_that_loses_a_worker])
def test_a_dask_cluster_finds_the_same(searching: Any, tmp_path: Path, here: tuple[Any, ...]) -> None:
    pytest.importorskip("distributed", reason="distributed is not installed (edgetune[cluster])")
    assert _essence(in_fresh_process(searching, tmp_path)) == here
