"""Other programs' conventions: what the node publishes, said once more in their words, each off by default."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
