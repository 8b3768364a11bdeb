"""The connection to the broker, and what is delivered over it although it breaks."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
