"""Credentials and TLS of the connection to a central system, security profiles 0 to 2.

Source: Improved security for OCPP 1.6-J, ed. 3, use case A00; OCPP-J 1.6, section 6.2.
"""

from __future__ import annotations

import base64
import ssl
from dataclasses import dataclass, field
from pathlib import Path

from agent.core.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Credentials:
    """How the station proves itself, and whom it trusts.

    password: the bytes that are sent, None for none; ca_file: certificates to trust instead of the system's.
    """

    password: bytes | None = field(default=None, repr=False)
    ca_file: Path | None = None


def basic_header(station_id: str, password: bytes) -> str:
    """Return the value of the Authorization header; made from bytes, since a password may hold any."""
    pair = station_id.encode("utf-8") + b":" + password
    return f"Basic {base64.b64encode(pair).decode('ascii')}"


def tls_context(credentials: Credentials) -> ssl.SSLContext:
    """Return the context for ``wss``: TLS 1.2 or newer, certificate and host name verified, no compression.

    Raises: ConfigError where the certificates cannot be read.
    """
    ca_file = credentials.ca_file
    try:
        context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    except OSError as error:
        problem = f"cloud.ca_file: {ca_file} cannot be used ({error}): give a PEM file with the CA's certificates"
        raise ConfigError(problem) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION
    return context
