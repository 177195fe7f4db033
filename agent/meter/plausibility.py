"""What values of a meter cannot be together: signs that it is another model than its registers are taken for.

Source: the rules for MID meters. Nothing here makes a sample unusable; frequency and register are judged elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Final

DEAD_V: Final = Decimal(20)
"""A phase that is not connected shows no more, induced by the others."""
VOLTAGE_V: Final = (Decimal(80), Decimal(300))
POWER_FACTOR: Final = Decimal(2)
"""Some makers tell the quadrant, too, by factors up to 2."""
TOLERANCE: Final = Decimal("1.1")
"""Power may be more than voltage times current by so much, since they are not of the same moment."""
SPARE_W: Final = Decimal(50)
PHASES: Final = (1, 2, 3)
LASTS: Final = 5
"""So many samples in a row have to be odd: a load that changes between two requests makes one odd."""


class Oddity:
    """What has been odd with the samples of a meter for a while, in words; None where nothing is."""

    def __init__(self) -> None:
        """Begin without a sample."""
        self._row = 0
        self._found = ""

    @property
    def lasting(self) -> str | None:
        """Return what is odd now and was in the samples before."""
        return self._found if self._row >= LASTS else None

    def heed(self, values: Mapping[str, Decimal]) -> None:
        """Take the values of a sample, in SI units."""
        self._found = next(odd(values), "")
        self._row = self._row + 1 if self._found else 0


def odd(values: Mapping[str, Decimal]) -> Iterator[str]:
    """Yield what cannot be in one sample, in words; what the meter does not tell is not judged."""
    for name, value in values.items():
        if name.startswith("voltage_l") and abs(value) > DEAD_V and not VOLTAGE_V[0] <= value <= VOLTAGE_V[1]:
            yield f"{name} is {value:.1f} V, not {VOLTAGE_V[0]} to {VOLTAGE_V[1]}"
        if name.startswith("power_factor") and abs(value) > POWER_FACTOR:
            yield f"{name} is {value:.3f}"
    apparent = {number: _apparent(values, number) for number in PHASES}
    for number, most in apparent.items():
        power = values.get(f"power_l{number}")
        if power is not None and most is not None:
            yield from _too_much(f"power_l{number}", power, most)
    told = [number for number in PHASES if {f"{what}_l{number}" for what in ("voltage", "current")} & values.keys()]
    known = [most for number in told if (most := apparent[number]) is not None]
    if told and len(known) == len(told) and "power_total" in values:
        yield from _too_much("power_total", values["power_total"], sum(known, Decimal(0)))


def _apparent(values: Mapping[str, Decimal], number: int) -> Decimal | None:
    """Return voltage times current of a phase, None where one of the two is not told."""
    voltage, current = values.get(f"voltage_l{number}"), values.get(f"current_l{number}")
    return None if voltage is None or current is None else abs(voltage * current)


def _too_much(name: str, power: Decimal, most: Decimal) -> Iterator[str]:
    if abs(power) > most * TOLERANCE + SPARE_W:
        yield f"{name} is {power:.0f} W, but voltage and current make {most:.0f} VA"
