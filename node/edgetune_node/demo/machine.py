"""The demo's machine: publishes its vibration as sample blocks in real time, breaks and is repaired on request."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from edgetune_node.demo.screen import waveform
from edgetune_node.errors import NodeError
from edgetune_signal import Block, SignalError, encode_block

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from edgetune_node.contract import Topics
    from edgetune_node.operator import OperatorClient
    from edgetune_signal import Chunk, Source

READ_S = 0.5
SHOWN_S, FEWEST_SHOWN = 0.08, 72
SHOWN_WIDTH = 36
HEADROOM = 4.0
ASKED_PHASES = frozenset({"waiting", "countdown", "recording"})


class DemoMachine:
    """A source whose samples go to the broker, in a thread of its own.

    It follows the node's calibration topic: asked for a class, it puts itself into the condition of that class. The
    console's page may ask it as well.

    Parameters
    ----------
    source
        Paced in real time; switched with ``select``.
    conditions
        Name to select by class.
    client
        Its connection; closed by its owner.
    topics, asset
        Where the samples go, and whose calibration it follows.
    say
        Takes a sentence whenever the machine changes.
    """

    def __init__(
        self,
        source: Source,
        conditions: Mapping[str, str],
        client: OperatorClient,
        topics: Topics,
        asset: str,
        *,
        say: Callable[[str], None],
    ) -> None:
        self.error: Exception | None = None
        self.spans: list[tuple[float, str]] = []
        self._source = source
        self._conditions = conditions
        self._client = client
        self._samples_topic = topics.asset(asset, "samples")
        self._request = topics.asset(asset, "simulator")
        self._sequence = 0
        self._say = say
        self._lock = threading.Lock()
        self._shown: list[NDArray[np.float32]] = []
        self._to_show = 0
        self._full_scale = 0.0
        self._shown_s = max(SHOWN_S, FEWEST_SHOWN / source.spec.rate_hz)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="machine", daemon=True)
        client.subscribe(topics.asset(asset, "calibration"), self._request)

    @property
    def condition(self) -> str | None:
        """Class of the condition it is in."""
        return self.spans[-1][1] if self.spans else None

    def start(self, class_: str) -> None:
        """Run, in the condition of ``class_``."""
        self.switch(class_, "starts up")
        self._thread.start()

    def switch(self, class_: str, why: str) -> float:
        """Go into the condition of ``class_``; give when, in monotonic seconds."""
        with self._lock:
            at = time.monotonic()
            self._source.select(self._conditions[class_])
            self.spans.append((at, class_))
            self._say(f"{why}: {class_}")
            self._shown = []
            self._to_show = round(self._shown_s * self._source.spec.rate_hz)
            state = {"condition": class_, "conditions": list(self._conditions), "sending": True}
            self._client.publish(f"{self._request}/state", json.dumps(state).encode(), qos=0, retain=True)
            return at

    def stop(self) -> None:
        """Stop; nothing is published afterwards."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        self._source.close()

    def closed_spans(self, settle_s: float) -> list[tuple[float, float, str]]:
        """Return ``(from, to, class)`` of every condition, without the first ``settle_s`` after each switch."""
        ends = [start for start, _ in self.spans[1:]] + [time.monotonic()]
        return [
            (start + settle_s, end, class_)
            for (start, class_), end in zip(self.spans, ends, strict=True)
            if end > start + settle_s
        ]

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                chunk = self._source.read(READ_S)
                if chunk is not None:
                    self._client.publish(self._samples_topic, self._block(chunk), qos=0)
                    with self._lock:
                        self._show(chunk.samples[0])
                for topic, payload in self._client.messages(0.0):
                    if topic == self._request:
                        self._obey(payload)
                    else:
                        self._follow(payload)
        except (SignalError, NodeError) as error:
            self.error = error

    def _follow(self, calibration: Mapping[str, Any]) -> None:
        asked = calibration.get("class")
        if calibration.get("phase") in ASKED_PHASES and asked in self._conditions and asked != self.condition:
            self.switch(str(asked), "does what the node asks for")

    def _obey(self, request: Mapping[str, Any]) -> None:
        asked = request.get("condition")
        if asked in self._conditions:
            self.switch(str(asked), "is put into the condition that the page asks for")

    def _block(self, chunk: Chunk) -> bytes:
        spec = self._source.spec
        self._sequence += 2 if chunk.gap else 1  # a hole in the numbers is how a block says that samples are missing
        return encode_block(Block(chunk.samples, self._sequence, chunk.time_ns, spec.rate_hz, spec.unit))

    def _show(self, samples: NDArray[np.float32]) -> None:
        if self._to_show <= 0:
            return
        self._shown.append(samples)
        self._to_show -= len(samples)
        if self._to_show <= 0:
            together = np.concatenate(self._shown)
            peak = float(np.abs(together).max())
            self._full_scale = max(self._full_scale or HEADROOM * peak, peak)
            drawn = waveform(together, width=SHOWN_WIDTH, full_scale=self._full_scale or 1.0)
            self._say(f"{drawn}  {self._shown_s * 1e3:.0f} ms, peak {peak:.2f} {self._source.spec.unit}")
