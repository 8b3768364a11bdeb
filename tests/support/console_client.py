"""What a browser does with the console's server, without one."""

from __future__ import annotations

import http.client
import json
import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

connecting = pytest.importorskip("websockets.sync.client", reason="edgetune[console] is not installed")
from websockets.exceptions import ConnectionClosed  # noqa: E402 - after the question whether it is there

USERS = {"reader": "r", "operator": "o", "machine": "m", "node": "n"}


class Page:
    """What a browser does, without one."""

    def __init__(self, url: str) -> None:
        self.host, _, self.port = url.removeprefix("http://").rstrip("/").rpartition(":")
        self.cookie = ""
        self.csrf = ""
        self.session = self.get("/api/session")[1]

    def request(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, http.client.HTTPResponse, bytes]:
        connection = http.client.HTTPConnection(self.host, int(self.port), timeout=60)
        given = {"Cookie": self.cookie, "Origin": f"http://{self.host}:{self.port}", **headers}
        connection.request(method, path, body, {key.replace("_", "-"): value for key, value in given.items() if value})
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        if cookie := answer.getheader("set-cookie"):
            self.cookie = cookie.partition(";")[0]
        return answer.status, answer, content

    def get(self, path: str, **headers: str) -> tuple[int, dict[str, Any]]:
        status, _, content = self.request("GET", path, **headers)
        return status, self._session(json.loads(content))

    def post(self, path: str, content: object, **headers: str) -> tuple[int, dict[str, Any]]:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        status, _, answer = self.request("POST", path, body, **{"x_csrf": self.csrf, **headers})
        return status, self._session(json.loads(answer))

    def _session(self, content: dict[str, Any]) -> dict[str, Any]:
        self.csrf = content.get("csrf", self.csrf)
        return content

    def sign_in(self, user: str) -> tuple[int, dict[str, Any]]:
        return self.post("/api/login", {"user": user, "password": USERS[user]})

    def command(self, name: str = "acknowledge", **fields: Any) -> tuple[int, dict[str, Any]]:
        return self.post("/api/command", {"node": "edge1", "asset": "bearing1", "name": name, "fields": fields})

    def live(self, **headers: str) -> Any:
        given = {"Origin": f"http://{self.host}:{self.port}", "Cookie": self.cookie, **headers}
        origin = given.pop("Origin")
        return connecting.connect(
            f"ws://{self.host}:{self.port}/api/live",
            origin=origin,
            additional_headers=given,
            compression=None,
            open_timeout=120,
            ping_interval=None,
        )


def frames(socket: Any, until: Callable[[list[Any]], bool], seconds: float = 240) -> list[Any]:
    found: list[Any] = []
    deadline = time.monotonic() + seconds
    while not until(found):
        assert time.monotonic() < deadline, found
        found += json.loads(socket.recv(timeout=seconds))
    return found


def closed_with(socket: Any) -> int:
    try:
        while True:
            socket.recv(timeout=60)
    except ConnectionClosed as ended:
        return int(ended.rcvd.code) if ended.rcvd else 0
