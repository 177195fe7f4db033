"""The simulated meters: registers byte for byte as documented, energy over time, and what goes wrong with a meter."""

from __future__ import annotations

import json
import math
import struct
from decimal import Decimal

import pytest

from simulators.circuit import Circuit, HandClock, SimClock
from simulators.errors import Misuse
from simulators.meter import Meter
from simulators.modbus import Refused
from simulators.registers import Quantity, load, models, read_map
from tests.simulators.wires import VECTORS

CASES = json.loads((VECTORS / "meters.json").read_text())
IMPORT = 0x48


def meter(register_wh: Decimal | float = 1000) -> tuple[Meter, HandClock]:
    clock = HandClock()
    return Meter(clock=clock, register_wh=register_wh), clock


def shown_kwh(of: Meter) -> float:
    value: float = struct.unpack(">f", struct.pack(">2H", *of.read_words(4, IMPORT, 2)))[0]
    return value


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_a_map_puts_documented_values_where_real_meters_have_them(case: dict[str, dict[str, dict[str, int]]]) -> None:
    wanted = case["registers"]
    for value in load(str(case["model"])).values:
        if value.fixed is None and value.name in case["values"]:
            words = [wanted[str(value.function)][str(value.address + place)] for place in range(value.size)]
            shown = list(value.words(case["values"][value.name]))  # type: ignore[arg-type]  # JSON
            if value.type in {"iskra_t5", "iskra_t6"}:
                assert scientific(shown) == scientific(words), value.name
            else:
                assert shown == words, value.name


def scientific(words: list[int]) -> Decimal:
    """The number behind an exponent and a mantissa that is not negative: several pairs mean the same."""
    exponent = (words[0] >> 8 ^ 0x80) - 0x80
    return Decimal((words[0] & 0xFF) << 16 | words[1]).scaleb(exponent)


def test_every_model_can_be_read_from_end_to_end() -> None:
    for model in models():
        of = Meter(model, clock=HandClock())
        for value in of.map.values:
            if not any(function == value.function and at <= value.address for function, at, _ in of.map.whole):
                assert len(of.read_words(value.function, value.address, value.size)) == value.size


def test_a_block_is_told_as_a_whole_or_not_at_all() -> None:
    of = Meter("siemens_pac2200", clock=HandClock())
    assert list(of.read_words(3, 64001, 27))[:3] == [42, 0x374B, 0x4D32]
    with pytest.raises(Refused, match="2"):
        of.read_words(3, 64001, 1)


def test_an_identity_may_stand_where_a_value_is_for_a_request_of_nothing_else() -> None:
    of = Meter("cg_em340", clock=HandClock(), lenient=True)
    assert list(of.read_words(4, 0x0B, 1)) == [345]
    assert list(of.read_words(4, 0x0A, 2)) == [4000, 0]


def test_low_words_first_texts_and_patterns_for_no_value() -> None:
    registers = read_map("""
        name = "X"
        unit = 1
        max_words = 10
        whole_values = true
        value = [
          { name = "energy_import", function = 4, address = 0, type = "i32", scale = "100", words = "low first" },
          { name = "power_total", function = 4, address = 2, type = "i16", none = "7FFF" },
          { name = "order", function = 4, address = 3, type = "text", length = 2, fixed = "AB1" },
          { name = "frequency", function = 4, address = 5, type = "u64", scale = "0.001", words = "low first" },
        ]
    """)
    quantities: dict[str, Quantity] = {"energy_import": Decimal(6_553_750), "frequency": 50.0}
    assert registers.read((4, 0, 9), quantities) == [1, 1, 0x7FFF, 0x4142, 0x3100, 50000, 0, 0, 0]
    with pytest.raises(Refused, match="2"):
        registers.read((4, 1, 2), quantities)
    with pytest.raises(Refused, match="3"):
        registers.read((4, 0, 11), quantities)


def test_numbers_stop_at_the_limits_of_their_type() -> None:
    one = read_map('name="X"\nunit=1\nmax_words=9\nvalue=[{name="power_total",function=4,address=0,type="i16"}]')
    assert one.read((4, 0, 1), {"power_total": 40_000.0}) == [0x7FFF]
    assert one.read((4, 0, 1), {"power_total": -40_000.0}) == [0x8000]


def test_unlisted_addresses_are_exception_2_or_zero() -> None:
    strict, lenient = Meter(clock=HandClock()), Meter(clock=HandClock(), lenient=True)
    with pytest.raises(Refused, match="2"):
        strict.read_words(4, 0x48, 6)
    assert list(lenient.read_words(4, 0x4A, 4))[2:] == [0, 0]
    with pytest.raises(Refused, match="3"):
        lenient.read_words(4, 0, 81)
    with pytest.raises(Refused, match="2"):
        strict.write_words(0, [1])


def test_energy_is_power_over_time() -> None:
    of, clock = meter()
    of.volts = (230.0, 230.0, 230.0)
    of.circuit.draw((10, 10, 0))
    clock.advance(1800)
    assert of.import_wh == 1000 + 2300
    assert of.values()["energy_import_l3"] == Decimal(1000) / 3
    assert of.values()["power_total"] == 4600
    assert shown_kwh(of) == pytest.approx(3.3)


def test_feeding_back_counts_on_the_export_register() -> None:
    of, clock = meter()
    of.volts = (230.0, 230.0, 230.0)
    of.circuit.draw((-10, 0, 0))
    clock.advance(3600)
    values = of.values()
    assert (values["energy_import"], values["energy_export"], values["power_total"]) == (1000, 2300, -2300)
    assert values["power_export"] == 2300


def test_time_may_run_faster_and_changes_its_pace_without_a_jump() -> None:
    real = [100.0]
    clock = SimClock(60, lambda: real[0])
    real[0] += 2
    assert clock.now() == 120
    clock.speed = 1
    assert clock.now() == 120
    real[0] += 2
    assert (clock.now(), clock.speed) == (122, 1)


def test_two_meters_in_one_circuit_count_the_same() -> None:
    clock = HandClock()
    circuit = Circuit(clock)
    one, other = Meter(circuit=circuit), Meter("abb_b23", circuit=circuit)
    circuit.draw((16, 16, 16))
    clock.advance(600)
    assert one.import_wh == other.import_wh > 1_234_567


def test_a_single_phase_meter_sees_one_phase() -> None:
    clock = HandClock()
    of = Meter("eastron_sdm120", clock=clock, register_wh=0)
    of.volts = (230.0, 230.0, 230.0)
    of.circuit.draw((10, 10, 10))
    clock.advance(3600)
    assert of.import_wh == 2300


def test_the_register_can_go_back_and_jump() -> None:
    of, _ = meter(5000)
    of.set_register(4000)
    assert shown_kwh(of) == 4
    of.set_register(Decimal("90000.5"))
    assert shown_kwh(of) == pytest.approx(90.0005)


def test_values_can_be_lost() -> None:
    of, _ = meter()
    of.missing.add("energy_import")
    assert math.isnan(shown_kwh(of))
    of.missing.clear()
    assert shown_kwh(of) == 1


def test_a_frozen_meter_counts_on_inside() -> None:
    of, clock = meter()
    of.freeze()
    of.circuit.draw((10, 10, 10))
    clock.advance(3600)
    assert shown_kwh(of) == 1
    of.freeze(on=False)
    assert shown_kwh(of) > 7


def test_single_values_can_be_frozen_while_the_others_go_on() -> None:
    of, clock = meter()
    of.freeze("energy_import")
    of.circuit.draw((10, 10, 10))
    clock.advance(3600)
    assert shown_kwh(of) == 1
    assert of.read_words(4, 52, 2) != (0, 0)


def test_a_meter_can_show_what_it_does_not_measure() -> None:
    of, _ = meter()
    of.pretended["frequency"] = 90.0
    assert list(of.read_words(4, 70, 2)) == [0x42B4, 0]


def test_a_meter_that_is_fitted_the_wrong_way_round_counts_export() -> None:
    of, clock = meter()
    of.volts = (230.0, 230.0, 230.0)
    of.upside_down = True
    of.circuit.draw((10, 0, 0))
    clock.advance(3600)
    values = of.values()
    assert (values["energy_import"], values["energy_export"], values["power_total"]) == (1000, 2300, -2300)


def test_meters_of_one_circuit_have_one_voltage() -> None:
    circuit = Circuit(HandClock())
    one, other = Meter(circuit=circuit), Meter(circuit=circuit)
    one.volts = (231.0, 0.0, 0.0)
    assert other.values()["voltage_l1"] == 231.0


def test_a_replaced_meter_has_another_number_and_register() -> None:
    of, clock = meter()
    of.circuit.draw((10, 0, 0))
    clock.advance(3600)
    of.replace("42", 17)
    assert list(of.read_words(3, 0xFC00, 2)) == [0, 42]
    assert of.import_wh == 17


def test_an_unknown_model_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(Misuse, match=r"unknown meter model 'x', known are: .*eastron"):
        Meter("x")
