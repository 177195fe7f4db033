"""OCPI tariffs: read, written and read again, and refused in words where this release cannot charge them."""

from __future__ import annotations

import json
import re
from datetime import time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.calendar import Weekday
from agent.core.ocpi import tariff_from_json, tariff_to_json
from agent.core.tariff import Dimension, Element, PriceComponent, Restrictions, Tariff

DOCUMENT: dict[str, Any] = {
    "country_code": "DE",
    "party_id": "ACM",
    "id": "day-and-night",
    "currency": "eur",
    "type": "REGULAR",
    "elements": [
        {
            "price_components": [
                {"type": "ENERGY", "price": 0.34, "vat": 21.0, "step_size": 1},
                {"type": "TIME", "price": 1, "step_size": 60},
            ],
            "restrictions": {"start_time": "07:00", "end_time": "23:00", "day_of_week": ["MONDAY", "friday"]},
        },
        {"price_components": [{"type": "FLAT", "price": "0.50", "vat": None}], "restrictions": {"end_time": "24:00"}},
    ],
    "last_updated": "2026-01-01T00:00:00Z",
}


def changed(path: str, value: object) -> dict[str, Any]:
    """Return the document with one member changed; path like ``elements.0.restrictions``."""
    document: dict[str, Any] = json.loads(json.dumps(DOCUMENT))
    place: Any = document
    *parents, last = path.split(".")
    for part in parents:
        place = place[int(part)] if part.isdigit() else place[part]
    place[int(last) if last.isdigit() else last] = value
    return document


def test_a_tariff_is_read() -> None:
    tariff = tariff_from_json(DOCUMENT)
    assert (tariff.id, tariff.currency) == ("day-and-night", "EUR")
    first, second = tariff.elements
    assert first.components == (
        PriceComponent(Dimension.ENERGY, Decimal("0.34"), Decimal(21), 1),
        PriceComponent(Dimension.TIME, Decimal(1), None, 60),
    )
    assert first.restrictions == Restrictions(time(7), time(23), (Weekday.MONDAY, Weekday.FRIDAY))
    assert second == Element((PriceComponent(Dimension.FLAT, Decimal("0.50")),), Restrictions(start=None, end=time(0)))


def test_digits_are_taken_as_they_were_written() -> None:
    tariff = tariff_from_json(json.loads(json.dumps(DOCUMENT).replace("0.34", "0.1234567")))
    assert tariff.elements[0].components[0].price == Decimal("0.1234567")


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("currency", "EURO", "currency must be a code of three letters, like EUR"),
        ("currency", "€€€", "currency must be a code of three letters, like EUR"),
        ("currency", None, "currency must be a code of three letters, like EUR"),
        ("elements", [], "elements must hold at least one element"),
        ("elements", None, "elements must be a list"),
        ("elements.0", "x", "elements[0] must be an object"),
        ("elements.0.price_components", [], "elements[0].price_components must hold at least one component"),
        ("elements.1.price_components.0.type", "WATTS", "elements[1].price_components[0].type must be one of"),
        ("elements.0.price_components.0.price", -1, "price must be between 0 and 1000000"),
        ("elements.0.price_components.0.price", None, "price must be a number"),
        ("elements.0.price_components.0.price", True, "price must be a number"),
        ("elements.0.price_components.0.price", "cheap", "price must be a number"),
        ("elements.0.price_components.0.price", float("nan"), "price must be between"),
        ("elements.0.price_components.0.vat", 101, "vat must be between 0 and 100"),
        ("elements.0.price_components.0.step_size", 1.5, "step_size must be a whole number"),
        ("elements.0.price_components.0.step_size", -1, "step_size must be a whole number"),
        ("elements.0.price_components.0.step_size", True, "step_size must be a whole number"),
        ("elements.0.restrictions.start_time", "7", "elements[0].restrictions.start_time must be a time like 07:00"),
        ("elements.0.restrictions.start_time", "25:00", "must be a time like 07:00"),
        ("elements.0.restrictions.start_time", "07:00+01:00", "must be a time like 07:00"),
        ("elements.0.restrictions.start_time", 700, "must be a time like 07:00"),
        ("elements.0.restrictions.day_of_week", ["SOMEDAY"], "day_of_week must hold days like MONDAY"),
        ("elements.0.restrictions.day_of_week", "MONDAY", "day_of_week must be a list"),
        ("elements.0.restrictions.min_kwh", 10, "elements[0].restrictions.min_kwh is not supported by this release"),
        ("elements.0.restrictions.reservation", "RESERVATION", "reservation is not supported by this release"),
        ("min_price", {"excl_vat": 1}, "min_price is not supported by this release"),
        ("max_price", {"excl_vat": 1}, "max_price is not supported by this release"),
        ("start_date_time", "2026-01-01T00:00:00Z", "start_date_time is not supported by this release"),
        ("end_date_time", "2026-01-01T00:00:00Z", "end_date_time is not supported by this release"),
    ],
)
def test_what_cannot_be_charged_is_refused_with_its_place(path: str, value: object, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        tariff_from_json(changed(path, value))


def test_members_that_are_null_are_as_if_they_were_missing() -> None:
    for path in ("min_price", "elements.0.restrictions.max_power", "elements.1.restrictions"):
        tariff_from_json(changed(path, None))
    assert tariff_from_json(changed("elements.1.restrictions.start_time", None)) == tariff_from_json(DOCUMENT)


def test_a_step_of_zero_is_no_step() -> None:
    tariff = tariff_from_json(changed("elements.0.price_components.0.step_size", 0))
    assert tariff.elements[0].components[0].step_size == 1


@pytest.mark.parametrize("document", [None, [], "x", 3])
def test_what_is_no_object_is_refused(document: object) -> None:
    with pytest.raises(ValueError, match="tariff must be an object"):
        tariff_from_json(document)


clocks = st.none() | st.times().map(lambda t: t.replace(second=0, microsecond=0))
prices = st.decimals(0, 999_999, places=6).map(lambda d: Decimal(str(float(d))))
components = st.builds(
    PriceComponent, st.sampled_from(Dimension), prices, st.none() | st.decimals(0, 100, places=2), st.integers(1, 10**6)
)
restrictions = st.builds(Restrictions, clocks, clocks, st.lists(st.sampled_from(Weekday), unique=True).map(tuple))
tariffs = st.builds(
    Tariff,
    st.from_regex("[A-Z]{3}", fullmatch=True),
    st.lists(
        st.builds(Element, st.lists(components, min_size=1, max_size=3).map(tuple), restrictions),
        min_size=1,
        max_size=4,
    ).map(tuple),
    st.text(min_size=1, max_size=36),
)


@given(tariffs)
def test_a_tariff_that_was_written_is_read_as_it_was(tariff: Tariff) -> None:
    assert tariff_from_json(json.loads(json.dumps(tariff_to_json(tariff)))) == tariff
