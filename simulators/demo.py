"""``wallbox-sim demo``: a day of charging in a minute, on real bytes, with the statement of both sides at the end.

The agent runs as a process of its own and is driven through its public interface: file, commands, cards, network.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from simulators.csms.billing import Bill
from simulators.stage import BLOCKED, CODE, FLEET, STATION, UNKNOWN, Narrator, Stage, StoryBroke, connector


async def story(stage: Stage) -> bool:
    """Play the story; return whether both sides agree. Raises StoryBroke."""
    await link(stage)
    await fleet_card(stage)
    await refusals(stage)
    await network_cut(stage)
    await killed(stage)
    await network_back(stage)
    return await statement(stage)


async def link(stage: Stage) -> None:
    """The charger is linked to the company by its code."""
    agent, narrator = stage.agent, stage.narrator
    narrator.chapter("The charger is linked to the company")
    narrator.tell("meter (SDM630) and controller (EVSE DIN) share one RS-485 bus; an RDM6300 reads cards")
    await agent.start()
    await agent.until(
        "everything is seen",
        lambda s: (
            s["cloud"]["registration"] == "Accepted" and connector(s)["status"] == "Available" and s["rfid"]["ok"]
        ),
    )
    narrator.good("the agent runs, has booted at the central system, and sees meter, controller and reader")
    narrator.tell(f"$ wallbox-agent link {CODE}")
    await agent.command("link", CODE)
    await agent.until("the charger is linked", lambda s: s["company"]["state"] == "linked")
    company = (await agent.status())["company"]
    percentage = company["settings"]["refundPercentage"]
    narrator.good(f"linked to {company['name']}: day and night rates, {percentage} % of the cost is refunded")


async def fleet_card(stage: Stage) -> None:
    """A fleet card charges."""
    narrator = stage.narrator
    narrator.chapter("A fleet card charges")
    await stage.plug()
    narrator.tell("the car is plugged in; a card is held to the reader")
    await stage.tap(FLEET)
    await stage.charging()
    power = connector(await stage.agent.status())["meter"]["power_w"]
    narrator.good(f"accepted by the central system; the start is on disk, the car draws {power / 1000:.1f} kW")
    await asyncio.sleep(4.5)
    await stage.tap(FLEET)
    await stage.ended()
    narrator.good("the same card ended the session")
    await stage.unplug()


async def refusals(stage: Stage) -> None:
    """Unknown and blocked cards start nothing."""
    narrator, starts = stage.narrator, len(stage.csms.state.sessions)
    narrator.chapter("Cards that may not charge")
    await stage.plug()
    for uid, what in ((UNKNOWN, "an unknown card"), (BLOCKED, "a card that the company has blocked")):
        since = len(stage.csms.log.messages)
        await stage.tap(uid)
        await stage.csms.wait_for("Authorize", since=since)
        await asyncio.sleep(0.5)
        status = connector(await stage.agent.status())
        if status["session"] is not None or status["evse"]["current_limit_a"]:
            raise StoryBroke(f"{what} started a session")
        narrator.good(f"{what} is refused; no current is offered")
    if len(stage.csms.state.sessions) != starts:
        raise StoryBroke("a refused card started a transaction")
    await stage.unplug()


async def network_cut(stage: Stage) -> None:
    """The network goes in mid-session; the session ends offline, and another one runs offline."""
    narrator = stage.narrator
    narrator.chapter("The network is cut in mid-session")
    await stage.plug()
    await stage.tap(FLEET)
    await stage.charging()
    await asyncio.sleep(2.0)
    await stage.csms.cut("down")
    await stage.agent.until("the agent notices", lambda s: s["cloud"]["state"] != "connected")
    narrator.tell("the central system is gone; the car goes on charging")
    await asyncio.sleep(3.0)
    await stage.tap(FLEET)
    await stage.ended()
    await stage.unplug()
    narrator.good("the session was ended by its card, offline")
    await stage.plug()
    await stage.tap(FLEET)
    await stage.charging()
    narrator.good("another one runs offline: the card is known from before")


async def killed(stage: Stage) -> None:
    """The agent is killed in mid-session and comes back."""
    narrator, agent = stage.narrator, stage.agent
    narrator.chapter("The agent is killed with signal 9 in mid-session")
    await asyncio.sleep(1.5)
    before = connector(await agent.status())
    await agent.kill()
    narrator.tell("killed; the controller charges on, nobody counts")
    await asyncio.sleep(1.0)
    await agent.start()
    await stage.charging()
    after = connector(await agent.status())
    if after["session"]["id"] != before["session"]["id"]:
        raise StoryBroke("the session was not taken up again")
    gained = (after["meter"]["energy_wh"] - before["meter"]["energy_wh"]) / 1000
    narrator.good(
        f"the same session goes on; the {gained:.2f} kWh of the gap are in the meter's register, so none is lost"
    )
    await asyncio.sleep(1.0)
    stage.evse.car.unplug()
    await stage.ended()
    narrator.good("the car is unplugged, the session closed")


async def network_back(stage: Stage) -> None:
    """The network returns, and everything is delivered once, in order."""
    narrator = stage.narrator
    narrator.chapter("The network returns")
    queued = (await stage.agent.status())["cloud"]["queued_messages"]
    await stage.csms.restore()
    narrator.tell(f"{queued} messages wait in the ledger")
    await stage.agent.until(
        "the queue is delivered",
        lambda s: s["cloud"]["registration"] == "Accepted" and s["cloud"]["queued_messages"] == 0,
        within_s=60.0,
    )
    order = [m.action for m in stage.csms.log.messages if m.kind == "call" and m.inbound and m.action in ORDER]
    if order != [*ORDER] * 3:
        raise StoryBroke(f"starts and stops did not arrive once and in order: {order}")
    if stage.csms.violations:
        raise StoryBroke("the central system complains: " + "; ".join(map(str, stage.csms.violations)))
    narrator.good(
        "three starts, three stops, each once and in order; the central system found no fault with any message"
    )


ORDER: Final = ("StartTransaction", "StopTransaction")

COLUMNS: Final = ("", "start", "end", "duration", "kWh", "cost", "refund")


@dataclass(frozen=True)
class Line:
    """A session as one side has it, in the words of a statement."""

    start: str
    end: str
    duration: str
    kwh: str
    cost: str
    refund: str

    @property
    def cells(self) -> tuple[str, ...]:
        """The columns."""
        return self.start, self.end, self.duration, self.kwh, self.cost, self.refund


async def statement(stage: Stage) -> bool:
    """Compare both sides line by line."""
    narrator = stage.narrator
    narrator.chapter("The statement, from both sides")
    ours = [line_of_agent(s) for s in await stage.agent.command("sessions", "list")]
    theirs = [line_of_csms(b) for b in stage.csms.sessions(STATION)]
    rows: list[tuple[str, ...]] = [COLUMNS]
    for mine, other in zip(ours, theirs, strict=False):
        rows += [("agent", *mine.cells), ("central system", *other.cells)]
    widths = [max(len(row[n]) for row in rows) for n in range(len(COLUMNS))]
    for row in rows:
        narrator.plain("  " + "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())
    agree = bool(ours) and ours == theirs
    if agree:
        narrator.good(f"{len(ours)} sessions, and both sides have the same figures")
    else:
        narrator.bad(f"the figures differ: {len(ours)} sessions at the agent, {len(theirs)} at the central system")
    return agree


def line_of_agent(session: dict[str, Any]) -> Line:
    """Return the line of a session from ``sessions list --json``."""
    start, end = (datetime.fromisoformat(session[key]) for key in ("started_at", "stopped_at"))
    energy = Decimal(str(session["energy_wh"])) / 1000
    cost, refund = session["cost"] or {}, session["refund"] or {}
    return _line(start, end, energy, f"{cost.get('incl_vat')} {cost.get('currency')}", str(refund.get("amount")))


def line_of_csms(bill: Bill) -> Line:
    """Return the line of a session as the central system has it."""
    session = bill.session
    if session.stopped_at is None or session.energy_wh is None:
        return Line(str(session.started_at), "still runs", "", "", "", "")
    cost = f"{bill.cost.incl_vat} {bill.cost.currency}" if bill.cost else bill.why
    return _line(session.started_at, session.stopped_at, session.energy_wh / 1000, cost, str(bill.refund))


def _line(start: datetime, end: datetime, kwh: Decimal, cost: str, refund: str) -> Line:  # noqa: PLR0917 - one row
    seconds = (end - start).total_seconds()
    return Line(
        f"{start.astimezone():%H:%M:%S}", f"{end.astimezone():%H:%M:%S}", f"{seconds:.1f} s", f"{kwh:.3f}", cost, refund
    )


async def play(folder: Path, narrator: Narrator) -> int:
    """Play the story in a folder; return the exit status."""
    stage = await Stage.build(folder, narrator)
    try:
        return 0 if await story(stage) else 1
    except (StoryBroke, TimeoutError) as broke:
        narrator.bad(str(broke))
        return 1
    finally:
        await stage.strike()


def main(argv: Sequence[str]) -> int:
    """Run ``wallbox-sim demo``: 0 only if agent and central system agree on every session."""
    parser = argparse.ArgumentParser(prog="wallbox-sim demo", description="A day of charging, on the simulators.")
    parser.add_argument(
        "--folder", type=Path, help="keep configuration, ledger and log there, to look at them afterwards"
    )
    parser.add_argument("--no-colour", action="store_true", help="plain text")
    options = parser.parse_args(argv)
    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ and not options.no_colour
    if options.folder is not None:
        options.folder.mkdir(parents=True, exist_ok=True)
        return asyncio.run(play(options.folder.resolve(), Narrator(colour=colour)))
    with tempfile.TemporaryDirectory(prefix="wallbox-demo-") as folder:
        return asyncio.run(play(Path(folder), Narrator(colour=colour)))
