"""Credentials and TLS of the connection to a central system, security profiles 0 to 3.

Source: Improved security for OCPP 1.6-J, ed. 3, use case A00; OCPP-J 1.6, section 6.2.
"""

from __future__ import annotations

import base64
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from agent.core.errors import ConfigError

PEM: Final = b"-----BEGIN CERTIFICATE-----"
PRIVATE: Final = b"PRIVATE KEY-----"
SUITES: Final = (
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384"
    ":ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384"
)
"""Cipher suites of TLS 1.2, the preferred one first; those of TLS 1.3 are on in any case."""
DER: Final = b"\x30\x82"
"""How a certificate begins that is not in PEM form: a sequence with two bytes of length."""
ENCODING_DER: Final = 2
"""Of ``_ssl``, which Python before 3.13 wants to be told."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """How the station proves itself, and whom it trusts.

    password: the bytes that are sent, None for none; ca_file: certificates to trust instead of the system's; anchors:
    more of them (PEM); certificate, key: the station's own, as PEM files, its chain included.
    """

    password: bytes | None = field(default=None, repr=False)
    ca_file: Path | None = None
    anchors: tuple[str, ...] = ()
    certificate: Path | None = None
    key: Path | None = None


def basic_header(station_id: str, password: bytes) -> str:
    """Return the value of the Authorization header; made from bytes, since a password may hold any."""
    pair = station_id.encode("utf-8") + b":" + password
    return f"Basic {base64.b64encode(pair).decode('ascii')}"


def tls_context(credentials: Credentials) -> ssl.SSLContext:
    """Return the context for ``wss``: TLS 1.2 or newer, certificate and host name verified, no compression.

    The host stands in the certificate's subjectAltName or, where it has none, in its common name (A00.FR.511).
    Made by hand, since ``ssl.create_default_context`` writes the session's keys to a file that the environment names,
    and is stricter with private CAs from Python 3.13 on than before. Raises: ConfigError where ``ca_file`` cannot be
    used, nor the station's own certificate. The suites are the whitepaper's with forward secrecy (A00.FR.318), the
    same for servers with RSA keys, and those of TLS 1.3.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # requires a certificate, and compares its host name
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION
    context.set_ciphers(SUITES)
    context.verify_flags = ssl.VERIFY_X509_TRUSTED_FIRST | ssl.VERIFY_X509_PARTIAL_CHAIN  # trust what is given as it is
    if credentials.certificate is not None:
        present(context, credentials.certificate, credentials.key)
    for anchor in credentials.anchors:
        context.load_verify_locations(cadata=anchor)
    if credentials.ca_file is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        return context
    try:
        trust(context, credentials.ca_file)
    except ValueError as error:
        raise ConfigError(f"cloud.ca_file: {credentials.ca_file} {error}") from error
    return context


def present(context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    """Present a certificate; key: its file, None where it is in the same one.

    Raises: ConfigError, which names the file that is at fault.
    """

    def no_password() -> str:
        raise ValueError("is encrypted, and nobody is here to type its password: write the key unencrypted, mode 0600")

    try:
        context.load_cert_chain(certificate, key, password=no_password)
    except ssl.SSLError as error:
        mismatch = "MISMATCH" in (error.reason or "")
        what = (
            "is not the key of that certificate" if mismatch else "and its key are no certificate and key in PEM form"
        )
        named = key if mismatch and key is not None else certificate
        raise ConfigError(f"{named} {what}: check cloud.client_cert_file and cloud.client_key_file") from error
    except (OSError, ValueError) as error:
        words = f"cannot be read ({error.strerror})" if isinstance(error, OSError) else str(error)
        raise ConfigError(f"{key or certificate} {words}") from error


def verified_chain(secure: ssl.SSLObject | None) -> tuple[bytes, ...]:
    """Return the certificates (DER) by which a server was verified, its own first; empty without TLS.

    Public from Python 3.13 on; before, the same is only below the surface.
    """
    if secure is None:
        return ()
    told = getattr(secure, "get_verified_chain", None)
    if told is not None:
        return tuple(told())
    inner = secure._sslobj  # type: ignore[attr-defined]  # noqa: SLF001  # see above
    return tuple(one.public_bytes(ENCODING_DER) for one in inner.get_verified_chain())


def trust(context: ssl.SSLContext, ca_file: Path) -> None:
    """Trust the certificates of a PEM file, be they of CAs or of the server itself.

    Raises: ValueError; its words follow the path.
    """
    try:
        content = ca_file.read_bytes()
        if content.strip():
            context.load_verify_locations(cafile=ca_file)
    except ssl.SSLError as error:
        raise ValueError(_unusable(content)) from error
    except OSError as error:
        raise ValueError(f"cannot be read ({error.strerror}); check the path, and who may read it") from error
    if not context.cert_store_stats()["x509"]:
        raise ValueError(_unusable(content))


def _unusable(content: bytes) -> str:
    """Return why a file gives no certificates, and what to do."""
    if not content.strip():
        return "is empty; write the CA's certificate into it, in PEM form"
    if content.startswith(DER):
        return "is not in PEM form but binary (DER); convert it: openssl x509 -inform der -in FILE -out FILE.pem"
    if PEM in content:
        return "holds a certificate that is damaged; copy the file again, with all lines from BEGIN to END"
    if PRIVATE in content:
        return "holds a private key and no certificate; give the CA's certificate"
    return "is not in PEM form; give a text file with the CA's certificate (-----BEGIN CERTIFICATE-----)"
