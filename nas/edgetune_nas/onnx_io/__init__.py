"""Room onnx_io."""
