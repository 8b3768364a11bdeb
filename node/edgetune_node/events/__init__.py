"""Typed events into the node and typed effects out of it, and how messages are stamped."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
