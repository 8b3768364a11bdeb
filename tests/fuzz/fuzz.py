"""``make fuzz``: atheris (libFuzzer) on everything that reads bytes from outside, each for a bounded time.

An input that ends a reader otherwise than by its own error is kept in ``.fuzz/<target>/``. Once it is mended, put the
input into ``tests/fuzz/found/`` as ``<target>-<what it was>``; the tests read everything there.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
KEPT = Path(".fuzz")
NAMES = (
    "command",
    "context",
    "recording",
    "card",
    "network",
    "novelty",
    "front",
    "archive",
    "journal",
    "block",
    "text",
    "wav",
)
MAX_RSS_MIB = 2048
MEMORY = Path("/dev/shm")  # noqa: S108 - what is made in it has a name of its own


def fuzz_one(name: str, seconds: int) -> None:
    """Fuzz one target in this process, which atheris ends."""
    import atheris

    sys.path.insert(0, str(HERE))
    with atheris.instrument_imports(include=["edgetune_signal", "edgetune_nas", "edgetune_node"]):
        from targets import TARGETS  # type: ignore[import-not-found]  # beside this file

    target = TARGETS[name]
    kept = KEPT / name
    corpus = kept / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    seeds = target.seeds()
    for index, seed in enumerate(seeds):
        (corpus / f"seed{index}").write_bytes(seed)
    longest = 4 * max(map(len, seeds))
    options = [
        f"-max_total_time={seconds}",
        f"-max_len={longest}",
        f"-rss_limit_mb={MAX_RSS_MIB}",
        f"-artifact_prefix={kept}/",
        "-timeout=20",
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], *options, str(corpus)], target.read)
    atheris.Fuzz()


def main() -> int:
    """Fuzz the targets one after the other, in a process each; 1 where one has a finding."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(NAMES)}; by default all")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    unknown = set(given.targets) - set(NAMES)
    if unknown:
        parser.error(f"there is no target {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    if given.one:
        fuzz_one(given.targets[0], given.seconds)
    found = []
    for name in given.targets or NAMES:
        command = [sys.executable, __file__, name, "--one", "--seconds", str(given.seconds)]
        with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:  # atheris removes nothing
            ended = subprocess.run(
                command,
                check=False,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                env={**os.environ, "TMPDIR": folder},
            )
        runs = [line for line in ended.stderr.splitlines() if "number_of_executed_units" in line]
        sys.stdout.write(f"{name}: {runs[0].split()[-1] if runs else '?'} inputs, {given.seconds} s")
        sys.stdout.write(", nothing found\n" if ended.returncode == 0 else f", FOUND; see {KEPT / name}\n")
        sys.stdout.flush()
        if ended.returncode:
            found.append(name)
            sys.stderr.write(ended.stderr[-4000:])
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
