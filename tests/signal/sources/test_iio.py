"""Linux IIO: any record is taken apart, a device is set up as asked, and what it cannot do is said."""

from __future__ import annotations

import os
import re
import shutil
import struct
import tempfile
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from edgetune_signal import SourceError, SourceOptionsError, StreamSpec, open_source
from edgetune_signal.sources.conformance import CHECKS, read_chunk, sending
from edgetune_signal.sources.iio import TimeSteps
from edgetune_signal.sources.iio_format import STORAGE_BITS, ScanDecoder, ScanFormat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edgetune_signal import Source

SPEC = StreamSpec(3, 3200.0, "g")
PERIOD_NS = 312_500
STANDARD_GRAVITY = 9.80665
ADXL345 = {  # as its driver shows it, with a time stamp
    "name": "adxl345",
    "in_accel_scale": "0.0383",
    "in_accel_sampling_frequency": "100.000000",
    "in_accel_sampling_frequency_available": "0.097656 100.000000 1600.000000 3200.000000",
    "trigger/current_trigger": "",
    "current_timestamp_clock": "realtime",
    "buffer/enable": "1",
    "buffer/length": "2",
    "buffer/watermark": "1",
    **{f"scan_elements/in_accel_{axis}_en": "0" for axis in "xyz"},
    **{f"scan_elements/in_accel_{axis}_index": str(number) for number, axis in enumerate("xyz")},
    **{f"scan_elements/in_accel_{axis}_type": "le:s13/16>>0" for axis in "xyz"},
    "scan_elements/in_timestamp_en": "0",
    "scan_elements/in_timestamp_index": "3",
    "scan_elements/in_timestamp_type": "le:s64/64>>0",
}
RECORD = struct.Struct("<hhhxxq")


class Tree:
    """A folder with ``sys`` and ``dev`` of one device and its triggers; the device node is a FIFO."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.devices = root / "sys/bus/iio/devices"
        self.device = self.devices / "iio:device0"
        self.add(self.device, ADXL345)
        self.add(self.devices / "trigger0", {"name": "adxl345-dev0"})
        (root / "dev").mkdir()
        self.fifo = root / "dev/iio:device0"
        os.mkfifo(self.fifo)
        self.writer = os.open(self.fifo, os.O_RDWR | os.O_NONBLOCK)

    def add(self, folder: Path, files: dict[str, str]) -> None:
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(content + "\n")

    def value(self, name: str) -> str:
        return (self.device / name).read_text().strip()

    def measure(self, first: int, n: int, *, start_ns: int = 10**9, period_ns: int = PERIOD_NS) -> None:
        rows = range(first, first + n)
        os.write(self.writer, b"".join(RECORD.pack(k % 4096, -1, 100, start_ns + k * period_ns) for k in rows))

    def opened(self, spec: StreamSpec = SPEC, **options: Any) -> Source:
        source = open_source("iio", spec, {"root": str(self.root), **options})
        assert source.read(0.0) is None  # the first read opens the device
        return source

    def refusal(self, spec: StreamSpec = SPEC, **options: Any) -> str:
        with closing(open_source("iio", spec, {"root": str(self.root), **options})) as source:
            return refusal(source)


def refusal(source: Source) -> str:
    with pytest.raises(SourceError) as caught:
        source.read(0.0)
    return str(caught.value)


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Tree]:
    made = Tree(tmp_path)
    yield made
    os.close(made.writer)


scan_formats = st.builds(
    lambda big, signed, storage, shift, part: ScanFormat(
        big, signed, max(1, round(part * (storage - shift % storage))), storage, shift % storage
    ),
    st.booleans(),
    st.booleans(),
    st.sampled_from(STORAGE_BITS),
    st.integers(0, 63),
    st.floats(0, 1),
)


def slowly_decoded(formats: list[ScanFormat], records: bytes, record_bytes: int) -> list[list[int]]:
    """Take records apart bit by bit, as the kernel's documentation describes them."""
    columns: list[list[int]] = [[] for _ in formats]
    for start in range(0, len(records), record_bytes):
        at = 0
        for scan, column in zip(formats, columns, strict=True):
            size = scan.storage_bits // 8
            while at % size:
                at += 1
            stored = int.from_bytes(records[start + at : start + at + size], "big" if scan.big_endian else "little")
            at += size
            value = sum(((stored >> (scan.shift + bit)) & 1) << bit for bit in range(scan.bits))
            column.append(value - (1 << scan.bits) if scan.signed and value >> (scan.bits - 1) else value)
    return columns


@given(formats=st.lists(scan_formats, min_size=1, max_size=5), n=st.integers(0, 4), data=st.data())
def test_records_of_every_order_sign_width_and_shift_are_taken_apart(
    formats: list[ScanFormat], n: int, data: st.DataObject
) -> None:
    decoder = ScanDecoder(formats)
    records = data.draw(st.binary(min_size=n * decoder.record_bytes, max_size=n * decoder.record_bytes))
    decoded = [column.tolist() for column in decoder.decode(records)]
    assert decoded == slowly_decoded(formats, records, decoder.record_bytes)


@given(scan=scan_formats)
def test_a_format_is_read_as_the_kernel_writes_it(scan: ScanFormat) -> None:
    order, sign = "be" if scan.big_endian else "le", "s" if scan.signed else "u"
    assert ScanFormat.parse(f"{order}:{sign}{scan.bits}/{scan.storage_bits}>>{scan.shift}\n") == scan


@pytest.mark.parametrize(
    ("types", "record_bytes"),
    [(["s16/16"], 2), (["s16/16"] * 3, 6), (["s16/16"] * 3 + ["s64/64"], 16), (["s20/32>>12"] * 3, 12), (["u8/8"], 1)],
)
def test_a_record_has_the_size_that_the_kernel_gives_it(types: list[str], record_bytes: int) -> None:
    assert ScanDecoder([ScanFormat.parse("le:" + text) for text in types]).record_bytes == record_bytes


@pytest.mark.parametrize("text", ["", "le:s16", "le:f32/32>>0", "le:s16/24>>0", "be:s20/32>>13", "le:s16/16X2>>0"])
def test_a_format_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(SourceError, match="the format"):
        ScanFormat.parse(text)


@pytest.fixture
def streaming(tree: Tree) -> Iterator[None]:
    """Measures until the test ends, whoever reads."""
    with sending(lambda number: tree.measure(32 * number, 32)):
        yield


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.usefixtures("streaming")
def test_iio_keeps_the_contract(check: Callable[[Callable[[], Source]], None], tree: Tree) -> None:
    check(lambda: open_source("iio", SPEC, {"root": str(tree.root)}))


def test_a_device_is_set_up_read_and_stopped(tree: Tree) -> None:
    with closing(tree.opened()) as source:
        assert {tree.value(f"scan_elements/in_accel_{axis}_en") for axis in "xyz"} == {"1"}
        assert tree.value("scan_elements/in_timestamp_en") == "1"
        assert tree.value("in_accel_sampling_frequency") == "3200.000000"
        assert tree.value("trigger/current_trigger") == "adxl345-dev0"
        assert tree.value("current_timestamp_clock") == "monotonic"
        assert tree.value("buffer/length") == "6400"
        assert tree.value("buffer/watermark") == "64"
        assert tree.value("buffer/enable") == "1"
        tree.measure(0, 64)
        chunk = read_chunk(source)
    assert tree.value("buffer/enable") == "0"
    expected = np.stack([np.arange(64), np.full(64, -1), np.full(64, 100)]) * 0.0383 / STANDARD_GRAVITY
    np.testing.assert_allclose(chunk.samples, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("unit", "value"), [("counts", 300.0), ("m/s2", (300 - 20) * 0.5), ("g", (300 - 20) * 0.5 / STANDARD_GRAVITY)]
)
def test_offset_and_scale_of_an_axis_come_before_those_of_all(tree: Tree, unit: str, value: float) -> None:
    tree.add(tree.device, {"in_accel_offset": "7", "in_accel_x_offset": "-20", "in_accel_x_scale": "0.5"})
    with closing(tree.opened(StreamSpec(1, 3200.0, unit))) as source:
        assert tree.value("scan_elements/in_accel_y_en") == "0"
        record = struct.Struct("<hxxxxxxq")
        os.write(tree.writer, b"".join(record.pack(300, k * PERIOD_NS) for k in range(64)))
        assert read_chunk(source).samples[0, 0] == pytest.approx(value)


def test_axes_may_be_chosen_and_their_order_is_the_configurations(tree: Tree) -> None:
    with closing(tree.opened(StreamSpec(2, 3200.0, "counts"), elements=["accel_z", "accel_x"])) as source:
        record = struct.Struct("<hhxxxxq")
        os.write(tree.writer, b"".join(record.pack(1, 3, k * PERIOD_NS) for k in range(64)))
        assert read_chunk(source).samples[:, 0].tolist() == [3.0, 1.0]


def test_an_adc_measures_volts(tree: Tree) -> None:
    shutil.rmtree(tree.device)
    elements = {"voltage0_en": "0", "voltage0_index": "0", "voltage0_type": "be:u12/16>>4"}
    attributes = {"name": "ad7476", "in_voltage_scale": "0.805664", "buffer0/enable": "0", "buffer0/length": "2"}
    tree.add(tree.device, attributes | {f"buffer0/in_{name}": value for name, value in elements.items()})
    with closing(tree.opened(StreamSpec(1, 1000.0, "V"), elements=["voltage0"])) as source:
        os.write(tree.writer, struct.pack(">20H", *[2048 << 4] * 20))
        np.testing.assert_allclose(read_chunk(source).samples, 2048 * 0.805664e-3, rtol=1e-6)


def test_records_that_arrive_in_pieces_are_put_together(tree: Tree) -> None:
    with closing(tree.opened()) as source:
        raw = b"".join(RECORD.pack(k, 0, 0, k * PERIOD_NS) for k in range(64))
        for start in range(0, len(raw), 7):
            os.write(tree.writer, raw[start : start + 7])
            chunk = source.read(0.0)
        assert chunk is not None
        np.testing.assert_allclose(chunk.samples[0], np.arange(64) * 0.0383 / STANDARD_GRAVITY, rtol=1e-6)


def test_what_the_kernels_buffer_lost_is_a_gap(tree: Tree) -> None:
    with closing(tree.opened()) as source:
        tree.measure(0, 64)
        tree.measure(64, 30)
        tree.measure(95, 98)  # sample 94 is missing
        chunks = [read_chunk(source) for _ in range(2)]
    assert [chunk.samples.shape[1] for chunk in chunks] == [94, 98]
    assert [chunk.gap for chunk in chunks] == [False, True]


def test_a_fifo_whose_samples_share_a_time_stamp_loses_nothing_until_it_does() -> None:
    steps = TimeSteps(1000.0)
    batches = np.repeat(np.arange(1, 20) * 32_000_000, 32)
    assert [steps.gaps(part) for part in np.split(batches, [10, 40, 300])] == [[]] * 4
    assert steps.gaps(np.repeat(20 * 32_000_000 + 8_000_000, 40)) == []  # read a little late, so it held more
    assert steps.gaps(np.repeat(22 * 32_000_000 + 8_000_000, 32)) == [0]


def test_a_device_that_goes_is_an_error_and_what_follows_its_return_a_gap(tree: Tree) -> None:
    with closing(tree.opened()) as source:
        tree.measure(0, 64)
        read_chunk(source)
        os.close(tree.writer)
        with pytest.raises(SourceError, match="has gone"):
            source.read(30.0)
        tree.writer = os.open(tree.fifo, os.O_RDWR | os.O_NONBLOCK)
        assert source.read(0.0) is None
        tree.measure(0, 64)
        assert read_chunk(source).gap


def test_a_range_is_chosen_by_what_it_has_to_reach(tree: Tree) -> None:
    tree.add(tree.device, {"in_accel_scale_available": "0.004786 0.009571 0.019142 0.0383"})
    with closing(tree.opened(full_scale=7.0)):
        assert tree.value("in_accel_scale") == "0.019142"
    assert "measures up to 2, 4, 8, 16 g, not full_scale = 50" in tree.refusal(full_scale=50.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "adxl999"}, r"no IIO device 'adxl999' .* there are adxl345 \(iio:device0\)"),
        ({"elements": ["accel_x", "accel_y", "accel_w"]}, "no channel accel_w; there are accel_x, accel_y, accel_z"),
        ({"trigger": "timer"}, r"no trigger 'timer': there are adxl345-dev0; mkdir .*hrtimer"),
        ({"full_scale": 4.0}, "has one range only: remove full_scale"),
    ],
)
def test_what_is_not_there_is_named_with_what_is(tree: Tree, options: dict[str, Any], message: str) -> None:
    assert re.search(message, tree.refusal(**options))


def test_a_rate_that_the_device_cannot_do_is_named_with_those_it_can(tree: Tree) -> None:
    assert "cannot do 12000 Hz: it offers 0.097656 100.000000 1600.000000" in tree.refusal(StreamSpec(3, 12000.0, "g"))
    tree.add(tree.device, {"in_accel_sampling_frequency_available": "[1 1 1000]"})
    assert "cannot do 3200 Hz: it offers [1 1 1000] Hz" in tree.refusal()


def test_no_device_at_all_asks_for_wires_and_driver(tree: Tree) -> None:
    shutil.rmtree(tree.device)
    assert "no IIO device in" in tree.refusal()
    assert "driver loaded" in tree.refusal()


def test_of_two_devices_one_has_to_be_named(tree: Tree) -> None:
    shutil.copytree(tree.device, tree.devices / "iio:device1")
    assert "several IIO devices" in tree.refusal()
    with closing(tree.opened(device="iio:device0")):
        pass


def test_a_device_without_buffer_cannot_stream(tree: Tree) -> None:
    shutil.rmtree(tree.device / "buffer")
    assert "has no buffer" in tree.refusal()


def test_a_timer_as_trigger_gets_the_rate(tree: Tree) -> None:
    tree.add(tree.devices / "trigger1", {"name": "timer", "sampling_frequency": "100"})
    with closing(tree.opened(trigger="timer")):
        assert (tree.devices / "trigger1/sampling_frequency").read_text().strip() == "3200"


def test_a_device_node_that_is_not_there_is_named(tree: Tree) -> None:
    tree.fifo.unlink()
    assert f"{tree.fifo} cannot be opened: No such file or directory; in a container" in tree.refusal()
    assert tree.value("buffer/enable") == "0"


@contextmanager
def as_nobody() -> Iterator[None]:
    """Nothing may be imported meanwhile: nobody can perhaps not read where it is."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_missing_rights_are_named_with_what_gives_them() -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        tree = Tree(root)
        try:
            root.chmod(0o755)
            for path in root.rglob("*"):
                path.chmod(0o555 if path.is_dir() else 0o444)
            source = open_source("iio", SPEC, {"root": name})
            with as_nobody():
                refused = refusal(source)
            assert f"{tree.device}/buffer/enable cannot be set to '0': Permission denied; let the node's" in refused
            for path in tree.device.rglob("*"):
                path.chmod(0o777)
            tree.fifo.chmod(0)
            with as_nobody():
                refused = refusal(source)
            assert f"{tree.fifo} cannot be opened: Permission denied; let the node's user" in refused
            source.close()
        finally:
            os.close(tree.writer)
            for path in [root, *(path for path in root.rglob("*") if path.is_dir())]:
                path.chmod(0o755)


@pytest.mark.parametrize(
    ("spec", "options", "names"),
    [
        (SPEC, {"device": 7, "elements": "accel_x", "colour": "red"}, {"device", "elements", "colour"}),
        (StreamSpec(4, 100.0, "g"), {}, {"elements"}),
        (StreamSpec(3, 100.0, "V"), {}, {"unit"}),
        (StreamSpec(1, 100.0, "g"), {"elements": ["anglvel_x"], "full_scale": -1}, {"unit", "full_scale"}),
    ],
)
def test_all_wrong_options_are_named(spec: StreamSpec, options: dict[str, Any], names: set[str]) -> None:
    with pytest.raises(SourceOptionsError) as caught:
        open_source("iio", spec, options)
    assert {problem.split()[0] for problem in caught.value.problems} == names
