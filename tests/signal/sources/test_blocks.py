"""Sample blocks survive the wire; anything else that comes is refused with its offset and loses nothing."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from brokers import Broker
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from edgetune_signal import Block, BlockError, MqttSource, SourceEnded, StreamSpec, decode_block, encode_block
from edgetune_signal.sources.blocks import MAX_BLOCK_BYTES
from edgetune_signal.sources.mqtt import MAX_QUEUED_BLOCKS

EXAMPLES = Path(__file__).resolve().parents[3] / "signal" / "examples"
SPEC = StreamSpec(2, 1000.0, "g")

blocks = st.builds(
    Block,
    samples=st.sampled_from([np.int8, np.int16, np.int32, np.float32]).flatmap(
        lambda dtype: arrays(dtype, array_shapes(min_dims=2, max_dims=2, max_side=12))
    ),
    sequence=st.integers(0, 2**64 - 1),
    time_ns=st.integers(-(2**63), 2**63 - 1),
    rate_hz=st.floats(min_value=1e-300, allow_infinity=False, exclude_min=True),
    unit=st.text(max_size=40),
    scale=st.floats(allow_nan=False, allow_infinity=False).filter(bool),
)


def block(sequence: int = 0, **changes: Any) -> Block:
    samples = np.arange(8, dtype=np.int16).reshape(2, 4)
    return replace(Block(samples, sequence, 1000 + sequence * 4_000_000, 1000.0, "g", 0.5), **changes)


@given(blocks)
def test_a_block_comes_back_as_it_was_sent(sent: Block) -> None:
    got = decode_block(encode_block(sent))
    np.testing.assert_array_equal(got.samples, sent.samples)
    assert got.dtype == sent.dtype
    assert got.channels == sent.samples.shape[0]
    for name in ("sequence", "time_ns", "rate_hz", "unit", "scale"):
        assert getattr(got, name) == getattr(sent, name)
    assert got.physical().dtype == np.float32


@given(st.binary(max_size=200))
def test_any_bytes_are_a_block_or_a_block_error(payload: bytes) -> None:
    try:
        decode_block(payload)
    except BlockError as error:
        assert "offset" in str(error)  # noqa: PT017 - most bytes are no block


@given(blocks, st.data())
def test_any_damage_gives_a_block_or_a_block_error(sent: Block, data: st.DataObject) -> None:
    payload = bytearray(encode_block(sent))
    at = data.draw(st.integers(0, len(payload) - 1))
    payload[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(payload)))
    for damaged in (bytes(payload), bytes(payload[:cut])):
        try:
            decode_block(damaged).physical()
        except BlockError as error:
            assert str(error)  # noqa: PT017 - damage may also go unnoticed


def test_the_layout_is_the_documented_one() -> None:
    payload = encode_block(block(7))
    assert payload[:8] == b"ET" + bytes([1, 2, 2, 0, 1, 0])
    assert struct.unpack_from("<QqddI", payload, 8) == (7, 28_001_000, 1000.0, 0.5, 4)
    assert payload[44:45] == b"g"
    assert struct.unpack_from("<8h", payload, 45) == (0, 4, 1, 5, 2, 6, 3, 7)


@pytest.mark.parametrize(
    ("offset", "value", "expectation"),
    [
        (0, b"XX", r"offset 0: expected the magic b'ET'"),
        (2, b"\x02", r"offset 2: expected version 1, found 2"),
        (3, b"\x09", r"offset 3: expected a dtype of 1 \(int8\)"),
        (4, b"\x00\x00", r"offset 4: expected 1 to 256 channels, found 0"),
        (7, b"\x01", r"offset 7: expected the reserved byte 0"),
        (24, struct.pack("<d", float("nan")), r"offset 24: expected a finite positive rate_hz"),
        (32, struct.pack("<d", 0.0), r"offset 32: expected a finite scale"),
        (40, b"\x00\x00\x00\x00", r"offset 40: expected at least one sample"),
        (40, b"\xff\xff\xff\xff", r"offset 45: 4294967295 samples of 2 channels"),
        (44, b"\xff", r"offset 44: the unit must be UTF-8"),
    ],
)
def test_a_malformed_block_is_refused_with_offset_and_expectation(offset: int, value: bytes, expectation: str) -> None:
    payload = bytearray(encode_block(block()))
    payload[offset : offset + len(value)] = value
    with pytest.raises(BlockError, match=expectation):
        decode_block(bytes(payload))


def test_blocks_too_large_or_too_short_are_refused() -> None:
    with pytest.raises(BlockError, match="at most"):
        decode_block(bytes(MAX_BLOCK_BYTES + 1))
    with pytest.raises(BlockError, match="inside its header"):
        decode_block(b"ET")


@pytest.mark.parametrize(
    "changes",
    [
        {"samples": np.zeros((1, 4), np.float64)},
        {"samples": np.zeros(4, np.int8)},
        {"samples": np.zeros((1, 0), np.int8)},
        {"samples": np.zeros((1, MAX_BLOCK_BYTES), np.int8)},
        {"samples": np.zeros((300, 1), np.int8)},
        {"unit": "x" * 256},
        {"sequence": -1},
        {"time_ns": 2**63},
        {"rate_hz": 0.0},
        {"scale": float("inf")},
    ],
)
def test_what_cannot_be_expressed_is_not_sent(changes: dict[str, Any]) -> None:
    with pytest.raises(BlockError):
        encode_block(block(**changes))


def fed(*payloads: bytes, spec: StreamSpec = SPEC) -> MqttSource:
    source = MqttSource(spec)
    for payload in payloads:
        source.feed(payload)
    return source


def test_samples_arrive_in_physical_units() -> None:
    chunk = fed(encode_block(block(3))).read(0.0)
    assert chunk is not None
    np.testing.assert_array_equal(chunk.samples, np.arange(8).reshape(2, 4) * 0.5)
    assert (chunk.time_ns, chunk.rate_hz, chunk.sequence, chunk.gap) == (12_001_000, 1000.0, 0, False)


def test_a_lost_block_leaves_a_gap() -> None:
    source = fed(*(encode_block(block(number)) for number in (5, 6, 8, 9, 0)))
    chunks = [source.read(0.0) for _ in range(5)]
    assert [chunk.gap for chunk in chunks if chunk] == [False, False, True, False, True]
    assert [chunk.sequence for chunk in chunks if chunk] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (encode_block(block(1, rate_hz=999.0)), "block 1 has 999 Hz where the stream has 1000"),
        (encode_block(block(1, samples=np.ones((3, 4), np.int8))), "3 channels where the stream has 2"),
        (encode_block(block(1, unit="V")), "unit 'V' where the stream has 'g'"),
        (encode_block(block(0)), "block 0 came twice"),
        (b"\x00garbage", "inside its header"),
        (b"garbage", "looks like text"),
    ],
)
def test_a_block_that_does_not_fit_is_counted_and_the_stream_goes_on(payload: bytes, reason: str) -> None:
    source = fed(encode_block(block(0)), payload, encode_block(block(2)))
    assert source.read(0.0) is not None
    chunk = source.read(0.0)
    assert chunk is not None
    assert chunk.gap
    assert source.refused == 1
    assert reason in str(source.last_error)
    assert source.read(0.0) is None


def test_the_oldest_blocks_are_dropped_and_counted_when_nobody_reads() -> None:
    source = fed(*(encode_block(block(number)) for number in range(MAX_QUEUED_BLOCKS + 3)))
    assert source.dropped == 3
    chunk = source.read(0.0)
    assert chunk is not None
    assert chunk.time_ns == block(3).time_ns


def test_large_payloads_cannot_fill_the_memory() -> None:
    source = fed(*[bytes(MAX_BLOCK_BYTES)] * 40)
    assert source.dropped == 39  # the newest may be as large as it likes
    assert source.read(0.0) is None
    assert source.refused == 1


def test_five_seconds_of_signal_may_wait() -> None:
    source = MqttSource(StreamSpec(8, 25_600.0, "g"))
    second = encode_block(Block(np.zeros((8, 25_600), np.float32), 0, 0, 25_600.0, "g"))
    for _ in range(8):
        source.feed(second)
    assert source.dropped == 4  # what a block says besides its samples takes a little of the room


def test_a_waiting_reader_gets_a_block_fed_by_another_thread() -> None:
    source = MqttSource(SPEC)
    got: list[Any] = []
    reader = threading.Thread(target=lambda: got.append(source.read(30.0)))
    reader.start()
    source.feed(b"garbage first")
    source.feed(encode_block(block()))
    reader.join(30.0)
    assert got[0] is not None
    source.close()
    with pytest.raises(SourceEnded):
        source.read(0.0)


@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
def test_the_c_example_builds_a_block_that_decodes(tmp_path: Path) -> None:
    program = tmp_path / "send_block"
    flags = ["-std=c11", "-Wall", "-Wextra", "-Werror"]
    subprocess.run(["gcc", *flags, "-o", str(program), str(EXAMPLES / "send_block.c"), "-lm"], check=True, timeout=300)
    payload = subprocess.run([str(program)], check=True, capture_output=True, timeout=300).stdout
    got = decode_block(payload)
    assert (got.dtype, got.channels, got.sequence, got.rate_hz, got.scale, got.unit) == (
        "int16",
        1,
        0,
        1000,
        0.001,
        "g",
    )
    expected = np.round(800 * np.sin(2 * np.pi * 50 * np.arange(256) / 1000))
    np.testing.assert_allclose(got.samples[0], expected, atol=1)
    assert abs(got.time_ns - time.time_ns()) < 600 * 10**9


def test_the_python_example_reaches_a_subscriber_through_a_real_broker(tmp_path: Path) -> None:
    from paho.mqtt.enums import CallbackAPIVersion

    from edgetune_node.mqtt import WholePacketClient

    broker = Broker(tmp_path).start()
    source = MqttSource(StreamSpec(1, 1000.0, "g"))
    client = WholePacketClient(CallbackAPIVersion.VERSION2)
    client.on_connect = lambda client, *_: client.subscribe("plant/samples")
    client.on_message = lambda _client, _data, message: source.feed(message.payload)
    example = [sys.executable, str(EXAMPLES / "send_block.py"), broker.host, str(broker.port), "plant/samples"]
    try:
        client.connect(broker.host, broker.port)
        client.loop_start()
        with subprocess.Popen(example) as sender:
            chunk = source.read(60.0)
            sender.kill()
    finally:
        client.disconnect()
        client.loop_stop()
        broker.stop()
    assert chunk is not None
    assert chunk.samples.shape == (1, 1000)
    assert chunk.samples.max() == pytest.approx(0.8, abs=0.01)
    assert source.last_error is None


def test_the_page_shows_the_examples_as_they_are() -> None:
    page = (EXAMPLES.parents[1] / "docs" / "reference" / "sample-block.md").read_text()
    python = (EXAMPLES / "send_block.py").read_text().replace("  # noqa: INP001", "")
    assert python in page
    assert "examples/send_block.c" in page
    sizes = [int(size) for size in re.findall(r"^\| \d+ \| (\d+) \|", page, flags=re.MULTILINE)]
    assert sum(sizes) == 44


JSON_TEXT = '{"samples": [' + "0.5, " * 300 + "0]}"


@pytest.mark.parametrize(
    "payload",
    [
        b'{"x": [1, 2]}',
        b"[0.1, 0.2]",
        b" \n" + JSON_TEXT.encode(),
        JSON_TEXT.encode("utf-8-sig"),
        JSON_TEXT.encode("utf-16"),
        b"\xfe\xff" + JSON_TEXT.encode("utf-16-be"),
    ],
)
def test_samples_that_are_sent_as_json_are_named_so(payload: bytes) -> None:
    with pytest.raises(BlockError, match="looks like JSON; samples are sent as binary blocks"):
        decode_block(payload)


@pytest.mark.parametrize(
    "payload",
    [
        b"0.25",
        b"0.1,0.2\r\n" * 200,
        b'"0.1 0.2"',
        "\u00b5V: 12".encode(),
        ("\u00e4" * 600).encode(),
        "0.1;0.2".encode("utf-8-sig"),
        "1\t2".encode("utf-16"),
    ],
)
def test_samples_that_are_sent_as_text_are_named_so(payload: bytes) -> None:
    with pytest.raises(BlockError, match="looks like text; samples are sent as binary blocks"):
        decode_block(payload)


@pytest.mark.parametrize("payload", [b"", b"E", b"ET", b"\x00\x01\x02", b"\xff\xfe\x00\xd8", b"\xef\xbb\xbf"])
def test_other_bytes_are_not_called_text(payload: bytes) -> None:
    with pytest.raises(BlockError, match="ends inside its header"):
        decode_block(payload)
