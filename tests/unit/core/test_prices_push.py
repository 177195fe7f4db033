"""Prices by the hour as the central system pushes them: read, refused whole, or not wanted here."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from agent.core.prices import PriceBlock
from agent.core.prices_push import block_from_json, refusal
from agent.core.tariff import Basis

MESSAGE: dict[str, Any] = {"currency": "EUR", "start": "2026-11-25T00:00:00+01:00", "prices": [0.2871, -0.01]}
BLOCK = PriceBlock(datetime(2026, 11, 24, 23, tzinfo=UTC), 60, (Decimal("0.2871"), Decimal("-0.01")), "EUR")


def test_prices_are_read_with_their_digits() -> None:
    content = json.loads(json.dumps(MESSAGE), parse_float=Decimal)
    assert block_from_json(content) == BLOCK


def test_other_resolutions_and_units() -> None:
    block = block_from_json({**MESSAGE, "resolution": 15, "unit": "MWh", "prices": [287.1]})
    assert (block.step_min, block.prices) == (15, (Decimal("0.2871"),))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"currency": "EURO"}, "currency must be a currency's code of ISO 4217, like EUR"),
        ({"currency": None}, "currency must be"),
        ({"start": None}, "start is missing"),
        ({"start": "tomorrow"}, "start must be a moment like"),
        ({"start": "2026-11-25T00:05:00Z"}, "start must be a full quarter of an hour"),
        ({"resolution": 20}, "resolution must be one of 60, 30, 15 (minutes)"),
        ({"resolution": "60"}, "resolution must be a whole number"),
        ({"unit": "Wh"}, "unit must be one of kWh, MWh"),
        ({"prices": []}, "prices must hold 1 to 672 prices"),
        ({"prices": [0.1] * 673}, "prices must hold 1 to 672 prices"),
        ({"prices": 0.2}, "prices must be a list"),
        ({"prices": [0.1, None]}, "prices[1] must be a number"),
        ({"prices": [0.1, 1e9]}, "prices[1] must be between"),
    ],
)
def test_what_is_not_valid_is_refused_whole(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(words)}"):
        block_from_json({**MESSAGE, **change})
    with pytest.raises(ValueError, match="data must be an object"):
        block_from_json([])


def test_prices_are_for_stations_that_are_charged_by_the_hour() -> None:
    assert refusal(BLOCK, basis=Basis.HOURLY, in_force="EUR") is None
    assert refusal(BLOCK, basis=Basis.TARIFF, in_force="EUR") == (
        'prices by the hour do not apply here: the statement\'s basis is "tariff"'
    )
    assert "flat" in (refusal(BLOCK, basis=Basis.FLAT, in_force="EUR") or "")
    assert refusal(replace(BLOCK, currency="SEK"), basis=Basis.HOURLY, in_force="EUR") == (
        "currency SEK is not that of the tariff in force, EUR"
    )
    assert "no tariff" in (refusal(BLOCK, basis=Basis.HOURLY, in_force=None) or "")
