"""Threads, processes and files around the core: sources, search child, file worker, service."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
