"""Where things stand on the broker: topic names of a node, its assets and their commands."""

from __future__ import annotations

from dataclasses import dataclass

NODE_COMMANDS = ("ping", "backup")
ASSET_COMMANDS = (
    "recalibrate",
    "continue",
    "record",
    "cancel",
    "rollback",
    "acknowledge",
    "shelve",
    "label",
    "profile",
    "deploy",
    "capture",
    "history",
    "forget",
)
NODE_LEAVES = ("status", "info", "health")
ASSET_LEAVES = (
    "state",
    "classification",
    "fault",
    "sign",
    "sign_start",
    "vibration",
    "emg",
    "spectrum",
    "model",
    "calibration",
)
INPUT_LEAVES = ("samples", "context", "simulator")
"""Last levels of the topics that a node publishes itself, publishes for each asset, and gets for each."""

MAX_RESPONSE_TOPIC_BYTES = 256
MAX_RESPONSE_TOPIC_LEVELS = 32
"""Brokers differ in what they take (AWS IoT 256 bytes, mosquitto 200 levels), and some hang up on anything else."""


@dataclass(frozen=True, slots=True)
class Topics:
    """Topic names under ``{namespace}/{node_id}``.

    ``prefix`` is what a bridge between two brokers puts before them, seen from beyond it; a node itself has none.
    """

    namespace: str
    node_id: str
    prefix: str = ""

    @property
    def base(self) -> str:
        """Base topic of the node."""
        own = f"{self.namespace}/{self.node_id}"
        return f"{self.prefix}/{own}" if self.prefix else own

    def own(self, topic: str) -> str:
        """Return a topic of the node as the node itself knows it, without the bridge's prefix."""
        return topic.removeprefix(f"{self.prefix}/") if self.prefix else topic

    def node(self, leaf: str) -> str:
        """Topic of the node itself, for example ``status``."""
        return f"{self.base}/{leaf}"

    def asset(self, asset: str, leaf: str) -> str:
        """Topic of one asset, for example ``fault`` or ``cmd/recalibrate``."""
        return f"{self.base}/{asset}/{leaf}"

    def subscriptions(self, mqtt_assets: tuple[str, ...]) -> list[tuple[str, int]]:
        """Return the filters that a node subscribes to, with QoS; ``mqtt_assets`` get their samples by MQTT."""
        return [
            (self.node("cmd/+"), 1),
            (f"{self.base}/+/cmd/+", 1),
            (f"{self.base}/+/context", 1),
            *((self.asset(asset, "samples"), 0) for asset in mqtt_assets),
        ]

    def split(self, topic: str) -> tuple[str | None, str] | None:
        """``(asset or None for the node, leaf)`` of a topic of this node; None for any other topic."""
        if not topic.startswith(self.base + "/"):
            return None
        parts = topic[len(self.base) + 1 :].split("/")
        match parts:
            case ["cmd" | "resp", name]:
                return None, f"{parts[0]}/{name}"
            case [leaf]:
                return None, leaf
            case [asset, "cmd" | "resp" as kind, name]:
                return asset, f"{kind}/{name}"
            case [asset, leaf]:
                return asset, leaf
        return None

    def unusable(self, response_topic: str) -> str | None:
        """Return why no answer may go to a response topic, None where one may; as strict as any broker may be."""
        if not response_topic or len(response_topic.encode(errors="replace")) > MAX_RESPONSE_TOPIC_BYTES:
            return f"it must have 1 to {MAX_RESPONSE_TOPIC_BYTES} bytes of UTF-8"
        if response_topic.count("/") >= MAX_RESPONSE_TOPIC_LEVELS:
            return f"it has more than {MAX_RESPONSE_TOPIC_LEVELS} levels"
        if not response_topic.isprintable():  # also U+FEFF, surrogates and non-characters
            return "it has a character that cannot be printed"
        if any(sign in response_topic for sign in "+#"):
            return "it has a wildcard"
        if response_topic.startswith("$"):
            return "topics that begin with $ are the broker's own"
        if "cmd" in response_topic.split("/"):
            return "it is a topic for commands"
        if _is_or_below(response_topic, self.base):
            match response_topic[len(self.base) + 1 :].split("/"):
                case ["resp", _, *_] | [_, "resp", _, *_]:
                    return None
            return "it is one of the node's own topics"
        if _is_or_below(response_topic, self.namespace):
            return f"topics below {self.namespace} are for nodes; choose one outside of it"
        below = response_topic.split("/")[2:]  # at least a namespace and a node come before
        if "resp" in below or set(below[-1:]) & {*NODE_LEAVES, *ASSET_LEAVES, *INPUT_LEAVES}:
            return "it has the form of another node's topic; choose one with another last level, without resp"
        return None


def _is_or_below(topic: str, parent: str) -> bool:
    return topic == parent or topic.startswith(f"{parent}/")
