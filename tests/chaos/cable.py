"""A cable into a network namespace of its own, that can be pulled: what was connected through it stays half open.

Nothing is reset and nobody says goodbye: packets no longer arrive, as where a switch loses its power. The namespace
goes with the process that holds it open, and the cable with the namespace.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from plant import HOST, PATIENCE_S, PlantError, wait_until

if TYPE_CHECKING:
    from collections.abc import Sequence

CLONE_NEWNET = 0x40000000
FAR = "far"


class Cable:
    """The cable; not `there` where namespaces cannot be made, then `listen` listens on this machine's own address."""

    def __init__(self) -> None:
        self.host = HOST
        self._near = f"chaos{os.getpid() % 10**8}"
        self._holder: subprocess.Popen[bytes] | None = None
        if all(shutil.which(command) for command in ("unshare", "nsenter", "ip")):
            try:
                self._lay()
            except (PlantError, subprocess.CalledProcessError, OSError):  # the holder may end while it is looked at
                self.close()

    @property
    def there(self) -> bool:
        return self._holder is not None

    def listen(self) -> socket.socket:
        """Return a socket that listens at the far end, on `host`."""
        if self._holder is None:
            return socket.create_server((self.host, 0))
        made: list[socket.socket] = []

        def listen_there(namespace: int) -> None:  # a socket stays where it was made, and this thread ends there
            if ctypes.CDLL(None, use_errno=True).setns(namespace, CLONE_NEWNET) == 0:
                made.append(socket.create_server((self.host, 0)))

        with self._namespace.open("rb") as namespace:
            thread = threading.Thread(target=listen_there, args=(namespace.fileno(),))
            thread.start()
            thread.join()
        if not made:
            raise PlantError("a thread cannot enter the network namespace that was made for it")
        return made[0]

    def pull(self) -> None:
        """Let no packet through any more, beyond a switch: the near end still has its carrier, so nobody is told."""
        self._inside("ip", "address", "delete", f"{self.host}/30", "dev", FAR)

    def plug(self) -> None:
        """Let packets through again."""
        self._inside("ip", "address", "add", f"{self.host}/30", "dev", FAR)

    def close(self) -> None:
        if self._holder is not None:
            subprocess.run(["ip", "link", "delete", self._near], check=False, capture_output=True)
            self._holder.communicate(timeout=PATIENCE_S)  # its input ends, and so does it
            self._holder = None

    @property
    def _namespace(self) -> Path:
        assert self._holder is not None
        return Path(f"/proc/{self._holder.pid}/ns/net")

    def _lay(self) -> None:
        holder = self._holder = subprocess.Popen(
            ["unshare", "--net", "cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        own = Path("/proc/self/ns/net").readlink()
        wait_until(lambda: holder.poll() is not None or self._namespace.readlink() != own, "a namespace is made")
        if holder.poll() is not None:
            raise PlantError("no network namespace can be made here")
        network = f"198.18.{os.getpid() % 256}"  # RFC 2544: for tests of networks, nobody's address
        run(["ip", "link", "add", self._near, "type", "veth", "peer", "name", FAR, "netns", str(holder.pid)])
        run(["ip", "address", "add", f"{network}.1/30", "dev", self._near])
        run(["ip", "link", "set", self._near, "up"])
        self.host = f"{network}.2"
        mac = "02:00:00:00:00:01"
        self._inside("ip", "link", "set", FAR, "address", mac, "up")
        self.plug()
        run(["ip", "neighbour", "add", self.host, "lladdr", mac, "dev", self._near])  # else it would be found missing

    def _inside(self, *command: str) -> None:
        assert self._holder is not None
        run(["nsenter", f"--net={self._namespace}", *command])


def run(command: Sequence[str]) -> None:
    subprocess.run(command, check=True, capture_output=True)
