"""``python -m edgetune_node`` is the command ``edgetune``."""

from __future__ import annotations

from edgetune_node.cli import main

main()
