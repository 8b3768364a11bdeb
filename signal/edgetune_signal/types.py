"""Chunks and windows for plug-ins written against 0.1.0; they are in `edgetune_signal.stream`."""

from edgetune_signal.stream.types import Chunk, StreamSpec, Window

__all__ = ["Chunk", "StreamSpec", "Window"]
