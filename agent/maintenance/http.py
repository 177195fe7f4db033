"""Files by HTTP and HTTPS: fetched with resume and redirects, sent by PUT, or by POST where PUT is not allowed."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from typing import BinaryIO, Final
from urllib.parse import urljoin

from agent.core.locations import Location, parse
from agent.maintenance.image import LARGEST, Image
from agent.maintenance.line import Line, TransferFailed, Trouble
from agent.ocpp.causes import Attempt, explain, printable

IO_S: Final = 30.0
"""A server that says nothing for so long is given up."""
BLOCK: Final = 64 * 1024
REDIRECTS: Final = 5
HEARD: Final = 2048
BOUNDARY: Final = "------------------------wallbox-agent-7d1c6f0a3b"
REDIRECTED: Final = frozenset({301, 302, 303, 307, 308})
NO_PUT: Final = frozenset({HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED})
FORBIDDEN: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.PROXY_AUTHENTICATION_REQUIRED})


@dataclass(frozen=True, slots=True)
class Web:
    """How this station speaks to web servers; trust: makes the TLS context, when one is needed. Raises: ConfigError."""

    agent: str
    trust: Callable[[], ssl.SSLContext]

    def fetch(self, location: Location, image: Image, line: Line) -> None:
        """Fetch an image, behind what is there of it. Raises: TransferFailed; what has come by then stays."""
        wanted = location
        for _ in range(REDIRECTS + 1):
            onward = self._get(wanted, image, line, _proof(location) if _same_server(wanted, location) else {})
            if onward is None:
                return
            wanted = onward
        raise TransferFailed(f"{location.shown} redirects more than {REDIRECTS} times")

    def send(self, location: Location, file: Path, name: str, line: Line) -> None:
        """Send a file into a directory, or to the very URL where it has a query, which is signed mostly.

        Raises: TransferFailed.
        """
        place = location if location.query else location.within(name)
        status = self._put(place, file, {"Content-Type": "application/octet-stream"}, line)
        if status in NO_PUT:
            place, status = location, self._post(location, file, name, line)
        if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            raise _refused(place, status)

    def _get(self, location: Location, image: Image, line: Line, proof: dict[str, str]) -> Location | None:
        """Fetch, or return where the server sends us instead."""
        held = image.size if image.mark else 0
        resume = {"Range": f"bytes={held}-", "If-Range": image.mark} if held and image.mark else {}
        with self._open(location, line) as connection:
            headers = {"User-Agent": self.agent, "Accept-Encoding": "identity", "Connection": "close"}
            connection.request("GET", location.target, headers=headers | resume | proof)
            with connection.getresponse() as answer:
                if answer.status in REDIRECTED:
                    return _onward(location, answer)
                if not _is_whole(location, answer, image, held):
                    _take(location, answer, image, line)
        return None

    def _put(self, location: Location, file: Path, headers: Mapping[str, str], line: Line) -> int:
        size = file.stat().st_size
        with file.open("rb") as content:
            return self._give(("PUT", location), _blocks(content, line), dict(headers), size=size, line=line)

    def _post(self, location: Location, file: Path, name: str, line: Line) -> int:
        """Send a file as a form does (RFC 7578)."""
        head = (
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        ).encode()
        tail = f"\r\n--{BOUNDARY}--\r\n".encode()
        size = len(head) + file.stat().st_size + len(tail)

        def body(content: BinaryIO) -> Iterator[bytes]:
            yield head
            yield from _blocks(content, line)
            yield tail

        headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        with file.open("rb") as content:
            return self._give(("POST", location), body(content), headers, size=size, line=line)

    def _give(
        self, what: tuple[str, Location], body: Iterator[bytes], headers: dict[str, str], *, size: int, line: Line
    ) -> int:
        """Send a body; return the status of the answer. Raises: TransferFailed."""
        method, location = what
        headers |= {"Content-Length": str(size), "User-Agent": self.agent, "Connection": "close", **_proof(location)}
        with self._open(location, line) as connection:
            with suppress(BrokenPipeError, ConnectionResetError):  # it may have answered before all was sent
                connection.request(method, location.target, body=body, headers=headers)
            with connection.getresponse() as answer:
                answer.read(HEARD)
                return answer.status

    @contextmanager
    def _open(self, location: Location, line: Line) -> Iterator[HTTPConnection]:
        """Connect; errors of name service, network, TLS and HTTP become TransferFailed."""
        secure = location.scheme == "https"
        connection = (
            HTTPSConnection(location.host, location.port, timeout=IO_S, context=self.trust())
            if secure
            else HTTPConnection(location.host, location.port, timeout=IO_S)
        )
        try:
            connection.connect()
            line.hold(connection.sock)
            yield connection
        except OSError as error:
            line.check()
            raise TransferFailed(f"{location.shown}: {_cause(error, secure=secure)}") from error
        except (HTTPException, ValueError) as error:
            words = f"{location.shown}: what answers there is no web server ({type(error).__name__})"
            raise TransferFailed(words, Trouble.REFUSED) from error
        finally:
            connection.close()


def _is_whole(location: Location, answer: HTTPResponse, image: Image, held: int) -> bool:
    """Tell whether all of it has come before. Raises: TransferFailed where the file is not what comes now."""
    if answer.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and held:
        if answer.getheader("Content-Range") == f"bytes */{held}":
            return True
        image.drop()
        raise TransferFailed(f"{location.shown} has changed: it is fetched anew")
    if answer.status not in {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT}:
        raise _refused(location, answer.status)
    return False


def _take(location: Location, answer: HTTPResponse, image: Image, line: Line) -> None:
    """Write what comes into the image. Raises: TransferFailed for one that is too large, or ends too soon."""
    resumed = answer.status == HTTPStatus.PARTIAL_CONTENT
    held = image.size if resumed else 0
    if resumed and not (answer.getheader("Content-Range") or "").startswith(f"bytes {held}-"):
        image.drop()
        raise TransferFailed(f"{location.shown} sends another part than was asked for: it is fetched anew")
    length = answer.length
    total = None if length is None else held + length
    with image.begin(_mark(answer), total, resumed=resumed) as file:
        came = held
        while block := answer.read(BLOCK):
            line.check()
            came += len(block)
            if came > LARGEST:
                raise TransferFailed(f"the image has more than {LARGEST} bytes")
            file.write(block)
    if total is not None and came != total:
        raise TransferFailed(f"{location.shown}: {came} of {total} bytes came, then the server hung up")


def _mark(answer: HTTPResponse) -> str | None:
    """Return the server's name for this version of the file, None for none that a Range may rely on (RFC 9110)."""
    mark = answer.getheader("ETag")
    return mark if mark is not None and not mark.startswith("W/") else answer.getheader("Last-Modified")


def _onward(location: Location, answer: HTTPResponse) -> Location:
    """Return where a redirect leads. Raises: TransferFailed for one that leaves TLS, or leads nowhere."""
    try:
        onward = parse(urljoin(location.base, answer.getheader("Location") or ""))
    except ValueError as error:
        raise TransferFailed(f"{location.shown} redirects nowhere: {error}", Trouble.REFUSED) from error
    if onward.scheme not in {"https", location.scheme}:
        raise TransferFailed(f"{location.shown} redirects away from https: refused", Trouble.REFUSED)
    return onward


def _same_server(one: Location, other: Location) -> bool:
    return (one.scheme, one.host, one.port) == (other.scheme, other.host, other.port)


def _proof(location: Location) -> dict[str, str]:
    if location.user is None:
        return {}
    pair = f"{location.user}:{location.password or ''}".encode()
    return {"Authorization": f"Basic {base64.b64encode(pair).decode('ascii')}"}


def _blocks(content: BinaryIO, line: Line) -> Iterator[bytes]:
    while block := content.read(BLOCK):
        line.check()
        yield block


def _refused(location: Location, status: int) -> TransferFailed:
    trouble = Trouble.FAILED
    if status in FORBIDDEN:
        trouble = Trouble.FORBIDDEN
    elif status in NO_PUT:
        trouble = Trouble.UNSUPPORTED
    elif status < HTTPStatus.INTERNAL_SERVER_ERROR:
        trouble = Trouble.REFUSED
    return TransferFailed(f"{location.shown} answers {status}", trouble)


def _cause(error: OSError, *, secure: bool) -> str:
    """Return what an error of name service, network or TLS means."""
    words = explain(error, Attempt("wss://" if secure else "ws://"))
    return printable(words.replace("the central system", "the server").replace("in cloud.url", "of the URL"))
