"""The node: inference, calibration, MQTT, alarms and the command line.

The names below are what other programs may build on; none loads onnxruntime, paho or torch. The node itself is
`edgetune_node.runtime.service.Service`, and what decides in it `edgetune_node.core.node.Node`.
"""

from __future__ import annotations

from edgetune_node.config.settings import Settings, load_settings
from edgetune_node.contract.commands import COMMANDS, Command, parse_command
from edgetune_node.contract.messages import MESSAGES, Message
from edgetune_node.contract.topics import Topics
from edgetune_node.errors import CommandError, ConfigError, NodeError, OutboxError, StoreError

__all__ = [
    "COMMANDS",
    "MESSAGES",
    "Command",
    "CommandError",
    "ConfigError",
    "Message",
    "NodeError",
    "OutboxError",
    "Settings",
    "StoreError",
    "Topics",
    "load_settings",
    "parse_command",
]
