"""Whether a certificate leads to a root: by OpenSSL, which shakes hands with itself in memory.

So what is accepted here is what the other end would accept too: signatures, names, purposes, lengths of chains.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from agent.core.errors import ConfigError
from agent.ocpp.security import present

NO_CHECK_TIME: Final = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME of OpenSSL, which has no name in ``ssl``: times are compared by the station's clock."""
ROUNDS: Final = 10
"""More flights than any handshake has."""


def check_own(chain: Path, key: Path, roots: Sequence[str]) -> None:
    """Check that a certificate of the station belongs to its key, and leads to one of the roots (PEM).

    Whether it is valid at this time is not looked at. Raises: ValueError, in words.
    """
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    server.verify_mode = ssl.CERT_REQUIRED
    server.verify_flags = ssl.VerifyFlags(ssl.VERIFY_X509_TRUSTED_FIRST | ssl.VERIFY_X509_PARTIAL_CHAIN | NO_CHECK_TIME)
    try:
        for context in (server, client):
            present(context, chain, key)
        for root in roots:
            server.load_verify_locations(cadata=root)
        _shake_hands(server, client)
    except ssl.SSLCertVerificationError as error:
        raise ValueError(f"its chain does not lead to an installed root ({error.verify_message})") from error
    except ConfigError as error:
        raise ValueError("it does not belong to the key of the request") from error
    except ssl.SSLError as error:
        raise ValueError(f"it cannot be used ({error.reason})") from error


def _shake_hands(server: ssl.SSLContext, client: ssl.SSLContext) -> None:
    """Connect one with the other. Raises: ssl.SSLError."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [client.wrap_bio(down, up), server.wrap_bio(up, down, server_side=True)]
    for _ in range(ROUNDS):
        waiting = [end for end in ends if not _is_done(end)]
        if not waiting:
            return
    raise ssl.SSLError(0, "the handshake does not end")


def _is_done(end: ssl.SSLObject) -> bool:
    try:
        end.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True
