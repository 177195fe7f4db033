"""Couriers over a real ledger, with real servers and folders: what is sent, once, and what is remembered of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from agent.buffer.database import Database, open_database
from agent.buffer.journal import SqliteJournal
from agent.core.errors import JournalFull
from agent.core.facts import Fact, SessionEnded, SessionStarted
from agent.core.instant import Instant, TimeStatus
from agent.core.model import EvseId, SessionId, Wh
from agent.core.state import EvseState, StationState, durable
from agent.statement.delivery import courier as couriers
from agent.statement.delivery.courier import Courier, Ended
from agent.statement.delivery.folder import Folder
from agent.statement.delivery.https import Https
from agent.statement.delivery.mail import Mail
from agent.statement.delivery.office import Office
from agent.statement.delivery.parcel import Press, Way
from agent.statement.delivery.record import Record
from agent.statement.files import Form
from agent.statement.month import Month
from tests.unit.cli.installed import one_session
from tests.unit.statement.book import SITE
from tests.unit.statement.receivers import CA, HANG, Answer, MailServer, Payroll

NOVEMBER = Month(2026, 11)
MID_NOVEMBER = datetime(2026, 11, 22, tzinfo=UTC)
DECEMBER = datetime(2026, 11, 30, 23, 0, 1, tzinfo=UTC)
CSV, JSON = "NL-ACME-000123-2026-11.csv", "NL-ACME-000123-2026-11.json"


@dataclass
class Hand:
    """A clock that is set by hand."""

    at: Instant = field(default_factory=lambda: Instant(1000.0, MID_NOVEMBER, boot=1))

    def now(self) -> Instant:
        return self.at

    async def sleep_until(self, _mono: float) -> None:
        raise AssertionError("couriers wait for events")

    def go(self, seconds: float) -> None:
        """Let time pass."""
        self.at = replace(self.at, mono=self.at.mono + seconds, wall=self.at.wall + timedelta(seconds=seconds))

    def set(self, wall: datetime) -> None:
        """Set the wall clock alone."""
        self.at = replace(self.at, wall=wall)

    def until(self, wall: datetime) -> None:
        """Let time pass until then."""
        self.go((wall - self.at.wall).total_seconds())


@dataclass
class Desk:
    """A station's ledger and its couriers."""

    database: Database
    journal: SqliteJournal
    state_dir: Path
    clock: Hand

    def courier(self, way: Way) -> Courier:
        press = Press(self.state_dir, SITE, Form())
        return Courier(way, Record(self.database), press, clock=self.clock, chance=lambda: 0.0)

    async def opened(self, way: Way) -> Courier:
        courier = self.courier(way)
        await courier.open()
        await courier.look()
        return courier

    async def charged(self, number: int, *, closed: bool = True, energy: str = "7522") -> None:
        """Put a session of 21 November on record."""
        await self.journal.commit(
            durable(StationState((EvseState(EvseId(1)),))), session(number, energy)[: 1 + closed], self.clock.at
        )


def session(number: int, energy: str) -> list[Fact]:
    start, end = one_session(1, closed=True)
    assert isinstance(start, SessionStarted)
    assert isinstance(end, SessionEnded)
    name = SessionId(f"019a1234-0000-7000-8000-{number:012}")
    register = Wh(start.reading.register + Decimal(energy))
    return [replace(start, session=name), replace(end, session=name, register=register)]


@asynccontextmanager
async def desk(folder: Path, clock: Hand | None = None) -> AsyncIterator[Desk]:
    state_dir = folder / "state"
    async with open_database(state_dir, copied=True) as database:
        journal = SqliteJournal(database, ())
        await journal.load()
        await journal.begin_run("boot", "1.0.0", Instant(1.0, MID_NOVEMBER))
        yield Desk(database, journal, state_dir, clock or Hand())


def archive(folder: Path, *formats: str) -> Folder:
    (folder / "out").mkdir(exist_ok=True)
    return Folder("archive", formats or ("csv", "json"), folder / "out")


def server(payroll: Payroll, folder: Path) -> Https:
    token = folder / "token"
    token.write_text("t0ken")
    return Https("payroll", ("csv", "json"), payroll.url, "wallbox-agent/1", token=token, ca_file=CA)


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "out").iterdir())


def states(courier: Courier) -> list[tuple[str, str, int]]:
    return [(str(row.month), row.standing.value, row.attempts) for row in courier.rows()]


# ---- by itself -------------------------------------------------------------------------------------------------------


async def test_a_month_is_delivered_when_it_has_ended_and_once(tmp_path: Path) -> None:
    async with desk(tmp_path) as here:
        await here.charged(1)
        courier = await here.opened(archive(tmp_path))
        assert (files(tmp_path), states(courier)) == ([], [])
        here.clock.until(DECEMBER)
        await courier.look()
        assert files(tmp_path) == [CSV, JSON]
        document = json.loads((tmp_path / "out" / JSON).read_bytes())
        assert (document["month"], document["state"], document["totals"]["energy_wh"]) == (
            "2026-11",
            "pending",
            7522.0,
        )
        assert states(courier) == [("2026-11", "completed", 1)]
        (tmp_path / "out" / CSV).unlink()
        here.clock.go(5 * 86_400)
        await courier.look()
        assert files(tmp_path) == [JSON]


async def test_a_delivery_that_is_new_sends_no_old_months(tmp_path: Path) -> None:
    async with desk(tmp_path, Hand(Instant(1000.0, DECEMBER))) as here:
        await here.charged(1)
        courier = await here.opened(archive(tmp_path))
        assert states(courier) == []


async def test_months_that_ended_while_the_station_was_off_are_delivered_when_it_is_back(tmp_path: Path) -> None:
    async with desk(tmp_path) as here:
        await here.opened(archive(tmp_path, "csv"))
    later = Hand(Instant(5.0, datetime(2027, 2, 3, tzinfo=UTC), boot=2))
    async with desk(tmp_path, later) as here:
        courier = await here.opened(archive(tmp_path, "csv"))
        assert [month for month, _, _ in states(courier)] == ["2026-11", "2026-12", "2027-01"]
        assert len(files(tmp_path)) == 3


async def test_a_delivery_that_was_taken_out_is_a_new_one_when_it_comes_back(tmp_path: Path) -> None:
    async with desk(tmp_path) as here:
        courier = await here.opened(archive(tmp_path))
        here.clock.until(datetime(2027, 6, 2, tzinfo=UTC))
        await Office((), Record(here.database)).tidy()
        courier = await here.opened(archive(tmp_path))
        assert states(courier) == []
        await Office((courier,), Record(here.database)).tidy()
        here.clock.until(datetime(2027, 7, 2, tzinfo=UTC))
        assert [month for month, _, _ in states(await here.opened(archive(tmp_path)))] == ["2027-06"]


async def test_a_clock_that_was_not_known_at_first_is_put_right_before_months_are_counted(tmp_path: Path) -> None:
    clock = Hand(Instant(10.0, datetime(2025, 1, 1, tzinfo=UTC), TimeStatus.INFORMATIVE, boot=1))
    async with desk(tmp_path, clock) as here:
        courier = await here.opened(archive(tmp_path))
        clock.at = Instant(100.0, datetime(2026, 12, 5, tzinfo=UTC), TimeStatus.SYNCHRONISED, boot=1)
        await here.journal.anchor(clock.at)
        await courier.look()
        assert states(courier) == []
        clock.until(datetime(2027, 1, 1, tzinfo=UTC))
        await courier.look()
        assert [month for month, _, _ in states(courier)] == ["2026-12"]


async def test_a_clock_that_nobody_has_set_ends_no_month(tmp_path: Path) -> None:
    async with desk(tmp_path) as here:
        courier = await here.opened(archive(tmp_path))
        here.clock.at = Instant(2000.0, datetime(1970, 3, 1, tzinfo=UTC), TimeStatus.UNKNOWN)
        await courier.look()
        assert states(courier) == []


async def test_a_session_that_comes_to_light_later_is_delivered_as_a_correction(tmp_path: Path) -> None:
    async with desk(tmp_path) as here:
        await here.charged(1)
        courier = await here.opened(archive(tmp_path, "csv"))
        await here.journal.commit(durable(StationState((EvseState(EvseId(1)),))), session(2, "100")[:1], here.clock.at)
        here.clock.until(DECEMBER)
        await courier.look()
        assert (files(tmp_path), states(courier)) == ([], [("2026-11", "pending", 0)])
        await here.journal.commit(durable(StationState((EvseState(EvseId(1)),))), session(2, "100")[1:], here.clock.at)
        here.clock.go(61)
        await courier.look()
        assert files(tmp_path) == [CSV]


async def test_other_figures_are_sent_again_under_another_name(tmp_path: Path) -> None:
    async with desk(tmp_path) as here:
        await here.charged(1)
        courier = await here.opened(archive(tmp_path, "csv"))
        here.clock.until(DECEMBER)
        await courier.look()
        first = (tmp_path / "out" / CSV).read_bytes()
        await here.charged(2)
        here.clock.go(3601)
        await courier.look()
        assert files(tmp_path) == ["NL-ACME-000123-2026-11-corrected-1.csv", CSV]
        assert (tmp_path / "out" / CSV).read_bytes() == first
        here.clock.go(3601)
        await courier.look()
        assert len(files(tmp_path)) == 2


# ---- failures --------------------------------------------------------------------------------------------------------


async def test_a_server_that_is_down_is_tried_again_until_it_has_everything_once(tmp_path: Path) -> None:
    answers: list[Answer] = [(500, {}, b"down"), (200, {}, b""), (503, {}, b"")]
    with Payroll(answers=answers).running() as payroll:
        async with desk(tmp_path) as here:
            courier = await here.opened(server(payroll, tmp_path))
            here.clock.until(DECEMBER)
            await courier.look()
            (row,) = courier.rows()
            assert row.error is not None
            assert "csv: the server answers 500" in row.error
            assert row.done == {"json"}
            await courier.look()
            assert len(payroll.got) == 2
            here.clock.go(16)
            await courier.look()
            here.clock.go(31)
            await courier.look()
            assert states(courier) == [("2026-11", "completed", 3)]
    kinds = [post.headers["content-type"].partition(";")[0] for post in payroll.got]
    assert kinds == ["text/csv", "application/json", "text/csv", "text/csv"]
    assert len({post.headers["idempotency-key"] for post in payroll.got if "csv" in post.headers["content-type"]}) == 1


async def test_a_month_that_could_not_be_delivered_for_months_arrives_in_the_end(tmp_path: Path) -> None:
    async with desk(tmp_path) as here:
        way = archive(tmp_path)
        (tmp_path / "out").rmdir()
        courier = await here.opened(way)
        here.clock.until(DECEMBER)
        for _ in range(100):
            await courier.look()
            here.clock.go(86_400)
        pending = states(courier)
        assert pending[0] == ("2026-11", "pending", 100)
        assert {state for _, state, _ in pending} == {"pending"}
        (tmp_path / "out").mkdir()
        await courier.look()
        assert {state for _, state, _ in states(courier)} == {"completed"}
        assert len(files(tmp_path)) == 2 * len(pending)


async def test_what_has_arrived_is_remembered_over_a_restart_and_the_rest_is_tried_at_once(tmp_path: Path) -> None:
    with Payroll(answers=[(200, {}, b""), (500, {}, b"")]).running() as payroll:
        async with desk(tmp_path) as here:
            courier = await here.opened(server(payroll, tmp_path))
            here.clock.until(DECEMBER)
            await courier.look()
        async with desk(tmp_path, Hand(Instant(3.0, DECEMBER + timedelta(seconds=9), boot=2))) as here:
            courier = await here.opened(server(payroll, tmp_path))
            assert states(courier) == [("2026-11", "completed", 2)]
    assert [post.headers["content-type"] for post in payroll.got][1:] == ["application/json"] * 2


async def test_a_full_disk_of_the_ledger_makes_nothing_be_sent_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Payroll().running() as payroll:
        async with desk(tmp_path) as here:
            courier = await here.opened(server(payroll, tmp_path))
            here.clock.until(DECEMBER)

            async def full(*_: object) -> None:
                raise JournalFull("no space")

            with monkeypatch.context() as patch:
                patch.setattr(here.database, "write", full)
                await courier.look()
                await courier.look()
            assert (len(payroll.got), states(courier)) == (2, [("2026-11", "completed", 1)])
            assert await here.database.read("SELECT * FROM statement_delivery") == []
            await courier.look()
            ((state,),) = await here.database.read("SELECT state FROM statement_delivery")
            assert (state, len(payroll.got)) == ("completed", 2)


async def test_a_reader_who_was_refused_gets_the_letter_later_and_the_other_no_second_one(tmp_path: Path) -> None:
    with MailServer(password=None, refused={"b@acme.example"}).running() as mail:
        readers = ("a@acme.example", "b@acme.example")
        way = Mail("fleet", ("csv",), "localhost", mail.port, implicit=False, sender="w@x", to=readers, ca_file=CA)
        async with desk(tmp_path) as here:
            courier = await here.opened(way)
            here.clock.until(DECEMBER)
            await courier.look()
            assert courier.rows()[0].error == "b@acme.example: the mail server answers 550 5.1.1 no such user"
            mail.refused.clear()
            here.clock.go(16)
            await courier.look()
            assert states(courier) == [("2026-11", "completed", 2)]
    assert [letter.to for letter in mail.letters] == [["a@acme.example"], ["b@acme.example"]]
    assert len({letter.message["Message-ID"] for letter in mail.letters}) == 1


async def test_a_statement_that_cannot_be_made_is_told_and_made_later(tmp_path: Path) -> None:
    async with desk(tmp_path) as here:
        (tmp_path / "logo.png").write_text("no picture")
        press = Press(here.state_dir, SITE, Form(logo=tmp_path / "logo.png"))
        way = archive(tmp_path, "pdf")
        courier = Courier(way, Record(here.database), press, clock=here.clock, chance=lambda: 0.0)
        await courier.open()
        here.clock.until(DECEMBER)
        await courier.look()
        assert "the logo" in str(courier.rows()[0].error)
        (tmp_path / "logo.png").unlink()
        await courier.look()
        assert states(courier) == [("2026-11", "pending", 1)]


# ---- by hand ---------------------------------------------------------------------------------------------------------


async def test_a_month_in_progress_is_delivered_by_hand_and_whole_at_its_end(tmp_path: Path) -> None:
    async with desk(tmp_path) as here:
        await here.charged(1)
        courier = await here.opened(archive(tmp_path, "json"))
        await courier.deliver(NOVEMBER)
        early = "NL-ACME-000123-2026-11-in-progress.json"
        assert files(tmp_path) == [early]
        assert json.loads((tmp_path / "out" / early).read_bytes())["state"] == "in progress"
        here.clock.until(DECEMBER)
        await courier.look()
        assert files(tmp_path) == [early, JSON]


async def test_a_month_that_has_arrived_is_sent_again_when_somebody_asks(tmp_path: Path) -> None:
    with Payroll().running() as payroll:
        async with desk(tmp_path, Hand(Instant(1000.0, DECEMBER))) as here:
            courier = await here.opened(server(payroll, tmp_path))
            for _ in range(2):
                assert not (await courier.deliver(NOVEMBER)).pending
    keys = [post.headers["idempotency-key"] for post in payroll.got]
    assert (len(keys), len(set(keys))) == (4, 4)


async def test_a_service_delivers_at_the_months_end_by_itself_and_on_demand(tmp_path: Path) -> None:
    async with desk(tmp_path) as here:
        courier = here.courier(archive(tmp_path, "csv"))
        office = Office((courier,), Record(here.database))
        here.clock.set(DECEMBER - timedelta(seconds=1.2))
        running = asyncio.create_task(courier.run())
        try:
            await _until(lambda: courier._since is not None)
            here.clock.set(DECEMBER)
            await _until(lambda: states(courier) == [("2026-11", "completed", 1)])
            (row,) = await office.ask(Month(2026, 10), "ARCHIVE")
            assert row == {
                "name": "archive", "month": "2026-10", "state": "completed", "attempts": 1, "last_error": None,
                "next_try": None,
            }  # fmt: skip
            assert [row["month"] for row in office.view()] == ["2026-10", "2026-11"]
        finally:
            running.cancel()
            await asyncio.wait([running])


async def test_who_asks_while_the_agent_ends_is_told(tmp_path: Path) -> None:
    with Payroll(answers=[(HANG, {}, b"")]).running() as payroll:
        async with desk(tmp_path) as here:
            courier = here.courier(server(payroll, tmp_path))
            running = asyncio.create_task(courier.run())
            asking = asyncio.create_task(courier.ask(Month(2026, 10)))
            await _until(payroll.arrived.is_set)
            running.cancel()
            await asyncio.wait([running])
            with pytest.raises(Ended, match="the agent is stopping"):
                await asking


async def test_an_unknown_name_is_told_with_those_that_are_known(tmp_path: Path) -> None:
    async with desk(tmp_path) as here:
        office = Office((here.courier(archive(tmp_path)),), Record(here.database))
        with pytest.raises(ValueError, match="there is no delivery 'payrol': configured are archive"):
            await office.deliver(NOVEMBER, "payrol")
        with pytest.raises(ValueError, match="no delivery is configured"):
            await Office((), Record(here.database)).deliver(NOVEMBER, None)


async def test_of_what_has_arrived_the_status_shows_a_year(tmp_path: Path) -> None:
    async with desk(tmp_path) as here:
        courier = await here.opened(archive(tmp_path, "csv"))
        here.clock.until(datetime(2028, 6, 2, tzinfo=UTC))
        await courier.look()
        assert len(courier.rows()) == 19
        shown = [row["month"] for row in Office((courier,), Record(here.database)).view()]
        assert (len(shown), shown[0], shown[-1]) == (13, "2027-05", "2028-05")


async def test_a_month_of_many_sessions_keeps_the_loop_free(tmp_path: Path) -> None:
    async with desk(tmp_path) as here:
        for number in range(60):
            await here.charged(number)
        courier = await here.opened(archive(tmp_path, "pdf", "xlsx", "csv", "json", "ocpi"))
        here.clock.until(DECEMBER)
        loop, stalls = asyncio.get_running_loop(), list[float]()
        looking = asyncio.create_task(courier.look())
        while not looking.done():
            before = loop.time()
            await asyncio.sleep(0.005)
            stalls.append(loop.time() - before - 0.005)
        await looking
        assert len(files(tmp_path)) == 5
        assert sorted(stalls)[-3] < 0.05, f"the loop stood still for {sorted(stalls)[-3:]} s"


async def _until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(8):
        while not condition():
            await asyncio.sleep(0.02)


def test_a_look_is_often_enough_for_the_first_delivery_to_come_within_fifteen_seconds() -> None:
    assert couriers.LOOK_S < 15
