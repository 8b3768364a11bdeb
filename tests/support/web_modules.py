"""What npm has to bring for the console's page: installed once, into pytest's cache, as the lock file says."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

WEB = Path(__file__).parents[2] / "node" / "web"
INSTALL_S = 180.0
FILES = ("package.json", "package-lock.json")


def modules(config: pytest.Config) -> Path:
    """Return the folder of npm's modules; the test is skipped where they cannot be had."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("the page's sources need node and npm (apt install npm)")
    wanted = hashlib.sha256(b"".join((WEB / name).read_bytes() for name in FILES)).hexdigest()[:12]
    folder = Path(config.cache.mkdir(f"web-{wanted}")) if config.cache else pytest.skip("there is no cache")
    with (folder / "lock").open("w") as lock:  # tests run in parallel
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "installed").exists():
            for name in FILES:
                shutil.copy(WEB / name, folder / name)
            command = [npm, "ci", "--no-audit", "--no-fund", "--prefix", str(folder)]
            try:
                done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_S, check=False)
            except subprocess.TimeoutExpired:
                pytest.skip("the page's modules cannot be installed: npm's registry does not answer")
            if done.returncode != 0:
                pytest.skip(f"the page's modules cannot be installed: {done.stderr.strip()[-300:]}")
            (folder / "installed").touch()
    return folder / "node_modules"
