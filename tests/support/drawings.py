"""What can be read in the pictures of a page."""

from __future__ import annotations

import re
from base64 import b64decode


def svg_of(drawing: str) -> str:
    """The first picture of a page, or of a part of one."""
    return b64decode(drawing.partition("base64,")[2].partition("'")[0]).decode()


def words(drawing: str) -> list[tuple[float, str]]:
    """Height (from the top) and text of each word in the first picture of a page."""
    placed = re.findall(r"<text [^>]*?(?:translate\([\d.]+ |y=\")([\d.]+)[^>]*>([^<]*)</text>", svg_of(drawing))
    return [(float(height), text) for height, text in placed]
