"""Evaluates candidates on a Dask cluster, and names what goes wrong there."""

from __future__ import annotations

import platform
import threading
from contextlib import suppress
from functools import partial
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from edgetune_nas.errors import NasError
from edgetune_nas.worker.evaluators import CONTINUE, Evaluators, timed
from edgetune_signal import install_hint

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

CONNECT_S = 10.0
"""Seconds in which a scheduler must answer, and then have a worker."""
LOOK_S = 1.0
WITHOUT_WORKER_S = 30.0
"""Seconds without any worker after which a search fails; a worker that is started again takes some of them."""
RETRIES = 2
"""Times that a candidate is evaluated again where its worker was lost, and the data with it."""
PACKAGES = ("edgetune", "numpy", "scipy", "torch", "distributed")
"""What must be of one version everywhere, for results to be the same everywhere."""


class _DataLostError(NasError):
    """The data were on no other worker than the one that was lost, or the result was."""


class Cluster(Evaluators):
    """Workers of a Dask scheduler.

    Parameters
    ----------
    address
        ``tcp://HOST:PORT``.
    log
        Is told which workers come and go.

    Raises
    ------
    NasError
        When Dask is not installed, no scheduler answers, it has no worker, or other versions run there.
    """

    def __init__(self, address: str, log: Callable[[str], object]) -> None:
        super().__init__(0)
        try:
            connect: Any = import_module("distributed").Client
        except ImportError as error:
            raise NasError(f"a cluster needs Dask; install it with: {install_hint('cluster')}") from error
        try:
            self._client = connect(address, timeout=CONNECT_S, set_as_default=False, name="edgetune-search")
        except (OSError, TimeoutError, ValueError) as error:
            raise NasError(
                f"no Dask scheduler answers at {address} ({error}); start one there: dask scheduler"
            ) from error
        self._address, self._log = address, log
        self._sending = threading.Lock()
        self._shared: object = None
        self._sent: Any = None
        self._ended = threading.Event()
        try:
            self._check()
        except BaseException:
            self.close()
            raise
        self._known = self._present()
        self.workers = len(self._known)
        threading.Thread(target=self._watch, name="cluster-watch", daemon=True).start()

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **options: Any) -> Future[Any]:
        """Evaluate ``function(*arguments)`` on a worker; the first argument is sent once."""
        future = self._open()
        self._evaluate(future, partial(timed, function), arguments, options, RETRIES)
        return future

    def _evaluate(
        self,
        future: Future[Any],
        function: Callable[..., tuple[Any, float]],
        arguments: tuple[Any, ...],
        options: dict[str, Any],
        again: int,
    ) -> None:
        """Evaluate on a worker; ``again`` times anew, and with the data sent anew, where those were lost with it.

        Dask's scheduler drops copies of the data that no worker needs at the moment, however they came there.
        """
        shared, *rest = arguments

        def ended(outcome: tuple[Any, float] | BaseException, data: Any = None) -> None:
            if isinstance(outcome, _DataLostError) and again and not future.done() and not self._ended.is_set():
                self._forget(data)
                self._evaluate(future, function, arguments, options, again - 1)
            else:
                self._settle(future, outcome)

        try:
            data = self._send(shared)
            inner = self._client.submit(function, data, rest, options, pure=False, retries=RETRIES)
        except TimeoutError as error:
            lost = self._lost(str(error))
            self._settle(future, self._without_workers() if isinstance(lost, _DataLostError) else lost)
        except Exception as error:  # noqa: BLE001 - Dask's errors have no base of their own
            self._ended.wait(LOOK_S)  # the scheduler may send data to a worker that has just gone
            ended(self._lost(str(error)))
        else:
            inner.add_done_callback(lambda done: ended(self._outcome(done), data))
            future.add_done_callback(lambda done: inner.cancel() if done.cancelled() else None)

    def _send(self, shared: object) -> Any:
        """Send the data to every worker, unless they were sent before."""
        with self._sending:
            if shared is not self._shared:
                [self._sent] = self._client.scatter([shared], broadcast=True, hash=False, timeout=WITHOUT_WORKER_S)
                self._shared = shared
            return self._sent

    def _forget(self, data: Any) -> None:
        """Let data be sent again that were lost, unless another evaluation has seen to it."""
        with self._sending:
            if self._sent is data:
                self._shared = self._sent = None

    def close(self) -> None:
        """Leave the cluster, which goes on; what it still evaluates for this search is cancelled."""
        self._ended.set()
        with suppress(Exception):  # a cluster that is gone cannot be left
            self._client.close(timeout=LOOK_S)

    def _check(self) -> None:
        """Raise `NasError` unless there are workers, with the versions that run here."""
        try:
            self._client.wait_for_workers(1, timeout=CONNECT_S)
        except TimeoutError as error:
            raise NasError(
                f"the cluster at {self._address} has no worker; start one on each machine: dask worker {self._address}"
            ) from error
        here = pinned_versions()
        found = {"the scheduler": self._scheduler_versions(), **self._client.run(pinned_versions, on_error="return")}
        for place, there in found.items():
            if isinstance(there, BaseException):
                raise NasError(
                    f"worker {place} cannot run edgetune ({there}); install edgetune {here['edgetune']} there"
                ) from there
            other = [
                f"{name} {there[name] or 'missing'} (here {here[name] or 'missing'})"
                for name in here
                if name in there and there[name] != here[name]
            ]
            if other:
                who = place if place == "the scheduler" else f"worker {place}"
                raise NasError(f"{who} of the cluster has {', '.join(other)}; install the same versions everywhere")

    def _scheduler_versions(self) -> dict[str, str | None]:
        """Return the scheduler's version of Dask, which alone it needs."""
        packages = self._client.get_versions()["scheduler"]["packages"]
        return {"distributed": packages.get("distributed")}

    def _present(self) -> set[str]:
        return set(self._client.scheduler_info(n_workers=-1)["workers"])

    def _watch(self) -> None:
        """Report which workers come and go; fail what is pending where none is left for long."""
        without = 0.0
        while not self._ended.wait(LOOK_S):
            if self._client.status != "running":
                continue
            with suppress(Exception):  # the scheduler is just being lost, which the futures say
                present = self._present()
                for gone in sorted(self._known - present):
                    self._log(f"worker {gone} of the cluster was lost; its candidates are evaluated by others")
                for come in sorted(present - self._known):
                    self._log(f"worker {come} has joined the cluster")
                self._known, self.workers = present, max(self.workers, len(present))
                without = 0.0 if present else without + LOOK_S
            if without >= WITHOUT_WORKER_S:
                with self._lock:
                    waiting = list(self._pending)
                for future in waiting:
                    self._settle(future, self._without_workers())

    def _outcome(self, done: Any) -> tuple[Any, float] | BaseException:
        """Return what a Dask future has come to."""
        if done.status == "finished":
            try:
                result: tuple[Any, float] = done.result(timeout=CONNECT_S)
            except Exception as error:  # noqa: BLE001 - the worker that holds it, or the scheduler, is gone
                return self._lost(str(error))
            return result
        if done.status != "error":
            return self._lost(str(done.status))
        raised = done.exception(timeout=CONNECT_S)
        if type(raised).__name__ == "KilledWorker":
            return NasError(
                f"each worker of the cluster at {self._address} that evaluated a certain candidate was lost, perhaps "
                f"for want of memory; {CONTINUE}"
            )
        return raised if isinstance(raised, BaseException) else self._lost(str(raised))

    def _without_workers(self) -> NasError:
        return NasError(f"the cluster at {self._address} has lost all its workers; start some, then {CONTINUE}")

    def _lost(self, reason: str) -> NasError:
        if self._client.status == "running":
            return _DataLostError(
                f"the workers of the cluster at {self._address} that held the data were lost ({reason}); {CONTINUE}"
            )
        return NasError(
            f"the scheduler at {self._address} was lost ({reason}); start it and its workers, then {CONTINUE}"
        )


def pinned_versions() -> dict[str, str | None]:
    """Return the versions here of what must be the same everywhere; None of what is not installed."""
    found: dict[str, str | None] = {"python": ".".join(platform.python_version_tuple()[:2])}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found
