"""The TLS context of the broker connection, from the configuration; every problem names its file."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from edgetune_node.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from edgetune_node.config import TlsSection


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
    try:
        with path.open("rb"):
            return None
    except OSError as error:
        return f"cannot be read: {error.strerror}"
