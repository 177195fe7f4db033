"""How far a session has come on its way to each destination, through a whole life of its messages."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from agent.buffer.deliveries import Counts, Reported, counts
from agent.buffer.ledger import sessions
from agent.buffer.outbox_store import OutboxStore
from agent.buffer.reader import open_reader
from agent.core.facts import Fact, HeldDropped, HeldReleased
from agent.core.model import Reporting
from agent.ports import Acknowledged
from tests.unit.buffer.scripted import EMPTY, Ledger, at, ended, opened, sampled, started


async def commit(ledger: Ledger, *facts: Fact) -> None:
    await ledger.journal.commit(EMPTY, facts, at(100))


async def send(ledger: Ledger, limit: int = 99) -> None:
    await ledger.outbox.sending([(row.message.row, "[2]") for row in await ledger.outbox.rows(limit)])


def states(state_dir: Path) -> list[tuple[str, str]]:
    """Return of each session its state at the cloud, and whether it is reported."""
    with open_reader(state_dir) as connection:
        return [(r.delivery[0].state.value, r.reporting.value) for r in sessions(connection)]


async def test_a_session_is_queued_sent_confirmed_and_reported(tmp_path: Path) -> None:
    async with opened(tmp_path) as ledger:
        await commit(ledger, started(), sampled())
        assert states(tmp_path) == [("queued", "pending")]
        await send(ledger, 1)
        assert states(tmp_path) == [("queued", "pending")]
        await send(ledger)
        assert states(tmp_path) == [("sent", "pending")]
        await ledger.acknowledge_head(42)
        await ledger.acknowledge_head()
        assert states(tmp_path) == [("confirmed", "pending")]  # as far as it has come
        await commit(ledger, ended(seq=2))
        assert states(tmp_path) == [("queued", "pending")]
        await ledger.acknowledge_head()
        assert states(tmp_path) == [("confirmed", "reported")]


async def test_a_held_session_is_recorded_then_queued_or_stays_here(tmp_path: Path) -> None:
    async with opened(tmp_path) as ledger:
        await commit(ledger, started("a", reporting=Reporting.HOLD, company_code="A"), ended("a"))
        await commit(ledger, started("b", reporting=Reporting.HOLD, company_code="B"), ended("b"))
        assert states(tmp_path) == [("recorded", "pending")] * 2
        await commit(ledger, HeldReleased("A"), HeldDropped("B"))
        assert states(tmp_path) == [("queued", "pending"), ("none", "local-only")]


async def test_a_session_whose_start_or_end_was_given_up_has_failed(tmp_path: Path) -> None:
    async with opened(tmp_path) as ledger:
        await commit(ledger, started("start"), ended("start"))
        await ledger.give_up_head("start refused")
        assert states(tmp_path) == [("refused", "failed")]
        await ledger.acknowledge_head()
        await commit(ledger, started("end"), ended("end"))
        await ledger.acknowledge_head(1)
        await ledger.give_up_head("end refused")
        assert states(tmp_path) == [("refused", "failed")] * 2
        with open_reader(tmp_path) as connection:
            assert [r.delivery[0].error for r in sessions(connection)] == ["start refused", "end refused"]


async def test_a_refused_sample_is_shown_but_fails_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as ledger:
        await commit(ledger, started(), sampled(), ended(seq=2))
        await ledger.acknowledge_head(1)
        await ledger.give_up_head("no such measurand")
        await ledger.acknowledge_head()
        assert states(tmp_path) == [("confirmed", "reported")]
        with open_reader(tmp_path) as connection:
            assert [r.delivery[0].error for r in sessions(connection)] == ["no such measurand"]


async def test_the_error_of_the_last_try_is_shown_until_the_message_is_confirmed(tmp_path: Path) -> None:
    async with opened(tmp_path) as ledger:
        await commit(ledger, started())
        (row,) = await ledger.outbox.rows(1)
        await ledger.outbox.failed(replace(row.message, attempts=1, error="InternalError"))
        with open_reader(tmp_path) as connection:
            assert [r.delivery[0].error for r in sessions(connection)] == ["InternalError"]
        await ledger.acknowledge_head(1)
        with open_reader(tmp_path) as connection:
            assert [r.delivery[0].error for r in sessions(connection)] == [None]


async def test_only_the_cloud_says_whether_a_session_is_reported_and_it_comes_first(tmp_path: Path) -> None:
    async with opened(tmp_path, "a-registrant", "cloud") as ledger:
        await commit(ledger, started(), ended())
        registrant = OutboxStore(ledger.database, "a-registrant")
        for row in await registrant.rows(9):
            await registrant.acknowledge([Acknowledged(row.message.row, at(1), "theirs")])
        with open_reader(tmp_path) as connection:
            (record,) = sessions(connection)
            assert [(d.to, d.state.value) for d in record.delivery] == [
                ("cloud", "queued"),
                ("a-registrant", "confirmed"),
            ]
            assert (record.reporting, record.transaction_id) == (Reported.PENDING, None)


async def test_messages_are_counted_per_destination_and_in_all(tmp_path: Path) -> None:
    async with opened(tmp_path, "cloud", "ere") as ledger:
        await commit(ledger, started(), sampled(), ended(seq=2))
        await commit(ledger, started("held", reporting=Reporting.HOLD, company_code="A"))
        await ledger.acknowledge_head(1)
        await ledger.give_up_head()
        with open_reader(tmp_path) as connection:
            assert counts(connection, "cloud") == Counts(queued=1, quarantined=1)
            assert counts(connection, "ere") == Counts(queued=3, quarantined=0)
            assert counts(connection) == Counts(queued=4, quarantined=1)
            assert counts(connection, "nobody") == Counts(queued=0, quarantined=0)
