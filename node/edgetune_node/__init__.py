"""The node: inference, calibration, MQTT, alarms and the command line.

The names below are what other programs may build on; none loads onnxruntime, paho or torch. The node itself is
`edgetune_node.runtime.service.Service`, and what decides in it `edgetune_node.core.node.Node`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
