"""Candidates are evaluated by other processes and machines; whatever is lost there is named."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from edgetune_nas.errors import NasError
from edgetune_nas.worker import cluster as cluster_module
from edgetune_nas.worker.evaluators import Evaluators, Pool, evaluators
from edgetune_signal import install_hint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DEADLINE_S = 90
needs_dask = pytest.mark.skipif(importlib.util.find_spec("distributed") is None, reason="edgetune[cluster]")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # what Dask deprecates is not ours to mend


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker may take long to start on a busy machine."""
    monkeypatch.setattr(cluster_module, "CONNECT_S", float(DEADLINE_S))


def total(shared: list[int], factor: int) -> tuple[int, int]:
    return sum(shared) * factor, os.getpid()


def fail(_shared: object) -> None:
    raise ValueError("no such network")


def end_yourself(_shared: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def take_long(_shared: object) -> None:
    time.sleep(600)  # ended by what is tested


def take_long_once(_shared: object, begun: Path) -> int:
    """Never end in the first process that is asked, which leaves its number; return that of the next."""
    if not begun.exists():
        written = begun.with_suffix(".new")
        written.write_text(str(os.getpid()))
        written.rename(begun)
        take_long(_shared)
    return os.getpid()


def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def command_of(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:  # another child, which has ended just now
        return ""


def gone(pid: int) -> bool:
    """Whether a process has ended, waited for or not."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def check_results(opened: Evaluators, outside: set[int]) -> None:
    shared = [1, 2, 3]
    futures = [opened.submit(total, shared, factor) for factor in range(6)]
    results = [future.result(DEADLINE_S) for future in futures]
    assert [value for value, _ in results] == [0, 6, 12, 18, 24, 30]
    assert not {pid for _, pid in results} & outside
    assert opened.submit(total, [5], 1).result(DEADLINE_S)[0] == 5  # something else to share
    with pytest.raises(ValueError, match="no such network"):
        opened.submit(fail, shared).result(DEADLINE_S)
    assert opened.speedup is not None


def test_one_worker_is_this_process_alone() -> None:
    with evaluators(1, None, print) as opened:
        assert opened is None


def test_a_pool_evaluates_in_processes_that_end_with_it() -> None:
    with evaluators(2, None, print) as opened:
        assert opened is not None
        assert opened.workers == 2
        check_results(opened, {os.getpid()})
        workers = [each.pid for each in psutil.Process().children() if "spawn_main" in command_of(each)]
        assert workers
    until(lambda: all(map(gone, workers)))


def test_a_worker_of_a_pool_that_is_killed_is_named() -> None:
    with evaluators(2, None, print) as opened:
        assert opened is not None
        future = opened.submit(end_yourself, ())
        with pytest.raises(NasError, match=r"a worker process of the search was killed.*its journal continues it"):
            future.result(DEADLINE_S)
        with pytest.raises(NasError, match="was killed"):
            opened.submit(total, [1], 1).result(DEADLINE_S)


def test_what_nobody_waits_for_any_more_is_ended(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    pool = Pool(1)
    future = pool.submit(take_long_once, (), begun)
    until(begun.exists)
    process = int(begun.read_text())
    assert future.cancel()
    until(lambda: gone(process))
    pool.close()


def test_workers_end_with_a_search_that_is_killed(tmp_path: Path) -> None:
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); import test_evaluators as t\n"
        "if __name__ == '__main__':\n    p = t.Pool(1); f = p.submit(t.total, [1], 1)\n"
        "    print(f.result()[1], flush=True); p.submit(t.take_long, ()).result()\n"
    )
    (tmp_path / "search.py").write_text(script)
    command = [sys.executable, str(tmp_path / "search.py"), str(Path(__file__).parent)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as search:
        assert search.stdout is not None
        worker = int(search.stdout.readline())
        search.kill()
    until(lambda: gone(worker))


# ---- Dask ------------------------------------------------------------------------------------------------------


class Processes:
    """A scheduler and its workers, each a process."""

    def __init__(self, folder: Path) -> None:
        from brokers import free_port  # here, for workers load this file without the tests' helpers

        port = free_port()  # not one of those that the system may give to another while this one starts
        self.address = f"tcp://127.0.0.1:{port}"
        self._folder = folder
        self.started: list[subprocess.Popen[bytes]] = []
        self.scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", str(port))

    def worker(self, cwd: Path | None = None, **environment: str) -> subprocess.Popen[bytes]:
        options = ("--nthreads", "1", "--no-nanny", "--local-directory", str(self._folder / str(len(self.started))))
        return self._start("worker", self.address, *options, cwd=cwd, **environment)

    def _start(self, *arguments: str, cwd: Path | None = None, **environment: str) -> subprocess.Popen[bytes]:
        paths = os.pathsep.join([environment.pop("PYTHONPATH", ""), str(Path(__file__).parent)])
        env = {**os.environ, "OMP_NUM_THREADS": "1", **environment, "PYTHONPATH": paths.strip(os.pathsep)}
        with (self._folder / f"log-{len(self.started)}").open("wb") as log:
            command = [sys.executable, "-m", "dask", *arguments, "--no-dashboard"]
            self.started.append(subprocess.Popen(command, stdout=log, stderr=log, env=env, cwd=cwd))
        return self.started[-1]


@contextmanager
def processes(folder: Path) -> Iterator[Processes]:
    made = Processes(folder)
    try:
        until(lambda: b"Scheduler at" in (folder / "log-0").read_bytes())
        yield made
    finally:
        for process in made.started:
            process.kill()
            process.wait()


def joined(made: Processes, workers: int, log: Callable[[str], object] = print) -> Any:
    """Connect once all workers are there."""
    opened = cluster_module.Cluster(made.address, log)
    until(lambda: len(opened._present()) == workers)
    return opened


@needs_dask
def test_a_cluster_evaluates_and_goes_on_where_a_worker_is_lost(tmp_path: Path) -> None:
    said: list[str] = []
    with processes(tmp_path) as made:
        workers = [made.worker(), made.worker()]
        opened = joined(made, 2, said.append)
        check_results(opened, {os.getpid()})
        until(lambda: len(opened._known) == 2)
        workers[0].kill()
        until(lambda: any("was lost; its candidates are evaluated by others" in line for line in said))
        assert opened.submit(total, [1, 2], 2).result(DEADLINE_S) == (6, workers[1].pid)
        opened.close()


@needs_dask
def test_what_a_lost_worker_was_evaluating_alone_is_evaluated_by_another(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    with processes(tmp_path) as made:
        workers = {worker.pid: worker for worker in (made.worker(), made.worker())}
        opened = joined(made, 2)
        future = opened.submit(take_long_once, [1], begun)
        until(begun.exists)
        places = opened._client.who_has
        until(lambda: [len(held) for held in places([opened._sent]).values()] == [1])  # the idle one's copy is dropped
        lost = workers.pop(int(begun.read_text()))
        lost.kill()
        assert future.result(DEADLINE_S) in workers
        opened.close()


@needs_dask
def test_a_lost_scheduler_is_named(tmp_path: Path) -> None:
    with processes(tmp_path) as made:
        made.worker()
        opened = joined(made, 1)
        future = opened.submit(take_long, ())
        made.scheduler.kill()
        with pytest.raises(NasError, match=rf"the scheduler at {made.address} was lost"):
            future.result(DEADLINE_S)
        opened.close()


@needs_dask
def test_a_cluster_without_workers_or_without_a_scheduler_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_module, "CONNECT_S", 15.0)  # of which the connection alone takes some
    monkeypatch.setattr(cluster_module, "WITHOUT_WORKER_S", 2.0)
    with processes(tmp_path) as made:
        with pytest.raises(NasError, match=r"has no worker; start one on each machine: dask worker tcp://"):
            cluster_module.Cluster(made.address, print)
        worker = made.worker()
        monkeypatch.setattr(cluster_module, "CONNECT_S", 60.0)
        opened = joined(made, 1)
        worker.kill()
        until(lambda: not opened._present())
        with pytest.raises(NasError, match=r"has lost all its workers; start some"):
            opened.submit(total, [1], 1).result(DEADLINE_S)
        opened.close()
    monkeypatch.setattr(cluster_module, "CONNECT_S", 2.0)
    with pytest.raises(NasError, match=r"no Dask scheduler answers at tcp://.*start one there: dask scheduler"):
        cluster_module.Cluster(made.address, print)


@needs_dask
def test_another_version_on_a_worker_is_named(tmp_path: Path) -> None:
    other = tmp_path / "other" / "edgetune-0.0.1.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: edgetune\nVersion: 0.0.1\n")
    with processes(tmp_path) as made:
        made.worker(tmp_path, PYTHONPATH=str(other.parent))  # in the checkout it would find that version first
        with pytest.raises(
            NasError, match=r"worker tcp://.* has edgetune 0\.0\.1 \(here .*\); install the same versions"
        ):
            cluster_module.Cluster(made.address, print)


def test_a_cluster_without_dask_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(NasError, match=re.escape(install_hint("cluster"))):
        cluster_module.Cluster("tcp://127.0.0.1:1", print)
