"""Files by FTP, passive mode: fetched with resume, sent whole."""

from __future__ import annotations

import ftplib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from agent.core.locations import Location
from agent.maintenance.image import LARGEST, Image
from agent.maintenance.line import Line, TransferFailed, Trouble
from agent.ocpp.causes import Attempt, explain, printable

IO_S: Final = 30.0
BLOCK: Final = 64 * 1024
FORBIDDEN: Final = frozenset({"430", "530", "532", "550", "553"})
UNSUPPORTED: Final = frozenset({"202", "500", "502", "504"})


def fetch(location: Location, image: Image, line: Line) -> None:
    """Fetch an image, behind what is there of it. Raises: TransferFailed; what has come by then stays."""
    with _session(location, line) as session:
        path = unquote(location.path)
        total = _size(session, path)
        mark = f"{total} {_changed(session, path)}"
        held = image.size if image.mark == mark else 0
        if total is not None and held >= total > 0:
            return
        with (
            session.transfercmd(f"RETR {path}", rest=held or None) as came,
            image.begin(mark, total, resumed=held > 0) as file,
        ):
            line.hold(came)
            size = held
            while block := came.recv(BLOCK):
                line.check()
                size += len(block)
                if size > LARGEST:
                    raise TransferFailed(f"the image has more than {LARGEST} bytes")
                file.write(block)
        session.voidresp()
        if total is not None and size != total:
            raise TransferFailed(f"{location.shown}: {size} of {total} bytes came, then the server hung up")


def send(location: Location, file: Path, name: str, line: Line) -> None:
    """Send a file into a directory. Raises: TransferFailed."""
    with _session(location, line) as session, file.open("rb") as content:
        path = unquote(location.within(name).path)
        with session.transfercmd(f"STOR {path}") as data:
            line.hold(data)
            while block := content.read(BLOCK):
                line.check()
                data.sendall(block)
        session.voidresp()


@contextmanager
def _session(location: Location, line: Line) -> Iterator[ftplib.FTP]:
    """Log in; errors of name service, network and FTP become TransferFailed."""
    session = ftplib.FTP(timeout=IO_S)  # noqa: S321  # central systems ask for it; images are proven by their signature
    try:
        session.connect(location.host, location.port)
        line.hold(session.sock)
        session.login(location.user or "anonymous", location.password or "")
        session.voidcmd("TYPE I")
        yield session
        with suppress(*ftplib.all_errors):
            session.quit()
    except ftplib.Error as error:
        raise _refused(location, error) from error
    except (OSError, EOFError) as error:
        line.check()
        words = explain(error, Attempt("ws://")) if isinstance(error, OSError) else "it hung up"
        words = words.replace("the central system", "the server").replace("in cloud.url", "of the URL")
        raise TransferFailed(f"{location.shown}: {printable(words)}") from error
    except (ValueError, AttributeError) as error:  # a path with a line's end; an answer that ftplib cannot read
        raise TransferFailed(f"{location.shown}: no FTP path, or no FTP server there", Trouble.REFUSED) from error
    finally:
        session.close()


def _size(session: ftplib.FTP, path: str) -> int | None:
    try:
        return session.size(path)
    except ftplib.error_perm:
        return None


def _changed(session: ftplib.FTP, path: str) -> str:
    """Return when the server's file was changed, "" where it does not tell."""
    try:
        return session.sendcmd(f"MDTM {path}").removeprefix("213 ").strip()
    except ftplib.error_perm:
        return ""


def _refused(location: Location, error: ftplib.Error) -> TransferFailed:
    code = str(error)[:3]
    trouble = Trouble.FAILED
    if code in FORBIDDEN:
        trouble = Trouble.FORBIDDEN
    elif code in UNSUPPORTED:
        trouble = Trouble.UNSUPPORTED
    elif isinstance(error, ftplib.error_perm | ftplib.error_proto):
        trouble = Trouble.REFUSED
    return TransferFailed(f"{location.shown} answers {printable(str(error))}", trouble)
