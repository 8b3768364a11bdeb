"""A browser for the console's page, and a console before a node that has said everything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from chromium import DESK, Browser
from console_page import ConsoleServer, play

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture
def browser(opened: Browser) -> Iterator[Browser]:
    opened.size(DESK)
    opened.dark(wanted=False)
    yield opened
    opened.open("about:blank")  # a page whose console has gone would go on asking for it
    problems, opened.problems = opened.problems, []
    assert problems == []


@pytest.fixture
def told(fresh_broker: Any, tmp_path: Path, recorder: Any) -> Iterator[tuple[ConsoleServer, Any]]:
    """A console before a node that has said everything that a node can say."""
    node = recorder(fresh_broker, "plant/#")
    play(node, "plant")
    with ConsoleServer(tmp_path, fresh_broker, "--namespace", "plant", "--shared") as server:
        yield server, node
