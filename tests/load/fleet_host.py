"""Many nodes in one process, each whole but for its process: ``fleet_host.py CONFIG...``, until SIGTERM."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

from edgetune_node.clock import SystemClock
from edgetune_node.config.settings import load_settings
from edgetune_node.ops import logs
from edgetune_node.runtime.service import Service


def main() -> None:
    """Run them all."""
    writer = logs.configure()
    services = [Service(load_settings(Path(name)), SystemClock(), writer) for name in sys.argv[1:]]
    threads = [threading.Thread(target=service.run) for service in services]
    ending = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ending.set())
    for thread in threads:
        thread.start()
    ending.wait()
    for service in services:
        service.stop("SIGTERM")
    for thread in threads:
        thread.join()
    os._exit(0)


if __name__ == "__main__":
    main()
