"""A gate to stand for a central system: plain bytes and TLS on threads, sharing nothing with what is tested.

Unlike a server of asyncio it sends TLS alerts, as the servers of operators do.
"""

from __future__ import annotations

import base64
import hashlib
import re
import socket
import ssl
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

VECTORS: Final = Path(__file__).parents[2] / "vectors" / "tls"
MAGIC: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
PATIENCE_S: Final = 5.0


@dataclass
class Came:
    """A TCP connection: its first bytes, the head of its HTTP request, and what TLS agreed on."""

    first: bytes = b""
    head: bytes = b""
    version: str | None = None
    cipher: str | None = None
    name: str | None = None
    failure: str = ""

    @property
    def request(self) -> str:
        """The request line."""
        return self.head.split(b"\r\n")[0].decode()

    def values(self, header: str) -> list[bytes]:
        """Return the values of a header, one for each time that it was sent."""
        return re.findall(rb"(?im)^%b: (.*)\r$" % re.escape(header.encode()), self.head)


def switching(came: Came) -> bytes:
    """Accept the WebSocket with ``ocpp1.6``."""
    (key,) = came.values("Sec-WebSocket-Key")
    accept = base64.b64encode(hashlib.sha1(key + MAGIC, usedforsecurity=False).digest())
    lines = [b"HTTP/1.1 101 Switching Protocols", b"Upgrade: websocket", b"Connection: Upgrade"]
    lines += [b"Sec-WebSocket-Accept: " + accept, b"Sec-WebSocket-Protocol: ocpp1.6"]
    return b"\r\n".join([*lines, b"", b""])


def status(code: int, *headers: str) -> Callable[[Came], bytes]:
    """Answer every handshake with an HTTP status."""
    head = "\r\n".join([f"HTTP/1.1 {code} Words", *headers, "Content-Length: 3", "", "no\n"])
    return lambda _came: head.encode()


def only(user: str, password: bytes) -> Callable[[Came], bytes]:
    """Accept one user with one password, byte for byte, and refuse all others with 401."""
    wanted = [b"Basic " + base64.b64encode(user.encode() + b":" + password)]
    return lambda came: switching(came) if came.values("Authorization") == wanted else status(401)(came)


def presenting(
    certificate: str,
    *,
    key: str = "server.key",
    ciphers: str | None = None,
    least: ssl.TLSVersion | None = None,
    most: ssl.TLSVersion | None = None,
    demands: str | None = None,
) -> ssl.SSLContext:
    """Return a server's TLS; demands: the CA from which clients must have a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(VECTORS / f"{certificate}.pem", VECTORS / key)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of the versions that are there to be refused
        if least is not None:
            context.minimum_version = least
        if most is not None:
            context.maximum_version = most
    if ciphers is not None:
        context.set_ciphers(ciphers)
    if demands is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(VECTORS / f"{demands}.pem")
    return context


@dataclass
class Gate:
    """Listens on a port of its own, and answers one connection after the other.

    tls: None for plain bytes; answer: what is sent after the head of a request, nothing closes at once; raw: is sent
    instead of TLS and HTTP as soon as the first bytes came; deaf: a WebSocket that was opened is left alone.
    """

    tls: ssl.SSLContext | None = None
    answer: Callable[[Came], bytes] = switching
    raw: bytes | None = None
    deaf: bool = False
    host: str = "127.0.0.1"
    came: list[Came] = field(default_factory=list)
    port: int = 0
    _gone: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def open(self) -> Iterator[Gate]:
        """Listen until the end of the block."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        with socket.create_server((self.host, self.port), family=family) as listening:
            listening.settimeout(0.05)
            self.port = listening.getsockname()[1]
            self._gone.clear()
            thread = threading.Thread(target=self._listen, args=(listening,), daemon=True)
            thread.start()
            try:
                yield self
            finally:
                self._gone.set()
                thread.join()

    def _listen(self, listening: socket.socket) -> None:
        while not self._gone.is_set():
            with suppress(TimeoutError):
                taken, _ = listening.accept()
                taken.settimeout(PATIENCE_S)
                came = Came()
                try:
                    with taken:
                        self._serve(taken, came)
                except (OSError, ValueError) as error:
                    came.failure = str(error)
                self.came.append(came)

    def _serve(self, taken: socket.socket, came: Came) -> None:
        came.first = taken.recv(8, socket.MSG_PEEK)
        if self.raw is not None:
            taken.recv(65_536)
            taken.sendall(self.raw)
        elif self.tls is None:
            self._talk(taken, came)
        else:
            self.tls.sni_callback = lambda _socket, name, _context: setattr(came, "name", name)
            with self.tls.wrap_socket(taken, server_side=True, do_handshake_on_connect=False) as secure:
                self._shake_hands(secure)
                came.version, came.cipher = secure.version(), (secure.cipher() or ("",))[0]
                self._talk(secure, came)

    def _shake_hands(self, secure: ssl.SSLSocket) -> None:
        """Agree on TLS; who is refused reads why before the connection is gone."""
        try:
            secure.do_handshake()
        except ssl.SSLError:
            secure.shutdown(socket.SHUT_WR)
            with suppress(OSError):
                while secure.recv(65_536):
                    pass
            raise

    def _talk(self, peer: socket.socket, came: Came) -> None:
        while b"\r\n\r\n" not in came.head and (data := peer.recv(65_536)):
            came.head += data
        answer = self.answer(came) if came.head else b""
        peer.sendall(answer)
        if answer.startswith(b"HTTP/1.1 101"):
            self._gone.wait() if self.deaf else peer.recv(65_536)
            with suppress(OSError):
                peer.sendall(b"\x88\x02\x03\xe8")
