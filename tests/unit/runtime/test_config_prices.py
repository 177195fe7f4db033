"""Prices in the configuration: reservations, prices by the hour from a file, and the flat price of a tax office."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from agent.core.errors import ConfigError
from agent.core.model import Wh
from agent.core.prices_cost import Consumption, cost
from agent.core.tariff import Basis, Dimension, Progress, ReservationKind, Terms, component_at
from agent.runtime.config.effective import AgentConfig
from agent.runtime.config.loading import load
from agent.runtime.config.shown import show, to_json

SMALLEST = """
[station]
id = "NL-ACME-000123"
timezone = "Europe/Amsterdam"
[cloud]
url = "ws://csms.example/ocpp"
[[connector]]
[connector.meter]
model = "eastron_sdm630_v2"
device = "/dev/ttyUSB0"
[connector.evse]
controller = "none"
"""
HOURLY = '[statement]\nbasis = "hourly"\nhourly_prices = "prices.csv"\n'
TARIFF = '[tariff]\ncurrency = "EUR"\nvat_percentage = 21\n'
NOON = datetime(2026, 11, 1, 11, tzinfo=UTC)


def config(folder: Path, text: str, prices: str | None = None) -> AgentConfig:
    (folder / "agent.toml").write_text(SMALLEST + text)
    if prices is not None:
        (folder / "prices.csv").write_text(prices)
    return load(folder / "agent.toml", {}, None)


def problems(folder: Path, text: str, prices: str | None = None) -> list[str]:
    with pytest.raises(ConfigError) as error:
        config(folder, text, prices)
    return list(error.value.problems)


def day(*prices: str) -> str:
    return "start,price\n" + "".join(f"2026-11-01T{12 + n}:00,{price}\n" for n, price in enumerate(prices))


def test_prices_by_the_hour_take_currency_and_vat_from_the_tariff(tmp_path: Path) -> None:
    policy = config(tmp_path, TARIFF + HOURLY, day("0.20", "0.30")).policy()
    assert policy.tariff is not None
    assert policy.basis is Basis.HOURLY
    terms = Terms(policy.tariff, policy.timezone, None, policy.basis, policy.hourly)
    total = cost(terms, [Consumption(NOON + timedelta(hours=n), Wh(Decimal(1000))) for n in (0, 1)])
    assert (str(total.energy), str(total.vat)) == ("0.50", "0.11")


def test_what_is_wrong_in_the_file_of_prices_is_told_with_its_line(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, TARIFF + HOURLY, day("0.20", "cheap"))
    assert "statement.hourly_prices" in problem
    assert f"\"{tmp_path / 'prices.csv'}\" line 3 'cheap' is no price" in problem
    (tmp_path / "prices.csv").write_bytes(b"start,price\n\xff\n")
    (problem,) = problems(tmp_path, TARIFF + HOURLY)
    assert "is not UTF-8 text" in problem


def test_a_file_that_is_spoilt_after_the_check_is_told_too(tmp_path: Path) -> None:
    loaded = config(tmp_path, TARIFF + HOURLY, day("0.20"))
    (tmp_path / "prices.csv").write_text("hunter2")
    with pytest.raises(ConfigError, match="hourly_prices: line 1 names no columns"):
        loaded.policy()
    (tmp_path / "prices.csv").unlink()
    with pytest.raises(ConfigError, match="cannot be read"):
        loaded.policy()


def test_a_file_of_another_basis_is_not_read(tmp_path: Path) -> None:
    text = TARIFF + 'energy = 0.3\n[statement]\nhourly_prices = "prices.csv"\n'
    policy = config(tmp_path, text, "hunter2").policy()
    assert (policy.basis, policy.hourly) == (Basis.TARIFF, ())


def test_a_file_with_a_header_alone_waits_for_pushed_prices(tmp_path: Path) -> None:
    policy = config(tmp_path, TARIFF + HOURLY, "start,price\n").policy()
    assert (policy.basis, policy.hourly) == (Basis.HOURLY, ())


def test_a_flat_price_needs_no_price_of_the_tariff(tmp_path: Path) -> None:
    policy = config(tmp_path, TARIFF + '[statement]\nbasis = "flat"\nflat_price = 0.34\n').policy()
    assert (policy.basis, policy.flat) == (Basis.FLAT, ((0, Decimal("0.34")),))
    assert problems(tmp_path, TARIFF)[0].startswith(f"{tmp_path / 'agent.toml'}")


@pytest.mark.parametrize(
    "text",
    [
        "flat_price = {2026 = 0.34, 2027 = 0.355}",
        "flat_price.2027 = 0.355\nflat_price.2026 = 0.34",
        "[statement.flat_price]\n2027 = 0.355\n2026 = 0.34",
        'flat_price = {"2026" = "0.34", 2027 = 0.355}',
    ],
)
def test_a_flat_price_may_be_one_for_each_year(tmp_path: Path, text: str) -> None:
    loaded = config(tmp_path, f'{TARIFF}[statement]\nbasis = "flat"\n{text}\n')
    assert loaded.policy().flat == ((2026, Decimal("0.34")), (2027, Decimal("0.355")))
    shown = to_json(loaded)["statement"]
    assert isinstance(shown, dict)
    assert sorted(shown["flat_price"].items()) == [("2026", 0.34), ("2027", 0.355)]
    (line,) = [line for line in show(loaded).splitlines() if line.startswith("flat_price")]
    again = config(tmp_path, f'{TARIFF}[statement]\nbasis = "flat"\n{line}\n')
    assert again.policy().flat == loaded.policy().flat


def test_a_year_may_be_given_by_the_environment(tmp_path: Path) -> None:
    config(tmp_path, TARIFF + '[statement]\nbasis = "flat"\nflat_price = {2026 = 0.34}\n')
    loaded = load(tmp_path / "agent.toml", {"WALLBOX_STATEMENT__FLAT_PRICE__2027": "0.36"}, None)
    assert loaded.policy().flat == ((2026, Decimal("0.34")), (2027, Decimal("0.36")))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("{}", "a table has no year; write one like {2026 = 0.34}"),
        ("{26 = 0.34}", "a table has '26' where a year like 2026 is wanted"),
        ('{" 2026" = 0.34}', "a table has ' 2026' where a year like 2026 is wanted"),
        ("{2026 = -1}", "a table has no price for 2026 that is allowed; use one that is not negative, like 0.34"),
        ("{2026 = true}", "a table has no price for 2026 that is allowed"),
        ("{2026 = {a = 1}}", "a table has no price for 2026 that is allowed"),
        ("{2026 = nan}", "a table has no price for 2026 that is allowed"),
        ("{2024 = 0.30, 2026 = 0.34}", "a table has no price for 2025, and has some for years before and after"),
        ("-1", "-1 is not allowed; use a price like 0.34, or one for each year like {2026 = 0.34, 2027 = 0.35}"),
        ("true", "true is not allowed; use a price like 0.34"),
        ("[0.34]", "a list is not allowed; use a price like 0.34"),
        ('"dear"', '"dear" is not allowed; use a price like 0.34'),
    ],
)
def test_a_flat_price_at_fault_is_told_with_its_line(tmp_path: Path, value: str, words: str) -> None:
    head = f'{SMALLEST}{TARIFF}[statement]\nbasis = "flat"\n'
    (problem,) = problems(tmp_path, f'{TARIFF}[statement]\nbasis = "flat"\nflat_price = {value}\n')
    line = head.count("\n") + 1
    assert problem.startswith(f"{tmp_path / 'agent.toml'}:{line}: statement.flat_price: {words}")


@pytest.mark.parametrize(
    ("price", "moment", "expected"),
    [
        ("{2026 = 0.34}", "2026-10-31T23:00+01:00", None),
        ("{2026 = 0.34}", "2026-11-01T00:00+01:00", (2027, False)),
        ("{2026 = 0.34}", "2027-01-01T00:00+01:00", (2027, True)),
        ("{2026 = 0.34}", "2026-12-31T23:59+01:00", (2027, False)),
        ("{2026 = 0.34, 2027 = 0.36}", "2026-12-31T23:00+01:00", None),
        ("{2027 = 0.36}", "2026-12-01T00:00+01:00", (2026, True)),
        ("0.34", "2027-06-01T00:00+01:00", None),
    ],
)
def test_a_year_that_lacks_a_price_is_told_in_time(
    tmp_path: Path, price: str, moment: str, expected: tuple[int, bool] | None
) -> None:
    loaded = config(tmp_path, f'{TARIFF}[statement]\nbasis = "flat"\nflat_price = {price}\n')
    now = datetime.fromisoformat(moment)
    told = loaded.unpriced(now)
    if expected is None:
        assert told is None
        assert loaded.notes_at(now) == loaded.notes
        return
    assert told is not None
    year, is_now = expected
    assert told[0].startswith(f"statement.flat_price: has no price for {year} (file, line ")
    assert told[0].endswith(f"; add {year} = and the price, else sessions that end in {year} have no cost")
    assert told[1] is is_now
    assert loaded.notes_at(now) == (*loaded.notes, told[0])


def test_another_basis_needs_no_year(tmp_path: Path) -> None:
    loaded = config(tmp_path, TARIFF + "energy = 0.3\n[statement]\nflat_price = {2020 = 0.34}\n")
    assert loaded.unpriced(NOON) is None


def test_another_basis_may_have_hours_without_a_price(tmp_path: Path) -> None:
    slot = '[[tariff.slot]]\nstart = "07:00"\nend = "23:00"\nenergy = 0.3\n'
    assert any("no slot covers" in problem for problem in problems(tmp_path, TARIFF + slot))
    assert config(tmp_path, TARIFF + slot + HOURLY, day("0.2")).policy().hourly


def test_a_reservation_has_the_fee_of_its_hours(tmp_path: Path) -> None:
    text = TARIFF + 'energy = 0.3\nreservation = 1\n[[tariff.slot]]\nstart = "07:00"\nend = "23:00"\nreservation = 2\n'
    tariff = config(tmp_path, text).tariff()
    assert tariff is not None
    made = Progress(reservation=ReservationKind.RESERVATION)
    fees = [component_at(tariff, Dimension.FLAT, NOON.replace(hour=hour), made) for hour in (6, 7, 23)]
    assert [fee and fee.price for fee in fees] == [1, 2, 1]
    assert component_at(tariff, Dimension.FLAT, NOON) is None
