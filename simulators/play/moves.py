"""What somebody can do at the charger, at the central system and to the wires between: by a word, or by a key."""

from __future__ import annotations

import asyncio
import contextlib
import re
import textwrap
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from simulators.console import Commands, number
from simulators.csms.commands import Commander
from simulators.csms.state import TokenStatus
from simulators.errors import Misuse, SimulatorError
from simulators.play import both_sides
from simulators.play.news import Who
from simulators.play.world import CARDS, CODE, FLEET, STATION, Place, World
from simulators.vehicle import Car

#: Key -> the line that it stands for; one that ends in a space waits for the rest to be typed.
KEYS: Final[Mapping[str, str]] = {
    "p": "plug",
    "u": "unplug",
    "e": "yank",
    "t": "tap ",
    "n": "network",
    "k": "kill",
    "f": "full",
    "w": "pause",
    "s": "start",
    "x": "stop",
    "m": "meter",
    "c": "controller",
    "b": "block ",
    "l": "link",
    "g": "get ",
    "?": "help",
    "q": "quit",
} | {str(place): f"tap {place}" for place in range(1, len(CARDS) + 1)}
#: Readers and the agent take a card that comes again within this time for one touch.
ONE_TOUCH_S: Final = 3.4
#: A card is answered by the central system, or decided about without it, within two seconds.
OUTCOME_S: Final = 3.0
#: A car stops drawing before its plug can be pulled; so long it is waited for.
LETS_GO_S: Final = 5.0
DEAD_S: Final = 2.0
EXPECTED_WITHIN_S: Final = 20.0
SWITCH: Final = "[off|on] [N]"
ON_OFF: Final = ("on", "off")
SCREEN, INDENT = 80, 29
#: A card number that was typed; of those only the end is shown.
UID: Final = re.compile(r"\b[0-9A-Fa-f]{8,20}\b")


class Moves:
    """The commands over a world. chosen: the connector that is meant where a line names none."""

    def __init__(self, world: World) -> None:
        self.commands = Commands()
        self.chosen = 1
        self._world = world
        self._cut = False
        self._tapped: dict[str, float] = {}
        self._seen = 0
        self._central = Commands()
        Commander(world.csms).add_to(self._central)
        self._add_charger()
        self._add_cloud()
        self._add_faults()
        self._add_scripts()

    async def obey(self, line: str) -> str:
        """Obey a line, or the key that stands for one, and return what is to be shown. Raises: SimulatorError."""
        words = line.strip().split(maxsplit=1)
        if words and words[0] in KEYS:
            words[0] = KEYS[words[0]].strip()
        whole = " ".join(words)
        if whole and not whole.startswith("#"):
            self._world.news.tell(Who.YOU, UID.sub(lambda found: _end(found[0]), whole))
        return await self.commands.obey(whole)

    def _add_charger(self) -> None:
        add = self.commands.add
        add("plug", "[N]", "connect the car to connector N", self._plug)
        add("unplug", "[N]", "end the charge in the car, then take the cable away", self._unplug)
        add("yank", "[N]", "pull the plug at the car's side, under load; the cable stays in the socket", self._yank)
        add("tap", "CARD", "hold a card to the reader: 1 to 5, or 10 hexadecimal digits", self._tap)
        add("full", "[N]", "the battery is full, or wants again", self._full)
        add("pause", SWITCH, "the car pauses by itself, or wants again", self._pause)
        add("cards", "", "the cards on the table", lambda _: self._cards())

    def _add_cloud(self) -> None:
        add = self.commands.add
        add("start", "[CARD] [N]", "remote start from the central system (card 1)", self._start)
        add("stop", "[TRANSACTION]", "remote stop of the transaction, or of the one that runs", self._stop)
        add(
            "block", "CARD [here]", "block, or unblock, a card at the central system; here: at the charger", self._block
        )
        add("link", "[CODE]", f"link the charger to a company ({CODE}), or unlink it", self._link)
        add("get", "[KEY...]", "read OCPP configuration keys", lambda words: self._told("get", words))
        add("set", "KEY VALUE", "change an OCPP configuration key", lambda words: self._told("set", words))
        add("csms", "LINE", "anything that wallbox-sim csms can do; csms help lists it", self._csms)
        add("sessions", "", "the sessions of both sides, side by side", lambda _: self._sessions())

    def _add_faults(self) -> None:
        add = self.commands.add
        add("network", "[HOW]", "cut it, or bring it back: cut, back, half-open, hang, mute, 503 ...", self._network)
        add("kill", "[SECONDS|off]", f"kill -9 the agent, and start it after so long ({DEAD_S:g})", self._kill)
        add("meter", SWITCH, "the meter falls silent, or answers again", self._meter)
        add("controller", SWITCH, "the controller falls silent, or answers again", self._controller)

    def _add_scripts(self) -> None:
        add = self.commands.add
        add("wait", "SECONDS", "do nothing for a while", lambda words: asyncio.sleep(number(words[0], "seconds"), ""))
        patience = f"{EXPECTED_WITHIN_S:g} s"
        add("expect", "[SECONDS] TEXT", f"wait ({patience}) for a line with it, after the one found last", self._expect)
        add("help", "", "this list", lambda _: self._help())

    # -- at the charger

    def _place(self, words: list[str]) -> Place:
        """Take the connector from the end of the words, or the chosen one."""
        return self._world.place(int(words.pop()) if words else self.chosen)

    def _plug(self, words: list[str]) -> None:
        self._place(words).evse.car.plug()

    async def _unplug(self, words: list[str]) -> None:
        car = self._place(words).evse.car
        car.suspend()
        with contextlib.suppress(SimulatorError):  # one that goes on drawing is unplugged under load
            await self._world.until("the car stops drawing", lambda: not _draws(car), LETS_GO_S)
        car.unplug()
        car.resume()

    def _yank(self, words: list[str]) -> None:
        self._place(words).evse.car.unplug(at_car=True)

    async def _tap(self, words: list[str]) -> str:
        uid = _card(words[0])
        self._world.reader.card(uid)
        await asyncio.sleep(max(self._tapped.get(uid, -ONE_TOUCH_S) + ONE_TOUCH_S - time.monotonic(), 0.0))
        self._tapped[uid] = time.monotonic()
        told = self._world.cards_told
        await self._world.reader.tap(uid)
        try:
            await self._world.until("an outcome", lambda: self._world.cards_told > told, OUTCOME_S)
        except SimulatorError:
            return "nothing came of it: right after a start the same card does nothing, or nothing reads it"
        return ""

    def _full(self, words: list[str]) -> str:
        car = self._place(words).evse.car
        if car.full:
            car.resume()
            return "the car wants to charge again"
        car.fill()
        return "the battery is full"

    def _pause(self, words: list[str]) -> str:
        word = _word(words)
        car = self._place(words).evse.car
        if word == "off" or (word is None and car.suspended):
            car.resume()
            return "the car wants to charge again"
        car.suspend()
        return "the car pauses"

    def _cards(self) -> str:
        return "\n".join(f"  {place}  {card.uid}  {card.what}" for place, card in enumerate(CARDS, 1))

    # -- at the central system

    async def _start(self, words: list[str]) -> str:
        uid = _card(words.pop(0)) if words else FLEET.uid
        return await self._told("remote-start", [uid, str(self._place(words).number)])

    async def _stop(self, words: list[str]) -> str:
        return await self._told("remote-stop", words)

    async def _block(self, words: list[str]) -> str:
        uid = _card(words[0])
        if words[1:] == ["here"]:
            return await self._block_here(uid)
        token = self._world.csms.state.tokens.get(uid)
        blocked = token is not None and token.status is TokenStatus.BLOCKED
        self._world.csms.desk.set_status(uid, TokenStatus.ACTIVE if blocked else TokenStatus.BLOCKED)
        return f"card {_end(uid)} is {'active' if blocked else 'blocked'} at the central system"

    async def _block_here(self, uid: str) -> str:
        known = {card["id_tag"]: card["status"] for card in await self._world.agent.command("cards", "list")}
        verb = "unblock" if known.get(uid) == "blocked" else "block"
        await self._world.agent.command("cards", verb, uid)
        return f"card {_end(uid)} is {verb}ed at the charger"

    async def _link(self, words: list[str]) -> str:
        linked = self._world.status.get("company", {}).get("state") not in {None, "none"}
        if linked and not words:
            await self._world.agent.command("unlink")
            return "unlinked"
        code = words[0] if words else CODE
        answer: dict[str, Any] = await self._world.agent.command("link", code)
        return f"{answer['code']}: {answer['state']}"

    async def _told(self, command: str, words: list[str]) -> str:
        """Let the central system do something with the station."""
        return _flat(await self._central.obey(" ".join((command, STATION, *words))))

    async def _csms(self, words: list[str]) -> str:
        if words[:1] == ["quit"]:
            raise Misuse("the central system stays; network cut takes it away, quit ends the play")
        return _flat(await self._central.obey(" ".join(words) or "help"))

    async def _sessions(self) -> str:
        sessions = await self._world.agent.command("sessions", "list")
        return both_sides.table_of(sessions, self._world.csms.sessions(STATION))

    # -- what breaks

    async def _network(self, words: list[str]) -> str:
        how = words[0] if words else "back" if self._cut else "cut"
        self._cut = how != "back"
        if how == "back":
            await self._world.csms.restore()
            return "the network is back"
        await self._central.obey(f"cut {'down' if how == 'cut' else how}")
        return "the network is cut" if how == "cut" else f"the network is broken: {how}"

    async def _kill(self, words: list[str]) -> str:
        if not self._world.alive:
            await self._world.start()
            return "the agent is started"
        seconds = None if words == ["off"] else number(words[0], "seconds") if words else DEAD_S
        await self._world.kill()
        if seconds is None:
            return "the agent is killed; kill starts it again"
        self._world.news.tell(Who.PLAY, "the agent is killed; what charges, charges on")
        await asyncio.sleep(seconds)
        await self._world.start()
        return "the agent is started"

    def _meter(self, words: list[str]) -> str:
        word = _word(words)
        faults = self._place(words).meter.faults
        faults.silent = not faults.silent if word is None else word == "off"
        return f"the meter {'is silent' if faults.silent else 'answers'}"

    def _controller(self, words: list[str]) -> str:
        word = _word(words)
        faults = self._place(words).evse.faults
        faults.silent = not faults.silent if word is None else word == "off"
        return f"the controller {'is silent' if faults.silent else 'answers'}"

    # -- for scripts

    async def _expect(self, words: list[str]) -> None:
        within_s = EXPECTED_WITHIN_S
        if words[1:] and words[0].replace(".", "", 1).isdecimal():
            within_s = float(words.pop(0))
        wanted = " ".join(words).casefold()
        if not wanted:
            raise Misuse("usage: expect [SECONDS] TEXT")
        await self._world.until(f"nothing told of {wanted!r}", self._search(wanted), within_s)

    def _search(self, wanted: str) -> Callable[[], bool]:
        def found() -> bool:
            news = self._world.news.all
            while self._seen < len(news):
                each = news[self._seen]
                self._seen += 1
                if each.who is not Who.YOU and wanted in f"{each.who} {each.text}".casefold():
                    return True
            return False

        return found

    def _help(self) -> str:
        """Return all commands with their keys, no line longer than a screen."""
        keys = {line.strip(): key for key, line in KEYS.items()}
        lines = ["Keys act at once, or begin a line; Enter begins an empty one. N: a connector."]
        for text in self.commands.listing().splitlines():
            command, _, purpose = text.strip().partition("  ")
            first, *others = textwrap.wrap(purpose.strip(), SCREEN - INDENT)
            key = keys.get(command.split(maxsplit=1)[0], "")
            lines += [f"{key:>2}  {command:<{INDENT - 4}}{first}", *(" " * INDENT + other for other in others)]
        return "\n".join(lines)


def _draws(car: Car) -> bool:
    car.advance()
    return any(car.amps)


def _word(words: list[str]) -> str | None:
    """Take on or off from the front of the words."""
    return words.pop(0) if words and words[0] in ON_OFF else None


def _card(word: str) -> str:
    """Return the card that a number of the table or a UID means."""
    if word.isdecimal() and 1 <= int(word) <= len(CARDS):
        return CARDS[int(word) - 1].uid
    return word.upper()


def _flat(answer: str) -> str:
    """Return a JSON answer in one line, any other text as it is."""
    return " ".join(answer.split()) if answer.startswith("{") else answer


def _end(uid: str) -> str:
    return f"******{uid[-4:]}"
