"""Line commands about firmware, diagnostics and logs, with a web server for the files."""

from __future__ import annotations

import base64
import itertools
import tempfile
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from simulators.console import Commands, say
from simulators.csms import show
from simulators.csms.certificates import Authority, Key
from simulators.csms.depot import Depot
from simulators.csms.server import Csms
from simulators.csms.state import JsonObject
from simulators.errors import Misuse

OPTIONS: Final = "[retries=N] [interval=S]"
MAKER: Final = "wallbox-sim throw-away manufacturer"


class Upkeep:
    """The commands. station: takes the station from the front of the words, or the only one that is connected."""

    def __init__(self, csms: Csms, station: Callable[[list[str]], str], folder: Path | None = None) -> None:
        self._csms = csms
        self._station = station
        self._folder = folder
        self._depot: Depot | None = None
        self._requests = itertools.count(1)
        self._maker: tuple[Authority, str, Key] | None = None

    def add_to(self, commands: Commands) -> None:
        """Add all commands."""
        add = commands.add
        add(
            "diagnostics",
            f"[STATION] [URL] {OPTIONS} [since=S] [until=S]",
            "have it upload them, here",
            self._diagnostics,
        )
        add("get-log", f"[STATION] security|diagnostics [URL] {OPTIONS} [since=S]", "have it upload a log", self._log)
        add("update", f"[STATION] FILE|URL [at=S] {OPTIONS}", "unsigned firmware, in S seconds", self._update)
        add(
            "update-signed",
            f"[STATION] FILE|URL [at=S] [install=S] [wrong=signature|certificate] {OPTIONS}",
            "firmware signed by a throw-away manufacturer (see maker)",
            self._update_signed,
        )
        add("maker", "[FILE]", "the manufacturer's certificate, for the station's firmware.root_file", self._root)
        add("files", "", "what was sent here, and what is offered", lambda _: self._files())
        add("files-fail", "STATUS [TIMES] | cut BYTES", "the next transfers go wrong", self._fail)

    @property
    def depot(self) -> Depot:
        """The web server; it listens from the first time that it is needed."""
        if self._depot is None:
            folder = self._folder or Path(tempfile.mkdtemp(prefix="wallbox-sim-files-"))
            self._depot = Depot(folder, self._csms.setup.host, lambda line: say(f"files: {line}"))
        return self._depot

    def close(self) -> None:
        """Serve files no more."""
        if self._depot is not None:
            self._depot.close()

    async def _diagnostics(self, words: list[str]) -> str:
        station, options = self._station(words), _options(words)
        payload: JsonObject = {"location": words[0] if words else f"{self.depot.url}/in"}
        return await self._call(
            station,
            "GetDiagnostics",
            payload | _retries(options) | _times(options, since="startTime", until="stopTime"),
        )

    async def _log(self, words: list[str]) -> str:
        station, options = self._station(words), _options(words)
        log: JsonObject = {"remoteLocation": words[1] if words[1:] else f"{self.depot.url}/in"}
        log |= _times(options, since="oldestTimestamp", until="latestTimestamp")
        kind = {"security": "SecurityLog", "diagnostics": "DiagnosticsLog"}[words[0].lower()]
        payload = {"logType": kind, "requestId": next(self._requests), "log": log}
        return await self._call(station, "GetLog", payload | _retries(options))

    async def _update(self, words: list[str]) -> str:
        station, options = self._station(words), _options(words)
        payload: JsonObject = {"location": self._location(words[0]), "retrieveDate": _in(options.pop("at", "0"))}
        return await self._call(station, "UpdateFirmware", payload | _retries(options))

    async def _update_signed(self, words: list[str]) -> str:
        station, options = self._station(words), _options(words)
        wrong = options.pop("wrong", "")
        authority, certificate, key = self._signing()
        if wrong == "certificate":
            stranger, key = Authority.new("a stranger"), Key.new()
            certificate = stranger.certify(("signer",), key)
        signature = key.sign(_content(words[0]) + (b"?" if wrong == "signature" else b""))
        firmware: JsonObject = {
            "location": self._location(words[0]),
            "retrieveDateTime": _in(options.pop("at", "0")),
            "signingCertificate": certificate,
            "signature": base64.b64encode(signature).decode(),
        }
        if "install" in options:
            firmware["installDateTime"] = _in(options.pop("install"))
        payload = {"requestId": next(self._requests), "firmware": firmware}
        return f"signed by {authority.name}\n" + await self._call(
            station, "SignedUpdateFirmware", payload | _retries(options)
        )

    def _root(self, words: list[str]) -> str:
        authority, _, _ = self._signing()
        if not words:
            return authority.pem
        Path(words[0]).write_text(authority.pem, encoding="ascii")
        return f"written to {words[0]}"

    def _files(self) -> str:
        depot = self.depot
        came = sorted(depot.folder.iterdir()) if depot.folder.is_dir() else []
        rows = [("sent here", str(file), str(file.stat().st_size)) for file in came]
        rows += [("offered", f"{depot.url}/out/{name}", str(file)) for name, file in depot.offered.items()]
        return show.table([("server", f"{depot.url}/in", str(depot.folder)), *rows])

    def _fail(self, words: list[str]) -> None:
        if words[0] == "cut":
            self.depot.trouble.cut = int(words[1])
        else:
            self.depot.trouble.statuses = [int(words[0])] * (int(words[1]) if words[1:] else 1)

    def _signing(self) -> tuple[Authority, str, Key]:
        if self._maker is None:
            authority, key = Authority.new(MAKER), Key.new()
            self._maker = authority, authority.certify(("signer",), key), key
        return self._maker

    def _location(self, word: str) -> str:
        """Return a URL as it is, and that of a file, which is offered from now on."""
        if "://" in word:
            return word
        if not Path(word).is_file():
            raise Misuse(f"{word} is neither a URL nor a file")
        return self.depot.offer(Path(word).resolve())

    async def _call(self, station: str, action: str, payload: JsonObject) -> str:
        return show.as_json(await self._csms.call(station, action, payload))


def _content(word: str) -> bytes:
    file = Path(word)
    return file.read_bytes() if file.is_file() else b""


def _options(words: list[str]) -> dict[str, str]:
    """Take the words ``NAME=VALUE`` out of the others; a URL with a query is none."""
    named = [word for word in words if "=" in word and "://" not in word]
    words[:] = [word for word in words if word not in named]
    return dict(_pair(word) for word in named)


def _pair(word: str) -> tuple[str, str]:
    name, _, value = word.partition("=")
    return name, value


def _retries(options: dict[str, str]) -> JsonObject:
    names: Iterable[tuple[str, str]] = (("retries", "retries"), ("interval", "retryInterval"))
    return {field: int(options[name]) for name, field in names if name in options}


def _times(options: dict[str, str], **fields: str) -> JsonObject:
    return {field: _in(options[name]) for name, field in fields.items() if name in options}


def _in(seconds: str) -> str:
    """Return the time in so many seconds, negative ones for the past."""
    at = datetime.now(UTC) + timedelta(seconds=float(seconds))
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
