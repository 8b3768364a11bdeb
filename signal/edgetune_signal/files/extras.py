"""Libraries of the extra ``edgetune[files]``, imported when a file needs them."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from edgetune_signal.errors import RecordingError
from edgetune_signal.hints import install_hint

if TYPE_CHECKING:
    from pathlib import Path


def needed(path: Path, module: str) -> Any:
    """Return a module that a file needs.

    Raises
    ------
    RecordingError
        It is not installed; the message names the extra.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        name = module.partition(".")[0]
        raise RecordingError(f"{path}: reading it needs {name}: {install_hint('files')}") from None
