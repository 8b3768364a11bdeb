"""What a node keeps on disk: models, recordings, people, stretches of novel signal."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
