"""Every meter as the simulator serves it, from a register map of its own, read back through RTU and through TCP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal

import pytest

from agent.fieldbus.bus import Wires
from agent.fieldbus.definition import find
from agent.fieldbus.line import LineSettings, Transport
from agent.meter.modbus_meter import DEFINITIONS, ModbusMeter, available_models
from agent.runtime.clock import SystemClock
from simulators.circuit import HandClock
from simulators.meter import Meter, MeterBus
from simulators.registers import models

MODELS = available_models()
MEASURED = ("voltage_", "current_", "power_", "frequency", "energy_")


def quick(model: str, *, lenient: bool = False) -> Meter:
    """A meter that feeds back on one phase, so that a sign or an order that is wrong shows."""
    meter = Meter(model, clock=HandClock(), serial="23004711", register_wh=Decimal(1_234_567), lenient=lenient)
    meter.volts = (229.5, 231.25, 232.75)
    meter.circuit.draw((16, 8, -4))
    return meter


@asynccontextmanager
async def reading(meter: Meter, transport: Transport) -> AsyncIterator[ModbusMeter]:
    bus = MeterBus.on_pty(meter) if transport is Transport.RTU else MeterBus.on_tcp(meter)
    async with bus:
        definition = find(DEFINITIONS, meter.model)
        definition = replace(definition, bus=replace(definition.bus, min_gap_ms=0))
        where = (
            LineSettings(device=bus.path) if transport is Transport.RTU else LineSettings(transport, host="127.0.0.1")
        )
        line = where.completed(definition.bus)
        wires = Wires(SystemClock(1))
        async with wires.open():
            wire = wires.get(line if transport is Transport.RTU else replace(line, port=bus.port))
            yield ModbusMeter(wire, definition, address=definition.bus.address, clock=SystemClock(1))


def test_the_simulator_has_every_meter() -> None:
    assert models() == MODELS


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("transport", [Transport.RTU, Transport.TCP])
async def test_a_meter_is_read_back_as_it_measures(model: str, transport: Transport) -> None:
    """Over RTU it refuses registers that it has not, over TCP it tells zeros there."""
    meter = quick(model, lenient=transport is Transport.TCP)
    truth = meter.values()
    async with reading(meter, transport) as read:
        image = await read.image()
        told = read.definition.values(image)
        measured = {name for name in told if name.startswith(MEASURED)}
        assert {"energy_import", "power_total"} <= measured <= truth.keys()
        for name in measured:
            value = told[name]
            assert isinstance(value, Decimal)
            assert abs(value - Decimal(str(truth[name]))) <= read.definition.step(name, image), name
        sample = await read.read()
        assert sample.register == told["energy_import"]
        assert sample.serial == (str(told["serial_number"]) if "serial_number" in told else None)
        assert read.doubt is None


@pytest.mark.parametrize(
    ("model", "at", "word", "words"),
    [
        ("cg_em340", "model_code", 71, "model_code is 71, not one of 330..345, 348"),
        ("schneider_iem3155", "model_text", "iEM3150", "model_text is iEM3150, not one of iEM3155*, iEM3255*"),
        ("iskra_wm3m4c", "model_text", "MT174", "model_text is MT174, not one of *WM3M4*; check the model"),
    ],
)
async def test_another_meter_of_the_same_maker_is_doubted(model: str, at: str, word: str | int, words: str) -> None:
    meter = quick(model)
    values = tuple(replace(value, fixed=word) if value.name == at else value for value in meter.map.values)
    meter.map = replace(meter.map, values=values)
    async with reading(meter, Transport.TCP) as read:
        await read.read()
        assert words in str(read.doubt)


async def test_power_that_voltage_and_current_cannot_make_is_doubted_when_it_lasts() -> None:
    meter = quick("eastron_sdm630_v2")
    async with reading(meter, Transport.TCP) as read:
        meter.pretended["power_l1"] = 36_720.0
        await read.read()
        assert read.doubt is None
        for _ in range(4):
            await read.read()
        assert "power_l1 is 36720 W, but voltage and current make 3672 VA; check the model" in str(read.doubt)
        meter.pretended.clear()
        await read.read()
        assert read.doubt is None
