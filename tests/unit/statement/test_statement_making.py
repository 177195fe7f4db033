"""What a statement is made of: sums, cards, currencies, and the state of a month."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.buffer.deliveries import CLOUD, Delivery, DeliveryState, Reported
from agent.buffer.ledger import SessionRecord
from agent.core.model import IdToken, Quality, Wh
from agent.core.tariff import Basis
from agent.statement.making import sums
from agent.statement.model import Origin, Pricing, State
from tests.unit.statement import book

DURING = datetime(2026, 11, 25, tzinfo=UTC)


def test_the_totals_are_the_sums_of_the_lines() -> None:
    records = book.month(31)
    totals = book.statement(records).totals
    assert totals.sessions == 31
    assert totals.energy == sum(r.energy for r in records if r.energy)
    assert totals.cost is not None
    assert totals.cost.incl_vat == sum(r.cost.incl_vat for r in records if r.cost)
    assert totals.refund == sum(r.refund.amount for r in records if r.refund)
    assert totals.percentage is None


def test_each_card_and_profile_has_a_part_of_its_own() -> None:
    statement = book.statement(book.month(31))
    assert [card.label for card in statement.cards] == ["62E30860", "DE-ACM-C12345678-9", "NL-WEX-CNQPWFBEK"]
    assert sum(card.sums.sessions for card in statement.cards) == 31


def test_a_card_is_one_card_however_its_letters_are_written() -> None:
    records = [book.session(1, id_token=IdToken("ab12")), book.session(2, id_token=IdToken("AB12"))]
    (card,) = book.statement(records).cards
    assert card.sums.sessions == 2


def test_a_month_without_sessions_has_sums_of_nothing() -> None:
    totals = book.statement([]).totals
    assert (totals.sessions, totals.energy, totals.refund) == (0, Decimal(0), Decimal("0.00"))
    assert totals.cost is not None
    assert (totals.cost.currency, totals.cost.incl_vat) == ("EUR", Decimal("0.00"))
    unknown = book.statement([], replace(book.SITE, currency=None)).totals
    assert (unknown.cost, unknown.refund) == (None, None)


def test_several_currencies_are_not_added_up() -> None:
    cost = book.cost_of({"energy": "2.18"}, currency="CHF")
    records = [book.session(1), book.session(2, cost=cost, refund=book.refund_of(cost))]
    statement = book.statement(records)
    assert (statement.currency, statement.totals.cost, statement.totals.refund) == (None, None, None)
    assert statement.totals.energy == 2 * Decimal(7522)


def test_a_session_without_a_price_is_in_the_energy_and_in_no_amount() -> None:
    totals = book.statement([book.session(1), book.session(2, cost=None, refund=None)]).totals
    assert (totals.sessions, totals.unpriced, totals.energy) == (2, 1, Decimal(15_044))
    assert totals.cost is not None
    assert totals.cost.incl_vat == Decimal("2.64")


def test_an_open_session_counts_in_no_sum() -> None:
    statement = book.statement([book.session(1), book.running()], now=DURING)
    assert statement.totals.sessions == statement.cards[0].sums.sessions == 1
    assert len(statement.lines) == len(statement.cards[0].lines) == 2


@pytest.mark.parametrize(
    ("records", "now", "state"),
    [
        ([book.session()], DURING, State.IN_PROGRESS),
        ([], DURING, State.IN_PROGRESS),
        ([book.session()], book.LATER, State.COMPLETED),
        ([], book.LATER, State.COMPLETED),
        ([book.session(), book.running()], book.LATER, State.IN_PROGRESS),
        ([book.session(reporting=Reported.PENDING)], book.LATER, State.PENDING),
        ([book.session(reporting=Reported.FAILED)], book.LATER, State.COMPLETED),
        ([book.session(reporting=Reported.LOCAL_ONLY, delivery=())], book.LATER, State.COMPLETED),
        ([book.session(delivery=(Delivery("ere", DeliveryState.QUEUED),))], book.LATER, State.PENDING),
        ([book.session(delivery=(Delivery("ere", DeliveryState.SENT),))], book.LATER, State.PENDING),
        ([book.session(delivery=(Delivery(CLOUD, DeliveryState.REFUSED),))], book.LATER, State.COMPLETED),
    ],
)
def test_the_state_of_a_month(records: list[SessionRecord], now: datetime, state: State) -> None:
    assert book.statement(records, now=now).state is state


def test_a_month_ends_at_local_midnight_and_not_before() -> None:
    end = book.NOVEMBER.end(book.SITE.zone)
    assert book.statement([], now=end - timedelta(seconds=1)).state is State.IN_PROGRESS
    assert book.statement([], now=end).state is State.COMPLETED


def test_a_session_whose_hourly_prices_are_not_known_yet_keeps_the_month_pending() -> None:
    record = book.session(cost=None, refund=None)
    origins = {record.id: Origin(pricing=Pricing(Basis.HOURLY))}
    assert book.statement([record], origins=origins).state is State.PENDING
    assert book.statement([record]).state is State.COMPLETED


def test_the_newest_basis_comes_last_and_those_of_the_year_are_named() -> None:
    records = [book.session(1), book.session(2)]
    flat = Pricing(Basis.FLAT, Decimal("0.34"), "EUR")
    origins = {records[0].id: Origin(pricing=book.TARIFF), records[1].id: Origin(pricing=flat)}
    statement = book.statement(records, origins=origins, bases=frozenset(Basis))
    assert statement.pricings == (book.TARIFF, flat)
    assert statement.others == {Basis.HOURLY}


def test_a_month_without_sessions_has_the_basis_of_the_configuration() -> None:
    assert book.statement([], replace(book.SITE, basis=Basis.FLAT)).pricings == (Pricing(Basis.FLAT),)


def test_meters_that_were_exchanged_are_both_named() -> None:
    records = [book.session(1), book.session(2), book.session(3)]
    serials = ("23004711", "23004711", "23009999")
    origins = {r.id: Origin(serial=s) for r, s in zip(records, serials, strict=True)}
    assert book.statement(records, origins=origins).serials == {1: ("23004711", "23009999")}


def test_a_statement_is_dated_by_itself_and_not_by_the_clock() -> None:
    records = [book.session()]
    assert book.statement(records).dated == book.NOVEMBER.end(book.SITE.zone)
    assert book.statement(records, now=DURING).dated == records[0].stopped_at


CENTS = st.decimals(0, 9999, places=2)
COSTS = st.fixed_dictionaries(dict.fromkeys(("energy", "time", "fixed", "parking", "reservation", "surcharge"), CENTS))
RECORDS = st.lists(
    st.tuples(COSTS, st.integers(0, 90_000), st.sampled_from(("100", "80", "33.33")), st.sampled_from(book.CARDS)),
    max_size=40,
)


@given(RECORDS)
def test_cards_add_up_to_the_totals_whatever_the_month(
    drawn: list[tuple[dict[str, Decimal], int, str, tuple[str, str | None, str | None, str | None]]],
) -> None:
    records = []
    for number, (parts, energy, percentage, (uid, label, _, _)) in enumerate(drawn):
        cost = book.cost_of(dict(parts))
        end = Wh(Decimal(1_234_567 + energy))
        records.append(
            book.session(
                number,
                cost=cost,
                refund=book.refund_of(cost, percentage),
                meter_stop=end,
                id_token=IdToken(uid),
                card=label,
            )
        )
    statement = book.statement(records)
    totals = statement.totals
    assert totals.energy == sum(card.sums.energy for card in statement.cards)
    assert totals.cost is not None
    for name in ("energy", "time", "fixed", "parking", "reservation", "surcharge", "excl_vat", "vat", "incl_vat"):
        assert getattr(totals.cost, name) == sum(getattr(card.sums.cost, name) for card in statement.cards)
        assert getattr(totals.cost, name) == sum(getattr(r.cost, name) for r in records)
    assert totals.refund == sum((r.refund.amount for r in records if r.refund), Decimal(0))
    assert totals.cost.incl_vat == totals.cost.excl_vat + totals.cost.vat


def test_sums_do_not_ask_for_a_quality() -> None:
    assert sums([book.session(quality=(Quality.METER_GAP,))], "EUR").sessions == 1
