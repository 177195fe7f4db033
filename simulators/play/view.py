"""Both sides in rows: what the station is, what the central system sees, and the picture of all of it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from simulators.csms import show
from simulators.csms.billing import Bill, bill
from simulators.csms.faults import DOWN
from simulators.play import changes, messages
from simulators.play.canvas import Picture, Row, Span, clipped, columns, fitted, row, width_of
from simulators.play.changes import Word
from simulators.play.keyboard import Prompt
from simulators.play.news import News, Who
from simulators.play.world import CARDS, STATION, Place, World

LEAST_WIDTH, LEAST_HEIGHT = 80, 24
#: Rows that are always there: header, titles, two lines of keys, cards, prompt.
FRAME_ROWS: Final = 7
LEAST_LOG: Final = 4
BODY_ROWS: Final = LEAST_HEIGHT - FRAME_ROWS - LEAST_LOG
SESSIONS: Final = 3
#: So many of the last messages are looked at, for those to be shown.
KEPT: Final = 400
BAD: Final = frozenset({"error", "garbage"})
KEYS: Final = (
    "p plug|u unplug|e yank|f full|w pause|s start|x stop|t card|? help|q quit",
    "n network|k kill -9|m meter|c controller|b block|l link|g get|Enter any line",
)
STYLES: Final[Mapping[Who, str]] = {Who.YOU: "you", Who.AGENT: "agent", Who.CLOUD: "cloud"}


@dataclass(frozen=True, slots=True)
class Overlay:
    """A text over everything until a key is pressed. first: its first line that is shown."""

    lines: tuple[str, ...]
    first: int = 0

    def moved(self, rows: int, height: int) -> Overlay:
        """Return it moved by so many rows, on a screen that shows so many."""
        last = max(0, len(self.lines) - height)
        return replace(self, first=min(max(self.first + rows, 0), last))


@dataclass(frozen=True, slots=True)
class Scene:
    """What a picture is made of, beside the world. chosen: the connector that keys mean."""

    prompt: Prompt
    chosen: int
    now: datetime
    overlay: Overlay | None = None


def picture(world: World, scene: Scene, size: tuple[int, int]) -> Picture:
    """Return the picture for a terminal of so many columns and rows."""
    width, height = size
    if width < LEAST_WIDTH or height < LEAST_HEIGHT:
        return _too_small(width, height)
    if scene.overlay is not None:
        return _overlaid(scene.overlay, width, height)
    spare = height - LEAST_HEIGHT
    log_rows = LEAST_LOG + spare // 2
    body_rows = BODY_ROWS + spare - spare // 2
    rows = [
        _header(world, scene.now, width),
        *columns([row(Span("STATION", "title"))], [row(Span("CENTRAL SYSTEM", "title"))], width=width, height=1),
        *columns(
            list(station(world, scene.chosen)),
            list(central_system(world, width - width // 2 - 2, body_rows)),
            width=width,
            height=body_rows,
        ),
        fitted((Span("─" * width, "dim"),), width),
        *_log(world.news.all, width, log_rows),
        *(fitted(_keys(line), width) for line in KEYS),
        fitted(_cards(), width),
    ]
    prompt, cursor = _prompt(scene.prompt, width, height)
    return Picture(width, (*rows, prompt), cursor)


def _too_small(width: int, height: int) -> Picture:
    text = f"the screen needs {LEAST_WIDTH} x {LEAST_HEIGHT} characters, this one has {width} x {height}: make it larger, or take --plain; q quits"  # noqa: E501 - one sentence
    lines = textwrap.wrap(text, max(width, 1))[:height]
    rows = [fitted((Span(line),), width) for line in lines]
    return Picture(width, (*rows, *[fitted((), width)] * (height - len(rows))))


def _overlaid(overlay: Overlay, width: int, height: int) -> Picture:
    shown = overlay.lines[overlay.first : overlay.first + height - 1]
    rows = [fitted((Span(line),), width) for line in shown]
    rows += [fitted((), width)] * (height - 1 - len(rows))
    more = overlay.first + len(shown) < len(overlay.lines)
    hint = "up and down for more, any other key goes back" if more or overlay.first else "any key goes back"
    return Picture(width, (*rows, fitted((Span(f" {hint} ".ljust(width), "bar"),), width)))


def _header(world: World, now: datetime, width: int) -> Row:
    left = f" wallbox-sim play  {STATION}  x{world.wishes.speed:g}  {'; '.join(wrong(world)) or 'all is well'}"
    clock = f"{now.astimezone():%H:%M:%S} "
    return fitted((Span(clipped(left, width - 10).ljust(width - len(clock)) + clock, "bar"),), width)


def wrong(world: World) -> Iterator[str]:
    """Yield what was broken and is not mended yet."""
    if not world.alive:
        yield "the agent is killed"
    yield from ("the network is cut" if text == DOWN else text for text in world.csms.faults.active())
    for place in world.places:
        which = f" {place.number}" if len(world.places) > 1 else ""
        if place.meter.faults.silent:
            yield f"meter{which} is silent"
        if place.evse.faults.silent:
            yield f"controller{which} is silent"


# -- the station


def station(world: World, chosen: int) -> Iterator[Row]:
    """Yield what the station is, by its own status; the cars are ours to see."""
    status = world.status
    for place in world.places:
        marked = place.number == chosen and len(world.places) > 1
        yield from _connector(place, _connector_of(status, place.number), marked=marked)
    if not status:
        yield row(Span("the agent does not answer" if world.alive else "the agent does not run", "bad"))
        return
    cloud = status["cloud"]
    yield _named("cloud", _cloud(cloud))
    waiting = cloud["queued_messages"]
    yield row("queue    ", Span(f"{waiting} messages wait" if waiting else "empty", "bold" if waiting else ""))
    yield _named("company", changes.company(status["company"]))
    yield _named("reader", changes.device(status["rfid"]))
    if not status.get("ledger", {"ok": True})["ok"]:
        yield _named("ledger", changes.device(status["ledger"]))
    yield row("card     ", world.card or "none yet")


def _connector_of(status: Mapping[str, Any], number: int) -> Mapping[str, Any] | None:
    return next((each for each in status.get("connectors", []) if each["id"] == number), None)


def _connector(place: Place, view: Mapping[str, Any] | None, *, marked: bool) -> Iterator[Row]:
    word = Word("-") if view is None else changes.shown(view)
    arrow = ">" if marked else " "
    yield row(Span(f"{arrow}{place.number} ", "key"), Span(word.text, _style(word, "bold")), f"  car {_car(place)}")
    if view is not None:
        yield _named("  EVSE", changes.controller(view["evse"]))
        yield _named("  meter", _meter(view["meter"]))
        yield _named("  use", _use(view))


def _car(place: Place) -> str:
    car = place.evse.car
    battery = f"{100 * car.charged_wh / car.capacity_wh:.0f} %"
    if not car.plugged:
        return "away"
    return f"{battery} {'full' if car.full else 'pauses' if car.suspended else 'wants'}"


def _cloud(view: Mapping[str, Any]) -> Word:
    if view["state"] != "connected":
        return changes.cloud(view)
    return Word(f"connected, {view['registration'] or 'not booted'}", bad=view["registration"] != "Accepted")


def _meter(view: Mapping[str, Any]) -> Word:
    if not view["ok"]:
        return changes.device(view)
    power = "-" if view["power_w"] is None else f"{view['power_w'] / 1000:.1f} kW"
    return Word(f"{view['energy_wh'] / 1000:.3f} kWh, {power}")


def _use(view: Mapping[str, Any]) -> Word:
    session = view["session"]
    if session is None:
        return changes.session(view)
    number = "no number" if session["transaction_id"] is None else f"no. {session['transaction_id']}"
    return Word(f"{session['energy_wh'] / 1000:.3f} kWh, {session['id_tag'][-6:]}, {number}")


def _named(name: str, word: Word) -> Row:
    return row(f"{name:<9}", Span(word.text, _style(word)))


def _style(word: Word, well: str = "") -> str:
    return "bad" if word.bad else well


# -- the central system


def central_system(world: World, width: int, height: int) -> Iterator[Row]:
    """Yield what the central system sees, in so much room: the station, its sessions, the last messages."""
    above = list(_seen(world))
    yield from above
    left = height - len(above)
    shown = [message for message in world.csms.log.messages[-KEPT:] if messages.is_shown(message)]
    for message in shown[-left:] if left > 0 else []:
        style = "bad" if message.kind in BAD else "" if message.inbound else "dim"
        clock = f"{message.time.astimezone():%M:%S} " if width < messages.ROOMY else f"{message.time.astimezone():%T} "
        yield row(Span(clock, "dim"), Span(messages.words(message, width), style))


def _seen(world: World) -> Iterator[Row]:
    csms = world.csms
    known, device = csms.state.station(STATION), csms.state.devices.get(STATION)
    online = STATION in csms.connected
    link = "no company" if device is None else f"{csms.state.companies[device.company].name} {device.state}"
    yield row(
        Span("online" if online else "offline", "good" if online else "bad"),
        f", {known.registration or 'not booted'}, {link}",
    )
    statuses = ", ".join(f"{number} {status}" for number, status in sorted(known.statuses.items()))
    yield row(statuses or "no status yet")
    for session in csms.state.sessions[-SESSIONS:]:
        yield row(_money(so_far(world, session.transaction_id)))
    if csms.violations:
        yield row(Span(f"{len(csms.violations)} rules broken: {csms.violations[-1].text}", "bad"))


def so_far(world: World, number: int) -> Bill:
    """Return the bill of a transaction, of one that runs as if it ended with its last meter value."""
    state, zone = world.csms.state, world.csms.policy.zone
    session = next(each for each in reversed(state.sessions) if each.transaction_id == number)
    if session.stopped_at is not None or not session.readings:
        return bill(state, session, zone)
    last = session.readings[-1]
    ended = replace(session, stopped_at=last.at, meter_stop_wh=Decimal(int(last.wh)))
    return replace(bill(state, ended, zone), session=session)


def _money(priced: Bill) -> str:
    session = priced.session
    wh = session.energy_wh
    if wh is None and session.readings:
        wh = session.readings[-1].wh - session.meter_start_wh
    energy = "0.000" if wh is None else f"{wh / 1000:.3f}"
    runs = session.stopped_at is None
    cost = f"{priced.cost.incl_vat} {priced.cost.currency}" if priced.cost else "" if runs else priced.why
    end = "runs" if runs else session.stop_reason or ""
    parts = (f"no. {session.transaction_id}", show.masked(session.id_tag), f"{energy} kWh", cost, end)
    return " ".join(filter(None, parts))


# -- below


def _log(news: Sequence[News], width: int, height: int) -> list[Row]:
    """Return the last news but those that are above already: the messages, and what the station shows and is well."""
    told = [each for each in news if each.bad or each.who not in {Who.CLOUD, Who.STATION}][-height:]
    rows = [
        fitted(
            (
                Span(f"{each.time.astimezone():%H:%M:%S} ", "dim"),
                Span(f"{each.who:<8}", STYLES.get(each.who, "")),
                Span(each.text, "bad" if each.bad else ""),
            ),
            width,
        )
        for each in told
    ]
    return rows + [fitted((), width)] * (height - len(rows))


def _keys(line: str) -> Iterator[Span]:
    for entry in line.split("|"):
        key, _, what = entry.partition(" ")
        yield Span(f" {key}", "key")
        yield Span(f" {what}")


def _cards() -> Iterator[Span]:
    yield Span(" cards:", "dim")
    for place, card in enumerate(CARDS, 1):
        yield Span(f" {place}", "key")
        yield Span(f" {card.what}")


def _prompt(prompt: Prompt, width: int, height: int) -> tuple[Row, tuple[int, int] | None]:
    """Return the prompt's row and cursor; a long line is shown around its cursor."""
    if not prompt.open:
        return fitted((), width), None
    room = width - 3
    before = prompt.text[: prompt.cursor]
    while width_of(before) > room:
        before = before[1:]
    text = before + prompt.text[prompt.cursor :]
    return fitted((Span("> ", "key"), Span(text)), width), (2 + width_of(before), height - 1)
