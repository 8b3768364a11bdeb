"""What a broker has to offer: how much may be on its way, which QoS, whether it retains, which last will it took."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from edgetune_node.contract import BrokerInfo

if TYPE_CHECKING:
    from edgetune_node.mqtt.wills import Will


@dataclass(frozen=True, slots=True)
class Limits:
    """The broker's limits: ``retain`` is false as well where nothing is to be retained."""

    receive_maximum: int
    maximum_packet_bytes: int | None = None
    max_qos: int = 2
    retain: bool = True
    will: str = "retained"

    def granted(self, qos: list[int], *, five: bool) -> Limits:
        """With the QoS that was granted to subscriptions: the only word that 3.1.1 has for a maximum."""
        return replace(self, max_qos=0) if not five and qos and not any(qos) else self

    @property
    def info(self) -> BrokerInfo:
        """As ``info`` tells it."""
        return BrokerInfo.model_validate({"retain": self.retain, "max_qos": self.max_qos, "will": self.will})


def limits_of(properties: Any, will: Will | None, receive_maximum: int, *, retain: bool) -> Limits:
    """Limits that CONNACK's properties name (3.1.1 has none), or that the will shows which the broker took."""
    unretained = will is not None and not will.retain
    return Limits(
        receive_maximum=getattr(properties, "ReceiveMaximum", receive_maximum),
        maximum_packet_bytes=getattr(properties, "MaximumPacketSize", None),
        max_qos=0 if will is not None and will.qos == 0 else getattr(properties, "MaximumQoS", 2),
        retain=retain and not unretained and bool(getattr(properties, "RetainAvailable", 1)),
        will="none" if will is None else "not retained" if unretained else "retained",
    )
