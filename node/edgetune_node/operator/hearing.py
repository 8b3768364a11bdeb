"""Which topics a listener asks the broker for; apart, since a small server needs nothing else of a fleet."""

from __future__ import annotations

from edgetune_node.contract import ASSET_LEAVES, NODE_LEAVES


def filters(namespace: str, node: str | None, asset: str | None) -> list[str]:
    """Topic filters of everything nodes say, without the samples that are sent to them."""
    base = f"{namespace}/{node or '+'}"
    return [
        *(f"{base}/{leaf}" for leaf in NODE_LEAVES),
        *(f"{base}/{asset or '+'}/{leaf}" for leaf in ASSET_LEAVES),
        f"{base}/{asset or '+'}/resp/+",
    ]
