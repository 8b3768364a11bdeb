"""The payload: read back, and read by decoders of others."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from typing import TYPE_CHECKING, Any

import npm
import pytest
from hypothesis import given, settings, strategies as st

from edgetune_node.errors import PayloadError
from edgetune_node.integrations.sparkplug.payload import DataType, Metric, decode, encode

if TYPE_CHECKING:
    from pathlib import Path

NOW_MS = 1_769_860_800_123
SAMPLES = [
    Metric("fault/active", DataType.BOOLEAN, value=True, time_ms=NOW_MS),
    Metric("fault/latched", DataType.BOOLEAN, value=False, time_ms=NOW_MS),
    Metric("health/rss_bytes", DataType.INT64, 2**40 + 3, NOW_MS),
    Metric("health/change", DataType.INT64, -5, NOW_MS),
    Metric("model/accuracy", DataType.DOUBLE, 0.97, NOW_MS),
    Metric("fault/class", DataType.STRING, "inner ✓", NOW_MS, historical=True),
    Metric("fault/first_seen", DataType.DATETIME, NOW_MS, NOW_MS),
    Metric("fault/comment", DataType.STRING, None, NOW_MS),
]
INSTALL_S = 150
JAVASCRIPT = """
const { get } = require('sparkplug-payload')
const codec = get('spBv1.0')
const bytes = Buffer.from(process.argv[2], 'hex')
const plain = value => typeof value === 'bigint' ? value.toString()
  : value instanceof Date ? value.getTime()
  : value !== null && typeof value === 'object' && 'low' in value ? value.toString() : value
const read = codec.decodePayload(bytes)
const metrics = read.metrics.map(m => ({ name: m.name, type: m.type, value: plain(m.value), time: plain(m.timestamp),
  historical: m.isHistorical === true, null: m.value === null || m.value === undefined }))
console.log(JSON.stringify({ time: plain(read.timestamp), seq: plain(read.seq), metrics }))
"""
COMMAND = """
const { get } = require('sparkplug-payload')
const body = get('spBv1.0').encodePayload({ timestamp: 5, metrics: [
  { name: 'command/acknowledge', type: 'String', value: '{}', timestamp: 5 },
  { name: 'Node Control/Rebirth', type: 'Boolean', value: true, timestamp: 5 },
  { name: 'small', type: 'Int32', value: -7, timestamp: 5 } ] })
console.log(Buffer.from(body).toString('hex'))
"""
PYTHON = """
import json, sys, pysparkplug
payload = pysparkplug.NBirth.decode(bytes.fromhex(sys.argv[1]))
plain = lambda value: int(value.timestamp() * 1000 + 0.5) if hasattr(value, "timestamp") else value
print(json.dumps({"time": payload.timestamp, "seq": payload.seq, "metrics": [
    {"name": m.name, "type": m.datatype.name, "value": plain(m.value), "time": m.timestamp,
     "historical": bool(m.is_historical), "null": bool(m.is_null)} for m in payload.metrics]}))
"""


@pytest.fixture(scope="module")
def javascript(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with npm's decoder; skipped where npm is not there or cannot reach its registry."""
    return npm.install(tmp_path_factory.mktemp("npm"), "sparkplug-payload@1", "--ignore-scripts")


@pytest.fixture(scope="module")
def pysparkplug(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with pysparkplug, whose packages are too old for ours; skipped where it cannot be had."""
    folder = tmp_path_factory.mktemp("pysparkplug")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    command = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", "pysparkplug==0.6.1"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=INSTALL_S)
    except subprocess.TimeoutExpired:
        pytest.skip("pip cannot install pysparkplug: its index does not answer")
    if done.returncode:
        pytest.skip(f"pip cannot install pysparkplug: {done.stderr[-200:]}")
    return python


def check(read: dict[str, Any]) -> None:
    assert int(read["time"]) == NOW_MS
    assert int(read["seq"]) == 7
    for metric, found in zip(SAMPLES, read["metrics"], strict=True):
        assert found["name"] == metric.name
        assert found["type"].lower() == DataType(metric.type).name.lower()
        assert int(found["time"]) == NOW_MS
        assert found["historical"] == metric.historical
        assert found["null"] == (metric.value is None)
        value = found.get("value")
        number = isinstance(metric.value, int) and not isinstance(metric.value, bool)
        assert (int(value) if number else value) == metric.value


@pytest.mark.slow
def test_npms_sparkplug_payload_reads_what_is_written(javascript: Path) -> None:
    (javascript / "read.cjs").write_text(JAVASCRIPT, encoding="utf-8")
    body = encode(SAMPLES, time_ms=NOW_MS, seq=7)
    out = subprocess.run(
        ["node", "read.cjs", body.hex()], cwd=javascript, check=True, capture_output=True, text=True, timeout=60
    )
    check(json.loads(out.stdout))


@pytest.mark.slow
def test_what_npms_sparkplug_payload_writes_is_read(javascript: Path) -> None:
    (javascript / "write.cjs").write_text(COMMAND, encoding="utf-8")
    out = subprocess.run(["node", "write.cjs"], cwd=javascript, check=True, capture_output=True, text=True, timeout=300)
    read = decode(bytes.fromhex(out.stdout))
    assert [(metric.name, metric.value) for metric in read.metrics] == [
        ("command/acknowledge", "{}"),
        ("Node Control/Rebirth", True),
        ("small", -7),
    ]


@pytest.mark.slow
def test_pysparkplug_reads_what_is_written(pysparkplug: Path) -> None:
    body = encode(SAMPLES, time_ms=NOW_MS, seq=7)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    out = subprocess.run(
        [str(pysparkplug), "-W", "ignore", "-c", PYTHON, body.hex()],
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
        env=environment,
    )
    assert out.returncode == 0, out.stderr
    check(json.loads(out.stdout))


def test_a_payload_is_read_as_it_was_written() -> None:
    read = decode(encode(SAMPLES, time_ms=NOW_MS, seq=7))
    assert (read.time_ms, read.seq) == (NOW_MS, 7)
    assert list(read.metrics) == SAMPLES
    assert decode(encode([], time_ms=1, seq=None)).seq is None


@settings(max_examples=30)
@given(st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False), st.text())
def test_every_value_comes_back(integer: int, real: float, text: str) -> None:
    text = text.encode("utf-8", "replace").decode()
    written = [
        Metric("i", DataType.INT64, integer, 0),
        Metric("d", DataType.DOUBLE, real, 0),
        Metric("s", DataType.STRING, text, 0),
    ]
    assert [metric.value for metric in decode(encode(written, time_ms=0, seq=0)).metrics] == [integer, real, text]


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        read = decode(data)
    except PayloadError:
        return
    assert all(isinstance(metric, Metric) for metric in read.metrics)


@pytest.mark.slow
def test_a_node_that_is_no_edge_node_imports_nothing_of_it() -> None:
    program = "import sys, edgetune_node.runtime.service as s; s.Service; print(sorted(sys.modules))"
    out = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=120)
    loaded = out.stdout
    assert "edgetune_node.mqtt" in loaded
    assert "edgetune_node.integrations.sparkplug" not in loaded
    assert "google.protobuf" not in loaded
