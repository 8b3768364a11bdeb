"""A model as a C library for microcontrollers, and the proof that it computes what onnxruntime does."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
