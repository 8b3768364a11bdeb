"""The TLS context of the broker connection, from the configuration; every problem names its file."""

from __future__ import annotations

import contextlib
import ssl
from typing import TYPE_CHECKING

from edgetune_node.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from edgetune_node.config import TlsSection


NOT_YET_VALID, EXPIRED = 9, 10
OTHER_NAME = {62, 64}
"""What OpenSSL finds in a certificate: X509_V_ERR_* of its x509_vfy.h; 62 is for names, 64 for addresses."""
ROUNDS = 4
"""Turns that either end of a handshake needs at most."""


def tls_context(section: TlsSection) -> ssl.SSLContext:
    """TLS 1.2 or newer that checks the broker's certificate and name, with the node's own certificate if it has one.

    Raises
    ------
    ConfigError
        Naming each file that cannot be used. There is no falling back to an unprotected connection.
    """
    problems: list[str] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.sslsocket_class = _Socket
    if section.ca_file is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    elif (problem := _unreadable(section.ca_file)) is not None:
        problems.append(f"ca_file {section.ca_file} {problem}")
    else:
        try:
            context.load_verify_locations(cafile=section.ca_file)
        except ssl.SSLError as error:
            problems.append(f"ca_file {section.ca_file} holds no PEM certificate ({error.reason or error})")
    if section.certificate_file is not None and section.key_file is not None:
        problems += _load_pair(context, section.certificate_file, section.key_file)
    if problems:
        raise ConfigError("mqtt.tls", problems)
    return context


class _Socket(ssl.SSLSocket):
    """Closes itself where the handshake fails; paho drops it as it is."""

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002 - as in ssl
        """Shake hands."""
        try:
            super().do_handshake(block)
        except (OSError, ValueError):
            self.close()
            raise


def distrust(error: ssl.SSLCertVerificationError) -> str:
    """Return what is wrong with a broker's certificate, and what to do."""
    if error.verify_code == EXPIRED:
        told = "its certificate has expired; renew it there, or set the clock here"
    elif error.verify_code == NOT_YET_VALID:
        told = "its certificate is not valid yet; set the clock here"
    elif error.verify_code in OTHER_NAME:
        told = "its certificate is for another host; connect by a name that is in it"
    else:
        told = "its certificate is not trusted; give the file of the authority that signed it"
    return f"{told} ({error.verify_message})"


def _load_pair(context: ssl.SSLContext, certificate: Path, key: Path) -> list[str]:
    problems = [
        f"{name} {path} {problem}"
        for name, path in (("certificate_file", certificate), ("key_file", key))
        if (problem := _unreadable(path)) is not None
    ]
    if problems:
        return problems
    try:
        context.load_cert_chain(certificate, key, password=_no_passphrase)
    except _EncryptedKeyError:
        return [f"key_file {key} is encrypted; give a key without a passphrase, readable by the node alone"]
    except ssl.SSLError as error:
        return [f"certificate_file {certificate} and key_file {key} do not fit ({error.reason or error})"]
    return []


class _EncryptedKeyError(Exception):
    """OpenSSL asks for a passphrase; without this it would ask on the terminal."""


def _no_passphrase() -> str:
    raise _EncryptedKeyError


def _unreadable(path: Path) -> str | None:
    if path.exists() and not path.is_file():  # OpenSSL would wait for who writes into a pipe
        return "is no file but a folder, pipe or device"
    try:
        with path.open("rb"):
            return None
    except OSError as error:
        return f"cannot be read: {error.strerror}"


def own_certificate(section: TlsSection) -> str:
    """Return what may be wrong with the node's own certificate where a broker hangs up without a word.

    Whether it is in its time is found out by OpenSSL, in a handshake of the certificate with itself.
    """
    if section.certificate_file is None or section.key_file is None:
        return "does it want a client certificate? give certificate_file and key_file in [mqtt.tls]"
    try:
        _shake_hands(section.certificate_file, section.key_file)
    except ssl.SSLCertVerificationError as error:
        if error.verify_code == EXPIRED:
            return (
                f"the node's own certificate, {section.certificate_file}, has expired; renew it, or set the clock here"
            )
        if error.verify_code == NOT_YET_VALID:
            return f"the node's own certificate, {section.certificate_file}, is not valid yet; set the clock here"
    except (OSError, ssl.SSLError):
        return f"the node's own certificate, {section.certificate_file}, cannot be used any more; look at both files"
    return f"it may not trust the node's certificate, {section.certificate_file}; have it signed by its authority"


def _shake_hands(certificate: Path, key: Path) -> None:
    asked, asking = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    asked.check_hostname = False
    asked.verify_mode = ssl.CERT_NONE  # both ends are this function; only `asking` checks
    asking.verify_mode = ssl.CERT_REQUIRED
    asking.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    asking.load_verify_locations(cafile=certificate)
    for context in (asked, asking):
        context.load_cert_chain(certificate, key, password=_no_passphrase)
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    client, server = asked.wrap_bio(back, there), asking.wrap_bio(there, back, server_side=True)
    for _ in range(ROUNDS):
        for end in (client, server):
            with contextlib.suppress(ssl.SSLWantReadError):
                end.do_handshake()
