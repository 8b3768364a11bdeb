"""The client of the how-to page moves something, with what a broker delivers."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from brokers import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "drive-something-with-signs.md"
TOPIC = "edgetune/n1/arm/classification"


@pytest.mark.slow
def test_the_client_of_the_page_moves_with_signs_and_stands_still_without(
    tmp_path: Path, fresh_broker: Any, recorder: Callable[..., Any]
) -> None:
    found = re.search(r"^ {4}```py\n(.*?)^ {4}```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert found is not None
    script = tmp_path / "follow.py"
    script.write_text(re.sub(r"^ {4}", "", found[1], flags=re.MULTILINE), encoding="utf-8")
    publisher = recorder(fresh_broker, "edgetune/#")
    output = tmp_path / "moves.txt"
    arguments = [sys.executable, str(script), "127.0.0.1", "edgetune/n1/arm", str(fresh_broker.port)]
    with output.open("wb") as file:
        client = subprocess.Popen(arguments, stdout=file, stderr=subprocess.STDOUT)
    try:

        def places() -> list[int]:
            lines = output.read_bytes().split(b"\r")[1:]
            return [line.index(b"#") for line in lines if b"#" in line]

        def tell(smoothed: str, strength: float | None, until: Callable[[list[int]], bool]) -> None:
            """Publish windows until the places at which the client has been are as they should be."""

            def there() -> bool:
                publisher.publish(TOPIC, {"smoothed": smoothed, "strength": strength})
                return until(places())

            wait_until(there, what=f"{smoothed} has moved it")

        tell("rest", None, lambda been: been[-5:] == [30] * 5)
        tell("wrist_extension", 1.0, lambda been: been[-1] > 35)
        tell("wrist_flexion", 0.5, lambda been: been[-1] < 20)
        tell("fist", 1.0, lambda been: len(set(been[-20:])) == 1)
        assert 0 <= places()[-1] < 20
    finally:
        client.kill()
        client.wait()
