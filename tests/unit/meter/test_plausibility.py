"""Which values of one sample cannot be, and that it has to last before anybody hears of it."""

from __future__ import annotations

from decimal import Decimal

import pytest

from agent.meter.plausibility import LASTS, Oddity, odd

SOUND = {
    **{f"voltage_l{number}": Decimal(230) for number in (1, 2, 3)},
    **{f"current_l{number}": Decimal(16) for number in (1, 2, 3)},
    **{f"power_l{number}": Decimal(3680) for number in (1, 2, 3)},
    "power_total": Decimal(11040),
    "power_factor": Decimal("0.998"),
    "frequency": Decimal(50),
}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"power_total": Decimal(-11040), "power_l1": Decimal(-3680), "power_factor": Decimal(-1)},
        {"voltage_l2": Decimal(0), "current_l2": Decimal(0), "power_l2": Decimal(0), "power_total": Decimal(7360)},
        {"voltage_l3": Decimal("14.2"), "power_l3": Decimal(3), "power_total": Decimal(7363)},
        {"power_l1": Decimal(4090)},
        {"power_factor": Decimal("1.8")},
    ],
)
def test_what_happens_is_not_odd(changes: dict[str, Decimal]) -> None:
    assert list(odd(SOUND | changes)) == []


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"voltage_l1": Decimal(23)}, "voltage_l1 is 23.0 V, not 80 to 300"),
        ({"voltage_l1": Decimal(2300)}, "voltage_l1 is 2300.0 V"),
        ({"power_l1": Decimal(5000)}, "power_l1 is 5000 W, but voltage and current make 3680 VA"),
        ({"power_total": Decimal(-20000)}, "power_total is -20000 W, but voltage and current make 11040 VA"),
        ({"power_factor_l2": Decimal(998)}, "power_factor_l2 is 998.000"),
    ],
)
def test_what_cannot_be_is_told(changes: dict[str, Decimal], told: str) -> None:
    assert next(odd(SOUND | changes)).startswith(told)


def test_a_phase_that_is_told_in_part_is_not_judged_nor_is_the_sum() -> None:
    partly = {name: value for name, value in SOUND.items() if name not in {"voltage_l2", "voltage_l3"}}
    assert list(odd(partly | {"power_l2": Decimal(9999), "power_total": Decimal(99999)})) == []
    assert list(odd({"power_total": Decimal(99999)})) == []


def test_an_oddity_is_told_once_it_lasts_and_no_longer() -> None:
    oddity = Oddity()
    for _ in range(LASTS - 1):
        oddity.heed(SOUND | {"voltage_l1": Decimal(23)})
        assert oddity.lasting is None
    oddity.heed(SOUND | {"voltage_l1": Decimal(23)})
    assert oddity.lasting == "voltage_l1 is 23.0 V, not 80 to 300"
    oddity.heed(SOUND)
    assert oddity.lasting is None
