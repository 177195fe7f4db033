"""Why there is no connection, in words for an installer: every kind of failure, and nothing secret in any of them."""

from __future__ import annotations

import errno
import socket
import ssl

import pytest
from websockets.exceptions import (
    ConnectionClosedError,
    InvalidHandshake,
    InvalidMessage,
    InvalidURI,
    NegotiationError,
    WebSocketException,
)
from websockets.frames import Close

from agent.ocpp.causes import Attempt, HandshakeRefused, ended, explain, place, printable

PLAIN = Attempt("ws://csms.example/ocpp/S1")
SECURE = Attempt("wss://csms.example/ocpp/S1", authenticated=True)


def unverified(code: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "failed")
    error.verify_code, error.verify_message = code, "words of OpenSSL"
    return error


def tls(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, f"[SSL: {reason}] words (_ssl.c:1006)")
    error.reason = reason
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (socket.gaierror(-2, "Name or service not known"), "cannot be resolved: check the host in cloud.url"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), "nothing listens there"),
        (OSError("Multiple exceptions: [Errno 111] refused, [Errno 111] refused"), "nothing listens there"),
        (OSError(errno.ENETUNREACH, "unreachable"), "there is no network"),
        (OSError(errno.EHOSTUNREACH, "no route"), "cannot be reached"),
        (ConnectionResetError(errno.ECONNRESET, "reset"), "the connection was reset"),
        (OSError(errno.EIO, "strange"), "strange"),
        (OSError(), "the connection broke"),
        (TimeoutError(), "no answer in time: check host and port"),
        (NegotiationError("unsupported subprotocol: ocpp9"), "not offered (unsupported subprotocol: ocpp9)"),
        (InvalidURI("ws://h/?token=geheim", "words"), "this is no address: check cloud.url"),
        (UnicodeError("label too long"), "this is no address"),
        (EOFError(), "no WebSocket server: check host, port and path in cloud.url; if it speaks TLS"),
        (InvalidMessage("did not receive a valid HTTP response"), "begins with wss://"),
        (InvalidHandshake(), "no WebSocket server"),
        (WebSocketException("other\x1b[2J"), "other?[2J"),
    ],
)
def test_failures_are_told_in_words(error: Exception, words: str) -> None:
    assert words in explain(error, PLAIN)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (unverified(9), "not valid yet: the clock of this station may be wrong"),
        (unverified(10), "has expired: check the clock of this station"),
        (unverified(18), "self-signed: give it as cloud.ca_file"),
        (unverified(19), "unknown CA, or its chain is incomplete: give the CA's certificate as cloud.ca_file"),
        (unverified(20), "unknown CA"),
        (unverified(21), "unknown CA"),
        (unverified(26), "not meant for servers"),
        (unverified(62), "another host name: check the host in cloud.url"),
        (unverified(64), "not for this IP address: write the host name"),
        (unverified(66), "too weak"),
        (unverified(99), "not secure: words of OpenSSL"),
        (tls("WRONG_VERSION_NUMBER"), "does not speak TLS: check host and port"),
        (tls("UNSUPPORTED_PROTOCOL"), "only TLS older than 1.2"),
        (tls("TLSV1_ALERT_PROTOCOL_VERSION"), "only TLS older than 1.2"),
        (tls("SSLV3_ALERT_HANDSHAKE_FAILURE"), "shares no cipher suite"),
        (tls("TLSV13_ALERT_CERTIFICATE_REQUIRED"), "demands a client certificate"),
        (tls("SOMETHING_NEW"), "TLS failed: SOMETHING_NEW: check host and port in cloud.url"),
        (ssl.SSLError(1, "no reason"), "TLS failed: "),
        (ConnectionResetError(), "closed in the TLS handshake: check host and port in cloud.url"),
        (EOFError(), "no WebSocket server, or demands a client certificate (security profile 3)"),
    ],
)
def test_failures_of_tls_are_told_in_words(error: Exception, words: str) -> None:
    told = explain(error, SECURE)
    assert words in told
    assert "wss://" not in told


REFUSALS = {
    301: "the central system sends the station on to wss://other.example (HTTP 301): redirects are not followed",
    401: "the central system refused the station's password (HTTP 401): check station.id and cloud.password",
    403: "the central system forbids this station to connect (HTTP 403): check whether station.id is set up",
    404: "the central system does not know this station or path (HTTP 404): check station.id and the path in cloud.url",
    429: "the central system asks for fewer attempts (HTTP 429): the next ones come at growing intervals",
    503: "the central system is not available at present (HTTP 503): it is tried again",
    418: "the central system refuses the connection (HTTP 418): check cloud.url",
}


@pytest.mark.parametrize("status", REFUSALS)
def test_a_status_of_http_says_what_to_check(status: int) -> None:
    location = "https://other.example/?token=geheim" if status == 301 else None
    assert explain(HandshakeRefused(status, location), SECURE).startswith(REFUSALS[status])


def test_a_password_that_was_not_sent_is_asked_for() -> None:
    told = explain(HandshakeRefused(401, None), PLAIN)
    assert told.startswith(
        "the central system asks for a password (HTTP 401): check station.id, and set cloud.security_profile (1"
    )


def test_a_bad_request_without_tls_may_want_tls() -> None:
    assert "wss://" in explain(HandshakeRefused(400, None), PLAIN)
    assert "wss://" not in explain(HandshakeRefused(400, None), SECURE)


@pytest.mark.parametrize(
    ("location", "where"),
    [
        ("/other/S1", "another path"),
        ("S1/", "another path"),
        ("wss://csms.example/other", "another path"),
        ("https://csms.example/other", "another path"),
        ("//other.example:8443/S1", "wss://other.example:8443"),
        ("http://csms.example/other", "ws://csms.example"),
        ("https://user:geheim@other.example/geheim?token=geheim#geheim", "wss://other.example"),
        ("https://[2001:db8::1]:8443/", "wss://[2001:db8::1]:8443"),
        ("https://[2001:db8::1/", "no address"),
        ("https://other.example:99999/", "no address"),
        ("https://oth\x1ber.example/", "wss://oth?er.example"),
        ("mailto:operator@csms.example", "mailto://"),
        ("", "another path"),
    ],
)
def test_a_redirect_is_told_by_its_host_alone(location: str, where: str) -> None:
    told = explain(HandshakeRefused(302, location), SECURE)
    assert f" sends the station on to {where} (HTTP 302): redirects are not followed" in told
    assert "geheim" not in told


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("ws://h", "ws://h"),
        ("wss://h:8443/geheim?geheim", "wss://h:8443"),
        ("ws://user:geheim@h:80/x", "ws://h:80"),
        ("wss://[2001:db8::1]:8443/x", "wss://[2001:db8::1]:8443"),
        ("wss://[::1]/x", "wss://[::1]"),
        ("wss://h:443", "wss://h:443"),
    ],
)
def test_an_address_is_shown_without_what_may_be_secret(url: str, shown: str) -> None:
    assert place(url) == shown
    assert "geheim" not in repr(Attempt(url))


def test_words_of_a_peer_are_short_and_on_one_line() -> None:
    assert printable("a\nb\x00" + "c" * 500) == "a?b?" + "c" * 119
    told = ended(ConnectionClosedError(Close(4001, "away\r\n\x1b]0;title"), None))
    assert told == "the central system closed the connection (4001: away???]0;title)"


@pytest.mark.parametrize(
    ("closed", "words"),
    [
        (ConnectionClosedError(None, None), "the connection to the central system broke"),
        (ConnectionClosedError(None, Close(1001, "")), "the connection was closed here"),
        (ConnectionClosedError(Close(1001, ""), None), "the central system closed the connection (1001)"),
    ],
)
def test_the_end_of_a_connection_is_told(closed: ConnectionClosedError, words: str) -> None:
    assert ended(closed) == words
