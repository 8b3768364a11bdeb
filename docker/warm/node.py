"""Import what a node, its commands and a search without training use, so that this and nothing else is compiled."""

import importlib
from io import BytesIO

import matplotlib.figure
import numpy as np
from scipy.io import loadmat, savemat, wavfile

for name in (
    "numpy.lib.stride_tricks",
    "numpy.random",
    "onnx.checker",
    "onnx.helper",
    "onnx.numpy_helper",
    "onnx.shape_inference",
    "onnxruntime.quantization",
    "paho.mqtt.client",
    "psutil",
    "pydantic.json_schema",
    "pydantic_settings",
    "rich.live",
    "rich.markup",
    "rich.progress_bar",
    "rich.table",
    "serial",
    "structlog",
    "typer",
):
    importlib.import_module(name)

figure = matplotlib.figure.Figure()
figure.subplots().plot([0, 1])
figure.savefig(BytesIO(), format="svg")

samples = np.arange(8, dtype=np.int16)
savemat(file := BytesIO(), {"x": samples})
if not np.array_equal(loadmat(file, squeeze_me=True)["x"], samples):
    raise SystemExit("what is left of scipy reads no .mat file")
wavfile.write(file := BytesIO(), 1000, samples)
if not np.array_equal(wavfile.read(file)[1], samples):
    raise SystemExit("what is left of scipy reads no WAV file")
