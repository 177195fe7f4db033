"""The read side on real files: records and their JSON exactly as the contract shows it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from agent.buffer.ledger import (
    Kept,
    SessionRecord,
    cards,
    kept,
    last_verdict,
    session,
    sessions,
    to_full_json,
    to_json,
)
from agent.buffer.reader import open_reader
from agent.buffer.timeline import Trust
from agent.cli import card_list
from agent.core.company import Company, CompanySettings, LinkState
from agent.core.facts import Period
from agent.core.instant import Instant, TimeStatus
from agent.core.model import IdToken, Profile, Quality, Reporting, StopReason, TokenInfo, TokenStatus, Wh
from agent.core.settings import Overrides
from agent.core.state import Cached, Card, Tokens
from agent.core.tariff import Cost, Dimension, Element, PriceComponent, Tariff, Terms
from tests.unit.buffer.scripted import EMPTY, NEW_YEAR, at, ended, opened, sampled, started

START = datetime(2026, 11, 21, 20, 15, 3, 120_000, tzinfo=UTC)
STOP = datetime(2026, 11, 21, 23, 41, 59, tzinfo=UTC)
ZERO = Decimal("0.00")
COST = Cost("EUR", Decimal("2.18"), ZERO, ZERO, ZERO, ZERO, ZERO, Decimal("2.18"), Decimal("0.46"))
TARIFF = Tariff("EUR", (Element((PriceComponent(Dimension.ENERGY, Decimal("0.29"), Decimal(21)),)),))
TERMS = Terms(TARIFF, "Europe/Amsterdam", Decimal("100.0"))
ID = "019a1b2c-0000-7000-8000-000000000001"


def closed_session() -> tuple[Any, Any]:
    start = started(ID, Instant(100.0, START), id_token=IdToken("04a1b2c3d4e5f6"), terms=TERMS)
    start = replace(start, reading=replace(start.reading, register=Wh(Decimal("1234567.0"))))
    period = Period(Instant(100.0, START), Wh(Decimal(7522)), Decimal("0.2900"))
    end = ended(ID, 1, Instant(12515.88, STOP), register=Wh(Decimal(1242089)), periods=(period,), cost=COST)
    return start, replace(end, refund=Decimal("2.64"))


def read(state_dir: Path, since: datetime | None = None, until: datetime | None = None) -> list[SessionRecord]:
    with open_reader(state_dir) as connection:
        return sessions(connection, since=since, until=until)


async def test_a_reported_session_looks_as_the_contract_shows_it(tmp_path: Path) -> None:
    card = Card(IdToken("04A1B2C3D4E5F6"), number="NL-WEX-CNQPWFBEK")
    async with opened(tmp_path) as ledger:
        slices = replace(EMPTY, tokens=Tokens(cards={card.id_token.key: card}))
        await ledger.journal.commit(slices, closed_session(), at(1))
        await ledger.acknowledge_head(42)
        await ledger.acknowledge_head()
        (record,) = read(tmp_path)
    shown = json.loads(json.dumps(to_json(record)))
    assert shown == {
        "id": ID,
        "connector": 1,
        "transaction_id": 42,
        "id_tag": "04a1b2c3d4e5f6",
        "card": "NL-WEX-CNQPWFBEK",
        "profile": "fleet",
        "started_at": "2026-11-21T20:15:03.120Z",
        "stopped_at": "2026-11-21T23:41:59.000Z",
        "clock": "synchronised",
        "meter_start_wh": 1234567.0,
        "meter_stop_wh": 1242089.0,
        "energy_wh": 7522.0,
        "stop_reason": "EVDisconnected",
        "state": "closed",
        "reporting": "reported",
        "quality": ["measured"],
        "delivery": [{"to": "cloud", "state": "confirmed", "error": None}],
        "cost": {
            "currency": "EUR",
            "excl_vat": "2.18",
            "vat": "0.46",
            "incl_vat": "2.64",
            "energy": "2.18",
            "time": "0.00",
            "fixed": "0.00",
            "parking": "0.00",
            "reservation": "0.00",
            "surcharge": "0.00",
        },
        "refund": {"percentage": "100", "amount": "2.64"},
    }
    full = to_full_json(record)
    assert {key: value for key, value in full.items() if key not in shown} == {
        "periods": [{"start": "2026-11-21T20:15:03.120Z", "energy_wh": 7522.0, "price": "0.29"}],
        "odometer_km": None,
        "note": None,
    }


async def test_an_open_session_has_null_for_what_it_has_not_yet(tmp_path: Path) -> None:
    async with opened(tmp_path) as ledger:
        await ledger.journal.commit(EMPTY, [started(terms=TERMS), sampled()], at(1))
        (record,) = read(tmp_path)
    shown = to_full_json(record)
    missing = ("stopped_at", "meter_stop_wh", "energy_wh", "stop_reason", "cost", "refund", "transaction_id", "card")
    assert {key: shown[key] for key in missing} == dict.fromkeys(missing)
    assert (shown["state"], shown["reporting"], shown["quality"], shown["periods"]) == (
        "open",
        "pending",
        ["measured"],
        [],
    )
    assert record.duration_s is None


async def test_a_session_without_tariff_costs_null_and_a_private_one_is_not_refunded(tmp_path: Path) -> None:
    private = started(
        "private", profile=Profile.PRIVATE, terms=replace(TERMS, refund=None), reporting=Reporting.LOCAL_ONLY
    )
    async with opened(tmp_path) as ledger:
        await ledger.journal.commit(EMPTY, [started("free"), ended("free")], at(1))
        await ledger.journal.commit(EMPTY, [private, ended("private", cost=COST)], at(1))
    free, own = (to_json(record) for record in read(tmp_path))
    assert (free["cost"], free["refund"]) == (None, None)
    assert (own["refund"], own["profile"], own["reporting"]) == (None, "private", "local-only")
    assert own["delivery"] == [{"to": "cloud", "state": "none", "error": None}]
    assert own["cost"] is not None


async def test_sessions_are_listed_from_the_oldest_on_and_within_limits(tmp_path: Path) -> None:
    async with opened(tmp_path) as ledger:
        for n, name in enumerate("cab"):
            await ledger.journal.commit(EMPTY, [started(name, at(n * 100)), ended(name, 1, at(n * 100 + 50))], at(1))
        await ledger.journal.commit(EMPTY, [started("open", at(400))], at(1))
    assert [r.id for r in read(tmp_path)] == ["c", "a", "b", "open"]
    after, before = NEW_YEAR + timedelta(seconds=150), NEW_YEAR + timedelta(seconds=400)
    assert [r.id for r in read(tmp_path, since=after)] == ["a", "b", "open"]
    assert [r.id for r in read(tmp_path, since=NEW_YEAR + timedelta(seconds=900))] == ["open"]  # it ends later still
    assert [r.id for r in read(tmp_path, since=after, until=before)] == ["a", "b"]
    assert [r.id for r in read(tmp_path, until=after)] == ["c"]


async def test_one_session_is_found_by_its_id(tmp_path: Path) -> None:
    async with opened(tmp_path) as ledger:
        await ledger.journal.commit(EMPTY, [started("a"), ended("a"), started("b")], at(1))
        await ledger.acknowledge_head(1)
    with open_reader(tmp_path) as connection:
        found = session(connection, "a")
        assert session(connection, "c") is None
        assert [found, session(connection, "b")] == sessions(connection)
    assert found is not None
    assert (found.transaction_id, found.stop_reason) == (1, StopReason.EV_DISCONNECTED)


async def test_stamps_from_before_the_clock_was_known_are_shown_right_and_named_so(tmp_path: Path) -> None:
    def unset(mono: float) -> Instant:
        return Instant(mono, datetime(1970, 1, 1, tzinfo=UTC), TimeStatus.UNKNOWN)

    period = Period(unset(10), Wh(Decimal(1)), Decimal("0.2"))
    async with opened(tmp_path) as ledger:
        await ledger.journal.commit(
            EMPTY, [started("a", unset(10)), ended("a", 1, unset(20), periods=(period,))], unset(20)
        )
        assert [r.clock for r in read(tmp_path)] == [Trust.ESTIMATED]
        await ledger.journal.commit(EMPTY, [started("b", unset(25)), ended("b", 1, at(50))], at(50))
        first, second = read(tmp_path)
    assert (first.started_at, first.stopped_at) == (NEW_YEAR + timedelta(seconds=10), NEW_YEAR + timedelta(seconds=20))
    assert (first.clock, second.clock) == (Trust.CORRECTED, Trust.CORRECTED)
    assert to_full_json(first)["periods"] == [{"start": "2026-01-01T00:00:10.000Z", "energy_wh": 1.0, "price": "0.20"}]


@pytest.mark.parametrize(
    ("end", "seconds"),
    [
        (Instant(70.0, NEW_YEAR + timedelta(hours=9)), "60.000"),  # the wall clock was put right meanwhile
        (Instant(5.0, NEW_YEAR + timedelta(seconds=130), boot=2), "120.000"),
        (Instant(9.0, NEW_YEAR), "0.000"),
    ],
)
async def test_durations_come_from_the_monotonic_clock_within_one_boot(
    tmp_path: Path, end: Instant, seconds: str
) -> None:
    async with opened(tmp_path) as ledger:
        await ledger.journal.commit(EMPTY, [started(moment=at(10)), ended(moment=end)], at(1))
    assert [r.duration_s for r in read(tmp_path)] == [Decimal(seconds)]


async def test_energy_and_marks_are_those_of_the_end(tmp_path: Path) -> None:
    marks = (Quality.RECONSTRUCTED, Quality.METER_GAP)
    async with opened(tmp_path) as ledger:
        await ledger.journal.commit(EMPTY, [started(), ended(register=Wh(Decimal("1001.7")), quality=marks)], at(1))
    (record,) = read(tmp_path)
    assert (record.energy, record.quality) == (Decimal(1), marks)
    assert to_json(record)["quality"] == ["reconstructed", "meter-gap"]


async def test_the_number_of_a_card_is_found_however_its_token_is_written(tmp_path: Path) -> None:
    cards_known = {"04A1B2C3D4E5F6": Card(IdToken("04A1b2c3d4e5f6"), number="NL-1")}
    async with opened(tmp_path) as ledger:
        slices = replace(EMPTY, tokens=Tokens(cards=cards_known))
        await ledger.journal.commit(slices, [started(), started("other", id_token=IdToken("FF"))], at(1))
    assert [r.card for r in read(tmp_path)] == ["NL-1", None]


@pytest.mark.parametrize(
    ("price", "shown"), [("0.29", "0.29"), ("0.2", "0.20"), ("0.29125", "0.29125"), ("1E+1", "10.00")]
)
async def test_prices_have_at_least_two_places(tmp_path: Path, price: str, shown: str) -> None:
    periods = (Period(at(1), Wh(Decimal(1)), Decimal(price)),)
    async with opened(tmp_path) as ledger:
        await ledger.journal.commit(EMPTY, [started(), ended(periods=periods)], at(1))
    assert [to_full_json(r)["periods"] for r in read(tmp_path)] == [
        [{"start": "2026-01-01T00:00:01.000Z", "energy_wh": 1.0, "price": shown}]
    ]


@pytest.mark.parametrize(
    ("percentage", "shown"), [("100", "100"), ("100.00", "100"), ("1E+1", "10"), ("87.50", "87.5")]
)
async def test_percentages_are_written_plainly(tmp_path: Path, percentage: str, shown: str) -> None:
    terms = replace(TERMS, refund=Decimal(percentage))
    async with opened(tmp_path) as ledger:
        await ledger.journal.commit(EMPTY, [started(terms=terms), ended(cost=COST, refund=Decimal("2.6"))], at(1))
    assert [to_json(r)["refund"] for r in read(tmp_path)] == [{"percentage": shown, "amount": "2.60"}]


async def test_cards_are_listed_with_what_is_known_of_them(tmp_path: Path) -> None:
    known = [
        Card(IdToken("04B1"), Profile.PRIVATE, "NL-2", "NL-EMA-2", "Anna"),
        Card(IdToken("04A1"), blocked="lost"),
        Card(IdToken("04C1"), blocked=""),
    ]
    async with opened(tmp_path) as ledger:
        slices = replace(EMPTY, tokens=Tokens(cards={card.id_token.key: card for card in known}))
        await ledger.journal.commit(slices, [], at(1))
    with open_reader(tmp_path) as connection:
        shown = [card_list.to_json(card) for card in cards(connection)]
    keys = ("id_tag", "card", "ema_id", "name", "profile", "status", "reason")
    assert [tuple(card[key] for key in keys) for card in shown] == [
        ("04A1", None, None, None, "fleet", "blocked", "lost"),
        ("04B1", "NL-2", "NL-EMA-2", "Anna", "private", "active", None),
        ("04C1", None, None, None, "fleet", "blocked", None),
    ]


# ---- settings, link and verdicts -------------------------------------------------------------------------------------


async def test_a_ledger_without_changes_keeps_neither_settings_nor_a_link(tmp_path: Path) -> None:
    async with opened(tmp_path) as ledger:
        with open_reader(tmp_path) as connection:
            assert kept(connection) == Kept()
        await ledger.journal.commit(EMPTY, [], at(1))
    with open_reader(tmp_path) as connection:
        assert kept(connection) == Kept()


async def test_changed_settings_and_the_company_link_are_read_back(tmp_path: Path) -> None:
    changed = Overrides((("heartbeat_interval_s", 60), ("cache_enabled", False), ("sampled_measurands", ("Voltage",))))
    company = Company("ACME-7F3K", LinkState.LINKED, "Acme BV", settings=CompanySettings(7))
    async with opened(tmp_path) as ledger:
        await ledger.journal.commit(replace(EMPTY, overrides=changed, company=company), [], at(1))
        with open_reader(tmp_path) as connection:
            assert kept(connection) == Kept(changed, company)


async def test_the_last_verdict_about_a_token_is_found_in_any_spelling(tmp_path: Path) -> None:
    token = IdToken("04a1b2c3")
    verdict = Cached(token, TokenInfo(TokenStatus.BLOCKED), at(5))
    async with opened(tmp_path) as ledger:
        await ledger.journal.commit(replace(EMPTY, tokens=Tokens(cache={token.key: verdict})), [], at(6))
        with open_reader(tmp_path) as connection:
            assert last_verdict(connection, IdToken("04A1B2C3")) == verdict
            assert last_verdict(connection, IdToken("04A1B2C4")) is None
