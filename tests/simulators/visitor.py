"""A browser without a screen for the tests of the panel: HTTP by the standard library, the text of pages."""

from __future__ import annotations

import asyncio
import http.client
from dataclasses import dataclass
from html.parser import HTMLParser
from urllib.parse import urlencode, urlsplit


@dataclass(frozen=True)
class Answer:
    """What came back. location: where it leads, empty for nowhere."""

    status: int
    body: bytes
    headers: dict[str, str]

    @property
    def html(self) -> str:
        return self.body.decode()

    @property
    def text(self) -> str:
        """The words of the page, one blank between them."""
        reader = _Words()
        reader.feed(self.html)
        return " ".join(" ".join(reader.words).split())

    @property
    def rows(self) -> list[list[str]]:
        """The cells of all rows of tables."""
        reader = _Words()
        reader.feed(self.html)
        return [[" ".join(cell.split()) for cell in row] for row in reader.rows if row]


class _Words(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.rows: list[list[str]] = []
        self._cell = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        if tag == "tr":
            self.rows.append([])
        if tag == "td":
            self.rows[-1].append("")
            self._cell = True

    def handle_endtag(self, tag: str) -> None:
        self._cell = self._cell and tag != "td"

    def handle_data(self, data: str) -> None:
        self.words.append(data)
        if self._cell:
            self.rows[-1][-1] += f" {data}"


class Visitor:
    """Asks for pages of a panel and sends their forms."""

    def __init__(self, url: str) -> None:
        self.host = urlsplit(url).netloc

    async def raw(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Answer:
        return await asyncio.to_thread(self._raw, method, path, body, headers or {})

    def _raw(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        connection = http.client.HTTPConnection(self.host, timeout=8)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return Answer(response.status, response.read(), dict(response.getheaders()))
        finally:
            connection.close()

    async def get(self, path: str) -> Answer:
        """Ask for a page that has to be there."""
        answer = await self.raw("GET", path)
        assert answer.status == 200, (path, answer.status, answer.body[:200])
        return answer

    async def post(self, path: str, do: str, **fields: str) -> Answer:
        """Send a form; return the page it leads to, or the one that refuses it."""
        form = {"Origin": f"http://{self.host}", "Content-Type": "application/x-www-form-urlencoded"}
        answer = await self.raw("POST", path, urlencode({"do": do, **fields}).encode(), form)
        return await self.get(answer.headers["Location"]) if answer.status == 303 else answer
