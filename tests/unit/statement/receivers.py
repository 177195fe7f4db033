"""Who gets statements in tests: a web server and a mail server, with TLS, that can be told to behave badly."""

from __future__ import annotations

import base64
import email
import email.policy
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, TypeAlias

TLS: Final = Path(__file__).resolve().parents[2] / "vectors" / "tls"
CA: Final = TLS / "root.pem"
Answer: TypeAlias = tuple[int, dict[str, str], bytes]
"""Status, headers and text."""
HANG: Final = 0
"""As an answer: none, until the server is closed."""


def presenting(name: str) -> ssl.SSLContext:
    """Return what a server shows of itself."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / f"{name}.pem", TLS / "server.key")
    return context


@dataclass
class Post:
    """A request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Payroll:
    """A web server; answers: what comes next, (status, headers, text), 200 once there is nothing left."""

    token: str | None = "t0ken"
    answers: list[Answer] = field(default_factory=list)
    got: list[Post] = field(default_factory=list)
    port: int = 0
    closing: threading.Event = field(default_factory=threading.Event)
    arrived: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}/in?key=1"

    def answer(self, post: Post) -> Answer:
        """Return what is answered to a request."""
        if self.token is not None and post.headers.get("authorization") != f"Bearer {self.token}":
            return 401, {"Content-Type": "text/plain"}, b"no such token: " + post.headers["authorization"].encode()
        return self.answers.pop(0) if self.answers else (200, {}, b"thank you")

    @contextmanager
    def running(self, certificate: str | None = "good") -> Iterator[Payroll]:
        """Serve meanwhile; certificate: None for a server without TLS."""
        server = WebServer(self)
        if certificate is not None:
            server.socket = presenting(certificate).wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.closing.set()
            server.shutdown()
            server.server_close()
            thread.join()


class WebServer(ThreadingHTTPServer):
    """Serves one payroll."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, payroll: Payroll) -> None:
        super().__init__(("127.0.0.1", payroll.port), WebHandler)
        self.payroll = payroll


class WebHandler(BaseHTTPRequestHandler):
    """Answers requests as its payroll says."""

    server: WebServer

    def do_POST(self) -> None:
        payroll, body = self.server.payroll, self.rfile.read(int(self.headers["Content-Length"]))
        post = Post(self.path, {k.lower(): v for k, v in self.headers.items()}, body)
        status, headers, text = payroll.answer(post)
        payroll.got.append(post)
        payroll.arrived.set()
        if status == HANG:
            payroll.closing.wait()
            return
        self.send_response(status)
        for name, value in {"Content-Length": str(len(text)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: Any) -> None:  # noqa: ANN401  # the library's
        """Say nothing."""

    def handle(self) -> None:
        """Serve a connection; clients that hang up are what is tested."""
        try:
            super().handle()
        except (OSError, ValueError):
            self.close_connection = True


@dataclass
class Letter:
    """A letter as it came: envelope and content."""

    sender: str
    to: list[str]
    message: EmailMessage

    @property
    def files(self) -> dict[str, bytes]:
        """The attachments by name."""
        return {str(one.get_filename()): bytes(one.get_payload(decode=True)) for one in self.message.iter_attachments()}


@dataclass
class MailServer:
    """A mail server; refused: readers it does not take; says: answers to a command, by its first word."""

    implicit: bool = False
    offers_tls: bool = True
    password: str | None = "s3cret"
    refused: set[str] = field(default_factory=set)
    says: dict[str, str] = field(default_factory=dict)
    letters: list[Letter] = field(default_factory=list)
    in_clear: list[str] = field(default_factory=list)
    port: int = 0

    @contextmanager
    def running(self, certificate: str = "good") -> Iterator[MailServer]:
        """Serve meanwhile."""
        server = SmtpServer(self, presenting(certificate))
        self.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


class SmtpServer(socketserver.ThreadingTCPServer):
    """Serves one mail server."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    server_address: tuple[str, int]

    def __init__(self, mail: MailServer, context: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", mail.port), SmtpHandler)
        self.mail = mail
        self.context = context

    def handle_error(self, *_: Any) -> None:  # noqa: ANN401  # the library's
        """Say nothing: clients that hang up are what is tested."""


class SmtpHandler(socketserver.BaseRequestHandler):
    """Speaks with one client; each word's method tells whether the conversation goes on."""

    server: SmtpServer

    def setup(self) -> None:
        self.secure = False
        self.sender, self.to = "", list[str]()

    def finish(self) -> None:
        self.request.close()

    def handle(self) -> None:
        mail = self.server.mail
        if mail.implicit:
            self._secured()
        self._say(mail.says.get("CONNECT", "220 mail.test ready"))
        while line := self._line():
            word = line.split(maxsplit=1)[0].upper()
            if not self.secure:
                mail.in_clear.append(line)
            if word in mail.says:
                self._say(mail.says[word])
            elif not getattr(self, f"on_{word.lower()}")(line):
                return

    def on_ehlo(self, _line: str) -> bool:
        offered = ["250-STARTTLS"] if self.server.mail.offers_tls else []
        return self._say("\r\n".join(["250-mail.test", *(["250-AUTH PLAIN"] if self.secure else offered), "250 HELP"]))

    def on_starttls(self, _line: str) -> bool:
        self._say("220 go ahead")
        self._secured()
        return True

    def on_auth(self, line: str) -> bool:
        secret = base64.b64decode(line.rsplit(maxsplit=1)[-1]).split(b"\0")[-1].decode()
        return self._say("235 welcome" if secret == self.server.mail.password else "535 5.7.8 wrong user or password")

    def on_mail(self, line: str) -> bool:
        self.sender = line.partition("<")[2].partition(">")[0]
        return self._say("250 ok")

    def on_rcpt(self, line: str) -> bool:
        reader = line.partition("<")[2].partition(">")[0]
        if reader in self.server.mail.refused:
            return self._say("550 5.1.1 no such user")
        self.to.append(reader)
        return self._say("250 ok")

    def on_data(self, _line: str) -> bool:
        self._say("354 go on")
        content = bytearray()
        while not content.endswith(b"\r\n.\r\n"):
            content += self.request.recv(65536)
        parsed = email.message_from_bytes(bytes(content[:-5]), policy=email.policy.default)
        self.server.mail.letters.append(Letter(self.sender, self.to, parsed))
        return self._say("250 queued")

    def on_rset(self, _line: str) -> bool:
        self.to = []
        return self._say("250 ok")

    def on_quit(self, _line: str) -> bool:
        self._say("221 bye")
        return False

    def _secured(self) -> None:
        self.request = self.server.context.wrap_socket(self.request, server_side=True)
        self.secure = True

    def _say(self, text: str) -> bool:
        self.request.sendall(text.encode() + b"\r\n")
        return True

    def _line(self) -> str:
        line = bytearray()
        while not line.endswith(b"\r\n"):
            byte = self.request.recv(1)
            if not byte:
                return ""
            line += byte
        return line.decode().strip()
