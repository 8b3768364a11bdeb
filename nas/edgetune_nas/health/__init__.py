"""Health models: the distance of a window from healthy ones, when nothing else was ever recorded."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
