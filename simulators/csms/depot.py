"""A small web server beside the central system: stations fetch firmware from it and send their logs to it."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Final
from urllib.parse import quote, unquote, urlsplit

BLOCK: Final = 64 * 1024
LARGEST: Final = 1024 * 1024 * 1024


@dataclass(slots=True)
class Trouble:
    """What is wrong with the server. statuses: of the next answers; cut: so many bytes of the next file are sent."""

    statuses: list[int] = field(default_factory=list)
    cut: int | None = None


class Depot:
    """Serves what is offered under ``/out``, and keeps what is sent below ``/in`` in a folder.

    told: is told, in a thread of its own, of each transfer in a line.
    """

    def __init__(self, folder: Path, host: str, told: Callable[[str], None]) -> None:
        self.folder = folder
        self.offered: dict[str, Path] = {}
        self.trouble = Trouble()
        self.told = told
        self._host = host
        handler = type("Handler", (_Handler,), {"depot": self})
        self._server = ThreadingHTTPServer((host, 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Of the server."""
        return f"http://{self._host}:{self._server.server_address[1]}"

    def offer(self, file: Path) -> str:
        """Let stations fetch a file; return its URL."""
        self.offered[file.name] = file
        return f"{self.url}/out/{quote(file.name)}"

    def close(self) -> None:
        """Serve no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    depot: Depot

    def log_message(self, *_: Any) -> None:  # noqa: ANN401 - of the library
        """Say nothing: the depot tells of transfers in its own words."""

    def do_GET(self) -> None:
        """Send a file, or the rest of one."""
        name = unquote(urlsplit(self.path).path.removeprefix("/out/"))
        file = self.depot.offered.get(name)
        if self._wrong():
            return
        if file is None or not file.is_file():
            self._answer(HTTPStatus.NOT_FOUND)
            return
        size, start = file.stat().st_size, self._start(file)
        self.send_response(HTTPStatus.PARTIAL_CONTENT if start else HTTPStatus.OK)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        self.send_header("ETag", _mark(file))
        self.send_header("Content-Length", str(size - start))
        self.end_headers()
        with file.open("rb") as content:
            content.seek(start)
            self._give(content)
        self.depot.told(f"{name}: fetched from byte {start}")

    def _start(self, file: Path) -> int:
        asked = self.headers.get("Range", "")
        same = self.headers.get("If-Range") in {None, _mark(file)}
        first = asked.removeprefix("bytes=").removesuffix("-")
        return int(first) if same and first.isdecimal() and int(first) < file.stat().st_size else 0

    def _give(self, content: BinaryIO) -> None:
        cut, self.depot.trouble.cut = self.depot.trouble.cut, None
        if cut is None:
            shutil.copyfileobj(content, self.wfile, BLOCK)
        else:
            self.wfile.write(content.read(cut))
            self.close_connection = True

    def do_PUT(self) -> None:
        """Keep a file."""
        name = PurePosixPath(unquote(urlsplit(self.path).path)).name
        size = int(self.headers.get("Content-Length") or 0)
        if not name or size > LARGEST:
            self._answer(HTTPStatus.BAD_REQUEST)
            return
        body = self.rfile.read(size)
        if self._wrong():
            return
        self.depot.folder.mkdir(parents=True, exist_ok=True)
        (self.depot.folder / name).write_bytes(body)
        self._answer(HTTPStatus.CREATED)
        self.depot.told(f"{self.depot.folder / name}: {size} bytes came")

    def _wrong(self) -> bool:
        if self.depot.trouble.statuses:
            self._answer(self.depot.trouble.statuses.pop(0))
            return True
        return False

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()


def _mark(file: Path) -> str:
    seen = file.stat()
    return f'"{seen.st_mtime_ns:x}-{seen.st_size:x}"'
