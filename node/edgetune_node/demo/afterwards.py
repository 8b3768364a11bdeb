"""What somebody who has seen the demo can do next, with the commands for it."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

STEPS = {
    "the same on a page, where you break it yourself": ("demo --page",),
    "your own recordings, one folder a class": (
        "import FOLDER --label-from folder --out recordings",
        "search recordings --window 512 --out models",
    ),
    "a node of your own (first: cp config.example.toml config.toml)": (
        "doctor --config config.toml",
        "run --config config.toml",
    ),
}
PAGES = ("docs/tutorial/own-node.md", "docs/how-to/import-files.md")
"""Of the repository."""


def next_steps() -> str:
    """Return the lines with which the demo ends."""
    program = _program()
    lines = ["What next"]
    for what, commands in STEPS.items():
        lines += [f"  {what}:", *(f"    {program} {command}" for command in commands)]
    return "\n".join([*lines, f"  step by step: {PAGES[0]}; files of other programs: {PAGES[1]}"])


def _program() -> str:
    """Return how this program is called from here: by its name, else by its path, as where make has set it up."""
    called = Path(sys.argv[0])
    found = shutil.which("edgetune")
    if called.name != "edgetune" or (found is not None and Path(found).absolute() == called.absolute()):
        return "edgetune"
    return shlex.quote(sys.argv[0])
