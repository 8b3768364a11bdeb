"""The journal: what a power cut may do to it, and that an interrupted search ends like an unbroken one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from edgetune_nas.card import Budget
from edgetune_nas.errors import JournalError
from edgetune_nas.model.layers import Network
from edgetune_nas.search.engine import Engine
from edgetune_nas.search.journal import Journal
from edgetune_nas.search.loop import Exploration
from edgetune_nas.search.progress import Monitor
from edgetune_nas.training.candidate import Candidate, Result, Scored
from edgetune_nas.training.evaluation import EvaluatedCandidate, Problem
from edgetune_nas.training.task_profile import FAULT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HEADER = {"fingerprint": "abc", "seed": 0}
NOTHING = Network((1, 512), (), ())


class PowerCutError(Exception):
    """Ends a search where the test says."""


def _problem() -> Problem:
    x, y = np.zeros((8, 1, 512), np.float32), np.array([0, 1, 0, 1, 0, 1, 0, 1])
    return Problem(FAULT, 2, x, y, 4, y[4:])


def _stub(_problem: Problem, candidate: Candidate, _stop: Callable[[], bool]) -> EvaluatedCandidate:
    """A stand-in for training: depends on the candidate and its seed alone."""
    score = float(np.random.default_rng(candidate.seed).normal(candidate.cost.parameters / 1e4, 0.05))
    return EvaluatedCandidate(
        Result(candidate.number, round(score, 2), score, 1.0, 0.01, right=(round(score, 2), None)), NOTHING
    )


def _search(path: Path, *, cut_after: int | None = None) -> tuple[Scored | None, list[Scored]]:
    """Search with the stub trainer, `PowerCutError` after so many evaluations."""
    done = 0

    def evaluate(problem: Problem, candidate: Candidate, stop: Callable[[], bool]) -> EvaluatedCandidate:
        nonlocal done
        if done == cut_after:
            raise PowerCutError
        done += 1
        return _stub(problem, candidate, stop)

    engine = Engine((1, 512), 2, Budget(ram_bytes=1500), profile=FAULT, seed=3, limit=34)
    monitor = Monitor(3600, spent=0, on_event=lambda _: None, cancelled=lambda: False, clock=lambda: 0.0)
    with Journal(path, HEADER) as journal:
        Exploration(engine, _problem(), journal, monitor, evaluate=evaluate, load=lambda _: None).run()
    return engine.best, engine.scored


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, Scored | None, list[Scored]]:
    """Journal, best and results of a search that nothing interrupted."""
    path = tmp_path_factory.mktemp("unbroken") / "journal.jsonl"
    best, scored = _search(path)
    assert len(scored) > 30
    return path.read_bytes(), best, scored


def _timeless(data: bytes) -> list[Any]:
    return [{**json.loads(line), "elapsed": 0} for line in data.splitlines()]


@pytest.mark.slow
def test_a_search_cut_after_any_result_ends_like_an_unbroken_one(
    tmp_path: Path, unbroken: tuple[bytes, Scored | None, list[Scored]]
) -> None:
    data, best, scored = unbroken
    for results in range(len(scored)):
        path = tmp_path / f"{results}.jsonl"
        with pytest.raises(PowerCutError):
            _search(path, cut_after=results)
        assert len(path.read_bytes().splitlines()) == 1 + results
        assert _search(path) == (best, scored)
        assert path.read_bytes() == data


@pytest.mark.slow
def test_a_journal_cut_at_any_byte_is_resumed_to_the_same_end(
    tmp_path: Path, unbroken: tuple[bytes, Scored | None, list[Scored]]
) -> None:
    data, best, scored = unbroken
    path = tmp_path / "journal.jsonl"
    cuts = [*range(0, 60, 7), *range(60, len(data), 1499), *range(len(data) - 4, len(data) + 1)]
    for cut in cuts:
        path.write_bytes(data[:cut])
        assert _search(path) == (best, scored)
        assert path.read_bytes() == data


def test_nothing_is_evaluated_twice(tmp_path: Path, unbroken: tuple[bytes, Scored | None, list[Scored]]) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(unbroken[0])
    assert _search(path, cut_after=0) == unbroken[1:]


@pytest.mark.parametrize(
    "tail", [b"\x00" * 700, b'{"number": 3, "acc', b"{}garbage\n", b"\xff\xfe\n", b"[" * 100_000 + b"\n"]
)
def test_a_torn_tail_is_cut_off(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path, HEADER) as journal:
        journal.append({"number": 1})
    whole = path.read_bytes()
    path.write_bytes(whole + tail)
    with Journal(path, HEADER) as journal:
        assert journal.records == [{"number": 1}]
        journal.append({"number": 2})
    assert path.read_bytes() == whole + b'{"number":2}\n'


def test_damage_before_the_last_line_is_refused_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path, HEADER) as journal:
        journal.append({"number": 1})
        journal.append({"number": 2})
    path.write_bytes(path.read_bytes().replace(b'{"number":1}', b'{"num\x00er":1}'))
    with pytest.raises(JournalError, match="line 2 is damaged"):
        Journal(path, HEADER)


def test_a_journal_of_another_search_is_refused_naming_what_differs(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    Journal(path, HEADER).close()
    before = path.read_bytes()
    with pytest.raises(JournalError, match="seed is 0, now 7") as caught:
        Journal(path, {**HEADER, "seed": 7})
    assert "fingerprint" not in str(caught.value)
    with pytest.raises(JournalError, match=r"fingerprint is 'abc', now 'xyz'; .*budget"):
        Journal(path, {"fingerprint": "xyz", "seed": 0, "budget": {"ram_bytes": 1}})
    assert path.read_bytes() == before


def test_records_of_other_candidates_are_refused(
    tmp_path: Path, unbroken: tuple[bytes, Scored | None, list[Scored]]
) -> None:
    path = tmp_path / "journal.jsonl"
    lines = unbroken[0].splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], *lines[2:]]))
    with pytest.raises(JournalError, match="candidate 1 of this search is not the journal's"):
        _search(path)


def test_each_record_is_on_disk_when_append_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal.jsonl"
    synced: list[bytes] = []
    with Journal(path, HEADER) as journal:
        monkeypatch.setattr("edgetune_nas.search.journal.os.fsync", lambda _: synced.append(path.read_bytes()))
        journal.append({"number": 1})
        assert synced == [path.read_bytes()]
        assert synced[0].endswith(b'{"number":1}\n')


WHOLE = b'{"journal":1,"fingerprint":"abc","seed":0}\n{"number":0,"score":0.5}\n{"number":1,"score":0.25}\n'


@given(st.data())
@settings(max_examples=150)
def test_whatever_a_file_holds_is_read_cut_off_or_refused_and_can_be_gone_on_with(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("damage") / "journal.jsonl"
    content = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(0, 3))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place : place + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
        content = content or bytearray(b" ")
    before = bytes(data.draw(st.one_of(st.just(bytes(content)), st.binary(max_size=200))))
    path.write_bytes(before)
    try:
        with Journal(path, HEADER) as journal:
            found = list(journal.records)
            journal.append({"more": 1})
    except JournalError as error:
        assert str(path) in str(error)  # noqa: PT017 - damage may fall where it makes no difference
        assert path.read_bytes() == before
    else:
        with Journal(path, HEADER) as again:
            assert repr(again.records) == repr([*found, {"more": 1}])  # a NaN equals nothing
