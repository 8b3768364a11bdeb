"""The web application: the page's files, its session, its commands, and one websocket a page."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocketDisconnect

from edgetune_node.console.acting import SIMULATE, RequestError, check_login, fetch, read_order, send
from edgetune_node.console.bridge import Bridge, now_ms
from edgetune_node.console.headers import SecurityHeaders
from edgetune_node.console.mirror import Mirror
from edgetune_node.console.proxies import client_address
from edgetune_node.console.sessions import RateLimit, Session, Sessions, as_label
from edgetune_node.contract import Topics
from edgetune_node.errors import NodeError
from edgetune_node.operator import filters

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.requests import HTTPConnection, Request
    from starlette.websockets import WebSocket

    from edgetune_node.console.acting import Order
    from edgetune_node.console.bridge import Batch
    from edgetune_node.console.handover import ServerSettings
    from edgetune_node.console.mirror import Waiting

PAGE = Path(__file__).parent / "page"
COOKIE = "edgetune_console"
MOST_VIEWERS = 32
MOST_BODY_BYTES = 8 * 1024
TOGETHER_S = 0.1
"""What comes within this time goes to a page in one piece."""
HANDED_ON_S = 5.0
"""The bridge waits so long for the loop to take a batch; a longer wait would end its connection to the broker."""
BEAT_S = 2.0
"""A page that hears nothing for three of these says that the console is away."""
LOGINS, COMMANDS = (10, 60.0), (60, 60.0)
NO_LOGIN, NO_ENTRY, TOO_MANY, TOO_SLOW = 4401, 4403, 4429, 4408
"""Codes with which a websocket is closed; the page knows them."""


class Console:
    """The application's state and its handlers.

    Parameters
    ----------
    settings
        What is served, and to whom.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._mirror = Mirror(settings.namespace.count("/") + 2)
        self._sessions = Sessions()
        self._logins, self._commands = RateLimit(*LOGINS), RateLimit(*COMMANDS)
        self._numbers = itertools.count()

    def app(self) -> Starlette:
        """Return the application."""
        return Starlette(
            routes=[
                Route("/api/session", self._session),
                Route("/api/login", self._post(self._login), methods=["POST"]),
                Route("/api/logout", self._post(self._logout), methods=["POST"]),
                Route("/api/command", self._post(self._command), methods=["POST"]),
                Route("/api/ask", self._post(self._ask), methods=["POST"]),
                WebSocketRoute("/api/live", self._live),
                Mount("/", StaticFiles(directory=PAGE, html=True)),
            ],
            middleware=[
                Middleware(SecurityHeaders, hosts=() if self._settings.guarded else self._settings.hosts),
                Middleware(GZipMiddleware, minimum_size=1024),
            ],
            lifespan=self._lifespan,
        )

    @contextlib.asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        bridge = Bridge(
            self._settings.login(),
            [*filters(self._settings.namespace, None, None), f"{self._settings.namespace}/+/resp/+"],
            [f"{self._settings.namespace}/{leaf}" for leaf in ("+/+/simulator/state", "+/cmd/+", "+/+/cmd/+")],
            lambda batch: _in_loop(loop, self._take, batch, wait=True),
            lambda state: _in_loop(loop, self._say, state),
        )
        bridge.start()
        try:
            yield
        finally:
            await run_in_threadpool(bridge.stop)

    def _take(self, batch: Batch) -> None:
        before = self._mirror.full["count"]
        for topic, payload, at_ms in batch:
            self._mirror.take(topic, payload, at_ms)
        if not before and self._mirror.full["count"]:
            topic = self._mirror.full["topic"]
            sys.stderr.write(f"edgetune: nodes say more than the console keeps; not shown first: {topic}\n")

    def _say(self, state: dict[str, Any]) -> None:
        self._mirror.broker = state
        self._mirror.tell("broker", state)

    # ---- who is there ----

    def _found(self, connection: HTTPConnection) -> Session | None:
        return self._sessions.find(connection.cookies.get(COOKIE), time.monotonic())

    def _may_read(self, session: Session | None) -> bool:
        if not self._settings.guarded:
            return True
        if session is None or session.login is None:
            return False
        return session.reads or not self._something_is_there()

    def _something_is_there(self) -> bool:
        return self._mirror.knows("/status")

    def _view(self, session: Session) -> dict[str, Any]:
        return {
            "csrf": session.csrf,
            "user": session.user,
            "read": self._may_read(session),
            "act": session.login is not None or self._settings.shared,
            "shared": self._settings.shared,
            "namespace": self._settings.namespace,
            "now": now_ms(),
        }

    async def _session(self, request: Request) -> JSONResponse:
        session = self._found(request)
        if session is not None:
            return JSONResponse(self._view(session))
        cookie, session = self._sessions.new(time.monotonic())
        return self._with_cookie(JSONResponse(self._view(session)), cookie)

    def _with_cookie(self, response: JSONResponse, cookie: str) -> JSONResponse:
        response.set_cookie(COOKIE, cookie, httponly=True, samesite="strict", secure=self._settings.secure)
        return response

    # ---- what is asked ----

    def _post(self, handler: Callable[[Request, Session, dict[str, Any]], Any]) -> Callable[[Request], Any]:
        """Return a handler that checks first where a post comes from and what it is."""

        async def checked(request: Request) -> JSONResponse:
            session = self._found(request)
            if session is None or request.headers.get("x-csrf") != session.csrf or not own_origin(request):
                return _refused(403, "this page is out of date; load it again")
            body = bytearray()
            async for piece in request.stream():
                body += piece
                if len(body) > MOST_BODY_BYTES:
                    return _refused(413, f"more than {MOST_BODY_BYTES} bytes")
            try:
                content = json.loads(bytes(body) or b"{}")
                json.dumps(content, ensure_ascii=False, allow_nan=False).encode()  # half a character, or no number
            except (ValueError, RecursionError):
                content = None
            if not isinstance(content, dict):
                return _refused(400, "a JSON object of whole characters and finite numbers is expected")
            try:
                answer: JSONResponse = await handler(request, session, content)
            except RequestError as error:
                return _refused(400, str(error))
            except NodeError as error:
                return _refused(502, getattr(error, "seen", str(error)))
            return answer

        return checked

    async def _login(self, request: Request, session: Session, content: dict[str, Any]) -> JSONResponse:
        user, password = content.get("user"), content.get("password")
        if not isinstance(user, str) or not isinstance(password, str) or not user:
            return _refused(400, "user and password are expected")
        address = client_address(request, self._settings.proxies, self._settings.proxy_header)
        if not self._logins.allows(address, time.monotonic()):
            return _refused(429, "too many attempts; wait a minute")
        login = self._settings.login(user, password)
        try:
            reads = await run_in_threadpool(check_login, login, self._settings.namespace)
        except NodeError as error:
            return _refused(401, getattr(error, "seen", str(error)))
        if not reads and self._something_is_there():
            return _refused(401, f"the broker lets {user} in, but not read {self._settings.namespace}")
        self._sessions.end(request.cookies.get(COOKIE))  # a cookie that somebody knew before is worth nothing now
        cookie, session = self._sessions.new(time.monotonic())
        session.user, session.login, session.reads = user, login, reads
        return self._with_cookie(JSONResponse(self._view(session)), cookie)

    async def _logout(self, request: Request, _session: Session, _content: dict[str, Any]) -> JSONResponse:
        self._sessions.end(request.cookies.get(COOKIE))
        cookie, session = self._sessions.new(time.monotonic())
        return self._with_cookie(JSONResponse(self._view(session)), cookie)

    async def _command(self, _request: Request, session: Session, content: dict[str, Any]) -> JSONResponse:
        by = as_label(session.user)
        order = read_order(content, by)
        login = session.login or (self._settings.login() if self._settings.shared else None)
        if login is None:
            return _refused(401, "sign in to do this")
        if not self._commands.allows(session.csrf, time.monotonic()):
            return _refused(429, "too many commands; wait a minute")
        command_id = await run_in_threadpool(send, login, self._topics(order.node), order)
        if order.name == SIMULATE:
            return JSONResponse({"id": command_id})
        self._note(order, command_id, by)
        return JSONResponse({"id": command_id})

    def _note(self, order: Order, command_id: str, by: str) -> None:
        """Show in the log who has sent a command from a page, which the command itself may not say."""
        topics = self._topics(order.node)
        place = topics.base if order.asset is None else f"{topics.base}/{order.asset}"
        sent = {"id": command_id, "by": by, "at": now_ms(), "place": place, "here": True}
        self._mirror.note("sent", {**sent, "name": order.name, "fields": order.fields})

    async def _ask(self, _request: Request, session: Session, content: dict[str, Any]) -> JSONResponse:
        order = read_order(content, as_label(session.user))
        if not order.reads:
            return _refused(400, "that is a command; it cannot be asked")
        if not self._may_read(session):
            return _refused(401, "sign in to see this")
        if not self._commands.allows(session.csrf, time.monotonic()):
            return _refused(429, "too many questions; wait a minute")
        login = session.login or self._settings.login()
        command_id, answer = await run_in_threadpool(fetch, login, self._topics(order.node), order)
        if order.name != "history":  # every page asks for that again and again
            self._note(order, command_id, as_label(session.user) if session.user else "")
        return JSONResponse(answer)

    def _topics(self, node: str) -> Topics:
        prefix = self._settings.prefix
        own = self._settings.namespace.removeprefix(f"{prefix}/") if prefix else self._settings.namespace
        return Topics(own, node, prefix)

    # ---- what is shown ----

    async def _live(self, socket: WebSocket) -> None:
        refusal = (
            NO_ENTRY
            if not own_origin(socket)
            else NO_LOGIN
            if not self._may_read(self._found(socket))
            else TOO_MANY
            if self._mirror.viewers >= MOST_VIEWERS
            else None
        )
        if refusal is not None:
            await socket.accept()
            await socket.close(refusal)
            return
        viewer = next(self._numbers)
        waiting = self._mirror.open(viewer)  # before anything is awaited: pages that come together are counted, too
        sending = None
        try:
            await socket.accept()
            sending = asyncio.create_task(self._send(socket, waiting))
            await socket.receive_text()  # a page has nothing to say here
            await socket.close(NO_ENTRY)
        except (WebSocketDisconnect, KeyError, RuntimeError):
            pass
        finally:
            if sending is not None:
                sending.cancel()
            self._mirror.close(viewer)

    async def _send(self, socket: WebSocket, waiting: Waiting) -> None:
        said = time.monotonic()
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            while self._may_read(self._found(socket)) and not waiting.overrun:
                if waiting or time.monotonic() - said >= BEAT_S:
                    frames = ",".join([f'["beat",{{"now":{now_ms()}}}]', *waiting.take()])
                    said = time.monotonic()
                    await socket.send_text(f"[{frames}]")
                await asyncio.sleep(TOGETHER_S)
            await socket.close(TOO_SLOW if waiting.overrun else NO_LOGIN)


def own_origin(connection: HTTPConnection) -> bool:
    """Whether a browser sends this from a page of this very server."""
    origin = connection.headers.get("origin")
    try:
        return origin is not None and urlsplit(origin).netloc == connection.headers.get("host")
    except ValueError:  # such as half of an IPv6 address
        return False


def _refused(status: int, reason: str) -> JSONResponse:
    return JSONResponse({"error": reason}, status_code=status)


def _in_loop(
    loop: asyncio.AbstractEventLoop, call: Callable[[Any], None], argument: Any, *, wait: bool = False
) -> None:
    done = threading.Event()

    def run() -> None:
        try:
            call(argument)
        finally:
            done.set()

    with contextlib.suppress(RuntimeError):  # it is closed, since the server ends
        loop.call_soon_threadsafe(run)
        if wait:
            done.wait(HANDED_ON_S)
