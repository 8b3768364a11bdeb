"""What `edgetune console` says of its options when it starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from console_page import ConsoleServer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytest.importorskip("websockets.sync.client", reason="edgetune[console] is not installed")


def test_files_that_cannot_serve_https_are_named(cli: Any, tmp_path: Path) -> None:
    odd = tmp_path / "odd.pem"
    odd.write_text("no certificate")

    outcome = cli("console", "--tls-certificate", str(odd), "--tls-key", str(odd))

    assert outcome.code == 1
    assert f"{odd} and {odd} cannot serve https" in outcome.err


@pytest.mark.parametrize(
    ("options", "said"), [(("--shared",), "without a login"), ((), "unencrypted"), (("--behind-proxy",), "")]
)
def test_an_open_address_is_said(broker: Any, tmp_path: Path, options: tuple[str, ...], said: str) -> None:
    server = ConsoleServer(tmp_path, broker, *options)
    server._command[server._command.index("127.0.0.1:0")] = "0.0.0.0:0"
    server.start()
    server.stop()

    assert ("edgetune:" in server.log()) == bool(said)
    assert said in server.log()


def test_the_extra_that_is_missing_is_named(cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgetune_node.cli.remote.console.find_spec", lambda name: None if name == "uvicorn" else name)
    outcome = cli("console")
    assert outcome.code == 1
    assert "uvicorn" in outcome.err
    assert "edgetune[console]" in outcome.err
