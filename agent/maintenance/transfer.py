"""Files fetched and sent, by whatever the URL says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from agent.core.errors import ConfigError
from agent.core.locations import Location, parse
from agent.maintenance import ftp
from agent.maintenance.http import Web
from agent.maintenance.image import Image
from agent.maintenance.line import Line, TransferFailed, Trouble

T = TypeVar("T")


def fetch(url: str, image: Image, web: Web, line: Line) -> None:
    """Fetch an image; what is there of it is gone on with. Raises: TransferFailed."""
    location = _parsed(url)
    _explained(lambda: (ftp.fetch if location.scheme == "ftp" else web.fetch)(location, image, line))


def send(url: str, file: tuple[Path, str], web: Web, line: Line) -> None:
    """Send a file, given with the name that it gets. Raises: TransferFailed."""
    location = _parsed(url)
    _explained(lambda: (ftp.send if location.scheme == "ftp" else web.send)(location, *file, line))


def _parsed(url: str) -> Location:
    try:
        return parse(url)
    except ValueError as error:
        raise TransferFailed(str(error), Trouble.UNSUPPORTED) from error


def _explained(work: Callable[[], T]) -> T:
    """Say what keeps a file from being read or written, or a certificate from being trusted. Raises: TransferFailed."""
    try:
        return work()
    except ConfigError as error:
        raise TransferFailed(str(error)) from error
    except OSError as error:
        raise TransferFailed(f"a file cannot be read or written ({error.strerror or error}): check the disk") from error
