"""Where files are fetched from and sent to: URLs that a central system gives, taken apart."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import SplitResult, quote, unquote, urlsplit

SCHEMES: Final = {"http": 80, "https": 443, "ftp": 21}
"""Transfers that are built, with their ports."""
LONGEST: Final = 2048
PATH: Final = "/%:@!$&'()*+,;=~-._"
"""What stays as it is in a path; the rest is percent-encoded."""


@dataclass(frozen=True, slots=True)
class Location:
    """A URL.

    path: percent-encoded, with its leading slash; query: without the question mark, "" for none. user, password:
    decoded, None where the URL has none.
    """

    scheme: str
    host: str
    port: int
    path: str
    query: str = field(default="", repr=False)
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    @property
    def base(self) -> str:
        """The URL without user, password and query."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == SCHEMES[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.path}"

    @property
    def shown(self) -> str:
        """The URL as it may be logged: its query, too, may hold keys."""
        return f"{self.base}?…" if self.query else self.base

    @property
    def target(self) -> str:
        """Path and query."""
        return f"{self.path}?{self.query}" if self.query else self.path

    def within(self, name: str) -> Location:
        """Return the location of a file in this one, which is a directory."""
        path = f"{self.path.rstrip('/')}/{quote(name)}"
        return Location(self.scheme, self.host, self.port, path, "", self.user, self.password)


def parse(url: str) -> Location:
    """Return a URL's parts. Raises: ValueError in words that hold nothing of it."""
    if len(url) > LONGEST or re.search(r"[\x00-\x20\x7f\\]", url.strip()):
        raise ValueError("the URL is too long, or has characters that no URL has")
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError as error:
        raise ValueError("the URL is not one: check host and port") from error
    scheme = parts.scheme.lower()
    if scheme not in SCHEMES:
        raise ValueError(f"transfers by {scheme[:20] or 'no scheme'} are not supported: use {', '.join(SCHEMES)}")
    if not parts.hostname or port == 0:
        raise ValueError("the URL names no host, or port 0")
    return Location(
        scheme,
        parts.hostname,
        port or SCHEMES[scheme],
        quote(parts.path or "/", safe=PATH),
        quote(parts.query, safe=f"{PATH}?"),
        _decoded(parts, "username"),
        _decoded(parts, "password"),
    )


def supported(url: str) -> bool:
    """Tell whether a URL is one from, or to, which files can be transferred."""
    try:
        parse(url)
    except ValueError:
        return False
    return True


def _decoded(parts: SplitResult, name: str) -> str | None:
    """Return user or password. Raises: ValueError for one that could be taken for another command (FTP, HTTP)."""
    given: str | None = getattr(parts, name)
    text = None if given is None else unquote(given)
    if text is not None and not text.isprintable():
        raise ValueError("user or password of the URL have characters that cannot be sent")
    return text
