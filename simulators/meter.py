"""A kWh meter on Modbus: voltages, currents and power of its circuit, registers that count, and how they go wrong."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Final, Self

from simulators.bus import PTY, Bus, Endpoint
from simulators.circuit import Circuit, Clock, Phases
from simulators.modbus import ILLEGAL_ADDRESS, Faults, Refused
from simulators.registers import Quantity, load

DEFAULT_MODEL: Final = "eastron_sdm630_v2"
#: Energy is counted in whole millionths of a watt-hour.
MICRO: Final = 1_000_000
SECONDS_PER_HOUR: Final = 3600
PHASES: Final = (0, 1, 2)


class Meter:
    """A meter of any model in ``wire/``, as a Modbus device.

    circuit: what it measures, one of its own otherwise. register_wh: the import register. lenient: addresses that are
    not listed read as zero instead of exception 2.

    Faults, besides those of the line in ``faults``: ``set_register`` (back or far on), ``missing`` (values that are NaN
    or "no value"), ``pretended`` (shows other values than it measures), ``freeze`` (shows the same for ever, counts on
    inside), ``replace`` (another serial number), ``upside_down`` (fitted the wrong way round: import is export).
    """

    def __init__(
        self,
        model: str = DEFAULT_MODEL,
        *,
        circuit: Circuit | None = None,
        clock: Clock | None = None,
        serial: str = "23004711",
        register_wh: Decimal | float = Decimal(1_234_567),
        lenient: bool = False,
    ) -> None:
        self.model = model
        self.map = load(model)
        self.circuit = Circuit(clock) if circuit is None else circuit
        self.faults = Faults()
        self.serial = serial
        self.lenient = lenient
        self.hertz = 50.0
        #: Names of values that the meter has lost; see ``values``.
        self.missing: set[str] = set()
        #: What it shows by name instead of what it measures, in SI units: a spike, an impossible frequency.
        self.pretended: dict[str, Quantity] = {}
        self.upside_down = False
        names = {value.name for value in self.map.values}
        self._phases = tuple(phase for phase in PHASES if {f"current_l{phase + 1}"} & names) or PHASES
        self._imported = [0, 0, 0]
        self._exported = [0, 0, 0]
        self._base = 0
        self._frozen: dict[str, Quantity] = {}
        self.set_register(register_wh)
        self.circuit.counters.append(self)

    @property
    def import_wh(self) -> Decimal:
        """The import register now, whatever is shown."""
        self.circuit.advance()
        return Decimal(self._base + sum(self._imported)) / MICRO

    @property
    def volts(self) -> Phases:
        """The voltages, those of its circuit."""
        return self.circuit.volts

    @volts.setter
    def volts(self, volts: Phases) -> None:
        self.circuit.advance()
        self.circuit.volts = volts

    def set_register(self, wh: Decimal | float) -> None:
        """Let the import register show a value from now on: one that went back, or jumped."""
        self.circuit.advance()
        self._base = int(Decimal(str(wh)) * MICRO) - sum(self._imported)

    def replace(self, serial: str, register_wh: Decimal | float = 0) -> None:
        """Put another meter of the same model in its place."""
        self.circuit.advance()
        self.serial = serial
        self._imported, self._exported = [0, 0, 0], [0, 0, 0]
        self.set_register(register_wh)

    def freeze(self, *names: str, on: bool = True) -> None:
        """Keep showing what is shown now, of all values or of those named, or show the truth again."""
        shown = self.values() if on else {}
        self._frozen = {name: shown[name] for name in names} if on and names else shown

    def count(self, amps: Phases, seconds: float) -> None:
        """Count the energy of a time on each phase that the model has; import and export apart."""
        for phase in self._phases:
            energy = self._sign * amps[phase] * self.circuit.volts[phase] * seconds * MICRO / SECONDS_PER_HOUR
            (self._imported if energy >= 0 else self._exported)[phase] += round(abs(energy))

    def values(self) -> dict[str, Quantity]:
        """Return all that is measured now, in V, A, W, Hz and Wh, by the names that register maps use."""
        self.circuit.advance()
        amps, volts = self.circuit.amps, self.circuit.volts
        powers = [self._sign * amps[phase] * volts[phase] if phase in self._phases else 0.0 for phase in PHASES]
        values: dict[str, Quantity] = {
            "frequency": self.hertz,
            "frequency_hires": self.hertz,
            "serial_number": self.serial,
            "model_text": self.map.name,
        }
        values |= _signed("power", sum(powers)) | {"power_total": sum(powers), "power_factor": _factor(sum(powers))}
        for phase in self._phases:
            name = f"l{phase + 1}"
            values |= {f"voltage_{name}": volts[phase], f"current_{name}": abs(amps[phase])}
            values |= {f"power_{name}": powers[phase], f"power_factor_{name}": _factor(powers[phase])}
            values |= {f"power_{way}_{name}": part for way, part in _ways(powers[phase])}
        return values | self._energies()

    @property
    def _sign(self) -> int:
        return -1 if self.upside_down else 1

    def _energies(self) -> dict[str, Quantity]:
        imported, exported = self.import_wh, Decimal(sum(self._exported)) / MICRO
        share = Decimal(self._base) / MICRO / len(self._phases)
        energies: dict[str, Quantity] = {
            "energy_import": imported,
            "energy_export": exported,
            "energy_sum": imported + exported,
            "energy_import_t2": Decimal(0),
            "energy_export_t2": Decimal(0),
        }
        for copy in ("t1", "float", "resettable"):
            energies |= {f"energy_import_{copy}": imported, f"energy_export_{copy}": exported}
        for phase in self._phases:
            energies[f"energy_import_l{phase + 1}"] = share + Decimal(self._imported[phase]) / MICRO
            energies[f"energy_export_l{phase + 1}"] = Decimal(self._exported[phase]) / MICRO
        return energies

    def read_words(self, function: int, address: int, count: int) -> Sequence[int]:
        """Return registers as the model has them; see ``RegisterMap.read``."""
        shown = self.values() | self._frozen | self.pretended
        kept = {name: quantity for name, quantity in shown.items() if name not in self.missing}
        return self.map.read((function, address, count), kept, lenient=self.lenient)

    def write_words(self, address: int, words: Sequence[int]) -> None:  # noqa: ARG002 - refuses all alike
        """Refuse: a sealed meter has nothing to write."""
        raise Refused(ILLEGAL_ADDRESS)


def _factor(power: float) -> float:
    return -1.0 if power < 0 else 1.0


def _ways(power: float) -> tuple[tuple[str, float], tuple[str, float]]:
    return ("import", max(0.0, power)), ("export", max(0.0, -power))


def _signed(name: str, power: float) -> dict[str, Quantity]:
    return {f"{name}_{way}": part for way, part in _ways(power)}


class MeterBus(Bus):
    """A meter alone on a wire.

    >>> async with MeterBus.on_pty() as bus:
    ...     bus.meter.circuit.draw((16, 16, 16))
    ...     read_registers(bus.path)
    """

    def __init__(self, meter: Meter | None = None, *, unit: int | None = None, endpoint: Endpoint = PTY) -> None:
        self.meter = Meter() if meter is None else meter
        super().__init__({self.meter.map.unit if unit is None else unit: self.meter}, endpoint)

    @classmethod
    def on_pty(cls, meter: Meter | None = None, *, unit: int | None = None, link: Path | str | None = None) -> Self:
        """Return the bus for a pseudo-terminal."""
        return cls(meter, unit=unit, endpoint=Endpoint(link))

    @classmethod
    def on_tcp(
        cls,
        meter: Meter | None = None,
        *,
        unit: int | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        serial: bool = False,
    ) -> Self:
        """Return the bus for a TCP port; ``serial``: RTU frames over TCP."""
        return cls(meter, unit=unit, endpoint=Endpoint(host=host, port=port, serial=serial))
