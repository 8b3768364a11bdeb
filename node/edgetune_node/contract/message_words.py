"""Descriptions and examples of what a node publishes, by model and property; see `words`.

An empty description stands beside the field itself.
"""

from __future__ import annotations

from typing import Any, Final

MODEL: Final = "20260131t120000-19e8ed86"
EVENT: Final = "d01904cb6d2e"
TIME: Final = "2026-01-31T12:00:00.000Z"

_CONFIDENCE: Final = ("How sure the network is of the class, 0 to 1.", 0.97)
_QUALITY: Final = ("What is wrong with the samples, in words such as `clipped`; empty if nothing is.", ["clipped"])
_UNIT: Final = ("Unit of a sample.", "g")
_SUBJECT: Final = ("Who wears the sensor, or which machine it is on; empty if it was not said.", "anna")
_RPM: Final = ("Speed of the shaft; null if it is not known.", 1797.0)
_RPM_FROM: Final = ("Where the speed comes from: `context`, `config` or `estimated` from the signal.", "context")
_ZONE: Final = ("Zone of ISO 20816-3, A to D; null without velocity or limits.", "B")
_TREND: Final = ("Where the velocity is going over hours; null until that is known.", "steady")
_SLOPE: Final = ("How fast the velocity changes; null until that is known.", 0.12)
_DEFECT: Final = (
    "Defect whose line stands out: `bpfo` outer race, `bpfi` inner race, `bsf2` rolling element, `ftf` cage; or null.",
    "bpfi",
)
_ORDER: Final = ("Frequency of that line, in turns of the shaft.", 5.4152)
_DEFECT_HZ: Final = ("Frequency of that line.", 162.19)
_AMPLITUDE: Final = ("Amplitude of that line in the envelope, in `unit`.", 0.145)
_OVER_FLOOR: Final = ("Ratio of that line to the floor around it.", 25.0)
_CREST: Final = ("Peak over RMS, one value a channel.", [13.36])
_KURTOSIS: Final = ("Kurtosis, one value a channel; 3 for noise.", [31.3])
_RMS: Final = ("Root mean square, in `unit`, one value a channel.", [0.378])
_PEAK: Final = ("Largest magnitude, in `unit`, one value a channel.", [5.056])
_DISTANCE: Final = ("Distance from what the model knows, 1 at the limit; null if none was computed.", 0.54)
_START: Final = ("When the sign began.", TIME)
_FROM: Final = ("Whether the time is that of the muscles (`signal`) or an edge of windows (`windows`).", "signal")
_SIGN: Final = ("Class of the sign; `unknown` if it is unlike all that was calibrated.", "fist")
_SIGN_EVENT: Final = ("Name of the sign, the same in `sign_start` and `sign`.", "d76ebfd75bc3")
_HEARD: Final = ("Health recorded for the model and heard since; null if that does not apply.", 86_400.0)
_SUPPORTED: Final = ("False alarms a month that the health heard still allows, at 95 % confidence.", 90.0)
_IN_USE: Final = ("Id of the model that was used.", MODEL)

_EVIDENCE: Final[dict[str, tuple[str, Any]]] = {
    "rms": _RMS,
    "peak": _PEAK,
    "crest_factor": _CREST,
    "kurtosis": _KURTOSIS,
    "unit": _UNIT,
    "seconds": ("Length of the signal that the indicators are of.", 0.68),
    "windows": ("Windows that the indicators are of.", 16),
    "class": ("Class of those windows.", "inner"),
    "velocity_rms_mm_s": ("RMS of the velocity, 10 to 1000 Hz, of the loudest channel.", 2.2),
    "velocity_trend": _TREND,
    "velocity_trend_mm_s_per_h": _SLOPE,
    "zone": _ZONE,
    "defect": _DEFECT,
    "defect_order": _ORDER,
    "defect_hz": _DEFECT_HZ,
    "defect_amplitude": _AMPLITUDE,
    "defect_over_floor": _OVER_FLOOR,
    "other_defects": ("", []),
    "shaft_rpm": _RPM,
    "shaft_rpm_from": _RPM_FROM,
    "novel_kept_s": ("Signal that is kept of a novel event.", 12.0),
    "quality": _QUALITY,
    "physics": ("Whether the envelope agrees with the network's class.", "agrees"),
    "note": ("What physics says, in words for people.", "the envelope shows the line of the inner race"),
    "action": ("What to do, in words for people.", "inspect the bearing's inner race soon"),
}

MESSAGE_WORDS: Final[dict[str, dict[str, tuple[str, Any]]]] = {
    "Status": {"status": ("`online`, `stopped` (on purpose) or `offline` (said by the broker).", "online")},
    "Info": {
        "versions": ("Versions of the node and of what it is built on.", {"edgetune": "0.2.0"}),
        "assets": ("The node's assets.", []),
        "capabilities": ("What the node can do.", ["search:closed-form", "search:trained"]),
        "insecure": ("Insecure ways in which the node talks to the broker.", ["mqtt: no TLS"]),
        "broker": ("What the broker offers; null if it is not known.", None),
        "config": ("The configuration, secrets replaced by asterisks.", {"node": {"id": "edge1"}}),
    },
    "AssetInfo": {
        "id": ("Name of the asset, and level of its topics.", "bearing1"),
        "task": ("`fault` of a machine, `sign` of a person.", "fault"),
        "channels": ("Channels of the sensor.", 1),
        "rate_hz": ("Samples a second and channel.", 12_000.0),
        "unit": _UNIT,
        "window": ("Samples of a window.", 512),
        "hop": ("Samples from one window's start to the next.", 512),
        "source": ("Kind of source.", "mqtt"),
        "subject": _SUBJECT,
    },
    "BrokerInfo": {
        "retain": ("Whether messages are retained.", True),
        "max_qos": ("Highest QoS that the broker takes.", 2),
        "will": ("Which last will of the node the broker has taken.", "retained"),
    },
    "Health": {
        "uptime_s": ("Time since the node started.", 155.4),
        "rss_bytes": ("Resident memory of the process.", 110_530_560),
        "cpu_percent": ("Share of one core that the process uses.", 11.0),
        "temperature_c": ("Temperature of the machine; null if it does not tell.", 48.5),
        "queue_depth": ("Events that wait to be handled.", 0),
        "dropped_chunks": ("Blocks of samples that could not be handled in time, of all assets.", 0),
        "reconnects": ("Connections to the broker after the first.", 0),
        "outbox_depth": ("Messages that wait for the broker.", 0),
        "outbox_dropped": ("Messages that were given up, telemetry left out.", 0),
        "outbox_dropped_faults": ("Faults among those.", 0),
        "outbox_set_aside": ("Messages that were set aside because the broker ended connections over them.", 0),
        "log_lines_lost": ("Lines of the log that could not be written.", 0),
        "disk_free_bytes": ("Free bytes on the disk of the data folder.", 61_887_234_048),
        "problems": ("What is wrong, in words for people; empty if nothing is.", ["data_dir is almost full"]),
        "assets": ("Health of each asset.", []),
    },
    "AssetHealth": {
        "id": ("Name of the asset.", "bearing1"),
        "samples": ("Samples heard since the start, a channel.", 1_864_560),
        "windows": ("Windows classified since the start.", 3641),
        "dropped_chunks": ("Blocks of samples that came and could not be handled in time.", 0),
        "gaps": ("Places where samples are missing.", 0),
        "lost_blocks": ("Blocks, frames or lines that never came, as the sender's numbers tell.", 0),
        "sample_age_s": ("Time since the last samples; null before the first.", 0.02),
        "inference_p50_us": ("Median time of a window in the network; null without a model.", 190.3),
        "inference_p99_us": ("Time that one window in a hundred exceeds; null without a model.", 630.2),
        "source_error": ("Why the source does not deliver; null while it does.", "no such device: /dev/ttyACM0"),
        "novel_kept_s": ("Novel signal that is kept for `cmd/label`.", 12.0),
        "novel_events": ("Events of which novel signal is kept.", ["0952da6affb4"]),
        "novel_problem": ("Why novel signal cannot be kept; null if it can.", "the disk is full"),
        "healthy_seconds": _HEARD,
        "raised": ("Faults that were raised since the model is in use; null if that does not apply.", 0),
        "supported_per_month": _SUPPORTED,
    },
    "State": {
        "phase": ("What the asset is doing.", "monitoring"),
        "reason": ("Why, in words for people; empty if there is nothing to say.", "the machine does not run"),
        "since": ("Since when.", TIME),
        "job": ("Id of the command whose job runs; null if none does.", "c-42"),
        "model": ("Id of the model in use; null without one.", MODEL),
        "subject": _SUBJECT,
        "classifying": ("Whether windows are being classified.", True),
    },
    "Classification": {
        "window": ("Number of the window.", 3641),
        "class": ("Class of the window; `unknown` where the samples do not allow one.", "inner"),
        "confidence": _CONFIDENCE,
        "probabilities": ("Probability of each class; empty of a health model.", {"inner": 0.97, "normal": 0.03}),
        "model": _IN_USE,
        "quality": _QUALITY,
        "distance": _DISTANCE,
        "smoothed": ("Of signs: class of most windows in `smooth_ms`; else null.", "fist"),
        "strength": ("Of signs: effort over that at calibration, 0 to 1; null outside a known sign.", 0.6),
    },
    "Fault": {
        "first_seen": ("When the event began; null before the first.", TIME),
        "last_seen": ("When a window last voted for the fault; null before the first.", TIME),
        "cleared": ("When the event ended; null while it lasts.", TIME),
        "confidence": ("Mean confidence of the windows that voted for the class; null without any.", 0.97),
        "model": ("Id of the model in use; null without one.", MODEL),
        "candidates": ("", [{"class": "inner", "share": 1.0}]),
        "latched": ("Whether the fault has gone and stays active until it is acknowledged.", False),
        "acknowledged": ("Whether a person has seen the event.", True),
        "acknowledged_by": ("Who has; null if nobody.", "anna"),
        "acknowledged_at": ("When; null if nobody has.", TIME),
        "comment": ("What was said with it; null if nothing.", "bearing ordered"),
        "shelved": ("Whether the present fault shall alarm nobody.", False),
        "shelves": ("Classes that are shelved.", []),
        "evidence": (
            "What speaks for the fault, or against it.",
            {name: example for name, (_, example) in _EVIDENCE.items()},
        ),
    },
    "Shelf": {
        "class": ("Class that is shelved.", "inner"),
        "until": ("When that ends.", TIME),
        "by": ("Who wanted it.", "anna"),
        "comment": ("Why.", "bearing ordered"),
        "seconds": ("For how long in all; null of an old message.", 3600.0),
    },
    "Evidence": _EVIDENCE,
    "DefectAmplitude": {
        "order": ("Frequency of the line, in turns of the shaft.", 5.4152),
        "frequency_hz": ("Frequency of the line.", 162.19),
        "amplitude": ("Amplitude of the line in the envelope, in `unit`.", 0.145),
        "harmonics": ("Amplitudes of its harmonics, in `unit`, from the second on.", [0.08, 0.03]),
        "over_floor": ("Ratio of the line to the floor around it.", 25.0),
    },
    "SignStart": {
        "event": _SIGN_EVENT,
        "class": _SIGN,
        "confidence": _CONFIDENCE,
        "start": _START,
        "start_from": _FROM,
        "distance": _DISTANCE,
        "model": _IN_USE,
        "subject": _SUBJECT,
    },
    "Sign": {
        "event": _SIGN_EVENT,
        "class": _SIGN,
        "confidence": _CONFIDENCE,
        "start": _START,
        "start_from": _FROM,
        "end": ("When the sign ended.", TIME),
        "end_from": _FROM,
        "windows": ("Windows that said the class.", 28),
        "of": ("Windows that said some sign; null of an old message.", 29),
        "distance": ("Median distance of its windows, 1 at the limit; null if none was computed.", 0.54),
        "model": _IN_USE,
        "subject": _SUBJECT,
    },
    "Emg": {
        "rms": _RMS,
        "mean_absolute": ("Mean magnitude, in `unit`, one value a channel.", [13.8]),
        "envelope": ("Largest value of the envelope, in `unit`, one value a channel.", [25.9]),
        "waveform_length": ("Length of the waveform a second, one value a channel.", [4295.0]),
        "zero_crossings": ("Zero crossings a second, one value a channel.", [115.0]),
        "median_frequency_hz": ("Frequency below which half of the power is, one value a channel.", [56.2]),
        "unit": _UNIT,
        "seconds": ("Length of the signal that the features are of.", 1.0),
        "quality": _QUALITY,
        "electrodes": ("What is wrong with each channel's electrode; empty lists if nothing is.", [[], ["dead"]]),
        "turn": ("Channels by which the node turns the armband back; 0 if it is worn as calibrated.", 0),
        "mirrored": ("Whether the node mirrors the armband back.", False),
    },
    "Vibration": {
        "rms": _RMS,
        "peak": _PEAK,
        "crest_factor": _CREST,
        "kurtosis": _KURTOSIS,
        "unit": _UNIT,
        "seconds": ("Length of the signal that the indicators are of.", 1.0),
        "velocity_rms_mm_s": ("RMS of the velocity, 10 to 1000 Hz, one value a channel; null if it cannot be.", [2.2]),
        "velocity_trend": _TREND,
        "velocity_trend_mm_s_per_h": _SLOPE,
        "zone": _ZONE,
        "shaft_rpm": _RPM,
        "shaft_rpm_from": _RPM_FROM,
        "envelope_band_hz": ("Band of the envelope, from and to; null without one.", [2000.0, 4000.0]),
        "channel": ("Channel in which the defect stands out, from 0; null without one.", 0),
        "defect": _DEFECT,
        "defect_order": _ORDER,
        "defect_hz": _DEFECT_HZ,
        "defect_amplitude": _AMPLITUDE,
        "defect_over_floor": _OVER_FLOOR,
        "other_defects": ("", []),
        "defects": ("Lines of all defects that can be resolved, by name.", {}),
        "quality": _QUALITY,
    },
    "Spectrum": {
        "event": ("Event of the fault; null if the signal was asked for.", EVENT),
        "number": ("Which signal of the event, 0 for that of its raise.", 0),
        "reason": ("Why the signal was kept.", "raised"),
        "class": ("Class of the fault then; null without one.", "inner"),
        "severity": ("Its severity then; null without one.", "alarm"),
        "seconds": ("Length of the signal.", 20.0),
        "rate_hz": ("Samples a second.", 12_000.0),
        "unit": ("Unit of the amplitudes.", "g"),
        "channel": ("Channel that is shown, from 0.", 0),
        "shaft_rpm": _RPM,
        "frequency_hz": ("Frequency of the highest line of each band.", [29.95, 162.2]),
        "amplitude": ("Its amplitude, in `unit`.", [0.0366, 0.2]),
        "envelope_band_hz": ("Band of the envelope, from and to; null without one.", [2000.0, 3000.0]),
        "envelope_hz": ("Frequency of the highest line of each band of the envelope spectrum.", [162.2]),
        "envelope_amplitude": ("Its amplitude, in `unit`.", [0.31]),
        "quality": _QUALITY,
    },
    "Model": {
        "id": ("Name of the model; null without one.", MODEL),
        "sha256": ("Hash of its card.", "16cf3ac685faf66729d4580fc85418770b20f1cf10d041ef968867e46ee449af"),
        "created": ("When it was made.", TIME),
        "classes": ("Classes that it tells apart.", ["inner", "normal"]),
        "precision": ("Precision that is in use.", "int8"),
        "arena_bytes": ("RAM for the activations of one window at int8, by `arena_rule`.", 1424),
        "arena_bytes_deployed": ("The same at the precision that is in use.", 5696),
        "streamed_bytes": ("RAM at int8 if it is computed sample by sample.", 752),
        "arena_rule": ("Rule by which the arena was planned.", "tflm-greedy-16/1"),
        "flash_bytes": ("Weights at int8.", 558),
        "macs": ("Multiply-accumulate operations of a window.", 15_912),
        "parameters": ("Weights, a count.", 443),
        "ort_peak_bytes": ("Peak of onnxruntime's own arena, measured.", 15_376),
        "session_rss_bytes": ("Resident memory that opening it costs, measured.", 40_960),
        "latency_p50_us": ("Median time of a window, measured where it was made.", 26.6),
        "latency_p99_us": ("Time that one window in a hundred exceeds.", 51.2),
        "onnx_bytes": ("Size of the file in use.", 3405),
        "kind": ("`classes`, or `health`: made from healthy data alone.", "classes"),
        "accuracy": ("Share of held-out windows that it calls right; null of kind `health`.", 0.98),
        "accuracy_low": ("Lower end of the accuracy's 95 % interval.", 0.93),
        "accuracy_high": ("Upper end of the accuracy's 95 % interval.", 1.0),
        "false_alarms": ("Of kind `health`: share of held-out healthy windows over its limit.", 0.01),
        "healthy_seconds": _HEARD,
        "supported_per_month": _SUPPORTED,
        "recordings": ("Recordings that it was tested on.", 12),
        "tested_on": ("How the test data were held apart.", "other_recordings"),
        "measured_before_refit": ("Whether it learned from all data after it was measured.", True),
        "macro_f1": ("Mean F1 over classes, on held-out data.", 0.98),
        "false_per_minute_of_rest": ("Of signs: signs that were named while there was none.", 0.2),
        "previous": ("Id of the model that `rollback` goes back to; null without one.", "20260130t080000-335450cf"),
        "subject": _SUBJECT,
    },
    "CalibrationStatus": {
        "job": ("Id of the command; null if none was.", "c-42"),
        "phase": ("Where it stands.", "recording"),
        "instruction": ("What to do now, in words for the operator.", "Put it into condition 'inner'"),
        "percent": ("How far it is, 0 to 100.", 42.5),
        "eta_s": ("Time that is left; null if it is not known.", 30.0),
        "class": ("Class that is collected; null if none is.", "inner"),
        "take": ("Number of the take, from 1; null if none is.", 1),
        "takes": ("Takes in all.", 4),
        "search_phase": ("Where the search stands; null before it.", "training"),
        "candidates": ("Networks looked at.", 40),
        "rejected": ("Of those, over the budget.", 12),
        "trained": ("Of those, trained.", 7),
        "best_accuracy": ("Best accuracy so far, on validation data.", 0.97),
        "best_arena_bytes": ("Arena of that network at int8.", 1424),
        "suggested": (
            "Why there should be a recalibration; empty if there is no reason.",
            ["novel events"],
        ),
        "drift": ("How the healthy machine was after the last one; null until that is known.", None),
        "armband": ("How a turned armband's channels are turned back; null if they are as they come.", None),
    },
    "Armband": {
        "model": ("Model whose calibration it is turned back to.", MODEL),
        "turn": ("Electrodes by which it is worn turned.", 1),
        "mirrored": ("Whether its electrodes run the other way round.", False),
        "gain": ("How sure that is: what the signs' distances gain, as a logarithm.", 0.45),
    },
    "Drift": {
        "model": ("Model since whose first use the baseline is.", MODEL),
        "figures": ("Baseline of each figure.", {}),
    },
    "Figure": {
        "mean": ("Mean over the baseline; of ratios the logarithm.", 0.05),
        "spread": ("Standard deviation of single minutes.", 0.002),
        "changed": ("What has changed, in words for people; null if nothing has.", "RMS rose by half in two hours"),
    },
    "Response": {
        "id": ("Id of the command; null if it had none that could be read.", "c-42"),
        "command": ("Name of the command.", "record"),
        "status": ("`accepted` and `progress` are followed by `done` or `failed`; `rejected` ends.", "done"),
        "reason": ("Why, or what is to be known; may be empty.", "busy: a search is running"),
        "errors": ("Every problem of a command that was rejected.", ["seconds: must be more than 0"]),
        "detail": ("What the command gave; it depends on the command.", {"recording": "normal-1.npz"}),
    },
}
