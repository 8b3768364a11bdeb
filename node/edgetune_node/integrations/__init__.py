"""What a plant's other systems get of a node besides its own messages, each off by default."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
