"""What is measured of a node and its assets: the newest message of each kind, as Prometheus metrics.

Names follow Prometheus' conventions: base units (seconds, bytes, metres a second, ratios), ``_total`` for counters. The
figures of ``health`` are as old as the last such message, `health_interval_s` at most.
"""

from __future__ import annotations

import time
from collections import Counter
from importlib.metadata import version
from typing import TYPE_CHECKING, Final, TypeVar, cast, get_args

import psutil

from edgetune_node.contract import Classification, Fault, Health, Message, Model, Phase, Sign, State, Vibration
from edgetune_node.integrations.exposition import Family

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgetune_node.contract import AssetHealth, Topics
    from edgetune_node.events import Publish

KEPT: Final = (Health, State, Classification, Fault, Vibration, Model)
_M = TypeVar("_M", bound=Message)

NODE: Final[tuple[tuple[Family, Callable[[Health], float | None]], ...]] = (
    (Family("edgetune_uptime_seconds", "gauge", "Time since the node started."), lambda said: said.uptime_s),
    (Family("edgetune_cpu_ratio", "gauge", "Share of one core that it uses."), lambda said: said.cpu_percent / 100),
    (
        Family("edgetune_temperature_celsius", "gauge", "Temperature of the machine that it runs on."),
        lambda said: said.temperature_c,
    ),
    (Family("edgetune_disk_free_bytes", "gauge", "Free bytes on its disk."), lambda said: said.disk_free_bytes),
    (Family("edgetune_inbox_events", "gauge", "Events that wait to be handled."), lambda said: said.queue_depth),
    (
        Family("edgetune_broker_reconnects_total", "counter", "Connections to the broker after the first."),
        lambda said: said.reconnects,
    ),
    (Family("edgetune_outbox_messages", "gauge", "Messages that wait for the broker."), lambda said: said.outbox_depth),
    (
        Family("edgetune_outbox_dropped_total", "counter", "Messages that were given up."),
        lambda said: said.outbox_dropped,
    ),
    (
        Family("edgetune_log_lines_lost_total", "counter", "Lines of the log that could not be written."),
        lambda said: said.log_lines_lost,
    ),
    (Family("edgetune_problems", "gauge", "Problems that `health` names."), lambda said: len(said.problems)),
)
ASSET: Final[tuple[tuple[Family, Callable[[AssetHealth], float | None]], ...]] = (
    (Family("edgetune_samples_total", "counter", "Samples heard, a channel."), lambda said: said.samples),
    (Family("edgetune_windows_total", "counter", "Windows classified."), lambda said: said.windows),
    (
        Family("edgetune_dropped_chunks_total", "counter", "Blocks of samples that could not be handled in time."),
        lambda said: said.dropped_chunks,
    ),
    (Family("edgetune_gaps_total", "counter", "Places where samples are missing."), lambda said: said.gaps),
    (
        Family("edgetune_lost_blocks_total", "counter", "Blocks, frames or lines of a sensor that never came."),
        lambda said: said.lost_blocks,
    ),
    (
        Family("edgetune_sample_age_seconds", "gauge", "Time since the last samples came."),
        lambda said: said.sample_age_s,
    ),
)


class Figures:
    """Remembers the newest message of each kind, and returns the metrics of them.

    `heard` is called by the node's thread, `families` by any; each message is replaced as a whole.

    Parameters
    ----------
    topics
        The node's.
    assets
        Names of its assets.
    """

    def __init__(self, topics: Topics, assets: Sequence[str]) -> None:
        self._topics = topics
        self._assets = tuple(assets)
        self._newest: dict[tuple[str | None, type[Message]], Message] = {}
        self._signs: Counter[tuple[str, str]] = Counter()
        self._process = psutil.Process()
        self.broker_connected = False

    def heard(self, effect: Publish) -> None:
        """Take note of a message that the node publishes."""
        message = effect.message
        if not isinstance(message, (*KEPT, Sign)):
            return
        place = self._topics.split(effect.topic)
        asset = None if place is None else place[0]
        if isinstance(message, Sign):
            self._signs[asset or "", message.class_] += 1
        else:
            self._newest[asset, type(message)] = message

    def families(self) -> list[Family]:
        """Return the metrics as they are now."""
        found = [*self._own(), *self._of_health()]
        found += self._states()
        found += self._faults()
        found += self._indicators()
        found += self._models()
        signs = Family("edgetune_signs_total", "counter", "Signs that have ended.")
        for (asset, class_), count in list(self._signs.items()):
            signs.add(count, asset=asset, **{"class": class_})
        return [*found, signs]

    def _said(self, asset: str | None, kind: type[_M]) -> _M | None:
        return cast("_M | None", self._newest.get((asset, kind)))

    def _own(self) -> list[Family]:
        build = Family("edgetune_build_info", "gauge", "Version of the node; always 1.")
        build.add(1, version=version("edgetune"))
        connected = Family("edgetune_broker_connected", "gauge", "Whether the broker is there.")
        connected.add(self.broker_connected)
        memory = Family("process_resident_memory_bytes", "gauge", "Resident memory size in bytes.")
        memory.add(self._process.memory_info().rss)
        cpu = Family("process_cpu_seconds_total", "counter", "Total user and system CPU time spent in seconds.")
        cpu.add(time.process_time())
        start = Family("process_start_time_seconds", "gauge", "Start time of the process since unix epoch in seconds.")
        start.add(self._process.create_time())
        return [build, connected, memory, cpu, start]

    def _of_health(self) -> list[Family]:
        health = self._said(None, Health)
        if health is None:
            return []
        found = []
        for family, value in NODE:
            found.append(Family(family.name, family.kind, family.help))
            found[-1].add(value(health))
        for family, of_asset in ASSET:
            found.append(Family(family.name, family.kind, family.help))
            for said in health.assets:
                found[-1].add(of_asset(said), asset=said.id)
        inference = Family("edgetune_inference_seconds", "summary", "Time of one window in the network.")
        for said in health.assets:
            for quantile, micro in (("0.5", said.inference_p50_us), ("0.99", said.inference_p99_us)):
                inference.add(None if micro is None else micro / 1e6, asset=said.id, quantile=quantile)
        return [*found, inference]

    def _states(self) -> list[Family]:
        phase = Family("edgetune_phase", "gauge", "What an asset is doing: 1 for its phase, 0 for all others.")
        for asset in self._assets:
            state = self._said(asset, State)
            for word in get_args(Phase) if state is not None else ():
                phase.add(state is not None and state.phase == word, asset=asset, phase=word)
        return [phase]

    def _faults(self) -> list[Family]:
        active = Family("edgetune_fault_active", "gauge", "Whether there is a fault, present or latched.")
        level = Family("edgetune_fault_severity_level", "gauge", "0 none, 1 watch, 2 warning, 3 alarm, 4 danger.")
        judged = Family("edgetune_fault_judged", "gauge", "Whether the machine is judged now.")
        info = Family("edgetune_fault_info", "gauge", "Class and severity of a machine's condition; always 1.")
        for asset in self._assets:
            fault = self._said(asset, Fault)
            if fault is None:
                continue
            active.add(fault.active, asset=asset)
            level.add(fault.severity_level, asset=asset)
            judged.add(fault.judged, asset=asset)
            info.add(1, asset=asset, **{"class": fault.class_ or ""}, severity=fault.severity)
        return [active, level, judged, info]

    def _indicators(self) -> list[Family]:
        rms = Family("edgetune_vibration_rms", "gauge", "RMS of the samples, in the asset's unit (label unit).")
        crest = Family("edgetune_vibration_crest_factor", "gauge", "Peak over RMS.")
        kurtosis = Family("edgetune_vibration_kurtosis", "gauge", "Kurtosis; 3 for a healthy machine's noise.")
        name = "edgetune_vibration_velocity_rms_meters_per_second"
        velocity = Family(name, "gauge", "RMS of the velocity of vibration, 10 to 1000 Hz.")
        distance = Family("edgetune_distance_ratio", "gauge", "Distance of the last window; over 1 it is novel.")
        for asset in self._assets:
            said = self._said(asset, Vibration)
            if said is not None:
                of_channel = ((rms, said.rms), (crest, said.crest_factor), (kurtosis, said.kurtosis))
                for family, values in of_channel:
                    unit = {"unit": said.unit} if family is rms else {}
                    for channel, value in enumerate(values):
                        family.add(value, asset=asset, channel=str(channel), **unit)
                for channel, millimetres in enumerate(said.velocity_rms_mm_s or ()):
                    velocity.add(millimetres / 1000, asset=asset, channel=str(channel))
            window = self._said(asset, Classification)
            if window is not None:
                distance.add(window.distance, asset=asset)
        return [rms, crest, kurtosis, velocity, distance]

    def _models(self) -> list[Family]:
        info = Family("edgetune_model_info", "gauge", "The model in use; always 1.")
        accuracy = Family("edgetune_model_accuracy_ratio", "gauge", "Accuracy on held-out data.")
        arena = Family("edgetune_model_arena_bytes", "gauge", "RAM that the network needs at int8.")
        flash = Family("edgetune_model_flash_bytes", "gauge", "Bytes of its weights.")
        for asset in self._assets:
            model = self._said(asset, Model)
            if model is None or model.id is None:
                continue
            info.add(1, asset=asset, model=model.id, kind=model.kind or "", precision=model.precision or "")
            accuracy.add(model.accuracy, asset=asset)
            arena.add(model.arena_bytes, asset=asset)
            flash.add(model.flash_bytes, asset=asset)
        return [info, accuracy, arena, flash]
