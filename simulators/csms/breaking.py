"""Line commands of somebody who breaks a central system and its network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Final

from simulators.console import Commands, number
from simulators.csms.faults import ALWAYS, ANY, PURPOSES, Deed
from simulators.csms.server import Csms
from simulators.csms.v16 import ACTIONS
from simulators.errors import Misuse

#: How connections are broken -> what it means; an HTTP status, too.
CUTS: Final[Mapping[str, str]] = {
    "close": "close the connections politely; stations may come back at once",
    "abort": "reset the connections; stations may come back at once",
    "down": "reset them and refuse new ones by TCP, as where nothing listens",
    "401, 403, 404, 503": "close them and answer new ones by this HTTP status, or any other",
    "hang": "close them and never answer the handshake of new ones",
    "half-open": "keep them and read nothing any more, pings neither",
    "mute": "keep them and answer pings, but no message",
    "no-subprotocol": "close them and name no subprotocol to new ones",
}
FAULT_USAGE: Final = "ACTION|any DEED [NTH [TIMES|always [VALUE]]]"
#: Words of ``fault`` that may be left out.
DEFAULTS: Final = ("1", "1", "")
REGISTRATIONS: Final = frozenset({"Accepted", "Pending", "Rejected"})


def described() -> str:
    """Return what can be done wrong, for people."""
    rows = [("cut HOW", "")] + [(f"  {how}", purpose) for how, purpose in CUTS.items()]
    rows += [(f"fault {FAULT_USAGE}", "")] + [(f"  {deed}", purpose) for deed, purpose in PURPOSES.items()]
    width = max(len(left) for left, right in rows if right)
    return "\n".join(f"{left:<{width}}  {right}".rstrip() for left, right in rows)


class Breaker:
    """The commands. station: takes the station from the front of the words, or the only one that is connected."""

    def __init__(self, csms: Csms, station: Callable[[list[str]], str]) -> None:
        self._csms = csms
        self._station = station

    def add_to(self, commands: Commands) -> None:
        """Add all commands."""
        add = commands.add
        add("cut", "[HOW]", "break the connections, or refuse new ones; see faults", self._cut)
        add("restore", "", "end all faults but a wrong clock, boot or password", lambda _: self._csms.restore())
        add("delay", "SECONDS", "before each answer", self._delay)
        add("fault", FAULT_USAGE, "answer messages wrongly, from the NTH on; see faults", self._fault)
        add("faults", "", "what is wrong now, and all that can be", lambda _: self._faults())
        add("boot", "Accepted|Pending|Rejected [INTERVAL]", "how boots are answered", self._boot)
        add("subprotocol", "NAME|none|right", "what the handshake of new connections answers", self._subprotocol)
        add("clock", "SECONDS", "how wrong the time is that stations are told", self._clock)
        add("transaction-id", "NUMBER", "of the next transaction: 0, negative, huge", self._transaction_id)
        add("twice", "[off]", "send each of our calls twice, byte for byte", self._twice)
        add("resend", "[STATION]", "send our last call again, byte for byte", self._resend)
        add("password", "STATION [PASSWORD]", "expect another password from now on, or none", self._password)

    async def _cut(self, words: list[str]) -> None:
        how = words[0] if words else "close"
        if how.isdecimal():
            self._csms.faults.refuse_http = HTTPStatus(int(how))
        elif how not in CUTS:
            raise Misuse(f"cannot cut by {how!r}, try {', '.join(CUTS)}")
        self._csms.faults.hang = self._csms.faults.hang or how == "hang"
        self._csms.faults.mute = self._csms.faults.mute or how == "mute"
        if how == "no-subprotocol":
            self._csms.faults.subprotocol = ""
        if how != "mute":
            await self._csms.cut("close" if how.isdecimal() or how in {"hang", "no-subprotocol"} else how)

    def _delay(self, words: list[str]) -> None:
        self._csms.faults.answer_delay_s = number(words[0], "delay")

    def _fault(self, words: list[str]) -> None:
        action, deed, nth, times, value = (*words, *DEFAULTS[len(words) - 2 :])
        if action not in {ANY, *ACTIONS}:
            raise Misuse(f"unknown action {action!r}, try any, or one of OCPP 1.6 such as StartTransaction")
        self._csms.faults.on(
            action,
            deed,
            nth=int(nth),
            times=ALWAYS if times == "always" else int(times),
            code=value or "InternalError",
            value=number(value, "value") if value and deed in {Deed.LATE, Deed.HUGE} else None,
        )

    def _faults(self) -> str:
        active = [f"  {text}" for text in self._csms.faults.active()]
        offset = self._csms.policy.clock_offset_s
        active += [f"  the time is wrong by {offset:g} s"] if offset else []
        active += [f"  boots are {self._csms.policy.registration}"] * (self._csms.policy.registration != "Accepted")
        return "\n".join(["wrong now:", *(active or ["  nothing"]), described()])

    def _boot(self, words: list[str]) -> None:
        if words[0] not in REGISTRATIONS:
            raise Misuse(f"{words[0]!r} is no registration status")
        self._csms.policy.registration = words[0]
        if words[1:]:
            self._csms.policy.interval_s = int(words[1])

    def _subprotocol(self, words: list[str]) -> None:
        name = words[0]
        self._csms.faults.subprotocol = None if name == "right" else "" if name == "none" else name

    def _clock(self, words: list[str]) -> None:
        self._csms.policy.clock_offset_s = number(words[0], "seconds")

    def _transaction_id(self, words: list[str]) -> None:
        self._csms.state.next_transaction = int(words[0])

    def _twice(self, words: list[str]) -> None:
        self._csms.faults.calls_twice = words != ["off"]

    async def _resend(self, words: list[str]) -> None:
        await self._csms.resend(self._station(words))

    def _password(self, words: list[str]) -> None:
        station, *password = words
        if password:
            self._csms.setup.passwords[station] = " ".join(password)
        else:
            self._csms.setup.passwords.pop(station, None)
