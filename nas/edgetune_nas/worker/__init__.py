"""A search in a process of its own: the job, the child, and the parent's side of it."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
