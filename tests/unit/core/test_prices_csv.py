"""A supplier's prices as CSV: the forms that are read, changes of daylight saving, and mistakes with their line."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.prices import STEPS, PriceBlock
from agent.core.prices_csv import block_from_csv

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
ZONES = [ZoneInfo(z) for z in ("Europe/Amsterdam", "UTC", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kolkata")]


def read(text: str, zone: ZoneInfo = AMSTERDAM) -> PriceBlock:
    block = block_from_csv(text, zone)
    assert block is not None
    return block


def rows(*hours: str, day: str = "2026-11-01") -> str:
    return "start,price_per_kwh\n" + "".join(f"{day}T{hour},0.{n + 1}\n" for n, hour in enumerate(hours))


TWO = PriceBlock(datetime(2026, 10, 31, 23, tzinfo=UTC), 60, (Decimal("0.2871"), Decimal("-0.01")))


@pytest.mark.parametrize(
    "text",
    [
        "start,price_per_kwh\n2026-11-01T00:00,0.2871\n2026-11-01T01:00,-0.01\n",
        "2026-11-01 00:00,0.2871\n2026-11-01 01:00,-0.01",
        "\ufeffStart;Price\r\n2026-11-01 00:00;0,2871\r\n\r\n2026-11-01 01:00;-0,01\r\n",
        "price_per_mwh\tend\ttime\n287.1\t-\t2026-10-31T23:00:00Z\n-10\t-\t2026-11-01T00:00:00Z\n",
        '"start","price"\n"2026-11-01T00:00+01:00","0.2871"\n"2026-11-01T02:00+02:00","-0.01"\n',
    ],
)
def test_the_same_prices_in_several_forms(text: str) -> None:
    assert read(text) == TWO


def test_a_file_without_prices_is_none() -> None:
    for text in ("", "\n", "start,price\n", "start;price_per_kwh"):
        assert block_from_csv(text, AMSTERDAM) is None


@pytest.mark.parametrize(("second", "step"), [("01:00", 60), ("00:30", 30), ("00:15", 15)])
def test_the_first_two_lines_tell_the_step(second: str, step: int) -> None:
    assert read(rows("00:00", second)).step_min == step
    assert read(rows("00:00")).step_min == 60


def test_the_hour_that_comes_twice_is_told_twice() -> None:
    block = read(rows("01:00", "02:00", "02:00", "03:00", day="2026-10-25"))
    assert block.start == datetime(2026, 10, 24, 23, tzinfo=UTC)
    assert [block.price(block.start + timedelta(hours=n)) for n in range(4)] == [Decimal(f"0.{n}") for n in range(1, 5)]


def test_the_hour_that_is_skipped_is_not_told() -> None:
    block = read(rows("01:00", "03:00", "04:00", day="2026-03-29"))
    assert (block.start, block.end) == (datetime(2026, 3, 29, 0, tzinfo=UTC), datetime(2026, 3, 29, 3, tzinfo=UTC))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (rows("00:00", "01:00", "03:00"), "line 4 is 2026-11-01 03:00, and 2026-11-01 02:00 is missing before it"),
        (rows("00:00", "01:00", "01:00"), "line 4 is 2026-11-01 01:00 again, where 2026-11-01 02:00 is expected"),
        (rows("00:00", "00:15", "01:00"), "line 4 is 2026-11-01 01:00, and 2026-11-01 00:30 is missing before it"),
        (rows("00:00", "02:00"), "line 3 does not follow the line before it by an hour, half an hour, or a quarter"),
        (rows("01:00", "02:00", "03:00", day="2026-10-25"), "line 4 is 2026-10-25 03:00, and 2026-10-25 02:00"),
        (rows("00:00", "01:00", "02:00", "03:00", day="2026-03-29"), "line 4 is 2026-03-29 02:00, which is skipped"),
        (rows("02:00", "03:00", day="2026-03-29"), "line 2 is 2026-03-29 02:00, which is skipped when the clocks"),
        (rows("00:00", "01:00") + "2026-10-30T02:00,1\n", "line 4 is 2026-10-30 02:00 out of order"),
        (rows("00:05", "01:05"), "line 2 does not begin with a full quarter of an hour"),
        (rows("00:00", "noon"), "line 3 '2026-11-01Tnoon' is no time"),
        (rows("00:00") + "01.11.2026 01:00,0.3\n", "line 3 '01.11.2026 01:00' is no time"),
        (rows("00:00") + "2026-11-01T01:00,cheap\n", "line 3 'cheap' is no price"),
        (rows("00:00") + "2026-11-01T01:00,\n", "line 3 '' is no price"),
        (rows("00:00") + "2026-11-01T01:00,NaN\n", "line 3 'NaN' is no price"),
        (rows("00:00") + "2026-11-01T01:00,1e9\n", "line 3 '1e9' is no price"),
        (rows("00:00") + "2026-11-01T01:00\n", "line 3 has too few columns"),
        ("hunter2\n", "line 1 names no columns start and price_per_kwh"),
        ("start,tariff\n2026-11-01T00:00,1\n", "line 1 names no columns start and price_per_kwh"),
        ('start,price\n"' + "x" * 200_000, "line 2 is no line of a CSV file"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_line(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(words)}"):
        block_from_csv(text, AMSTERDAM)


@given(
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001  # the strategy adds it
    st.sampled_from(STEPS),
    st.sampled_from(ZONES),
    st.integers(2, 200),
)
def test_what_local_clocks_show_row_by_row_is_read_as_the_time_that_passed(
    start: datetime, step: int, zone: ZoneInfo, count: int
) -> None:
    start = start.replace(minute=0, second=0, microsecond=0)
    if start.astimezone(zone).fold:
        start += timedelta(hours=2)
    moments = [start + n * timedelta(minutes=step) for n in range(count)]
    lines = [f"{m.astimezone(zone).replace(tzinfo=None).isoformat()},{n}" for n, m in enumerate(moments)]
    assert read("\n".join(lines), zone) == PriceBlock(start, step, tuple(Decimal(n) for n in range(count)))
