"""Samples as they arrive: chunks, windows, units, clocks, quality and decimation."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
