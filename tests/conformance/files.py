"""A web server for files: what stations fetch, what they send, and what it is told to do wrong. Library code only."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Files:
    """What is there by path, and what came: (method, path, headers, body).

    statuses: answer the next requests so, without a file. cut: hang up after so many bytes of the next file.
    redirect: path -> where to. no_put: PUT is not allowed. gate: cleared, answers wait.
    """

    port: int = 0
    there: dict[str, bytes] = field(default_factory=dict)
    came: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    cut: list[int] = field(default_factory=list)
    redirect: dict[str, str] = field(default_factory=dict)
    no_put: bool = False
    etag: str | None = '"one"'
    gate: threading.Event = field(default_factory=threading.Event)
    scheme: str = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def methods(self) -> list[str]:
        return [method for method, *_ in self.came]


class _Handler(BaseHTTPRequestHandler):
    files: Files

    def log_message(self, *_: Any) -> None:  # noqa: ANN401  # of the library
        """Say nothing."""

    def _take(self) -> bytes:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.files.came.append((self.command, self.path, dict(self.headers), body))
        self.files.gate.wait(8)
        return body

    def _refused(self) -> bool:
        if self.files.statuses:
            self._say(self.files.statuses.pop(0))
            return True
        return False

    def _say(self, status: int, content: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self) -> None:  # of the library
        self._take()
        files, path = self.files, self.path.partition("?")[0]
        if self._refused():
            return
        if path in files.redirect:
            self._say(302, Location=files.redirect[path])
            return
        if path not in files.there:
            self._say(404)
            return
        self._give(files.there[path])

    def handle(self) -> None:
        with suppress(ConnectionError):  # a station that calls it off
            super().handle()

    def _give(self, content: bytes) -> None:
        files, start = self.files, 0
        asked, condition = self.headers.get("Range"), self.headers.get("If-Range")
        if asked is not None and files.etag is not None and condition == files.etag:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
        if start and start >= len(content):
            self._say(416, Content_Range=f"bytes */{len(content)}")
            return
        self.send_response(206 if start else 200)
        if files.etag:
            self.send_header("ETag", files.etag)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        rest = content[start:]
        if files.cut:
            self.wfile.write(rest[: files.cut.pop(0)])
            self.close_connection = True
            return
        self.wfile.write(rest)

    def do_PUT(self) -> None:  # of the library
        self._take()
        if self.files.no_put:
            self._say(405)
        elif not self._refused():
            self._say(201)

    def do_POST(self) -> None:  # of the library
        self._take()
        if not self._refused():
            self._say(200)


@contextmanager
def serving(tls: ssl.SSLContext | None = None) -> Iterator[Files]:
    """Serve until the end."""
    files = Files(scheme="http" if tls is None else "https")
    files.gate.set()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"files": files}))
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    files.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield files
    finally:
        files.gate.set()
        server.shutdown()
        server.server_close()
        thread.join()
