"""The operator's side of the security whitepaper: passwords, roots, certificates, profiles, and what stations report.

Source: Improved security for OCPP 1.6-J, ed. 3.
"""

from __future__ import annotations

import asyncio
import secrets
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from simulators.console import Commands
from simulators.csms import show
from simulators.csms.certificates import Authority
from simulators.csms.state import JsonObject
from simulators.errors import Misuse, SimulatorError

if TYPE_CHECKING:
    from simulators.csms.server import Csms

USES: Final = {"central": "CentralSystemRootCertificate", "manufacturer": "ManufacturerRootCertificate"}
AFTER_S: Final = 0.2
"""A certificate follows the answer to its request after so long."""
PASSWORD_BYTES: Final = 18
HEX: Final = range(32, 41)


def decoded(text: str) -> str:
    """Return the password that a station sends for an AuthorizationKey: the bytes of its hex, or as it stands."""
    try:
        return bytes.fromhex(text).decode("utf-8", "surrogateescape") if len(text) in HEX else text
    except ValueError:
        return text


class SecurityDesk:
    """Who installs, signs and upgrades. authority: None where there is nobody to sign."""

    def __init__(self, csms: Csms, authority: Authority | None, station: Callable[[list[str]], str]) -> None:
        """Act for a central system; station: takes a station from the front of the words."""
        self._csms = csms
        self._authority = authority
        self._station = station
        self._under_way: set[asyncio.Task[None]] = set()
        csms.on_request(self._sign)

    def add_to(self, commands: Commands) -> None:
        """Add the commands."""
        add = commands.add
        add("new-key", "[STATION] [KEY]", "another AuthorizationKey (hex), or a random one", self._password)
        add("install", "[STATION] [central|manufacturer] [FILE]", "a root, that of --tls without a file", self._install)
        add("installed", "[STATION] [central|manufacturer]", "the roots that it trusts", self._installed)
        add("uninstall", "[STATION] [central|manufacturer] [NUMBER]", "take a root away, or the first", self._uninstall)
        add("certify", "[STATION] [OPERATOR]", "let it ask for a certificate, and sign it", self._certify)
        add("upgrade", "[STATION] PROFILE", "another security profile: 1, 2 or 3", self._upgrade)
        add("demand", "none|certificate", "what the TLS port wants of stations", self._demand)
        add("security-events", "[STATION]", "what stations have reported", self._events)

    async def _password(self, words: list[str]) -> str:
        station = self._station(words)
        key = words[0] if words else secrets.token_hex(PASSWORD_BYTES)
        answer = await self._change(station, "AuthorizationKey", key)
        if answer.get("status") == "Accepted":
            self._csms.setup.passwords[station] = decoded(key)
        return show.as_json(answer)

    async def _install(self, words: list[str]) -> str:
        station, use = self._station(words), _use(words)
        payload = {"certificateType": use, "certificate": self._root(words)}
        return show.as_json(await self._csms.call(station, "InstallCertificate", payload))

    def _root(self, words: list[str]) -> str:
        if words:
            try:
                return Path(words[0]).read_text("utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise Misuse(f"{words[0]} cannot be read: {error}") from None
        return self._signer.pem

    async def _listed(self, station: str, use: str) -> list[JsonObject]:
        answer = await self._csms.call(station, "GetInstalledCertificateIds", {"certificateType": use})
        listed: list[JsonObject] = answer.get("certificateHashData", [])
        return listed

    async def _installed(self, words: list[str]) -> str:
        station, use = self._station(words), _use(words)
        listed = await self._listed(station, use)
        rows = [(str(number), one["serialNumber"], one["issuerKeyHash"][:16]) for number, one in enumerate(listed, 1)]
        return show.table([("no.", "serial number", "key"), *rows]) if rows else "none"

    async def _uninstall(self, words: list[str]) -> str:
        station, use = self._station(words), _use(words)
        listed, number = await self._listed(station, use), int(words[0]) if words else 1
        if not 1 <= number <= len(listed):
            raise Misuse(f"it has {len(listed)} roots of this kind")
        payload = {"certificateHashData": listed[number - 1]}
        return show.as_json(await self._csms.call(station, "DeleteCertificate", payload))

    async def _certify(self, words: list[str]) -> str:
        station = self._station(words)
        if words:
            await self._change(station, "CpoName", " ".join(words))
        payload = {"requestedMessage": "SignChargePointCertificate"}
        return show.as_json(await self._csms.call(station, "ExtendedTriggerMessage", payload))

    async def _upgrade(self, words: list[str]) -> str:
        station = self._station(words)
        if not words:
            raise Misuse("upgrade to which profile? 1, 2 or 3")
        return show.as_json(await self._change(station, "SecurityProfile", words[0]))

    def _demand(self, words: list[str]) -> None:
        context = self._csms.setup.secure or self._csms.setup.ssl
        if context is None:
            raise Misuse("there is no TLS: start with --tls FOLDER")
        if words not in (["none"], ["certificate"]):
            raise Misuse("demand none, or demand certificate")
        context.verify_mode = ssl.CERT_REQUIRED if words == ["certificate"] else ssl.CERT_OPTIONAL

    def _events(self, words: list[str]) -> str:
        station = words[0] if words else None
        found = self._csms.log.find("SecurityEventNotification", station=station, kind="call")
        rows = [(m.station, m.payload["timestamp"], m.payload["type"], m.payload.get("techInfo", "")) for m in found]
        return show.table([("station", "time", "event", ""), *rows]) if rows else "none"

    async def _change(self, station: str, key: str, value: str) -> JsonObject:
        answer: JsonObject = await self._csms.call(station, "ChangeConfiguration", {"key": key, "value": value})
        return answer

    @property
    def _signer(self) -> Authority:
        if self._authority is None:
            raise Misuse("there is no authority: start with --tls FOLDER")
        return self._authority

    def _sign(self, station: str, csr: str) -> bool:
        """Take a request; the certificate follows. Returns False where there is nobody who could sign it."""
        if self._authority is None:
            return False
        try:
            certificate = self._authority.sign(csr)
        except ValueError:
            return False
        task = asyncio.get_running_loop().create_task(self._send(station, certificate))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return True

    async def _send(self, station: str, certificate: str) -> None:
        await asyncio.sleep(AFTER_S)
        try:
            await self._csms.call(station, "CertificateSigned", {"certificateChain": certificate})
        except (SimulatorError, TimeoutError) as error:
            self._csms.log.accuse(station, f"CertificateSigned was not taken: {error}")


def _use(words: list[str]) -> str:
    return USES[words.pop(0)] if words and words[0] in USES else USES["central"]
