"""What an error message advises: the nearest known name, and how a missing extra is installed."""

from __future__ import annotations

import difflib
import json
import shlex
import shutil
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import url2pathname

if TYPE_CHECKING:
    from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``; did you mean x?`` with the nearest of the ``known`` names; empty if none is near."""
    lowered = {each.lower(): each for each in known}
    near = difflib.get_close_matches(name.lower(), lowered, n=1)
    return f"; did you mean {lowered[near[0]]}?" if near else ""


def install_hint(extra: str, *, pinned: bool = True) -> str:
    """Return the command that adds an extra to this very installation.

    Parameters
    ----------
    extra
        A name of ``[project.optional-dependencies]``.
    pinned
        False for one that ``constraints.txt`` contradicts.

    Returns
    -------
    str
        Where it was installed from a checkout, it names that folder and its ``constraints.txt``.
    """
    beside = Path(shutil.which("pip") or "").parent == Path(sys.executable).parent
    pip = "pip install" if beside else f"{shlex.quote(sys.executable)} -m pip install"
    origin, editable = _origin()
    if origin is None:
        return f"{pip} 'edgetune[{extra}]'"
    pins = origin / "constraints.txt"
    constrained = f" -c {shlex.quote(str(pins))}" if pinned and pins.is_file() else ""
    return f"{pip}{constrained}{' -e' if editable else ''} '{origin}[{extra}]'"


def _origin() -> tuple[Path | None, bool]:
    """Return the checkout or wheel that this was installed from, if it is still there, and whether as editable."""
    try:
        found = json.loads(distribution("edgetune").read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError):
        return None, False
    url = urlsplit(str(found.get("url", "")))
    path = Path(url2pathname(url.path))
    if url.scheme != "file" or not path.exists():
        return None, False
    return path, bool(found.get("dir_info", {}).get("editable"))
