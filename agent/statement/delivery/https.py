"""Delivery by HTTPS: one POST per format, the file as its body.

Neither redirects nor proxies are followed: the token and the statement are for the server that is named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit

from agent.statement.delivery.errand import Line, NotReached
from agent.statement.delivery.parcel import Paper, Parcel
from agent.statement.delivery.secret import token_in
from agent.statement.delivery.trouble import context, said, unreached

CONNECT_S: Final = 10.0
ANSWER_S: Final = 30.0
"""A server may take its time with a file."""
HEARD: Final = 2048
"""Bytes that are read of an answer; its text is for the person who reads the status."""
DONE: Final = range(200, 300)
REDIRECT: Final = range(300, 400)
SERVER: Final = range(500, 600)
#: HTTP status -> what to check.
CHECKS: Final[Mapping[int, str]] = {
    HTTPStatus.UNAUTHORIZED: "check delivery.token_file",
    HTTPStatus.FORBIDDEN: "check delivery.token_file, and what it is allowed",
    HTTPStatus.NOT_FOUND: "check the path in delivery.url",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "it takes no file of this size: ask its operator",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "it does not take this format: check delivery.format",
    HTTPStatus.TOO_MANY_REQUESTS: "it is tried again",
}


@dataclass(frozen=True, slots=True)
class Https:
    """A server; token: file that holds what it is to be shown, None where it wants nothing."""

    name: str
    formats: tuple[str, ...]
    url: str
    agent: str
    token: Path | None = None
    ca_file: Path | None = None

    @property
    def parts(self) -> tuple[str, ...]:
        """The formats."""
        return self.formats

    def trips(self, parts: Sequence[str]) -> Sequence[tuple[str, ...]]:
        """Return each by itself."""
        return [(part,) for part in parts]

    def papers(self, parts: Sequence[str]) -> tuple[str, ...]:
        """Return the formats themselves."""
        return tuple(parts)

    def send(self, parts: Sequence[str], parcel: Parcel, line: Line) -> Mapping[str, str]:
        """Post files; what is not answered with 2xx is refused. Raises: NotReached."""
        token = None if self.token is None else token_in(self.token, "delivery.token_file")
        told = {part: self._post(parcel.papers[part], token, line) for part in parts}
        return {part: words for part, words in told.items() if words is not None}

    def _post(self, paper: Paper, token: str | None, line: Line) -> str | None:
        """Return why a file was refused, None where it was taken. Raises: NotReached."""
        connection, target = self._connection()
        try:
            connection.connect()
            line.hold(connection.sock)
            connection.sock.settimeout(ANSWER_S)
            connection.request("POST", target, paper.content, self._headers(paper, token))
            answer = connection.getresponse()
            content = b"" if answer.status in DONE else answer.read(HEARD)
        except OSError as error:
            raise NotReached(unreached(error)) from error
        except HTTPException as error:
            words = "what answers there is no web server: check host and port in delivery.url"
            raise NotReached(f"{words} ({type(error).__name__})") from error
        finally:
            connection.close()
        return None if answer.status in DONE else _refusal(answer.status, said(answer.reason), said(content, token))

    def _connection(self) -> tuple[HTTPConnection, str]:
        """Return the connection, not opened yet, and what is asked for on it. Raises: NotReached."""
        parts = urlsplit(self.url)
        path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._") + (f"?{parts.query}" if parts.query else "")
        host = parts.hostname or ""
        if parts.scheme == "http":
            return HTTPConnection(host, parts.port, timeout=CONNECT_S), path
        return HTTPSConnection(host, parts.port, timeout=CONNECT_S, context=context(self.ca_file)), path

    def _headers(self, paper: Paper, token: str | None) -> Mapping[str, str]:
        proof = {} if token is None else {"Authorization": f"Bearer {token}"}
        return {
            "Content-Type": paper.content_type,
            "Content-Disposition": f'attachment; filename="{quote(paper.name)}"',
            "Idempotency-Key": f'"{paper.id}"',
            "User-Agent": self.agent,
            "Connection": "close",
            **proof,
        }


def _refusal(status: int, reason: str, text: str) -> str:
    """Return what an answer other than 2xx means."""
    check = CHECKS.get(status, "ask its operator")
    if status in REDIRECT:
        check = "redirects are not followed: ask its operator for the address, and write it into delivery.url"
    elif status in SERVER:
        check = "it is tried again"
    words = f": {text}" if text else ""
    return f"the server answers {status} {reason}".rstrip() + f"{words} ({check})"
