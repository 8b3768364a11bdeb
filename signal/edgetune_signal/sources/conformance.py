"""The checks every `Source` must pass, for this package's sources and for plug-ins.

In a plug-in's tests::

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    def test_my_source_keeps_the_contract(check):
        check(lambda: open_my_source(spec, options))
"""

from __future__ import annotations

import itertools
import queue
import threading
import time
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from edgetune_signal.errors import SourceEnded, SourceError
from edgetune_signal.stream import offset_ns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edgetune_signal.sources.base import Source
    from edgetune_signal.stream import Chunk

    MakeSource = Callable[[], Source]

T = TypeVar("T")

CHUNKS = 5
"""A source under test must deliver this many chunks ..."""
DEADLINE_S = 20.0
"""... within this time; nothing a source does may take longer."""
NO_SUCH_NAME = "no such recording or condition"


def check_chunks_keep_to_the_specification(make: MakeSource) -> None:
    """Check that samples are ``float32 (channels, n)`` with n of at least 1, at the specified rate."""
    with closing(make()) as source:
        for chunk in _chunks(source):
            _demand(chunk.samples.dtype == np.float32, f"samples are {chunk.samples.dtype}, not float32")
            shape = chunk.samples.shape
            _demand(len(shape) == len("cn") and shape[0] == source.spec.channels, f"samples have the shape {shape}")
            _demand(shape[1] >= 1, "a chunk is empty")
            _demand(chunk.rate_hz == source.spec.rate_hz, f"a chunk has {chunk.rate_hz} Hz")


def check_chunks_are_counted_from_zero(make: MakeSource) -> None:
    """Check that sequence numbers count from 0; they jump only together with ``gap``."""
    with closing(make()) as source:
        chunks = _chunks(source)
    _demand(chunks[0].sequence == 0, f"the first chunk has number {chunks[0].sequence}")
    for before, after in itertools.pairwise(chunks):
        step = after.sequence - before.sequence
        _demand(step == 1 or (step > 1 and after.gap), f"chunk {after.sequence} follows {before.sequence}")


def check_time_stamps_follow_the_samples(make: MakeSource) -> None:
    """Check that without a gap a chunk begins when the one before ends, to half a chunk."""
    with closing(make()) as source:
        chunks = _chunks(source)
    for before, after in itertools.pairwise(chunks):
        duration = offset_ns(before.samples.shape[1], before.rate_hz)
        late = after.time_ns - before.time_ns - duration
        _demand(after.gap or abs(late) <= duration / 2 + 1, f"chunk {after.sequence} is {late} ns off")


def check_chunks_own_their_samples(make: MakeSource) -> None:
    """Check that neither reading on nor writing into a chunk changes another."""
    with closing(make()) as source:
        first = read_chunk(source)
        kept = first.samples.copy()
        rest = [read_chunk(source) for _ in range(CHUNKS - 1)]
        _demand(np.array_equal(first.samples, kept, equal_nan=True), "an earlier chunk changed while reading on")
        shared = any(np.shares_memory(first.samples, other.samples) for other in rest)
        _demand(not shared, "two chunks share their samples")


def check_reading_with_no_time_returns_at_once(make: MakeSource) -> None:
    """Check that ``read(0)`` gives a chunk or None without waiting for one."""
    with closing(make()) as source:
        for _ in range(CHUNKS):
            _in_time(lambda: source.read(0.0), "read(0) hangs")


def check_a_wrong_name_is_refused_and_the_stream_goes_on(make: MakeSource) -> None:
    """Check that ``select`` of an unknown name raises `SourceError` that names it, and changes nothing."""
    with closing(make()) as source:
        read_chunk(source)
        try:
            source.select(NO_SUCH_NAME)
        except SourceError as error:
            _demand(NO_SUCH_NAME in str(error), f"the refusal does not name what was asked for: {error}")
        else:
            _demand(fine=False, problem="select of an unknown name was accepted")
        read_chunk(source)


def check_a_closed_source_ends(make: MakeSource) -> None:
    """Check that after ``close`` reading raises `SourceEnded` every time, and closing again is fine."""
    source = make()
    source.close()
    source.close()
    for _ in range(2):
        _demand(_ends(source), "a closed source can still be read")


def check_closing_wakes_a_reader(make: MakeSource) -> None:
    """Check that a reader who waits long gets `SourceEnded` when another thread closes the source."""
    source = make()
    started = threading.Event()

    def read_to_the_end() -> bool:
        started.set()
        try:
            while True:
                source.read(10 * DEADLINE_S)
        except SourceEnded:
            return True

    outcome = _start(read_to_the_end)
    started.wait(DEADLINE_S)
    source.close()
    _demand(_result(outcome, "the reader was not woken"), "the reader ended otherwise than with SourceEnded")


CHECKS: tuple[Callable[[MakeSource], None], ...] = (
    check_chunks_keep_to_the_specification,
    check_chunks_are_counted_from_zero,
    check_time_stamps_follow_the_samples,
    check_chunks_own_their_samples,
    check_reading_with_no_time_returns_at_once,
    check_a_wrong_name_is_refused_and_the_stream_goes_on,
    check_a_closed_source_ends,
    check_closing_wakes_a_reader,
)


def check_source(make: MakeSource) -> None:
    """Run every check.

    Parameters
    ----------
    make
        Opens a fresh source that can deliver at least five chunks within twenty seconds.

    Raises
    ------
    AssertionError
        The source breaks the contract; the message says where.
    """
    for check in CHECKS:
        check(make)


def read_chunk(source: Source) -> Chunk:
    """Return the source's next chunk; `AssertionError` where none comes within twenty seconds."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        chunk = _in_time(lambda: source.read(0.1), "read hangs")
        if chunk is not None:
            return chunk
    raise AssertionError(f"no chunk came within {DEADLINE_S:g} s")


@contextmanager
def sending(send: Callable[[int], object], *, every_s: float = 0.01) -> Iterator[None]:
    """Call ``send`` with 0, 1, 2 ... in a thread, as a device would go on measuring, until the block ends.

    Where it raises `BlockingIOError` nobody takes what is sent, and it is lost.
    """
    stop = threading.Event()

    def run() -> None:
        for number in itertools.count():
            if stop.wait(every_s):
                return
            with suppress(BlockingIOError):
                send(number)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _demand(fine: bool, problem: str) -> None:  # noqa: FBT001 - reads as a sentence
    if not fine:
        raise AssertionError(problem)


def _chunks(source: Source) -> list[Chunk]:
    return [read_chunk(source) for _ in range(CHUNKS)]


def _ends(source: Source) -> bool:
    try:
        _in_time(lambda: source.read(0.0), "reading a closed source hangs")
    except SourceEnded:
        return True
    return False


def _in_time(action: Callable[[], T], problem: str) -> T:
    return _result(_start(action), problem)


def _start(action: Callable[[], T]) -> queue.Queue[tuple[T, None] | tuple[None, Exception]]:
    outcome: queue.Queue[tuple[T, None] | tuple[None, Exception]] = queue.Queue()

    def run() -> None:
        try:
            outcome.put((action(), None))
        except Exception as error:  # noqa: BLE001 - raised again by the checking thread
            outcome.put((None, error))

    threading.Thread(target=run, daemon=True).start()
    return outcome


def _result(outcome: queue.Queue[tuple[T, None] | tuple[None, Exception]], problem: str) -> T:
    try:
        value, error = outcome.get(timeout=DEADLINE_S)
    except queue.Empty:
        raise AssertionError(f"{problem} (more than {DEADLINE_S:g} s)") from None
    if error is not None:
        raise error
    return value  # type: ignore[return-value] # the pair is a value without an error
