"""What the panel shows survives a restart: the SQLite file of a central system."""

from __future__ import annotations

import sqlite3
from dataclasses import fields
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from simulators.csms import Csms
from simulators.csms.rates import flat
from simulators.csms.state import (
    Activation,
    Company,
    Delivery,
    Device,
    Employee,
    Entry,
    Payment,
    Rate,
    Reading,
    Session,
    State,
    Station,
    Terms,
    Token,
    TokenKind,
    TokenStatus,
)
from simulators.csms.store import LISTS, SINGLE, TABLES, Store
from simulators.errors import Misuse
from simulators.panel import Panel
from tests.simulators.station import booted, now
from tests.simulators.visitor import Visitor

START = {"connectorId": 1, "idTag": "04A1B2C3", "meterStart": 1000}
COMPANY = {"code": "B-1234", "refund": "1", "price": "1", "vat": "1", "currency": "EUR"}
AT = datetime(2026, 11, 24, 12, 0, 0, 123000, tzinfo=UTC)


def everything() -> State:
    """Return a state in which every field has a value that is not its default."""
    token = Token(
        "AB12CD34",
        "NL-1",
        TokenStatus.BLOCKED,
        "GROUP",
        AT,
        AT,
        TokenKind.VIRTUAL,
        "NL-ACM-C00000042-K",
        "ACME",
        "E1",
        "lost",
        "FF00FF00",
        [Entry(AT, "made")],
    )
    device = Device("CP1", "ACME", AT, "linked", "so", AT, ["E1"], ["M1"], "0.1", {"refundPercentage": "5"}, 3)
    device.terms, device.employee, device.told, device.answered = [Terms(AT, {"version": 3})], "E1", "linked", 2
    device.refusal, device.cards_version = "no", 7
    session = Session("CP1", 1, 4, "AB12CD34", AT, Decimal("1000.5"), "m1", flat("0.29", "21"), "80", True)
    session.stopped_at, session.meter_stop_wh, session.stop_reason = AT, Decimal(2000), "Local"
    session.stop_id_tag, session.stop_message, session.unlock = "AB12CD34", "m2", "Unlocked"
    session.readings, session.company, session.employee = [Reading(AT, Decimal("1.5"), "Other")], "ACME", "E1"
    session.paid = Decimal("0.30")
    station = Station("CP1", "Accepted", {"a": 1}, {"1": "Available"}, 2, {"K": "V"}, {"K": AT}, [900], 3, {"A": {}})
    return State(
        {"CP1": station},
        {"ACME": Company("ACME", "Acme BV", Activation.PENDING, "x", {"refundPercentage": "80"}, "17.5")},
        {token.uid: token},
        {"CP1": device},
        [session],
        5,
        flat("0.10", "9"),
        {"E1": Employee("E1", "ACME", "Eva", "17", "NL91ABNA0417164300", False)},
        {"ACME/Standard": Rate("ACME", "Standard", flat("0.29", "21"), {"price": "0.29"})},
        {"CP1 AB12CD34": Delivery("CP1", "AB12CD34", {"uid": "AB12CD34"}, "Failed", AT, "full", 2)},
        [Payment("ACME", "E1", "2026-10", AT, Decimal("0.30"), "EUR", True, [4])],
    )


def test_all_that_a_central_system_knows_comes_back_as_it_was(tmp_path: Path) -> None:
    state, file = everything(), tmp_path / "panel.db"
    with Store(file) as store:
        assert store.load() == State()
        store.save(state)
    with Store(file) as store:
        again = store.load()
        for field in fields(State):
            assert getattr(again, field.name) == getattr(state, field.name), field.name
        assert again == state
    assert file.stat().st_mode & 0o077 == 0


def test_every_part_of_the_state_has_its_place() -> None:
    assert {*TABLES, *SINGLE} == {field.name for field in fields(State)}
    assert {"sessions", "payments"} == LISTS
    assert set(SINGLE) == {"next_transaction", "tariff"}


def test_only_what_changed_is_written_and_what_is_gone_goes(tmp_path: Path) -> None:
    state, file = everything(), tmp_path / "panel.db"
    with Store(file) as store:
        store.load()
        store.save(state)
        store._base.execute("UPDATE employees SET name = 'left alone'")
        state.tokens["AB12CD34"].reason = "stolen"
        del state.deliveries["CP1 AB12CD34"]
        store.save(state)
    with Store(file) as store:
        again = store.load()
    assert again.tokens["AB12CD34"].reason == "stolen"
    assert again.deliveries == {}
    assert again.employees["E1"].name == "left alone"


def test_a_column_that_an_older_release_lacked_has_its_default(tmp_path: Path) -> None:
    state, file = everything(), tmp_path / "panel.db"
    with Store(file) as store:
        store.load()
        store.save(state)
    base = sqlite3.connect(file)
    base.execute("ALTER TABLE employees DROP COLUMN active")
    base.close()
    with Store(file) as store:
        assert store.load().employees["E1"] == Employee("E1", "ACME", "Eva", "17", "NL91ABNA0417164300")


def test_a_file_of_a_newer_release_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "panel.db"
    base = sqlite3.connect(file)
    base.execute("PRAGMA user_version = 99")
    base.close()
    before = file.read_bytes()
    with pytest.raises(Misuse, match="was written by a newer release"):
        Store(file)
    assert file.read_bytes() == before


def test_two_simulators_do_not_share_a_file(tmp_path: Path) -> None:
    with Store(tmp_path / "panel.db"), pytest.raises(Misuse, match="database is locked; another simulator has it"):
        Store(tmp_path / "panel.db")


def test_what_is_no_database_is_said_to_be_none(tmp_path: Path) -> None:
    other = tmp_path / "letter.txt"
    other.write_text("Dear Eva, " * 100)
    with pytest.raises(Misuse, match=r"letter\.txt: file is not a database"):
        Store(other)
    with pytest.raises(Misuse, match="cannot be opened"):
        Store(tmp_path / "no folder" / "panel.db")


def test_without_a_file_nothing_stays() -> None:
    with Store(None) as store:
        store.load()
        store.save(everything())
        assert store.load() == everything()
    with Store(None) as store:
        assert store.load() == State()


async def test_what_cannot_be_kept_is_not_accepted(tmp_path: Path) -> None:
    with Store(tmp_path / "panel.db") as store:
        async with Csms.start(store=store, accept_unknown=True) as csms, booted(csms.url) as cp:
            (pages,) = store._base.execute("PRAGMA page_count").fetchone()
            store._base.execute(f"PRAGMA max_page_count = {pages}")
            csms.state.employees = {str(each): Employee(str(each), "A-1", "x" * 999) for each in range(99)}
            _, _, code, text, _ = await cp.call("StartTransaction", START | {"timestamp": now()}, "resent")
            assert (code, "cannot be written" in text) == ("InternalError", True)
            async with Panel(csms, 0) as panel:
                told = await Visitor(panel.url).post("/companies", "create", name="B", **COMPANY)
                assert (told.status, "cannot be written: database or disk is full" in told.text) == (422, True)
            store._base.execute("PRAGMA max_page_count = 10000")
            assert (await cp.start("resent"))["transactionId"] == 1
    with Store(tmp_path / "panel.db") as store:
        state = store.load()
        assert ([each.transaction_id for each in state.sessions], len(state.employees)) == ([1], 99)
