"""Where candidates are evaluated beside this process: a pool of processes, or a Dask cluster.

Both are executors for `edgetune_nas.search.search`. ``submit(function, shared, *rest)`` sends ``shared`` (the windows)
to each worker once, however often it comes back.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
import time
from abc import ABC, abstractmethod
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from edgetune_nas.errors import NasError
from edgetune_nas.worker.lifeline import die_with

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CONTINUE = "start the same search again: its journal continues it"


@contextmanager
def evaluators(workers: int, cluster: str | None, log: Callable[[str], object]) -> Iterator[Evaluators | None]:
    """Open what evaluates candidates; None where this process does it alone.

    Parameters
    ----------
    workers
        Processes on this machine.
    cluster
        Address of a Dask scheduler, ``tcp://HOST:8786``; it then evaluates in place of processes of this machine.
    log
        Is told which workers come and go.

    Raises
    ------
    NasError
        When Dask is not installed, no scheduler answers, it has no worker, or other versions run there.
    """
    if cluster is None and workers == 1:
        yield None
        return
    if cluster is None:
        opened: Evaluators = Pool(workers)
    else:
        from edgetune_nas.worker.cluster import Cluster

        opened = Cluster(cluster, log)
    try:
        yield opened
    finally:
        opened.close()


class Evaluators(Executor, ABC):
    """An executor that knows how much faster it is than one process.

    Attributes
    ----------
    workers
        Number of workers, at most.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._lock = threading.Lock()
        self._pending: set[Future[Any]] = set()
        self._busy_s = self._waited_s = self._began = 0.0

    @property
    def speedup(self) -> float | None:
        """Seconds of all evaluations over the seconds that they took together; None before the first."""
        return round(self._busy_s / self._waited_s, 2) if self._waited_s else None

    @abstractmethod
    def close(self) -> None:
        """Let go of the workers."""

    def _open(self) -> Future[Any]:
        """Return a future that counts as pending until it is done."""
        future: Future[Any] = Future()
        with self._lock:
            if not self._pending:
                self._began = time.perf_counter()
            self._pending.add(future)
        future.add_done_callback(self._done)
        return future

    def _done(self, future: Future[Any]) -> None:
        with self._lock:
            self._pending.discard(future)
            if not self._pending:
                self._waited_s += time.perf_counter() - self._began

    def _settle(self, future: Future[Any], timed: tuple[Any, float] | BaseException) -> None:
        """Pass on a result with its seconds, or an error, unless nobody waits for it any more."""
        with self._lock:
            if future.done() or not future.set_running_or_notify_cancel():
                return
            if not isinstance(timed, BaseException):
                self._busy_s += timed[1]
        if isinstance(timed, BaseException):
            future.set_exception(timed)
        else:
            future.set_result(timed[0])


class Pool(Evaluators):
    """Processes on this machine, which end with this one."""

    def __init__(self, workers: int) -> None:
        super().__init__(workers)
        self._folder = TemporaryDirectory(prefix="edgetune-search-")
        self._shared: object = None
        self._pool = ProcessPoolExecutor(
            workers, multiprocessing.get_context("spawn"), initializer=_begin, initargs=(os.getpid(),)
        )

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **options: Any) -> Future[Any]:
        """Evaluate ``function(*arguments)`` in a worker; the first argument is sent once."""
        shared, *rest = arguments
        path = Path(self._folder.name) / "shared.pickle"
        if shared is not self._shared:
            path.write_bytes(pickle.dumps(shared, protocol=5))
            self._shared = shared
        future = self._open()
        try:
            inner = self._pool.submit(_from_file, function, path, path.stat().st_mtime_ns, rest, options)
        except BrokenProcessPool:  # by a worker that ended before
            self._settle(future, _killed())
            return future
        inner.add_done_callback(lambda done: self._settle(future, _outcome(done)))
        future.add_done_callback(lambda done: self._give_up() if done.cancelled() and not inner.cancel() else None)
        return future

    def close(self) -> None:
        """End the workers; what they are at is lost."""
        self._give_up()
        self._pool.shutdown(wait=True, cancel_futures=True)
        del self._pool  # with its semaphores, of which multiprocessing would warn where the process ends by _exit
        self._folder.cleanup()

    def _give_up(self) -> None:
        """Kill the workers: what they evaluate, nobody waits for."""
        for process in list((self._pool._processes or {}).values()):  # noqa: SLF001 - 3.14 has kill_workers
            process.kill()


def _outcome(done: Future[tuple[Any, float]]) -> tuple[Any, float] | BaseException:
    if done.cancelled():
        return NasError("an evaluation was cancelled")
    error = done.exception()
    if isinstance(error, BrokenProcessPool):
        return _killed()
    return error or done.result()


def _killed() -> NasError:
    return NasError(
        "a worker process of the search was killed, perhaps for want of memory; "
        f"{CONTINUE}, with fewer --workers where memory is short"
    )


def _begin(parent: int) -> None:
    """Prepare a worker process: it ends with its parent, who alone is asked to stop."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    die_with(parent)


def _from_file(
    function: Callable[..., Any], path: Path, written: int, rest: list[Any], options: dict[str, Any]
) -> tuple[Any, float]:
    return timed(function, _read(path, written), rest, options)


@lru_cache(maxsize=1)
def _read(path: Path, written: int) -> Any:
    """Read what all evaluations share; ``written`` tells one from the next."""
    del written
    return pickle.loads(path.read_bytes())  # noqa: S301 - this search's own parent wrote it


def timed(function: Callable[..., Any], shared: Any, rest: list[Any], options: dict[str, Any]) -> tuple[Any, float]:
    """Return the result of a function and the seconds it took."""
    began = time.perf_counter()
    return function(shared, *rest, **options), time.perf_counter() - began
