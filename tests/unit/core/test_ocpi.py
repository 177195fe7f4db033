"""OCPI tariffs: read, written and read again, and refused in words where they are not valid."""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.calendar import Weekday
from agent.core.ocpi import tariff_from_json, tariff_to_json
from agent.core.prices_currency import CURRENCIES
from agent.core.prices_limits import Price
from agent.core.tariff import Dimension, Element, PriceComponent, Restrictions, Tariff
from agent.runtime.config.values import Allowed, Currency

VECTORS = sorted((Path(__file__).parents[2] / "vectors" / "tariffs").glob("golden.json"))

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
        {"price_components": [{"type": "ENERGY", "price": 0}]},
    ],
    "tariff_alt_text": [{"language": "en", "text": "day and night"}],
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
    first, second, _ = tariff.elements
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
        ("currency", "EURO", "currency must be a currency's code of ISO 4217, like EUR"),
        ("currency", "ABC", "currency must be a currency's code of ISO 4217, like EUR"),
        ("currency", "€€€", "currency must be a currency's code of ISO 4217, like EUR"),
        ("currency", None, "currency must be a currency's code of ISO 4217, like EUR"),
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
        ("elements.0.restrictions.start_date", "24-12-2026", "start_date must be a day like 2026-12-24"),
        ("elements.0.restrictions.end_date", "2026-02-30", "end_date must be a day like 2026-12-24"),
        ("elements.0.restrictions", {"start_date": "2026-01-02", "end_date": "2026-01-02"}, "must be after start_date"),
        ("elements.0.restrictions.min_kwh", -1, "min_kwh must be between 0 and"),
        ("elements.0.restrictions.max_kwh", 0, "elements[0].restrictions.max_kwh must be more than 0"),
        ("elements.0.restrictions.max_kwh", "lots", "max_kwh must be a number"),
        ("elements.0.restrictions", {"min_power": 7, "max_power": 7}, "max_power must be more than min_power"),
        ("elements.0.restrictions", {"min_current": 7, "max_current": 6}, "max_current must be more than min_current"),
        ("elements.0.restrictions", {"min_duration": 60, "max_duration": 60}, "must be more than min_duration"),
        ("elements.0.restrictions.min_duration", 1.5, "min_duration must be a whole number"),
        ("elements.0.restrictions.max_speed", 1, "elements[0].restrictions.max_speed is no restriction of OCPI 2.2.1"),
        ("elements.0.restrictions.reservation", "YES", "must be RESERVATION or RESERVATION_EXPIRES"),
        ("elements.0.restrictions.reservation", "RESERVATION", "of a reservation must be FLAT or TIME"),
        ("min_price", 1, "min_price must be an object"),
        ("min_price", {"incl_vat": 1}, "min_price.excl_vat must be a number"),
        ("max_price", {"excl_vat": 2, "incl_vat": 1}, "max_price.incl_vat must be between 2 and 4"),
        ("max_price", {"excl_vat": -1}, "max_price.excl_vat must be between 0 and"),
        ("start_date_time", "tomorrow", "start_date_time must be a moment like 2026-12-24T18:00:00Z"),
        ("end_date_time", "2026-13-01T00:00:00Z", "end_date_time must be a moment like"),
        ("type", "CHEAP", "type must be one of AD_HOC_PAYMENT"),
        ("tax_included", "YES", "tax_included must be NO"),
        ("elements.2.restrictions", {"start_time": "08:00"}, "price no energy from MONDAY 00:00 to MONDAY 07:00"),
        ("elements.2.restrictions", {"day_of_week": ["MONDAY", "TUESDAY"]}, "from WEDNESDAY 00:00 to FRIDAY 07:00"),
        (
            "elements.2.restrictions",
            {"start_time": "23:30", "end_time": "23:00"},
            "from MONDAY 23:00 to MONDAY 23:30",
        ),
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


@pytest.mark.parametrize("document", [json.loads(p.read_text(encoding="utf-8")) for p in VECTORS])
def test_all_that_the_specification_knows_is_read(document: list[dict[str, Any]]) -> None:
    for case in document:
        assert tariff_from_json(tariff_to_json(tariff_from_json(case["tariff"]))) == tariff_from_json(case["tariff"])


def test_limits_of_price_and_times_are_read() -> None:
    more = {
        "min_price": {"excl_vat": 0.5, "incl_vat": 0.605},
        "max_price": {"excl_vat": "10"},
        "start_date_time": "2026-12-31T23:00:00",
        "end_date_time": "2027-12-31T23:00:00.000+00:00",
    }
    tariff = tariff_from_json({**DOCUMENT, **more})
    assert tariff.min_price == Price(Decimal("0.5"), Decimal("0.605"))
    assert tariff.max_price == Price(Decimal(10))
    assert (tariff.begins, tariff.ends) == tuple(datetime(year, 12, 31, 23, tzinfo=UTC) for year in (2026, 2027))
    with pytest.raises(ValueError, match="max_price must not be less than min_price"):
        tariff_from_json({**DOCUMENT, **more, "max_price": {"excl_vat": 0.4}})
    with pytest.raises(ValueError, match="max_price must not be less than min_price"):
        tariff_from_json({**DOCUMENT, **more, "max_price": {"excl_vat": 0.5, "incl_vat": 0.55}})
    with pytest.raises(ValueError, match="end_date_time must be after start_date_time"):
        tariff_from_json({**DOCUMENT, **more, "end_date_time": "2026-12-31T23:00:00Z"})


@pytest.mark.parametrize(
    "restrictions",
    [
        [{"start_time": "07:00", "end_time": "23:00"}, {"start_time": "23:00", "end_time": "07:00"}],
        [{"day_of_week": ["SATURDAY", "SUNDAY"]}, {"day_of_week": ["MONDAY", "TUESDAY"]}, {"start_date": "2026-01-01"}],
        [{"max_kwh": 10}],
        [{"end_time": "12:00"}, {"start_time": "12:00", "end_time": "00:00"}],
    ],
)
def test_hours_that_elements_share_out_need_no_other_price(restrictions: list[dict[str, Any]]) -> None:
    price = {"type": "ENERGY", "price": 0.3}
    elements = [{"price_components": [price], "restrictions": limits} for limits in restrictions]
    assert len(tariff_from_json({"currency": "EUR", "elements": elements}).elements) == len(restrictions)


def test_a_tariff_without_energy_has_no_hours_to_price() -> None:
    elements = [{"price_components": [{"type": "TIME", "price": 2}], "restrictions": {"start_time": "07:00"}}]
    assert tariff_from_json({"currency": "EUR", "elements": elements}).elements


def test_currencies_are_those_of_the_configuration() -> None:
    (configured,) = (m for m in get_args(Currency) if isinstance(m, Allowed))
    assert set(configured.choices) == CURRENCIES


clocks = st.none() | st.times().map(lambda t: t.replace(second=0, microsecond=0))
prices = st.decimals(0, 999_999, places=6).map(lambda d: Decimal(str(float(d))))
components = st.builds(
    PriceComponent, st.sampled_from(Dimension), prices, st.none() | st.decimals(0, 100, places=2), st.integers(1, 10**6)
)
numbers = st.none() | st.integers(0, 10**6).map(lambda n: Decimal(n) / 1000)
least = {f"min_{kind}": numbers for kind in ("kwh", "current", "power")}
most = {f"max_{kind}": st.none() | st.just(Decimal(1001)) for kind in ("kwh", "current", "power")}
restrictions = st.builds(
    Restrictions,
    clocks,
    clocks,
    st.lists(st.sampled_from(Weekday), unique=True).map(tuple),
    start_date=st.none() | st.dates(date(2000, 1, 1), date(2030, 1, 1)),
    end_date=st.none() | st.dates(date(2030, 1, 2), date(2050, 1, 1)),
    **least,
    **most,
    min_duration=st.none() | st.integers(0, 999),
    max_duration=st.none() | st.integers(1000, 10**9),
)
limits = st.none() | prices.map(lambda price: Price(price, None)) | prices.map(lambda price: Price(price, price))
moments = st.none() | st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  # the strategy adds it
everything = Element((PriceComponent(Dimension.ENERGY, Decimal(0)),))
tariffs = st.builds(
    Tariff,
    st.sampled_from(sorted(CURRENCIES)),
    st.lists(
        st.builds(Element, st.lists(components, min_size=1, max_size=3).map(tuple), restrictions),
        max_size=4,
    ).map(lambda elements: (*elements, everything)),
    st.text(min_size=1, max_size=36),
    min_price=limits,
    begins=moments,
)


@given(tariffs)
def test_a_tariff_that_was_written_is_read_as_it_was(tariff: Tariff) -> None:
    assert tariff_from_json(json.loads(json.dumps(tariff_to_json(tariff)))) == tariff
