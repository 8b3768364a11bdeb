"""What surface EMG says of muscles: features per channel, onset and end of activity."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
