"""What keeps a process healthy and accountable: vitals, watchdog, logs, audit log."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
