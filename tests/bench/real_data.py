"""Where the real recordings are that benchmarks and some tests ask about."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

DATA: Final = Path(os.environ.get("EDGETUNE_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")
ABSENT: Final = f"no real recordings at {DATA} (set EDGETUNE_DATA to their folder)"
