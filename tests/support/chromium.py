"""A real browser for tests: chromium without a window, driven by its own protocol."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

import pytest
from brokers import PATIENCE_S, wait_until

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-background-networking",
    "--no-first-run",
    "--remote-debugging-port=0",
    "--remote-allow-origins=*",
)
PHONE, DESK = (360, 740), (1920, 1080)
PATIENT = {"max_size": None, "open_timeout": PATIENCE_S, "ping_interval": None}
STILL = """(async () => {
    const place = () => {
        const element = %s, box = element.getBoundingClientRect();
        const point = [box.x + box.width / 2, box.y + box.height / 2];
        return element.contains(document.elementFromPoint(...point)) ? point : null;
    };
    const before = place();
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done, 50)));
    const after = place();
    return before && after && before.join() === after.join() ? after : null;
})()"""
"""The middle of an element, null while it moves or something covers it."""
KEYS = {"Tab": 9, "Enter": 13, "Escape": 27}


class Browser:
    """One page of a browser with a profile of its own.

    Parameters
    ----------
    folder
        For the profile.
    """

    def __init__(self, folder: Path) -> None:
        found = next(filter(None, map(shutil.which, NAMES)), None)
        if found is None:
            pytest.skip("chromium is not installed (apt install chromium)")
        self._found = found
        self._connect = pytest.importorskip("websockets.sync.client", reason="websockets is not installed").connect
        self._folder = folder
        self._stack = ExitStack()
        self._number = 0
        self._socket: Any = None
        self.problems: list[str] = []
        self.pid = 0

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            undo.callback(self._stack.close)
            self._start()
            undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _start(self) -> None:
        profile = self._folder / "profile"
        profile.mkdir(parents=True)
        with (self._folder / "chromium.log").open("wb") as log:
            process = subprocess.Popen(
                [self._found, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.pid = process.pid
        self._stack.callback(process.wait, PATIENCE_S)
        self._stack.callback(os.killpg, process.pid, signal.SIGKILL)  # there is nothing worth keeping
        port = profile / "DevToolsActivePort"
        wait_until(lambda: port.exists() and "\n" in port.read_text(), what="chromium starts")
        number, path = port.read_text().split()
        with self._connect(f"ws://127.0.0.1:{number}{path}", **PATIENT) as whole:
            self._socket = whole
            wait_until(self._pages, what="chromium has a page")
            page = self._pages()[0]
        own = self._connect(f"ws://127.0.0.1:{number}/devtools/page/{page}", **PATIENT)
        self._socket = self._stack.enter_context(own)
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        self.size(DESK)

    def _pages(self) -> list[str]:
        targets = self.call("Target.getTargets")["targetInfos"]
        return [each["targetId"] for each in targets if each["type"] == "page"]

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol; what the page complains of meanwhile goes to ``problems``."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            said = json.loads(self._socket.recv(timeout=PATIENCE_S))
            if said.get("id") == self._number:
                assert "error" not in said, f"{method}: {said.get('error')}"
                result: dict[str, Any] = said["result"]
                return result
            self._hear(said)

    def _hear(self, said: dict[str, Any]) -> None:
        if said.get("method") == "Runtime.exceptionThrown":
            self.problems.append(json.dumps(said["params"]["exceptionDetails"]))
        if said.get("method") == "Log.entryAdded" and said["params"]["entry"]["source"] == "security":
            self.problems.append(said["params"]["entry"]["text"])

    def open(self, url: str) -> None:
        """Load a page."""
        self.call("Page.navigate", url=url)

    def size(self, size: tuple[int, int]) -> None:
        """Set the window's size in CSS pixels."""
        wide, high = size
        self.call(
            "Emulation.setDeviceMetricsOverride", width=wide, height=high, deviceScaleFactor=1, mobile=wide <= PHONE[0]
        )

    def dark(self, *, wanted: bool) -> None:
        """Ask for dark or light colours."""
        value = "dark" if wanted else "light"
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": value}])

    def run(self, script: str) -> Any:
        """Evaluate an expression in the page, and wait for it where it is a promise."""
        answer = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def text(self, selector: str = "body") -> str:
        """What stands in the first element that a selector finds; empty without one."""
        return str(self.run(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''"))

    def wait(self, script: str, seconds: float = PATIENCE_S) -> None:
        """Wait until an expression holds in the page."""
        deadline = time.monotonic() + seconds
        while not self.run(f"Boolean({script})"):
            if time.monotonic() > deadline:
                pytest.fail(f"after {seconds:g} s this does not hold: {script}\nthe page shows:\n{self.text()}")
            time.sleep(0.05)

    def wait_text(self, text: str, selector: str = "body", seconds: float = PATIENCE_S) -> None:
        """Wait until a text stands somewhere in an element."""
        found = f"document.querySelector({json.dumps(selector)})?.innerText.includes({json.dumps(text)})"
        self.wait(found, seconds)

    def click(self, selector: str) -> None:
        """Click where an element is, once it can be clicked and stands still."""
        self._click(f"document.querySelector({json.dumps(selector)})")

    def press(self, text: str, seconds: float = PATIENCE_S) -> None:
        """Click the button or link that says so, as somebody does who knows nothing else; an open dialog's first."""
        place = "(document.querySelector('dialog[open]') ?? document)"
        every = f"[...{place}.querySelectorAll('button, a, summary')]"
        self._click(f"{every}.find((each) => each.innerText.split('\\n')[0] === {json.dumps(text)})", seconds)

    def _click(self, found: str, seconds: float = PATIENCE_S) -> None:
        self.wait(f"{found} && !{found}.disabled", seconds)
        self.run(f"{found}.scrollIntoView({{block: 'center'}})")
        deadline = time.monotonic() + PATIENCE_S
        while (place := self.run(STILL % found)) is None:
            assert time.monotonic() < deadline, f"{found} does not stand still"
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", clickCount=1)

    def fill(self, selector: str, text: str) -> None:
        """Put a text in place of a field's own."""
        self.wait(f"document.querySelector({json.dumps(selector)})")
        self.run(f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.focus(); e.select?.(); }})()")
        self.call("Input.insertText", text=text)

    def key(self, name: str) -> None:
        """Press a key."""
        key = {"key": name, "code": name, "windowsVirtualKeyCode": KEYS[name]}
        self.call("Input.dispatchKeyEvent", type="keyDown", **key, **({"text": "\r"} if name == "Enter" else {}))
        self.call("Input.dispatchKeyEvent", type="keyUp", **key)

    def picture(self, file: Path, *, whole: bool = False) -> None:
        """Write what is seen, or the whole page, to a file (.png)."""
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        file.write_bytes(base64.b64decode(data))
