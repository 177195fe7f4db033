"""Why a connection to a central system was not opened, or ended, in words on which an installer can act."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urljoin, urlsplit

from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI, NegotiationError, WebSocketException

from agent.core.security_model import SecurityEventKind

BAD_REQUEST: Final = 400
UNAUTHORISED: Final = 401
REASON: Final = 123
"""Characters that are shown of what a peer says; a close frame has no more."""
TLS_OLD: Final = "it speaks only TLS older than 1.2, which is not secure: its operator has to enable TLS 1.2"
NO_TLS: Final = "what answers there does not speak TLS: check host and port in cloud.url"
NO_CERTIFICATE: Final = (
    "it demands a client certificate (security profile 3): set cloud.security_profile = 3 with cloud.client_cert_file"
    " and cloud.client_key_file, or have its operator upgrade this station"
)
NOTHING_COMMON: Final = (
    "it shares no cipher suite with this station, or demands a client certificate (security profile 3)"
)
OWN_REFUSED: Final = (
    "it refuses this station's certificate: ask its operator which CA it trusts, and whether it has expired"
)
UNKNOWN_CA: Final = (
    "its certificate comes from an unknown CA, or its chain is incomplete: give the CA's certificate as cloud.ca_file"
)
WEAK: Final = "its certificate has a key or signature that is too weak: its operator has to renew it"

#: HTTP status of a refused handshake -> what it means, and what to check.
STATUSES: Final[Mapping[int, tuple[str, str]]] = {
    200: ("a web server answers there, no central system", "check host, port and path in cloud.url"),
    400: ("the central system takes this for a bad request", "check the path in cloud.url"),
    403: ("the central system forbids this station to connect", "check whether station.id is set up and enabled there"),
    404: ("the central system does not know this station or path", "check station.id and the path in cloud.url"),
    429: ("the central system asks for fewer attempts", "the next ones come at growing intervals"),
    500: ("the central system has an internal error", "ask its operator"),
    502: ("the central system's proxy does not reach it", "ask its operator"),
    503: ("the central system is not available at present", "it is tried again"),
    504: ("the central system's proxy gets no answer from it", "ask its operator"),
}
#: The same for UNAUTHORISED, by whether a password was sent.
PASSWORD: Final[Mapping[bool, tuple[str, str]]] = {
    True: ("the central system refused the station's password", "check station.id and cloud.password"),
    False: (
        "the central system asks for a password",
        "check station.id, and set cloud.security_profile (1, or 2 for wss://) and cloud.password",
    ),
}
#: And where the station's certificate was presented.
CERTIFIED: Final = (
    "the central system does not accept the station's certificate",
    "check station.id, and ask its operator",
)
#: OpenSSL's verification result -> what to check.
CERTIFICATES: Final[Mapping[int, str]] = {
    9: "its certificate is not valid yet: the clock of this station may be wrong: check its date and time source (NTP),"
    " and ask the operator if they are right",
    10: "its certificate has expired: check the clock of this station; if it is right, the operator has to renew it",
    18: "its certificate is self-signed: give it as cloud.ca_file if it is the right one",
    19: UNKNOWN_CA,
    20: UNKNOWN_CA,
    21: UNKNOWN_CA,
    26: "its certificate is not meant for servers: the operator has to replace it",
    62: "its certificate is for another host name: check the host in cloud.url",
    64: "its certificate is not for this IP address: write the host name that it is for into cloud.url",
    66: WEAK,
    67: WEAK,
    68: WEAK,
}
#: OpenSSL's reason, or the alert that the peer sent -> what to check.
TLS: Final[Mapping[str, str]] = {
    "HTTP_REQUEST": NO_TLS,
    "PACKET_LENGTH_TOO_LONG": NO_TLS,
    "RECORD_LAYER_FAILURE": NO_TLS,
    "WRONG_VERSION_NUMBER": NO_TLS,
    "TLSV1_ALERT_PROTOCOL_VERSION": TLS_OLD,
    "UNSUPPORTED_PROTOCOL": TLS_OLD,
    "SSLV3_ALERT_HANDSHAKE_FAILURE": NOTHING_COMMON,
    "SSLV3_ALERT_BAD_CERTIFICATE": NO_CERTIFICATE,
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": NO_CERTIFICATE,
    "TLSV1_ALERT_UNKNOWN_CA": OWN_REFUSED,
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": OWN_REFUSED,
    "SSLV3_ALERT_CERTIFICATE_REVOKED": OWN_REFUSED,
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": OWN_REFUSED,
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": OWN_REFUSED,
    "TLSV1_ALERT_ACCESS_DENIED": OWN_REFUSED,
    "TLSV1_ALERT_DECRYPT_ERROR": OWN_REFUSED,
    "TLSV1_UNRECOGNIZED_NAME": "it does not know the host name: check the host in cloud.url",
    "UNEXPECTED_EOF_WHILE_READING": "it was closed in the TLS handshake: check host and port in cloud.url",
}
#: OpenSSL's reason -> the security event that it is (whitepaper ed. 3, section 8).
EVENTS: Final[Mapping[str, SecurityEventKind]] = {
    "CERTIFICATE_VERIFY_FAILED": SecurityEventKind.INVALID_CENTRAL_SYSTEM_CERTIFICATE,
    "TLSV1_ALERT_PROTOCOL_VERSION": SecurityEventKind.INVALID_TLS_VERSION,
    "UNSUPPORTED_PROTOCOL": SecurityEventKind.INVALID_TLS_VERSION,
    "SSLV3_ALERT_HANDSHAKE_FAILURE": SecurityEventKind.INVALID_TLS_CIPHER_SUITE,
    "NO_SHARED_CIPHER": SecurityEventKind.INVALID_TLS_CIPHER_SUITE,
    **{
        reason: SecurityEventKind.FAILED_TO_AUTHENTICATE
        for reason, words in TLS.items()
        if words in {NO_CERTIFICATE, OWN_REFUSED}
    },
}
#: Error number of the system -> what to check.
NETWORK: Final[Mapping[int, str]] = {
    errno.ECONNREFUSED: "nothing listens there: check host and port in cloud.url, and whether the central system runs",
    errno.ECONNRESET: "the connection was reset: check the port in cloud.url; a firewall or proxy may be in between",
    errno.ENETUNREACH: "there is no network: check the cable or Wi-Fi, and the router",
    errno.EHOSTUNREACH: "the host cannot be reached: check the network and the host in cloud.url",
    errno.ETIMEDOUT: "no answer: check host and port in cloud.url, and the firewall",
}


@dataclass(frozen=True, slots=True)
class Attempt:
    """What was tried; authenticated: a password was sent; certified: a certificate of the station could be."""

    url: str = field(repr=False)
    authenticated: bool = False
    certified: bool = False

    @property
    def secure(self) -> bool:
        """Whether TLS was asked for."""
        return urlsplit(self.url).scheme == "wss"


class HandshakeRefused(WebSocketException):
    """The central system answered the handshake with another HTTP status than 101.

    location: where a redirect leads, None without one. The answer's text is not kept.
    """

    def __init__(self, status: int, location: str | None) -> None:
        """Keep what matters of an answer."""
        super().__init__(f"HTTP {status}")
        self.status = status
        self.location = location


def explain(error: BaseException, attempt: Attempt) -> str:
    """Return why a connection was not opened. Nothing of it is secret: no path, query, user or password."""
    match error:
        case HandshakeRefused():
            return _refused(error, attempt)
        case NegotiationError():
            return f"the central system answers with a protocol that was not offered ({printable(str(error))})"
        case InvalidHandshake() | EOFError():
            return _stranger(attempt)
        case OSError():
            return _network(error, attempt)
        case InvalidURI() | UnicodeError():
            return "this is no address: check cloud.url"
        case _:
            return printable(str(error))


def event_of(error: BaseException) -> SecurityEventKind | None:
    """Return the security event that a connection which was not opened is, None for none."""
    if isinstance(error, HandshakeRefused) and error.status == UNAUTHORISED:
        return SecurityEventKind.FAILED_TO_AUTHENTICATE
    if not isinstance(error, ssl.SSLError):
        return None
    return EVENTS.get(getattr(error, "reason", None) or str(error))


def ended(closed: ConnectionClosed) -> str:
    """Return how a connection ended."""
    frame = closed.rcvd
    if frame is None:
        return "the connection to the central system broke" if closed.sent is None else "the connection was closed here"
    reason = f": {printable(frame.reason)}" if frame.reason else ""
    return f"the central system closed the connection ({frame.code}{reason})"


def place(url: str) -> str:
    """Return an address as it may be shown: without user, password, query and path, which may hold secrets."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}"


def printable(text: str) -> str:
    """Return what a peer says as it may be shown: one short line without anything that a terminal acts upon."""
    return "".join(character if character.isprintable() else "?" for character in text[:REASON])


def _refused(refusal: HandshakeRefused, attempt: Attempt) -> str:
    """Return what an HTTP status means."""
    status = refusal.status
    if refusal.location is not None:
        meaning, check = _redirected(refusal.location, attempt.url)
    elif status == UNAUTHORISED:
        meaning, check = CERTIFIED if attempt.certified else PASSWORD[attempt.authenticated]
    else:
        unknown = "the central system refuses the connection", "check cloud.url, and ask its operator"
        meaning, check = STATUSES.get(status, unknown)
    if status == BAD_REQUEST and not attempt.secure:
        check = f"{check}, or whether it has to be wss://"
    return f"{meaning} (HTTP {status}): {check}"


def _redirected(location: str, url: str) -> tuple[str, str]:
    """Return where a redirect leads, as far as it may be shown, and what to do."""
    try:
        target = place(urljoin(url.replace("ws", "http", 1), location).replace("http", "ws", 1))
    except ValueError:
        target = "no address"
    where = "another path" if target == place(url) else printable(target)
    check = "redirects are not followed: ask its operator for the address, and write it into cloud.url"
    return f"the central system sends the station on to {where}", check


def _stranger(attempt: Attempt) -> str:
    """Return what it means that an answer is none of a WebSocket server, or that there is none at all."""
    if attempt.secure:
        demand = "or demands a client certificate (security profile 3)"
        return f"what answers there is no WebSocket server, {demand}: check host, port and path in cloud.url"
    remedy = "check host, port and path in cloud.url; if it speaks TLS, the address begins with wss://"
    return f"what answers there is no WebSocket server: {remedy}"


def _network(error: OSError, attempt: Attempt) -> str:
    """Return what an error of name service, TLS or network means; asyncio joins those of several addresses."""
    match error:
        case socket.gaierror():
            return "the host name cannot be resolved: check the host in cloud.url, the network and DNS"
        case ssl.SSLError():
            return _tls(error, attempt)
        case TimeoutError():
            return "no answer in time: check host and port in cloud.url, and the firewall"
    text = str(error)
    if not text and attempt.secure:  # asyncio's error for a peer that leaves the TLS handshake
        return f"TLS failed: {TLS['UNEXPECTED_EOF_WHILE_READING']}"
    known = (words for number, words in NETWORK.items() if error.errno == number or f"[Errno {number}]" in text)
    return next(known, text or "the connection broke")


def _tls(error: ssl.SSLError, attempt: Attempt) -> str:
    """Return what an error of OpenSSL means."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"not secure: {CERTIFICATES.get(error.verify_code, error.verify_message)}"
    reason = getattr(error, "reason", None) or str(error)  # OpenSSL's own errors alone have one
    if attempt.certified and TLS.get(reason) == NO_CERTIFICATE:
        return f"TLS failed: {OWN_REFUSED}"
    return f"TLS failed: {TLS.get(reason, f'{reason}: check host and port in cloud.url')}"
