"""A client for operators and their programs: find nodes, send commands, follow jobs."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
