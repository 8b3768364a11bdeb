"""What the command line prints: bars, tables, JSON, sizes and times."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
