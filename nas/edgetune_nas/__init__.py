"""From labelled windows to a model bundle.

The names below load neither torch nor onnx. `edgetune_nas.search.search` is the search, `edgetune_nas.worker.SearchJob`
a search in a process of its own; `edgetune_nas.bundle` reads, verifies and evaluates bundles.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
