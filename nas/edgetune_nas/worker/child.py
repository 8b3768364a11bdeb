"""The child process of a search: limits itself, reads the data, prints one JSON event a line."""

from __future__ import annotations

import argparse
import os
import resource
import signal
import sys
import time
import traceback
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from pydantic import ValidationError

from edgetune_nas import standard_streams
from edgetune_nas.errors import NasError
from edgetune_nas.usage import peak_rss_bytes
from edgetune_nas.worker.evaluators import evaluators
from edgetune_nas.worker.events import SearchDone, SearchFailed, event_line, list_problems
from edgetune_nas.worker.job import DataSource, Job
from edgetune_nas.worker.lifeline import die_with

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edgetune_nas.worker.events import SearchEvent
    from edgetune_signal.datasets import Dataset

NICENESS = 10
LIBRARY_ADDRESS_SPACE = 2 << 30
"""Address space that torch and onnxruntime reserve, most of it never touched."""


class _Cancelled:
    """Whether SIGTERM or SIGINT has come."""

    def __init__(self) -> None:
        self.asked = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask)

    def _ask(self, _number: int, _frame: object) -> None:
        self.asked = True

    def __call__(self) -> bool:
        return self.asked


def main(arguments: Sequence[str]) -> int:
    """Run the job of a JSON file; 0 when a bundle was written, else 1. Events go to stdout, all else to stderr."""
    standard_streams.mend()
    parser = argparse.ArgumentParser(prog="python -m edgetune_nas.worker.child", description="Run a search job.")
    parser.add_argument("job", type=Path)
    parser.add_argument("--parent", type=int, help="process to die with")
    options = parser.parse_args(arguments)
    cancelled = _Cancelled()
    with _events_only_stdout() as events:
        if options.parent is not None:
            die_with(options.parent)
        return _report(options.job, cancelled, events)


def _report(path: Path, cancelled: _Cancelled, events: TextIO) -> int:
    """Run the job and say how it ended; this is the process's edge, so whatever went wrong becomes an event."""
    try:
        done = _run(path, cancelled, events)
    except ValidationError as error:
        _say(events, SearchFailed(error="JobError", message=f"{path}: {list_problems(error)}"))
    except MemoryError:
        message = "the search needs more memory than max_rss_bytes allows; allow more, or give it fewer windows"
        _say(events, SearchFailed(error="MemoryError", message=message))
    except Exception as error:  # noqa: BLE001 - reported to the parent, with the traceback in the log
        if not _is_users_mistake(error):
            traceback.print_exc()
        _say(events, SearchFailed.of(error))
    else:
        _say(events, done)
        return 0
    return 1


def _run(path: Path, cancelled: _Cancelled, events: TextIO) -> SearchDone:
    began = time.monotonic()
    job = Job.model_validate_json(path.read_bytes())
    _limit(job.max_rss_bytes)
    from edgetune_nas.search import search

    alone = job.task == "fault"  # of health alone there is a model, of one sign alone there is none

    def library() -> Dataset | None:
        found = None if job.library is None else load(job.library, one_class=alone, by_person=True)
        if cancelled():
            raise NasError("the search was cancelled before it began")
        return found

    with evaluators(job.workers, job.cluster, _log) as executor:
        result = search(
            load(job.data, one_class=alone),  # no name here, so that the search can let go of what it has copied
            task=job.task,
            budget=job.budget,
            out=job.out,
            seed=job.seed,
            library=library(),
            replaced=job.replaced,
            on_event=lambda event: _say(events, event),
            cancelled=cancelled,
            candidates=job.candidates,
            executor=executor,
            goal=job.goal,
            mains_hz=job.mains_hz,
            spent_seconds=time.monotonic() - began,
            spent_cpu_seconds=time.process_time(),
            false_alarms_per_month=job.false_alarms_per_month,
        )
        workers, speedup = (1, None) if executor is None else (executor.workers, executor.speedup)
    return SearchDone(
        bundle=result.bundle,
        card=result.card,
        seconds=round(time.monotonic() - began, 3),
        cpu_seconds=round(time.process_time(), 3),
        peak_rss_bytes=peak_rss_bytes(),
        workers=workers,
        speedup=speedup,
    )


def _log(line: str) -> None:
    sys.stderr.write(f"edgetune: {line}\n")


def load(source: DataSource, *, one_class: bool = False, by_person: bool = False) -> Dataset:
    """Read the windows of a source.

    Parameters
    ----------
    one_class
        Whether one class alone will do.
    by_person
        Whether recordings of different people are different conditions, as they are in a library.

    Raises
    ------
    edgetune_signal.errors.RecordingError
        When they cannot be read.
    """
    from edgetune_signal.datasets import load_dataset, recordings_dataset
    from edgetune_signal.recordings import read_recording

    if source.path is not None:
        return load_dataset(
            source.path,
            window=source.window,
            hop=source.hop,
            unit=source.unit,
            converter=source.converter,
            one_class=one_class,
            reading=source.reading,
        )
    if source.window is None:
        raise AssertionError("Source has checked that recordings have a window")
    recordings = (read_recording(path) for path in source.recordings)
    if by_person:
        recordings = (replace(one, condition=f"{one.subject} {one.condition}".strip()) for one in recordings)
    return recordings_dataset(recordings, source.window, source.hop or source.window, one_class=one_class)


def _is_users_mistake(error: Exception) -> bool:
    from edgetune_signal.errors import SignalError

    return isinstance(error, NasError | SignalError | OSError)


def _say(events: TextIO, event: SearchEvent) -> None:
    events.write(event_line(event) + "\n")
    events.flush()


def _limit(max_rss_bytes: int | None) -> None:
    """Yield way to the node, use one thread, and bound the address space."""
    os.nice(NICENESS)
    os.environ["OMP_NUM_THREADS"] = "1"
    if max_rss_bytes is not None:
        bound = max_rss_bytes + LIBRARY_ADDRESS_SPACE
        resource.setrlimit(resource.RLIMIT_AS, (bound, bound))


@contextmanager
def _events_only_stdout() -> Iterator[TextIO]:
    """Keep the real stdout for events; whatever any library prints goes to stderr."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as events:
        os.dup2(2, 1)
        with redirect_stdout(sys.stderr):
            yield events


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stderr.flush()
    os._exit(code)  # everything is written and closed; unloading torch would take another second
