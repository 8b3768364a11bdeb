"""From a sensor to windows: sources, windowing, indicators, recordings, data sets."""

from edgetune_signal.bearing import BEARINGS, DEEP_GROOVE_6205, BearingGeometry, DefectOrders
from edgetune_signal.condition import Condition, Machine, ShaftSpeed, diagnose
from edgetune_signal.converters import CONVERTERS
from edgetune_signal.dataset import Dataset, merge_library, recordings_dataset
from edgetune_signal.datasets import load_dataset
from edgetune_signal.emg import EmgFeatures, emg_features
from edgetune_signal.errors import (
    BlockError,
    QuotaExceededError,
    RecordingError,
    SignalError,
    SourceEnded,
    SourceError,
    SourceOptionsError,
)
from edgetune_signal.indicators import IndicatorBuffer, Indicators
from edgetune_signal.mqtt_blocks import Block, decode_block, encode_block
from edgetune_signal.mqtt_source import MqttSource
from edgetune_signal.onset import Activity
from edgetune_signal.quality import window_quality
from edgetune_signal.recording_file import Recording, read_recording, write_recording
from edgetune_signal.recordings import BrokenRecording, RecordingInfo, RecordingStore, held_out_start
from edgetune_signal.simulated_armband import ARMBAND_GESTURES, ArmbandSimulator
from edgetune_signal.simulated_bearing import BEARING_CONDITIONS, BearingSimulator
from edgetune_signal.source import Source
from edgetune_signal.sources import open_source, source_kinds
from edgetune_signal.splits import Split, split_dataset
from edgetune_signal.types import Chunk, StreamSpec, Window
from edgetune_signal.windowing import Windower

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
