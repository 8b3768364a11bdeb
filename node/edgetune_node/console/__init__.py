"""The page for operators and maintenance: a small web server between browsers and the broker."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
