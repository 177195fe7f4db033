"""Files by FTP, with a small server in a thread."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import create_server, socket

import pytest

from agent.maintenance.http import Web
from agent.maintenance.image import Image
from agent.maintenance.line import Line, TransferFailed, Trouble
from agent.maintenance.transfer import fetch, send
from agent.ocpp.security import Credentials, tls_context

CONTENT = bytes(range(256)) * 1000
WEB = Web("station", lambda: tls_context(Credentials()))


class Ftp(socketserver.ThreadingTCPServer):
    """What is there, and what came; cut: so many bytes of the next file are sent; user: None for anybody."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        self.there: dict[str, bytes] = {"/f": CONTENT}
        self.cut: int | None = None
        self.user: str | None = None
        self.words: list[str] = []
        super().__init__(("127.0.0.1", 0), Session)

    @property
    def url(self) -> str:
        return f"ftp://127.0.0.1:{self.server_address[1]}"


class Session(socketserver.StreamRequestHandler):
    """One session."""

    server: Ftp

    def handle(self) -> None:
        self.listener: socket | None = None
        self.rest = 0
        self.say("220 ready")
        while line := self.rfile.readline().decode().strip():
            self.server.words.append(line)
            word, _, argument = line.partition(" ")
            if word == "QUIT":
                self.say("221 bye")
                return
            getattr(self, f"on_{word.lower()}", self.unknown)(argument)

    def say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())

    def unknown(self, _argument: str) -> None:
        self.say("502 not implemented")

    def on_user(self, name: str) -> None:
        self.say("331 and the password" if self.server.user in {None, name} else "530 not you")

    def on_pass(self, _argument: str) -> None:
        self.say("230 in")

    def on_type(self, _argument: str) -> None:
        self.say("200 well")

    def on_size(self, path: str) -> None:
        found = self.server.there.get(path)
        self.say("550 no such file" if found is None else f"213 {len(found)}")

    def on_mdtm(self, _argument: str) -> None:
        self.say("213 20261124120000")

    def on_epsv(self, _argument: str) -> None:
        self.unknown("")

    def on_pasv(self, _argument: str) -> None:
        self.listener = create_server(("127.0.0.1", 0))
        port = self.listener.getsockname()[1]
        self.say(f"227 here (127,0,0,1,{port >> 8},{port & 255})")

    def on_rest(self, start: str) -> None:
        self.rest = int(start)
        self.say("350 from there")

    def on_retr(self, path: str) -> None:
        found = self.server.there.get(path)
        assert self.listener is not None
        if found is None:
            self.listener.close()
            self.say("550 no such file")
            return
        self.say("150 it comes")
        cut, self.server.cut = self.server.cut, None
        with self.listener, self.listener.accept()[0] as data:
            data.sendall(found[self.rest :][:cut])
        self.say("226 done" if cut is None else "426 cut")

    def on_stor(self, path: str) -> None:
        assert self.listener is not None
        self.say("150 go on")
        came = b""
        with self.listener, self.listener.accept()[0] as data:
            while block := data.recv(65536):
                came += block
        self.server.there[path] = came
        self.say("226 done")


@contextmanager
def running() -> Iterator[Ftp]:
    with Ftp() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def ftp() -> Iterator[Ftp]:
    with running() as server:
        yield server


def get(folder: Path, url: str) -> bytes:
    image = Image(folder, 1)
    fetch(url, image, WEB, Line())
    return image.path.read_bytes()


def test_a_download_goes_on_where_it_was_cut(tmp_path: Path, ftp: Ftp) -> None:
    ftp.cut = 100_000
    with pytest.raises(TransferFailed):
        get(tmp_path, f"{ftp.url}/f")
    assert get(tmp_path, f"{ftp.url}/f") == CONTENT
    assert "REST 100000" in ftp.words
    assert get(tmp_path, f"{ftp.url}/f") == CONTENT


def test_a_file_is_stored_in_a_directory(tmp_path: Path, ftp: Ftp) -> None:
    file = tmp_path / "log"
    file.write_bytes(CONTENT)
    send(f"ftp://user:word@127.0.0.1:{ftp.server_address[1]}/in/here", (file, "n.zip"), WEB, Line())
    assert ftp.there["/in/here/n.zip"] == CONTENT
    assert {"USER user", "PASS word"} <= set(ftp.words)


def test_what_a_server_refuses_is_told_apart(tmp_path: Path, ftp: Ftp) -> None:
    with pytest.raises(TransferFailed, match="no such file") as caught:
        get(tmp_path, f"{ftp.url}/absent")
    assert caught.value.trouble is Trouble.FORBIDDEN
    ftp.user = "somebody"
    with pytest.raises(TransferFailed) as caught:
        get(tmp_path, f"{ftp.url}/f")
    assert caught.value.trouble is Trouble.FORBIDDEN


def test_a_path_that_would_be_another_command_is_refused(tmp_path: Path, ftp: Ftp) -> None:
    with pytest.raises(TransferFailed) as caught:
        get(tmp_path, f"{ftp.url}/f%0d%0aDELE%20f")
    assert caught.value.trouble is Trouble.REFUSED
    assert not [word for word in ftp.words if word.startswith("DELE")]


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(TransferFailed, match="nothing listens there"):
        get(tmp_path, "ftp://127.0.0.1:1/f")
