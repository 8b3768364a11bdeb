"""One recalibration: guided takes, search, proof, deployment; a state machine without I/O."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
