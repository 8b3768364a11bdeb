"""How fast files are imported, and in how much memory: a CSV and a WAV of any size, made on the spot."""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
import wave
from pathlib import Path

import numpy as np

MIB = 1 << 20
CHUNK_ROWS = 200_000
WAV_RATE_HZ = 25_600


def write_csv(path: Path, size_mb: float) -> None:
    """Write rows of a time and three axes until the file is as large."""
    random = np.random.default_rng(0)
    with path.open("w", encoding="ascii") as file:
        file.write("t,x,y,z\n")
        rows = 0
        chunk = random.normal(0, 1, (CHUNK_ROWS, 3))
        while file.tell() < size_mb * 1e6:
            times = (rows + np.arange(CHUNK_ROWS)) / 10_000
            np.savetxt(file, np.column_stack([times, chunk]), fmt=["%.4f", "%.6f", "%.6f", "%.6f"], delimiter=",")
            rows += CHUNK_ROWS


def write_wav(path: Path, hours: float) -> None:
    """Write noise of 16 bits."""
    random = np.random.default_rng(0)
    block = random.integers(-20_000, 20_000, WAV_RATE_HZ * 60, dtype=np.int16).tobytes()
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(WAV_RATE_HZ)
        for _ in range(round(hours * 60)):
            file.writeframes(block)


def imported(path: Path, *words: str) -> tuple[float, float]:
    """Return CPU seconds and peak memory in MiB of an import in a process of its own."""
    with tempfile.TemporaryDirectory(dir=path.parent) as out:
        command = [
            sys.executable,
            "-m",
            "edgetune_node",
            "import",
            str(path),
            "--label",
            "normal",
            "--out",
            out,
            *words,
        ]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu_s, after.ru_maxrss / 1024


def main() -> None:
    """Print MB of file a CPU second, and peak memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--csv-mb", type=float, default=200.0)
    parser.add_argument("--wav-hours", type=float, default=0.5)
    parser.add_argument("--folder", type=Path, default=None)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as place:
        for path, write, size, words in (
            (Path(place) / "a.wav", write_wav, chosen.wav_hours, ("--full-scale", "16", "--unit", "g")),
            (Path(place) / "a.csv", write_csv, chosen.csv_mb, ()),
        ):
            write(path, size)
            began_s = time.monotonic()
            cpu_s, peak_mib = imported(path, *words)
            mb = path.stat().st_size / 1e6
            print(  # noqa: T201 - its purpose
                f"{path.suffix}: {mb:.0f} MB, {mb / cpu_s:.0f} MB a CPU second, peak {peak_mib:.0f} MiB,"
                f" {time.monotonic() - began_s:.0f} s"
            )
            path.unlink()


if __name__ == "__main__":
    main()
