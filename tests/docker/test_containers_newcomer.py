"""Whoever has never seen the project starts the containers, and needs nothing but what the page says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from chromium import Browser
from compose_stack import ASSET, LOOP_S, Stack, running

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.containers, pytest.mark.timeout(1500)]


def test_whoever_knows_nothing_recalibrates_breaks_and_acknowledges_by_what_the_page_says(
    tmp_path: Path,
) -> None:
    with running(Stack()) as stack, Browser(tmp_path) as browser:
        browser.size((1280, 900))
        browser.open(f"http://127.0.0.1:{stack.page_port}/")
        browser.press(ASSET)
        browser.press("Recalibrate")
        browser.press("Start")
        for name in ("normal", "inner", "outer", "ball"):
            browser.wait_text(f"has gone into the state “{name}” by itself. Press the button.")
            browser.press("Record now")
        browser.wait_text("The new model is ready", seconds=LOOP_S)
        browser.press("Use the new model")
        browser.wait_text("The new model is in use")
        browser.press("Back to the asset")
        browser.wait_text("Healthy", "#state")
        browser.press("inner severe")
        browser.wait_text("What to do: ", "#event")
        browser.wait_text("inner race", "#event")
        browser.wait_text("inner race", "#spectrum .hot")
        browser.press("Acknowledge")
        browser.wait_text("Comment (optional)", "dialog")
        browser.press("Acknowledge")
        browser.wait_text("seen by operator", "#state")
        browser.press("normal")
        browser.wait_text("Healthy", "#state")
        assert browser.problems == []
