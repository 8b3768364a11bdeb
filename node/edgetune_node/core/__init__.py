"""What decides: one function from an event to effects, and the jobs of each asset."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
