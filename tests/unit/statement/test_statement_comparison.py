"""The comparison with what a central system bills: records of any form, matched, and each difference with its cause."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.buffer.deliveries import Reported
from agent.buffer.ledger import Refund, SessionRecord
from agent.core.model import IdToken, Profile, Wh
from agent.statement.claims import Claim, claims_of
from agent.statement.comparison import Comparison, Difference, compared
from agent.statement.files import Form, made
from agent.statement.month import Month
from tests.unit.statement import book

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
RECORD = book.session()


def claim(record: SessionRecord = RECORD, **changes: Any) -> Claim:  # noqa: ANN401  # any field of a claim
    """Return what a central system bills that agrees with a session, or does not."""
    cost, refund = record.cost, record.refund
    assert cost is not None
    amounts = {
        name: getattr(cost, name) for name in ("energy", "time", "fixed", "parking", "excl_vat", "vat", "incl_vat")
    }
    agreed = Claim(
        "line 2", "CDR-1", str(record.transaction_id), record.id_token.value, record.started_at, record.stopped_at,
        record.energy, currency="EUR", amounts={**amounts, **({"refund": refund.amount} if refund else {})},
    )  # fmt: skip
    return replace(agreed, **changes)


def more(own: Claim, **amounts: str) -> Claim:
    """Return a claim with other amounts."""
    return replace(own, amounts={**own.amounts, **{name: Decimal(amount) for name, amount in amounts.items()}})


def differences(
    claims: list[Claim], records: list[SessionRecord] | None = None, only: Month | None = None
) -> tuple[Difference, ...]:
    return compared(claims, [RECORD] if records is None else records, AMSTERDAM, only).differences


def causes(*claims: Claim) -> dict[str, str]:
    return {one.field: one.cause for one in differences(list(claims))}


# ---- agreement -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format_", ["ocpi", "csv"])
def test_the_stations_own_file_agrees_with_its_ledger(format_: str) -> None:
    statement = book.typical(31)
    claims = claims_of(made(statement, format_, Form()), AMSTERDAM)
    result = compared(claims, list(statement.records), AMSTERDAM)
    assert result.differences == ()
    assert result.months == (book.NOVEMBER,)
    assert result.agent == result.cloud


def test_the_spreadsheets_flavour_agrees_too() -> None:
    statement = book.typical(31)
    claims = claims_of(made(statement, "csv", Form(csv_flavour="excel")), AMSTERDAM)
    assert compared(claims, list(statement.records), AMSTERDAM).differences == ()


def test_a_claim_that_agrees_has_no_difference() -> None:
    assert differences([claim()]) == ()
    assert differences([]) == ()


def test_what_is_not_told_is_not_compared() -> None:
    assert differences([Claim("line 2", session="1", start=RECORD.started_at)]) == ()


# ---- sessions of one side --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reporting", "words"),
    [
        (Reported.REPORTED, "does not bill it"),
        (Reported.PENDING, "has not reached the central system yet"),
        (Reported.FAILED, "refused it"),
        (Reported.LOCAL_ONLY, "never leaves the station"),
    ],
)
def test_a_session_that_is_not_billed_is_told_with_why(reporting: Reported, words: str) -> None:
    other = book.session(2, reporting=reporting, started_at=RECORD.started_at - timedelta(days=2), transaction_id=None)
    (one,) = differences([claim()], [other, RECORD])
    assert (one.session, one.cdr, one.field, one.amount) == (other.id, None, "session", Decimal("-2.64"))
    assert words in one.cause


def test_a_private_session_that_is_not_billed_is_no_difference() -> None:
    other = book.session(2, profile=Profile.PRIVATE, reporting=Reported.LOCAL_ONLY)
    assert differences([claim()], [RECORD, other]) == ()


def test_a_private_session_that_is_billed_is_one() -> None:
    private = replace(RECORD, profile=Profile.PRIVATE)
    (one,) = differences([claim()], [private])
    assert "private session" in one.cause


def test_a_record_of_no_session_is_told() -> None:
    strange = claim(start=RECORD.started_at + timedelta(days=3), end=None, session="777", id="CDR-9")
    one = differences([claim(), strange])[0]
    assert (one.session, one.cdr, one.amount) == (None, "CDR-9", Decimal("2.64"))
    assert "the ledger has no such session" in one.cause


def test_a_session_billed_twice_is_told() -> None:
    (one,) = differences([claim(), claim(id="CDR-2", session=None)])
    assert (one.cdr, one.amount) == ("CDR-2", Decimal("2.64"))
    assert "billed twice" in one.cause


def test_sessions_of_other_months_are_not_asked_for() -> None:
    october = book.session(
        2, started_at=RECORD.started_at - timedelta(days=30), stopped_at=RECORD.started_at - timedelta(days=30)
    )
    assert differences([claim()], [october, RECORD]) == ()
    (one,) = differences([], [october, RECORD], Month(2026, 10))
    assert one.session == october.id


def test_only_one_month_is_compared_where_one_is_named() -> None:
    october = book.session(
        2, started_at=RECORD.started_at - timedelta(days=30), stopped_at=RECORD.started_at - timedelta(days=30)
    )
    wrong = more(claim(october), incl_vat="9.99")
    result = compared([claim(), wrong], [october, RECORD], AMSTERDAM, book.NOVEMBER)
    assert (result.differences, result.cloud.sessions, result.agent.sessions) == ((), 1, 1)


# ---- matching --------------------------------------------------------------------------------------------------------


def test_a_session_is_found_by_its_own_id_by_its_transaction_or_by_card_and_start() -> None:
    for name in (
        {"id": RECORD.id.upper()},
        {"session": RECORD.id},
        {"session": "1"},
        {"session": None, "uid": "04a1b2c3d4e5f6"},
    ):
        assert differences([claim(**name, start=RECORD.started_at + timedelta(milliseconds=900))]) == ()


def test_a_number_that_another_station_has_too_does_not_match() -> None:
    far = claim(start=RECORD.started_at + timedelta(days=9), uid="OTHER")
    assert "no such session" in differences([far], [RECORD])[0].cause


def test_sessions_close_to_each_other_keep_their_records() -> None:
    records = [
        book.session(n, transaction_id=None, started_at=RECORD.started_at + timedelta(seconds=40 * n))
        for n in range(1, 5)
    ]
    claims = [replace(claim(r), session=None, id=f"C{n}") for n, r in enumerate(records)]
    assert differences(claims[::-1], records) == ()


def test_another_card_at_the_same_time_is_another_session() -> None:
    assert len(differences([claim(session=None, uid="FFFFFFFF")])) == 2


def test_a_card_is_found_by_the_number_printed_on_it() -> None:
    assert differences([claim(session=None, uid="nl-wex-cnqpwfbek")]) == ()


def test_a_clock_in_another_time_zone_is_told_as_such() -> None:
    hour = timedelta(hours=1)
    shifted = claim(
        session=None,
        start=RECORD.started_at + hour,
        end=RECORD.started_at + timedelta(seconds=12415, milliseconds=880) + hour,
    )
    told = causes(shifted)
    assert set(told) == {"start", "end"}
    assert told["start"] == "another time zone: +1.0 h apart"


def test_another_moment_is_told() -> None:
    told = causes(claim(end=RECORD.started_at + timedelta(seconds=12500)))
    assert "another moment" in told["end"]


# ---- causes ----------------------------------------------------------------------------------------------------------


def test_another_price_is_told_per_kwh() -> None:
    told = causes(more(claim(), energy="2.26", excl_vat="2.26", vat="0.47", incl_vat="2.73", refund="2.73"))
    assert told["energy"] == "another price: 0.2898 here, 0.3005 there, on average per kWh"
    assert told["excl_vat"] == "follows from energy"
    assert told["vat"] == "follows from energy, excl_vat"
    assert told["incl_vat"] == "follows from excl_vat, vat"
    assert told["refund"] == "follows from the amounts above"


def test_every_difference_is_told_to_the_cent() -> None:
    (one,) = differences([more(claim(), incl_vat="2.65")])
    assert (one.field, one.agent, one.cloud, one.amount, one.cause) == (
        "incl_vat",
        "2.64",
        "2.65",
        Decimal("0.01"),
        "rounding of a cent",
    )


def test_other_energy_is_the_cause_of_another_cost() -> None:
    told = causes(more(claim(energy=Decimal(8000)), energy="2.32"))
    assert "other readings than the meter's register (here: measured)" in told["energy_wh"]
    assert told["energy"] == "follows from energy_wh"


def test_registers_that_differ_are_the_cause_of_other_energy() -> None:
    told = causes(claim(energy=Decimal(7622), meter_start=RECORD.meter_start, meter_stop=Decimal(1_242_189)))
    assert told["meter_stop_wh"] == "another register reading"
    assert told["energy_wh"] == "follows from meter_stop_wh"


def test_energy_that_is_told_coarsely_agrees_when_it_is_rounded_right() -> None:
    assert causes(claim(energy=Decimal(7520), step=Decimal(10))) == {}
    assert "energy_wh" in causes(claim(energy=Decimal(7530), step=Decimal(10)))


def test_kwh_taken_for_wh_are_told() -> None:
    assert causes(claim(energy=Decimal("7.522")))["energy_wh"] == "kWh were taken for Wh"


def test_a_component_of_one_side_alone_is_told() -> None:
    told = causes(more(claim(), fixed="0.50", excl_vat="2.68"))
    assert told["fixed"] == "only the central system charges fixed"
    assert told["excl_vat"] == "follows from fixed"
    cost = book.cost_of({"energy": "2.18", "parking": "1.00"})
    record = book.session(cost=cost, refund=book.refund_of(cost))
    (one,) = [d for d in differences([more(claim(record), parking="0")], [record]) if d.field == "parking"]
    assert one.cause == "only the station charges parking"


def test_another_rate_of_vat_is_told() -> None:
    told = causes(more(claim(), vat="0.41", incl_vat="2.59"))
    assert told["vat"] == "another rate of VAT: 21.1 % here, 18.8 % there"
    assert told["incl_vat"] == "follows from vat"
    bare = replace(claim(), amounts={"incl_vat": Decimal("2.59"), "excl_vat": Decimal("2.18")})
    assert causes(bare)["incl_vat"] == "another rate of VAT: 21.1 % here, 18.8 % there"


def test_another_percentage_of_the_refund_is_told() -> None:
    assert causes(more(claim(), refund="2.11"))["refund"] == "another percentage: 100 % here, about 79.9 % there"


def test_another_currency_is_told_and_nothing_else_of_the_money() -> None:
    assert causes(more(claim(currency="CHF"), incl_vat="9.99")) == {
        "currency": "another currency: amounts are not compared"
    }


def test_a_total_alone_is_explained_by_price_or_energy() -> None:
    total = replace(claim(), amounts={"excl_vat": Decimal("2.60")})
    assert causes(total)["excl_vat"].startswith("another price: 0.2898 here, 0.3457 there")
    assert causes(replace(total, energy=Decimal(9000)))["excl_vat"] == "follows from energy_wh"


def test_a_session_without_a_price_here_is_told() -> None:
    record = book.session(cost=None, refund=None)
    (one,) = differences([claim()], [record])
    assert (one.field, one.amount, one.cause) == (
        "cost",
        Decimal("2.64"),
        "no price was known here when the session ended",
    )


def test_a_session_without_energy_that_costs_there_is_told() -> None:
    cost = book.cost_of({"energy": "0.10"})
    record = book.session(meter_stop=RECORD.meter_start, cost=cost, refund=Refund(Decimal(100), Decimal("0.12")))
    told = {d.field: d.cause for d in differences([more(claim(record), energy="0.50")], [record])}
    assert told["energy"] == "charged although no energy was drawn"


NAMES = ("energy", "time", "fixed", "parking", "excl_vat", "vat", "incl_vat", "refund")


@given(
    st.dictionaries(st.sampled_from(NAMES), st.decimals(0, 20, places=2)),
    st.integers(0, 20_000),
    st.integers(-100_000, 100_000),
)
def test_each_amount_that_differs_is_told_once_with_a_cause(
    amounts: dict[str, Decimal], energy: int, shift: int
) -> None:
    theirs = more(
        claim(energy=Decimal(energy), start=RECORD.started_at + timedelta(seconds=shift)),
        **{k: str(v) for k, v in amounts.items()},
    )
    found = differences([theirs])
    if any(one.field == "session" for one in found):
        return
    agreed = claim().amounts
    assert {one.field for one in found if one.field in NAMES} == {
        name for name, value in amounts.items() if value != agreed[name]
    }
    assert len({one.field for one in found}) == len(found)
    assert all(one.cause for one in found)
    for one in found:
        if one.field in NAMES:
            assert one.amount == amounts[one.field] - agreed[one.field]


# ---- files -----------------------------------------------------------------------------------------------------------


def parsed(content: str | bytes) -> list[Claim]:
    return claims_of(content if isinstance(content, bytes) else content.encode(), AMSTERDAM)


CDR = {
    "id": "CDR-1", "session_id": "42", "cdr_token": {"uid": "04A1B2C3D4E5F6"}, "currency": "EUR", "total_energy": 7.522,
    "start_date_time": "2026-11-21T20:15:03Z", "end_date_time": "2026-11-21T23:41:59Z",
    "total_cost": {"excl_vat": 2.18, "incl_vat": 2.64}, "total_energy_cost": {"excl_vat": 2.18},
}  # fmt: skip


@pytest.mark.parametrize("wrapped", [[CDR], CDR, {"data": [CDR], "status_code": 1000}])
def test_ocpi_cdrs_are_read_in_each_wrapping(wrapped: object) -> None:
    (one,) = parsed("\ufeff" + json.dumps(wrapped))
    assert (one.id, one.session, one.uid, one.energy, one.step) == (
        "CDR-1",
        "42",
        "04A1B2C3D4E5F6",
        Decimal(7522),
        Decimal(1),
    )
    assert one.start == datetime(2026, 11, 21, 20, 15, 3, tzinfo=UTC)
    assert one.amounts == {
        "energy": Decimal("2.18"),
        "excl_vat": Decimal("2.18"),
        "incl_vat": Decimal("2.64"),
        "vat": Decimal("0.46"),
    }


def test_older_and_newer_releases_of_ocpi_are_read() -> None:
    old = {
        "id": "1",
        "start_date_time": "2016-11-21T20:15:03Z",
        "stop_date_time": "2016-11-21T21:15:03Z",
        "auth_id": "ABC",
        "total_energy": 7,
        "total_cost": 2.18,
    }
    new = {**CDR, "total_cost": {"before_taxes": 2.18, "taxes": [{"name": "VAT", "amount": 0.46}]}}
    first, second = parsed(json.dumps([old, new]))
    assert (first.uid, first.amounts, first.step) == ("ABC", {"excl_vat": Decimal("2.18")}, Decimal(1000))
    assert second.amounts["incl_vat"] == Decimal("2.64")


@pytest.mark.parametrize(
    "content",
    [
        (
            "session_id,card,start,end,energy_kwh,excl_vat,incl_vat\n"
            "42,NL-1,2026-11-21 21:15:03,2026-11-22 00:41:59,7.522,2.18,2.64\n"
        ),
        (
            "Session ID;Token;Start;End;kWh;Excl VAT;Incl VAT\r\n"
            "42;NL-1;2026-11-21T20:15:03Z;2026-11-21T23:41:59Z;7,522;2,18;2,64\r\n\r\n"
        ),
        (
            "transaction_id\tid_tag\tstarted_at\tstopped_at\tenergy_wh\tcost_excl_vat\tcost_incl_vat\n"
            '42\t="NL-1"\t2026-11-21 21:15:03\t2026-11-22 00:41:59\t7522\t2,18\t2.64\n'
        ),
    ],
)
def test_csv_of_each_kind_is_read(content: str) -> None:
    (one,) = parsed(content)
    assert (one.session, one.uid, one.energy) == ("42", "NL-1", Decimal(7522))
    assert one.start == datetime(2026, 11, 21, 20, 15, 3, tzinfo=UTC)
    assert one.amounts == {"excl_vat": Decimal("2.18"), "incl_vat": Decimal("2.64")}


@pytest.mark.parametrize(
    ("text", "number"),
    [("1.234,56", "1234.56"), ("1,234.56", "1234.56"), ("1234,5", "1234.5"), ("0.5", "0.5"), ("1 234,56", "1234.56")],
)
def test_amounts_may_have_either_sign(text: str, number: str) -> None:
    (one,) = parsed(f"id;incl_vat\n1;{text}\n")
    assert one.amounts["incl_vat"] == Decimal(number)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\xff\xfe\x00", "neither JSON nor CSV"),
        ("", "is empty"),
        ("[{", "is no valid JSON"),
        ("[1]", "record 1 is no object"),
        ("[{}]", "record 1 has neither total_energy nor start_date_time"),
        ('[{"id": "1", "start_date_time": "yesterday"}]', "record 1: 'yesterday' is no time"),
        ('[{"id": "1", "total_energy": "much"}]', "record 1: total_energy is 'much', which is no number"),
        ('[{"id": "1", "total_energy": "NaN"}]', "which is no number"),
        ("a,b\n1,2\n", "has no column that tells the sessions apart"),
        ("id,incl_vat\n1,2\n2,zwei\n", "line 3: incl_vat is 'zwei'"),
        ("[" * 100_000, "is no valid JSON"),
    ],
)
def test_a_file_at_fault_is_refused_with_the_place(content: str | bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parsed(content)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    try:
        claims_of(content, AMSTERDAM)
    except ValueError:
        return


def test_sums_of_both_sides_are_told() -> None:
    result: Comparison = compared([claim(), claim(id="2", session=None, amounts={})], [RECORD], AMSTERDAM)
    assert (result.agent.sessions, result.agent.incl_vat) == (1, Decimal("2.64"))
    assert (result.cloud.sessions, result.cloud.energy, result.cloud.incl_vat) == (2, Decimal(15_044), None)


def test_a_token_and_energy_find_a_session_whose_clock_was_wrong() -> None:
    record = replace(
        RECORD, transaction_id=None, meter_stop=Wh(Decimal(1_240_000)), id_token=IdToken("ab12"), card=None
    )
    shifted = replace(
        claim(record), session=None, id="C", uid="AB12", start=record.started_at - timedelta(hours=7, minutes=3)
    )
    assert {one.field for one in differences([shifted], [record])} == {"start"}
