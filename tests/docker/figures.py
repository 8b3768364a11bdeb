"""What the containers cost: image sizes, start, memory of node and search, stop. Run by ``make container-figures``.

Prints the table of ``docs/reference/figures-node.md``, with a column for each image that is named (both where none is).
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

import pytest
from compose_stack import ASSET, BUILD_S, FAULT_S, TOPICS, Stack, need_engine, running, wait_for

MIB = 2**20
TARGETS = ("node", "node-slim")
TAUGHT = ["--classes", "normal,inner,outer,ball", "--takes", "2", "--seconds-per-take", "4s", "--countdown", "1s"]
PEAK = "cat /sys/fs/cgroup/memory.peak /sys/fs/cgroup/memory/memory.max_usage_in_bytes 2>/dev/null"
OWN_PEAK = "awk '/^VmHWM/ {print $2}' /proc/1/status"
TREES = ("torch", "edgetune", "app")


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True).stdout


def sizes(stack: Stack) -> dict[str, str]:
    """Size of the image, and of what is ours in it."""
    image = stack.inspect("node")["Image"]
    size = int(docker("image", "inspect", "--format", "{{.Size}}", image))
    shown = stack.inside("node", "sh", "-c", "du -sk /opt/*")
    trees = {path.rpartition("/")[2]: int(kib) * 1024 for kib, path in map(str.split, shown.splitlines())}
    parts = " + ".join(f"{trees.get(name, 0) / 1e6:.0f}" for name in TREES)
    return {"image": f"{size / 1e6:.0f} MB", "torch + other packages + Edgetune in it": f"{parts} MB"}


def first_classification(stack: Stack) -> float:
    """Seconds from the start of the node's container to its first classification at a subscriber."""
    with stack.scada() as scada:
        stack.compose("stop", "node")
        wait_for(scada, "status", status="stopped")
        topic = TOPICS.asset(ASSET, "classification")
        scada.subscribe(topic)
        began = time.monotonic()
        stack.compose("start", "node")
        next(said for heard, said in scada.messages(FAULT_S) if heard == topic)
        return time.monotonic() - began


def memory(service: str, stack: Stack) -> float:
    """MiB that a container takes now, without files that the kernel could drop."""
    used = docker("stats", "--no-stream", "--format", "{{.MemUsage}}", stack.inspect(service)["Id"]).split()[0]
    number = used.rstrip("GKMiB")
    return float(number) * {"G": 1024.0, "M": 1.0, "K": 1 / 1024}[used[len(number)]]


def search(stack: Stack) -> dict[str, str]:
    """Have a network searched, and say what that took at most."""
    stack.compose("up", "--force-recreate", "--no-deps", "--wait", "node", seconds=120)  # the kernel counts from here
    done = stack.operator("recalibrate", *TAUGHT, "--time", "60s", "--deploy", "always", "--json", seconds=300)
    model = json.loads(done.stdout)["model"]
    card: dict[str, Any] = json.loads(
        stack.inside("node", "edgetune", "bundle", "show", f"/data/assets/{ASSET}/models/model-{model}", "--json")
    )
    found = card["search"]
    limit = stack.inspect("node")["HostConfig"]["Memory"] / MIB
    peak = int(stack.inside("node", "sh", "-c", PEAK, code=None).split()[0]) / MIB
    own = int(stack.inside("node", "sh", "-c", OWN_PEAK).split()[0]) / 1024
    return {
        "a search: candidates, trained, seconds": f"{found['candidates']}, {found['trained']}, {found['seconds']:.0f}",
        "its peak of memory (RSS)": f"{found['peak_rss_bytes'] / MIB:.0f} MiB",
        "the node's own peak (RSS)": f"{own:.0f} MiB",
        "peak of the container, with files in memory": f"{peak:.0f} MiB of {limit:.0f}",
    }


def figures(target: str) -> dict[str, str]:
    """Everything about one image."""
    stack = Stack(target)
    need_engine()
    stack.compose("build", "node", seconds=BUILD_S)
    began = time.monotonic()
    with running(stack):
        healthy = time.monotonic() - began
        rows = sizes(stack)
        rows["all containers started and healthy, image built"] = f"{healthy:.0f} s"
        rows |= search(stack)
        rows["node started to first classification"] = f"{first_classification(stack):.1f} s"
        stack.set_condition("normal")
        used = ", ".join(f"{memory(name, stack):.0f}" for name in ("node", "machine", "broker"))
        rows["memory while monitoring: node, machine, broker"] = f"{used} MiB"
        began = time.monotonic()
        stack.compose("stop", "node")
        rows["node stopped"] = f"{time.monotonic() - began:.1f} s"
    return rows


def main() -> None:
    targets = sys.argv[1:] or TARGETS
    try:
        columns = [figures(target) for target in targets]
    except pytest.skip.Exception as error:
        sys.exit(str(error))
    lines = [f"| what | {' | '.join(f'`{target}`' for target in targets)} |", "|---" * (1 + len(columns)) + "|"]
    lines += [f"| {name} | {' | '.join(column[name] for column in columns)} |" for name in columns[0]]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
