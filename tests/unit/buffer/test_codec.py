"""JSON of facts and durable slices: every value comes back, what is stored stays readable, damage is told."""

from __future__ import annotations

import dataclasses
import enum
import json
import types
import typing
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.buffer.codec import FACTS, dump, load, load_fact
from agent.buffer.slices import KINDS
from agent.core.errors import JournalCorrupt
from agent.core.facts import SCHEMA, Period, SessionEnded, SessionStarted
from agent.core.instant import Instant, TimeStatus
from agent.core.model import Quality, StopReason, Wh
from agent.core.state import Card
from agent.core.tariff import Cost
from tests.unit.buffer.scripted import ended, started

LEAVES: Mapping[object, st.SearchStrategy[Any]] = {
    int: st.integers(-(2**63), 2**63),
    bool: st.booleans(),
    str: st.text(max_size=20),
    float: st.floats(allow_nan=False, allow_infinity=False),
    Decimal: st.decimals(allow_nan=False, allow_infinity=False),
    date: st.dates(),
    datetime: st.datetimes(timezones=st.just(UTC)),
    time: st.times(),
    type(None): st.none(),
}


def values(kind: Any) -> st.SearchStrategy[Any]:  # noqa: ANN401  # a type, an alias or a NewType
    """Return a strategy for all values of a type that the core's dataclasses have as a member."""
    kind = getattr(kind, "__supertype__", kind)
    if kind in LEAVES:
        return LEAVES[kind]
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in {typing.Union, types.UnionType}:
        return st.one_of([values(one) for one in arguments])
    if origin is tuple and arguments[-1] is Ellipsis:
        return st.lists(values(arguments[0]), max_size=3).map(tuple)
    if origin is tuple:
        return st.tuples(*(values(one) for one in arguments))
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return st.sampled_from(kind)
    assert isinstance(kind, type), f"no strategy for {kind}"
    assert dataclasses.is_dataclass(kind), f"no strategy for {kind}"
    hints = typing.get_type_hints(kind)
    return st.builds(kind, **{field.name: values(hints[field.name]) for field in dataclasses.fields(kind)})


@pytest.mark.parametrize("name", FACTS)
@settings(max_examples=40)
@given(data=st.data())
def test_every_fact_comes_back_as_it_was(name: str, data: st.DataObject) -> None:
    fact = data.draw(values(FACTS[name]))
    assert load_fact(name, SCHEMA, dump(fact)) == fact


@pytest.mark.parametrize("name", KINDS)
@settings(max_examples=40)
@given(data=st.data())
def test_every_slice_comes_back_as_it_was(name: str, data: st.DataObject) -> None:
    value = data.draw(values(KINDS[name]))
    back: object = load(KINDS[name], SCHEMA, dump(value))
    assert back == value
    assert dump(back) == dump(value)


def test_digits_of_decimals_are_kept() -> None:
    fact = ended(register=Wh(Decimal("1234.500")), refund=Decimal("2.60"))
    back = load(SessionEnded, SCHEMA, dump(fact))
    assert (str(back.register), str(back.refund)) == ("1234.500", "2.60")


def test_json_has_decimals_as_text_times_in_utc_and_enums_by_value() -> None:
    document = json.loads(dump(started()))
    assert document["reading"]["register"] == "1000"
    assert document["at"] == {"mono": 10.0, "wall": "2026-01-01T00:00:10Z", "status": "S", "boot": 1}
    assert (document["profile"], document["reporting"]) == ("fleet", "report")


@pytest.mark.requirement(71)
def test_a_fact_of_the_first_release_is_read() -> None:
    text = (
        '{"session":"s1","seq":7,"evse":1,"at":{"mono":3600.5,"wall":"2026-01-01T01:00:00.500000Z","status":"I","boot":2},'
        '"register":"8522.0","reason":"PowerLoss","id_token":null,"quality":["reconstructed","meter-gap"],'
        '"periods":[{"start":{"mono":1.0,"wall":"2026-01-01T00:00:00Z","status":"S","boot":2},"energy":"7522.0","price":"0.29"}],'
        '"cost":{"currency":"EUR","energy":"2.18","time":"0.00","fixed":"0.00","parking":"0.00","reservation":"0.00",'
        '"surcharge":"0.00","excl_vat":"2.18","vat":"0.46"},"refund":"2.64"}'
    )
    zero = Decimal("0.00")
    assert load_fact("session-ended", 1, text) == ended(
        seq=7,
        moment=Instant(3600.5, datetime(2026, 1, 1, 1, 0, 0, 500_000, tzinfo=UTC), TimeStatus.INFORMATIVE, 2),
        register=Wh(Decimal("8522.0")),
        reason=StopReason.POWER_LOSS,
        quality=(Quality.RECONSTRUCTED, Quality.METER_GAP),
        periods=(Period(Instant(1.0, datetime(2026, 1, 1, tzinfo=UTC), boot=2), Wh(Decimal(7522)), Decimal("0.29")),),
        cost=Cost("EUR", Decimal("2.18"), zero, zero, zero, zero, zero, Decimal("2.18"), Decimal("0.46")),
        refund=Decimal("2.64"),
    )


def test_a_member_that_an_older_release_did_not_write_takes_its_default() -> None:
    assert load(Card, SCHEMA, '{"id_token":{"value":"04A1"}}').blocked is None


def test_damage_is_told_by_its_place_and_never_with_what_stands_there() -> None:
    text = dump(started()).replace('"fleet"', '"04A1B2C3D4E5F6"')
    with pytest.raises(JournalCorrupt, match=r"SessionStarted .*profile") as caught:
        load(SessionStarted, SCHEMA, text)
    assert "04A1B2C3D4E5F6" not in str(caught.value)
    with pytest.raises(JournalCorrupt, match="the whole"):
        load(SessionStarted, SCHEMA, "{")


def test_what_a_newer_release_wrote_is_refused() -> None:
    with pytest.raises(JournalCorrupt, match="schema 2"):
        load(SessionStarted, SCHEMA + 1, dump(started()))
    with pytest.raises(JournalCorrupt, match="newer release"):
        load_fact("session-moved", SCHEMA, "{}")
