"""From a sensor to windows: sources, windowing, indicators, recordings, data sets."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
