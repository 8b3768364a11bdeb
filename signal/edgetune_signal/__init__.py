"""From a sensor to windows: sources, windowing, indicators, recordings, data sets."""

from edgetune_signal.datasets.converters import CONVERTERS
from edgetune_signal.datasets.dataset import Dataset, merge_library, recordings_dataset
from edgetune_signal.datasets.load import load_dataset
from edgetune_signal.datasets.splits import Split, split_dataset
from edgetune_signal.emg.features import EmgFeatures, emg_features
from edgetune_signal.emg.onset import Activity
from edgetune_signal.errors import (
    BlockError,
    QuotaExceededError,
    RecordingError,
    SignalError,
    SourceEnded,
    SourceError,
    SourceOptionsError,
)
from edgetune_signal.recordings.recording import Recording, read_recording, write_recording
from edgetune_signal.recordings.store import BrokenRecording, RecordingInfo, RecordingStore, held_out_start
from edgetune_signal.simulators.armband import ARMBAND_GESTURES, ArmbandSimulator
from edgetune_signal.simulators.bearing import BEARING_CONDITIONS, BearingSimulator
from edgetune_signal.sources.base import Source
from edgetune_signal.sources.blocks import Block, decode_block, encode_block
from edgetune_signal.sources.mqtt import MqttSource
from edgetune_signal.sources.registry import open_source, source_kinds
from edgetune_signal.stream.quality import window_quality
from edgetune_signal.stream.types import Chunk, StreamSpec, Window
from edgetune_signal.stream.windowing import Windower
from edgetune_signal.vibration.bearing import BEARINGS, DEEP_GROOVE_6205, BearingGeometry, DefectOrders
from edgetune_signal.vibration.condition_indicators import IndicatorBuffer, Indicators
from edgetune_signal.vibration.diagnosis import Condition, Machine, ShaftSpeed, diagnose

__all__ = [
    "ARMBAND_GESTURES",
    "BEARINGS",
    "BEARING_CONDITIONS",
    "CONVERTERS",
    "DEEP_GROOVE_6205",
    "Activity",
    "ArmbandSimulator",
    "BearingGeometry",
    "BearingSimulator",
    "Block",
    "BlockError",
    "BrokenRecording",
    "Chunk",
    "Condition",
    "Dataset",
    "DefectOrders",
    "EmgFeatures",
    "IndicatorBuffer",
    "Indicators",
    "Machine",
    "MqttSource",
    "QuotaExceededError",
    "Recording",
    "RecordingError",
    "RecordingInfo",
    "RecordingStore",
    "ShaftSpeed",
    "SignalError",
    "Source",
    "SourceEnded",
    "SourceError",
    "SourceOptionsError",
    "Split",
    "StreamSpec",
    "Window",
    "Windower",
    "decode_block",
    "diagnose",
    "emg_features",
    "encode_block",
    "held_out_start",
    "load_dataset",
    "merge_library",
    "open_source",
    "read_recording",
    "recordings_dataset",
    "source_kinds",
    "split_dataset",
    "window_quality",
    "write_recording",
]
