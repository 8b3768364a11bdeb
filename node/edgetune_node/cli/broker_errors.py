"""Why a broker cannot be used, in words for a person at the command line."""

from __future__ import annotations

import socket
import ssl

from edgetune_node.errors import NodeError
from edgetune_node.tls import distrust


class BrokerError(NodeError):
    """The broker cannot be used.

    Attributes
    ----------
    seen
        What is wrong; the message adds what to do at the command line.
    passing
        True where the same attempt may succeed later (the broker is down), false where something has to be changed.
    """

    def __init__(self, seen: str, advice: str = "", *, passing: bool = False) -> None:
        self.seen = seen
        self.passing = passing
        super().__init__(f"{seen}; {advice}" if advice else seen)


def unreachable(where: str, error: OSError, *, tls: bool) -> BrokerError:
    """Explain why no connection could be made."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return BrokerError(f"broker {where}: {distrust(error)}", "--ca names an authority")
    if isinstance(error, ssl.SSLError):
        return BrokerError(f"broker {where} does not speak TLS ({error.reason})", "use mqtt:// for a plain port")
    if isinstance(error, socket.gaierror):
        return BrokerError(f"broker {where}: no such host ({error.strerror})", "check --broker", passing=True)
    if isinstance(error, ConnectionRefusedError):
        return BrokerError(
            f"broker {where} refuses the connection", "is it running, and is the port right? (--broker)", passing=True
        )
    hint = "does it speak TLS there, and is a firewall between?" if tls else "is it running, and is a firewall between?"
    return BrokerError(f"broker {where} cannot be reached: {error}", hint, passing=True)
