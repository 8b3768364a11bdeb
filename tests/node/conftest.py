"""A real broker to break, a client that records what it sees, and the command line.

Fixtures
--------
broker
    One anonymous mosquitto for a whole test module. Leave it running.
fresh_broker
    One for a single test, to be stopped, killed and frozen.
make_broker
    ``make_broker(users={"node": "secret"}, acl="...", tls=(ca, certificate, key))`` for anything else, not yet started.
aedes
    ``aedes(denied="/fault$")`` is another broker (`Aedes`), which hangs up on what it does not permit.
recorder
    ``recorder(broker, "acme/#")`` connects a `Recorder`; closed when the test ends.
small_disk
    A file system of 1 MiB of its own (`SmallDisk`), to be filled and freed; skipped where it cannot be mounted.
until
    ``until(condition, seconds=120)`` waits for a condition with a deadline.
cli
    ``cli("record", "--label", "x")`` runs a command here and gives its `Outcome`.
spawn
    ``spawn("simulate", ...)`` starts a command as a process; ended when the test ends.
scripted_node
    ``scripted_node(broker)`` is a node with one asset on a real broker that says what the test tells it to.
bundle, healthy_bundle
    Untrained networks that call everything ``inner``, and everything ``normal``.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from aedes import Aedes, install
from brokers import PATIENCE_S, Broker, Recorder, SmallDisk, wait_until
from scripted_node import ScriptedNode

from edgetune_nas.bundle.read import Bundle, load_bundle
from edgetune_node.cli import main
from edgetune_node.cli.remote import jobs, orders
from edgetune_node.operator import client as operator_client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path


class MakeBroker(Protocol):
    def __call__(
        self,
        *,
        users: Mapping[str, str] | None = None,
        acl: str | None = None,
        tls: tuple[Path, Path, Path] | None = None,
    ) -> Broker: ...


class MakeRecorder(Protocol):
    def __call__(
        self,
        broker: Broker,
        *filters: str,
        protocol: str = "5",
        username: str | None = None,
        password: str | None = None,
        tls_ca: Path | None = None,
    ) -> Recorder: ...


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands that run in this process wait longer than people would: for a busy machine."""
    monkeypatch.setattr(operator_client, "CONNECT_S", PATIENCE_S)
    monkeypatch.setattr(operator_client, "ACKNOWLEDGE_S", PATIENCE_S)
    monkeypatch.setattr(jobs, "FIND_S", 30.0)
    for module in (jobs, orders):
        monkeypatch.setattr(module, "ACCEPT_S", PATIENCE_S)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    process = Broker(tmp_path_factory.mktemp("broker")).start()
    yield process
    process.stop()


@pytest.fixture
def make_broker(tmp_path: Path) -> Iterator[MakeBroker]:
    made: list[Broker] = []

    def make(**options: Any) -> Broker:
        made.append(Broker(tmp_path / f"broker-{len(made)}", **options))
        return made[-1]

    yield make
    for process in made:
        process.stop()


@pytest.fixture
def fresh_broker(make_broker: MakeBroker) -> Broker:
    return make_broker().start()


@pytest.fixture
def aedes(pytestconfig: pytest.Config) -> Iterator[Callable[..., Aedes]]:
    assert pytestconfig.cache is not None
    modules = install(pytestconfig.cache.mkdir("aedes"))
    made: list[Aedes] = []

    def start(**options: str) -> Aedes:
        made.append(Aedes(modules, **options))
        return made[-1]

    yield start
    for each in made:
        each.stop()


@pytest.fixture
def recorder() -> Iterator[MakeRecorder]:
    made: list[Recorder] = []

    def make(*args: Any, **options: Any) -> Recorder:
        made.append(Recorder(*args, **options))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture
def until() -> Callable[..., None]:
    return wait_until


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m,nr_inodes=64", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a file system of our own can only be mounted by root")
    yield SmallDisk(folder)
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def bundle(tmp_path: Path, write_tiny_bundle: Callable[..., Path]) -> Bundle:
    return load_bundle(write_tiny_bundle(tmp_path / "out", favourite=1))


@pytest.fixture
def healthy_bundle(tmp_path: Path, write_tiny_bundle: Callable[..., Path]) -> Bundle:
    return load_bundle(write_tiny_bundle(tmp_path / "out2", favourite=0, seed=3))


@dataclass(frozen=True, slots=True)
class Outcome:
    code: int
    out: str
    err: str


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERMINAL_WIDTH", "200")

    def call(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["edgetune", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return Outcome(code, out, err)

    return call


@pytest.fixture
def spawn() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: object, **options: Any) -> subprocess.Popen[str]:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        command = [sys.executable, "-m", "edgetune_node", *map(str, arguments)]
        started.append(subprocess.Popen(command, text=True, **pipes))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def scripted_node(recorder: Callable[..., Any]) -> Iterator[Callable[..., ScriptedNode]]:
    made: list[ScriptedNode] = []

    def make(broker: Any, protocol: str = "5") -> ScriptedNode:
        made.append(ScriptedNode(recorder, broker, protocol))
        return made[-1]

    yield make
    for node in made:
        node.finish()
