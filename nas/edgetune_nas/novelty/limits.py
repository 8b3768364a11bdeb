"""What a node multiplies the limit of gestures by; without NumPy, for programs that only read a configuration."""

from __future__ import annotations

from typing import Final

NEXT_SESSION: Final = 2.25
"""Times the limit at which a node calls a gesture unknown by default: takes of one session do not show the next.

Chosen on the eleven people of ``foreign/myo41``, see `edgetune_node.config.signs.UNKNOWN_TIMES`.
"""
