"""A search in a process of its own: what to search, and the parent's side of it.

``python -m edgetune_nas.worker.child JOB.json`` is the child; `SearchJob` starts it, follows it and ends it. This
module loads neither torch nor onnx.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pydantic import BaseModel, ConfigDict, PositiveFloat, PositiveInt, model_validator

from edgetune_nas.card import FALSE_ALARMS_PER_MONTH, Budget, Task
from edgetune_nas.search import Goal, SearchProgress
from edgetune_nas.worker.events import MALFORMED, SearchFailed, read_event
from edgetune_signal.files import ReadOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import IO

    from edgetune_nas.worker.events import SearchEvent

JOB_FILE = "job.json"
GRACE_SECONDS = 30.0
"""Time that a child has in each phase between being asked to stop and being killed; exporting is the longest."""
MAX_LOG_LINE = 8192
OOM_FIRST = "1000"


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DataSource(_Model):
    """Where labelled windows come from: one ``path`` (see ``edgetune_signal.datasets``), or recordings to be cut.

    ``reading`` is what a person says of files of other programs.
    """

    path: Path | None = None
    recordings: tuple[Path, ...] = ()
    window: PositiveInt | None = None
    hop: PositiveInt | None = None
    unit: str | None = None
    converter: str | None = None
    reading: ReadOptions = ReadOptions()

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.path is None) == (not self.recordings):
            raise ValueError("give either a path or a list of recordings")
        if self.recordings and self.window is None:
            raise ValueError("recordings need a window length")
        return self


class Job(_Model):
    """A search to be made in a child process.

    Attributes
    ----------
    out
        Folder for the bundle and the journal; a journal in it continues an interrupted search.
    replaced
        Bundle in use, to be compared on the same test windows.
    candidates
        Evaluate at most so many different networks.
    goal
        What the winner must be: the most accurate, the smallest that is accurate enough, quick enough.
    workers
        Processes of this machine that evaluate candidates.
    cluster
        Address of a Dask scheduler, whose workers evaluate them instead.
    mains_hz
        Frequency of the mains, whose hum networks may take off; None where none need.
    false_alarms_per_month
        False alarms that a health model may raise in a month; counts where there is one class alone.
    max_rss_bytes
        Bound of the child's address space beyond what its libraries reserve without using it; None for no bound.
    """

    data: DataSource
    library: DataSource | None = None
    task: Task
    budget: Budget = Budget()
    seed: int = 0
    out: Path
    replaced: Path | None = None
    candidates: PositiveInt | None = None
    goal: Goal = Goal()
    workers: PositiveInt = 1
    cluster: str | None = None
    mains_hz: PositiveFloat | None = None
    max_rss_bytes: PositiveInt | None = None
    false_alarms_per_month: PositiveFloat = FALSE_ALARMS_PER_MONTH


class SearchJob:
    """A search under way in a process group of its own.

    The child dies with the thread that called `start` (so that no search outlives its owner): start it from one that
    lives as long as the search may.
    """

    def __init__(self, process: subprocess.Popen[str], grace: float) -> None:
        self._process, self._grace = process, grace
        self._killer: threading.Timer | None = None
        self._asked_to_stop = False

    @classmethod
    def start(cls, job: Job, *, grace: float = GRACE_SECONDS, log: Callable[[str], object] | None = None) -> SearchJob:
        """Start the child of ``job``.

        Parameters
        ----------
        log
            Called with each line that the child logs, from a thread of its own. None: they go to this process's stderr.
        grace
            Seconds between `cancel` and the kill, anew in each phase that the child enters after `cancel`.

        Raises
        ------
        OSError
            When the output folder cannot be written or no process can be started.
        """
        job.out.mkdir(parents=True, exist_ok=True)
        path = job.out / JOB_FILE
        path.write_text(job.model_dump_json(indent=2) + "\n", encoding="utf-8")
        command = [sys.executable, "-m", "edgetune_nas.worker.child", str(path), "--parent", str(os.getpid())]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "ORT_DISABLE_TELEMETRY": "1", "PYTHONUNBUFFERED": "1"}
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=None if log is None else subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="backslashreplace",
            env=environment,
            start_new_session=True,
        )
        # where memory runs out, the kernel shall end the child and not the node, also while the child still starts
        with suppress(OSError):  # not on every system
            Path(f"/proc/{process.pid}/oom_score_adj").write_text(OOM_FIRST)
        if log is not None and process.stderr is not None:
            threading.Thread(target=_relay, args=(process.stderr, log), name="search-log", daemon=True).start()
        return cls(process, grace)

    @property
    def pid(self) -> int:
        """Process id of the child, which is its group's id too."""
        return self._process.pid

    def events(self) -> Iterator[SearchEvent]:
        """Yield the child's events as they come; the last one is ``done`` or ``failed``, however the child ended.

        A child that prints a malformed event is killed; that event is its failure.
        """
        stream = self._process.stdout
        if stream is None:
            raise AssertionError("the child's output is a pipe")
        last: SearchEvent | None = None
        with stream:
            for line in stream:
                event = read_event(line)
                if event is None:
                    continue
                if isinstance(event, SearchFailed) and event.error == MALFORMED:
                    self.kill()
                    self._process.wait()
                self._renew_grace(last, event)
                last = event
                yield event
                if not isinstance(event, SearchProgress):
                    break
        returncode = self._process.wait()
        if self._killer is not None:
            self._killer.cancel()
        if last is None or isinstance(last, SearchProgress):
            yield _ended(returncode, asked=self._asked_to_stop)

    def poll(self) -> int | None:
        """Return the exit code (negative: the signal that killed it), or None while it runs."""
        return self._process.poll()

    def cancel(self) -> None:
        """Ask the child to stop and keep the best network so far; kill its group if it does not within the grace."""
        if self._asked_to_stop:
            return
        self._asked_to_stop = True
        self._signal(signal.SIGTERM)
        self._arm_killer()

    def _arm_killer(self) -> None:
        self._killer = threading.Timer(self._grace, self.kill)
        self._killer.daemon = True
        self._killer.start()

    def _renew_grace(self, last: SearchEvent | None, event: SearchEvent) -> None:
        killer = self._killer
        phases = [each.phase if isinstance(each, SearchProgress) else None for each in (last, event)]
        if killer is not None and phases[0] != phases[1]:
            killer.cancel()
            self._arm_killer()

    def kill(self) -> None:
        """End the whole group at once; the journal lets the search be continued."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, number)


def _relay(stream: IO[str], log: Callable[[str], object]) -> None:
    with stream:
        while line := stream.readline(MAX_LOG_LINE):
            log(line.rstrip("\n"))


def _ended(returncode: int, *, asked: bool) -> SearchFailed:
    if returncode < 0:
        name = signal.Signals(-returncode).name
        message = f"the search was ended by {name}" + ("" if asked else "; the system may be short of memory")
        return SearchFailed(error=name, message=message)
    message = f"the search ended with exit code {returncode} and without a result; its log says why"
    return SearchFailed(error="SearchFailed", message=message)
