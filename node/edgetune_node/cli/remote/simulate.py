"""``edgetune simulate``: a machine or an armband that publishes its samples over MQTT, switchable while it runs.

Besides the ``samples`` topic it uses two topics below the asset's base: a condition published to ``simulator`` (as
plain text, or as ``{"condition": "inner_severe"}``) puts it into that condition; ``simulator/state`` (retained) says
which condition it is in, which there are, and whether it is sending.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path  # noqa: TC003 - typer reads it
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from edgetune_node.cli.remote.director import Director, find_condition
from edgetune_node.cli.remote.jobs import find_asset
from edgetune_node.operator import (
    BrokerError,
    LastWill,
    OperatorClient,
    RefusedError,
    Target,
    connect_with_will,
    object_or_none,
    takes_target,
)
from edgetune_node.terminal import InputLines, parse_seconds, stop_signals, takes_reading
from edgetune_signal import SourceError, StreamSpec, open_source
from edgetune_signal.files import ReadOptions
from edgetune_signal.simulators import (
    ARMBAND_CHANNELS,
    ARMBAND_GESTURES,
    ARMBAND_RATE_HZ,
    ARMBAND_UNIT,
    BEARING_CONDITIONS,
)
from edgetune_signal.sources import Block, encode_block, played_files, recorded_spec

if TYPE_CHECKING:
    from edgetune_signal import Chunk, Source

READ_S = 0.1
REPLAY_OPTIONS = ("rate_hz", "unit", "columns", "variable", "full_scale", "channel_key")
RETRY_S = 1.0
SPECS = {
    "bearing": StreamSpec(channels=1, rate_hz=12_000.0, unit="g"),
    "armband": StreamSpec(channels=ARMBAND_CHANNELS, rate_hz=ARMBAND_RATE_HZ, unit=ARMBAND_UNIT),
}
CONDITIONS_HELP = (
    f"Where it begins. Bearing: {', '.join(BEARING_CONDITIONS)}; armband: {', '.join(ARMBAND_GESTURES)}; "
    "recordings: their file names. (default: normal, rest or the first)"
)


@dataclass(frozen=True, slots=True)
class SimulatedMachine:
    """What is played, and which conditions it can be put into."""

    source: Source
    conditions: tuple[str, ...]
    condition: str


@takes_target
@takes_reading
def simulate(
    target: Target,
    *,
    machine: Annotated[
        Literal["bearing", "armband"] | None,
        typer.Option(help="What is simulated; by default an armband for an asset that knows signs, else a bearing."),
    ] = None,
    replay: Annotated[Path | None, typer.Option(help="Play a recording, or a folder of them, instead.")] = None,
    condition: Annotated[str | None, typer.Option(help=CONDITIONS_HELP)] = None,
    reading: ReadOptions,
    channels: Annotated[int | None, typer.Option(help="Number of channels.")] = None,
    speed: Annotated[float, typer.Option(min=0.01, max=100, help="1 is real time.")] = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="Another seed is another take of the same machine.")] = 0,
    subject: Annotated[str | None, typer.Option(help="The person who wears the armband.")] = None,
    session: Annotated[int | None, typer.Option(min=0, help="Of an armband: another day of the same person.")] = None,
    turn: Annotated[
        float | None, typer.Option(min=-8, max=8, help="Of an armband: electrodes by which it is worn turned.")
    ] = None,
    fatigue: Annotated[
        float | None, typer.Option(min=0, max=1, help="Of an armband: how much held gestures tire.")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(parser=parse_seconds, metavar="TIME", help="End after this time.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Go where the node's calibration asks for.")] = False,
    operate: Annotated[bool, typer.Option("--operate", help="With --follow: also answer with continue.")] = False,
    stdin: Annotated[bool, typer.Option("--stdin", help="Read conditions from standard input, one a line.")] = False,
) -> None:
    """Publish the samples of a machine that does not exist, or of recordings, to an asset's samples topic.

    Type a condition and Enter to change it, or publish one to the topic NAMESPACE/NODE/ASSET/simulator.
    """
    if operate and not follow:
        raise typer.BadParameter("--operate answers a calibration that --follow follows; give both")
    if replay is None and replace(reading, rate_hz=None, unit=None) != ReadOptions():
        raise typer.BadParameter("--columns, --variable, --full-scale and --channel-key are for --replay; give it too")
    topics = target.topics
    machine = machine or _machine_of(target)
    spec = _spec(target, machine, replay, channels, reading)
    options: dict[str, Any] = {"speed": speed}
    if replay is None:
        worn = {"subject": subject, "session": session, "turn": turn, "fatigue": fatigue}
        options |= {"machine": machine, "seed": seed}
        options |= {name: value for name, value in worn.items() if value is not None}
    else:
        options |= _replay_options(reading)
    opened = _open(spec, machine, replay, condition, options)
    for number in {*stop_signals()} - {signal.SIGINT}:
        signal.signal(number, _interrupt)
    lines = InputLines() if stdin or sys.stdin.isatty() else None
    try:
        client = _connect(target)
        with client:
            runner = Runner(client, opened, spec, lines=lines, follow=follow, operate=operate)
            asked = "type a condition and Enter" if lines else "conditions"
            _say(
                f"{opened.condition} on {topics.asset(str(client.asset), 'samples')}; "
                f"{asked}: {', '.join(opened.conditions)}"
            )
            runner.run(seconds)
    except KeyboardInterrupt:
        return
    finally:
        opened.source.close()


class Runner:
    """Publishes the samples, and puts the machine into the condition that is asked for.

    Parameters
    ----------
    client
        Connected, for one asset, with a parser that lets plain text through.
    machine
        What is played.
    spec
        What the samples are.
    lines
        Where conditions may be typed.
    follow, operate
        Whether it goes where a calibration asks for, and whether it answers with ``continue``.
    """

    def __init__(
        self,
        client: OperatorClient,
        machine: SimulatedMachine,
        spec: StreamSpec,
        *,
        lines: InputLines | None,
        follow: bool,
        operate: bool,
    ) -> None:
        if client.topics is None or client.asset is None:
            raise ValueError("a simulated machine needs an asset")
        self._client = client
        self._source = machine.source
        self._spec = spec
        self._director = Director(machine.conditions, machine.condition)
        self._playing = machine.condition
        self._lines = lines
        self._operate = operate
        self._skipped = 0
        self._announced = 0
        self._muted = False
        self._samples, self._request, self._calibration = (
            client.topics.asset(client.asset, leaf) for leaf in ("samples", "simulator", "calibration")
        )
        self._info = client.topics.node("info")
        self._unheard: str | None = None
        client.subscribe(self._request, *([self._calibration] if follow else []))
        try:
            client.subscribe(self._info)
        except BrokerError as error:  # a machine's user need not read it
            _say(f"{error}; so it is not known whether the node takes samples for {client.asset}")

    def run(self, seconds: float | None) -> None:
        """Play for ``seconds``, or until interrupted."""
        ends = None if seconds is None else time.monotonic() + seconds
        try:
            while ends is None or time.monotonic() < ends:
                if self._client.connections != self._announced:
                    self._announce()
                chunk = self._source.read(READ_S)
                if chunk is not None:
                    self._client.publish(self._samples, self._block(chunk), qos=0)
                for topic, payload in self._client.messages(0.0):
                    self._hear(topic, payload)
                for line in self._lines.poll() if self._lines else []:
                    if line:
                        self._change({"condition": line})
        finally:
            if self._client.connected and not self._muted:
                self._client.publish(f"{self._request}/state", _state(self._director, sending=False), retain=True)

    def _block(self, chunk: Chunk) -> bytes:
        if chunk.gap:
            self._skipped += 1  # a block has no flag for it; a number left out says the same
        return encode_block(
            Block(chunk.samples, chunk.sequence + self._skipped, chunk.time_ns, chunk.rate_hz, self._spec.unit)
        )

    def _hear(self, topic: str, payload: dict[str, Any]) -> None:
        if topic == self._request:
            self._change(payload)
        elif topic == self._calibration:
            self._calibrate(payload)
        elif topic == self._info:
            unheard = why_unheard(payload, str(self._client.asset))
            if unheard is not None and unheard != self._unheard:
                _say(f"nobody hears this: {unheard}")
            self._unheard = unheard

    def _change(self, request: dict[str, Any]) -> None:
        name = request.get("condition")
        try:
            self._director.choose(name if isinstance(name, str) else json.dumps(request))
            self._play()
            self._announce()
        except SourceError as error:
            _say(str(error))
            self._announce(str(error))

    def _calibrate(self, payload: dict[str, Any]) -> None:
        asked = self._director.asked
        try:
            self._director.follow(payload)
            self._play()
        except SourceError as error:
            if asked != self._director.asked:
                _say(f"the calibration asks for {payload.get('class')!r}, but {error}")
                self._announce(str(error))
            return
        if asked != self._director.asked:
            self._announce()
        if self._operate and self._director.must_continue(payload):
            chunk = self._source.read(1.0)  # the new condition is on its way before the take begins
            if chunk is not None:
                self._client.publish(self._samples, self._block(chunk), qos=0)
            try:
                self._client.send("continue")
            except BrokerError as error:
                _say(str(error))

    def _play(self) -> None:
        condition = self._director.condition
        if condition != self._playing:
            self._source.select(condition)
            self._playing = condition
            _say(condition)

    def _announce(self, error: str | None = None) -> None:
        connections = self._client.connections
        if self._muted:
            self._announced = connections
            return
        try:
            self._client.publish(f"{self._request}/state", _state(self._director, error), retain=True)
        except RefusedError as problem:  # to try again could cost the connection every time
            _say(f"{problem}; nothing more is said there")
            self._muted = True
            return
        except BrokerError as problem:
            _say(str(problem))
            return
        self._announced = connections


def parse_request(payload: bytes) -> dict[str, Any] | None:
    """Read a JSON object, or plain text as ``{"condition": text}``; None for what is neither."""
    found = object_or_none(payload)
    if found is not None:
        return found
    try:
        text = payload.decode("utf-8").strip().strip('"')
    except UnicodeDecodeError:
        return None
    return {"condition": text} if text else None


def why_unheard(info: dict[str, Any], asset: str) -> str | None:
    """Return why the node of ``info`` takes no samples for ``asset`` from the broker; None where it does."""
    assets = info.get("assets")
    listed = {item.get("id"): item for item in assets if isinstance(item, dict)} if isinstance(assets, list) else {}
    if asset not in listed:
        return f"the node has no asset {asset!r}; it has {', '.join(map(str, listed)) or 'none'} (--asset)"
    source = listed[asset].get("source")
    if source != "mqtt":
        return f'the node reads {asset!r} from source {source!r}; set type = "mqtt" in its [asset.source]'
    return None


def _state(director: Director, error: str | None = None, *, sending: bool = True) -> bytes:
    state = {
        "condition": director.condition,
        "conditions": list(director.conditions),
        "asked": director.asked,
        "sending": sending,
        "error": error,
    }
    return json.dumps(state).encode()


def _machine_of(target: Target) -> Literal["bearing", "armband"]:
    """Return what the asset in the configuration listens to."""
    sections = target.settings.asset if target.settings else []
    return "armband" if any(each.id == target.asset and each.task == "sign" for each in sections) else "bearing"


def _spec(
    target: Target,
    machine: str,
    replay: Path | None,
    channels: int | None,
    reading: ReadOptions,
) -> StreamSpec:
    """Options first, then the asset in the configuration, then what the machine or the recording is by nature."""
    base = SPECS[machine]
    if replay is not None:
        base = recorded_spec(str(replay), base, reading)
    for section in target.settings.asset if target.settings else []:
        if section.id == target.asset:
            base = section.spec
    return StreamSpec(channels or base.channels, reading.rate_hz or base.rate_hz, reading.unit or base.unit)


def _replay_options(reading: ReadOptions) -> dict[str, Any]:
    """Return what was said of the files, as options of source ``replay``; what was not said is left out."""
    default = ReadOptions()
    said = {name: getattr(reading, name) for name in REPLAY_OPTIONS}
    return {name: value for name, value in said.items() if value != getattr(default, name)}


def _open(
    spec: StreamSpec, machine: str, replay: Path | None, condition: str | None, options: dict[str, Any]
) -> SimulatedMachine:
    if replay is None:
        conditions: tuple[str, ...] = BEARING_CONDITIONS if machine == "bearing" else ARMBAND_GESTURES
        start = conditions[0]
    else:
        conditions = tuple(file.stem for file in played_files(str(replay)))
        start = "normal" if "normal" in conditions else next(iter(conditions), "")
    if condition is not None:
        try:
            start = find_condition(condition, conditions)
        except SourceError as error:
            raise typer.BadParameter(str(error)) from None
    if replay is None:
        source = open_source("simulated", spec, {**options, "condition": start})
    else:
        played = {"path": str(replay), "loop": True, **({"select": start} if start else {})}
        source = open_source("replay", spec, {**options, **played})
    return SimulatedMachine(source, conditions, start)


def _connect(target: Target) -> OperatorClient:
    """Connect, however long the broker takes to come up; a wrong password or certificate ends it."""
    waiting = threading.Event()
    topics = target.topics
    gone = json.dumps({"condition": None, "sending": False}).encode()
    while True:
        try:
            if target.asset is None:
                with OperatorClient(target.mqtt, topics) as scout:
                    asset = find_asset(scout, topics, None)
            else:
                asset = target.asset
            will = LastWill(topics.asset(asset, "simulator/state"), gone)
            return connect_with_will(will, target.mqtt, topics, asset, parse=parse_request)[0]
        except BrokerError as error:
            if not error.passing:
                raise
            _say(f"{error}; trying again")
        waiting.wait(RETRY_S)


def _interrupt(number: int, _frame: object) -> None:
    signal.signal(number, signal.SIG_IGN)  # one closed terminal may send several, and the goodbye is still to be said
    raise KeyboardInterrupt


def _say(text: str) -> None:
    sys.stderr.write(f"simulate: {text}\n")
    sys.stderr.flush()
