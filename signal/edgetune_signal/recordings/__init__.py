"""Labelled recordings: their file format, and a folder of them within a quota."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
