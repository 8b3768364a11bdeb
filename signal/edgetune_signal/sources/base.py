"""What a source of samples is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from edgetune_signal.stream import Chunk, StreamSpec


@runtime_checkable
class Source(Protocol):
    """A stream of chunks, read by one thread and switched or closed by any.

    `edgetune_signal.sources.conformance` holds the checks every source must pass. A source may have an attribute
    ``last_error: str | None``: what it last refused without ending the stream, and a count ``lost``: blocks, frames or
    lines that never came, as the sender's numbers tell.
    """

    @property
    def spec(self) -> StreamSpec:
        """What every chunk keeps to."""
        ...

    def read(self, timeout_s: float) -> Chunk | None:
        """Return the next chunk, or None when none came within ``timeout_s`` seconds.

        Raises
        ------
        SourceEnded
            There is nothing more to come, or the source was closed.
        SourceError
            The source broke.
        """
        ...

    def select(self, name: str) -> None:
        """Switch to another recording or condition while running.

        Raises
        ------
        SourceError
            ``name`` names none (the message lists what can be selected), or the source cannot switch.
            The stream goes on as before.
        """
        ...

    def close(self) -> None:
        """Release what the source holds and wake a waiting reader; closing twice is fine."""
        ...
