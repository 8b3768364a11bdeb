"""A broker that hangs up on what it does not permit, as RabbitMQ, HiveMQ, VerneMQ and AWS IoT do: npm's aedes."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Self

import npm

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

PACKAGE = "aedes@1"
SCRIPT = """
import { Aedes } from 'aedes'
import { createServer } from 'node:net'
const [unwritable, unreadable] = process.argv.slice(2).map(text => text.split(','))
const aedes = await Aedes.createBroker({
  authorizePublish: (client, packet, done) =>
    done(unwritable.includes(packet.topic) ? new Error('not permitted') : null),
  authorizeSubscribe: (client, subscription, done) =>
    unreadable.includes(subscription.topic) ? done(new Error('not permitted')) : done(null, subscription),
})
const server = createServer(aedes.handle)
server.listen(0, '127.0.0.1', () => console.log(server.address().port))
"""


class HangingUp:
    """An aedes that speaks MQTT 3.1.1 and ends the connection on a publish or subscription that is named here."""

    host = "127.0.0.1"

    def __init__(self, folder: Path, unwritable: Sequence[str] = (), unreadable: Sequence[str] = ()) -> None:
        program = folder / "broker.mjs"
        program.write_text(SCRIPT, encoding="utf-8")
        command = ["node", str(program), ",".join(unwritable), ",".join(unreadable)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=folder)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()


def install(folder: Path) -> Path:
    """Install aedes into ``folder``; skip where npm is not there or cannot reach its registry."""
    return npm.install(folder, PACKAGE)
