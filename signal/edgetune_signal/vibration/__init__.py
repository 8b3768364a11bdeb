"""What vibration says of a machine: indicators, velocity, envelope spectrum, bearing defects, diagnosis."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
