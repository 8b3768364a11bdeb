"""The protocol of sources for plug-ins written against 0.1.0; it is in `edgetune_signal.sources`."""

from edgetune_signal.sources.base import Source

__all__ = ["Source"]
