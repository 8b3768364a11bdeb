"""The broker's access list: the MQTT contract turned round into who may read and write what."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgetune_node.contract.messages import MESSAGES
from edgetune_node.contract.topics import ASSET_COMMANDS, NODE_COMMANDS
from edgetune_node.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from edgetune_node.contract.topics import Topics

ROLES = ("machine", "scada", "operator", "home_assistant")
_ANSWERS = "resp/#"


def access_list(
    topics: Topics,
    node_user: str,
    announcements: Iterable[str] = (),
    more: Mapping[str, Sequence[str]] | None = None,
) -> str:
    """Access list in mosquitto's format for one node and those who deal with it.

    What a node says only this node may write, what it obeys only the user ``operator`` may, a sensor's gateway
    (``machine``) can do nothing but deliver, and a ``scada`` only hears. Lists of several nodes may stand in one file.

    Parameters
    ----------
    topics
        The node's.
    node_user
        The user that it logs in as.
    announcements
        Topics on which it announces its assets to Home Assistant; where there are any, that has a user of its own.
    more
        Further rules for ``node`` and for roles, such as ``read spBv1.0/#``.

    Raises
    ------
    ConfigError
        Where that is one of the roles, or no name that a line of the list can hold.
    """
    if node_user in ROLES:
        raise ConfigError(
            "mqtt.username (else node.id)",
            [f"{node_user!r} is a role of the access list ({', '.join(ROLES)}); give each node a user of its own"],
        )
    if not node_user.isprintable() or node_user != node_user.strip():
        raise ConfigError("mqtt.username", [f"{node_user!r} cannot stand in an access list; use printable characters"])
    said = [
        topics.node(leaf) if owner == "node" else topics.asset("+", leaf)
        for owner, leaf in [(kind.owner, _ANSWERS if kind.topic == "resp/+" else kind.topic) for kind in MESSAGES]
    ]
    said.append(topics.node(_ANSWERS))
    announced = list(announcements)
    sections = {
        node_user: [f"read {topics.base}/#", *(f"write {topic}" for topic in said), *_both(announced)],
        "machine": [
            *(f"write {topics.asset('+', leaf)}" for leaf in ("samples", "context", "simulator/state")),
            *(f"read {topics.asset('+', leaf)}" for leaf in ("calibration", "simulator")),
        ],
        "scada": [f"read {topic}" for topic in said],
        "operator": [
            f"read {topics.base}/#",
            *(f"write {topics.node(f'cmd/{name}')}" for name in NODE_COMMANDS),
            *(f"write {topics.asset('+', f'cmd/{name}')}" for name in ASSET_COMMANDS),
            *(f"write {topics.asset('+', leaf)}" for leaf in ("context", "simulator")),
        ],
    }
    if announced:
        sections["home_assistant"] = [
            *(f"read {topic}" for topic in (*said, *announced)),
            *(f"write {topics.asset('+', f'cmd/{name}')}" for name in ("acknowledge", "recalibrate")),
        ]
    for role, rules in (more or {}).items():
        sections[node_user if role == "node" else role] += rules
    return "\n".join(
        line for user, rules in sections.items() for line in (f"user {user}", *(f"topic {rule}" for rule in rules), "")
    )


def _both(topics: Iterable[str]) -> list[str]:
    return [f"readwrite {topic}" for topic in topics]
