"""The EVSE DIN board and its car: wire bytes as documented, the pilot, the contactor, the current, and their faults."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from simulators.circuit import Circuit, HandClock
from simulators.evse import EvseDin
from simulators.framing import Request, Rtu
from simulators.meter import Meter
from simulators.modbus import Line, Refused
from simulators.vehicle import Car
from tests.simulators.wires import VECTORS

FILE = json.loads((VECTORS / "evse_din.json").read_text())
TRACES = {entry["id"]: entry for entry in FILE["decode"]}


class Box:
    """A board with a car and a meter on a clock that is moved by hand."""

    def __init__(self, board: Callable[..., EvseDin] = EvseDin, car: Car | None = None) -> None:
        self.clock = HandClock()
        self.circuit = Circuit(self.clock)
        self.meter = Meter(circuit=self.circuit, register_wh=0)
        self.meter.volts = (230.0, 230.0, 230.0)
        self.evse = board(circuit=self.circuit, car=car or Car())
        self.car = self.evse.car

    def limit(self, amps: int) -> None:
        self.evse.write_words(1000, [amps])

    def after(self, seconds: float) -> list[int]:
        """Return the registers 1000 to 1007 when a time has passed."""
        self.clock.advance(seconds)
        return list(self.evse.read_words(3, 1000, 8))

    @property
    def drawn(self) -> float:
        self.circuit.advance()
        return self.circuit.amps[0]

    def wire(self, request: str) -> str:
        data = bytes.fromhex(request)
        answers = Line({1: self.evse}).answer(Request(1, data[1:-2]), Rtu())
        return "".join(data.hex().upper() for _, data in answers)


def charging(box: Box, amps: int = 16) -> Box:
    box.limit(amps)
    box.car.plug()
    assert box.after(5)[2] == 3
    return box


def old(**options: object) -> EvseDin:
    return EvseDin(old_firmware=True, **options)  # type: ignore[arg-type]  # the box gives circuit and car


def firmware_17(**options: object) -> EvseDin:
    return EvseDin(firmware=17, **options)  # type: ignore[arg-type]  # as above


def precise(**options: object) -> EvseDin:
    return EvseDin(old_firmware=True, precise=True, **options)  # type: ignore[arg-type]  # as above


def _paused(box: Box) -> None:
    box.limit(0)
    box.car.plug()


def _offered(box: Box) -> None:
    box.limit(16)
    box.car.suspend()
    box.car.plug()


def _asks_unheard(box: Box) -> None:
    box.car.stays_in_c = True
    charging_old(box)
    box.limit(0)
    box.clock.advance(5)


def charging_old(box: Box) -> None:
    box.limit(1600 if box.evse.read_words(3, 2005, 1)[0] & 0x80 else 16)
    box.car.plug()
    box.clock.advance(5)


def _ventilated(box: Box) -> None:
    box.car.ventilation = True
    charging_old(box)


def _diode(box: Box) -> None:
    box.limit(16)
    box.evse.diode = True
    box.car.plug()


def _rcd(box: Box) -> None:
    charging_old(box)
    box.evse.rcd = True


def _emergency(box: Box) -> None:
    charging_old(box)
    box.evse.emergency = True


def _turned_off(box: Box) -> None:
    box.car.stays_in_c = box.evse.shows_commanded = True
    charging_old(box)
    box.evse.write_words(1004, [1])


SITUATIONS: dict[str, tuple[Callable[..., EvseDin], Callable[[Box], None]]] = {
    "evse_din-01": (EvseDin, lambda _: None),
    "evse_din-02": (old, _paused),
    "evse_din-03": (old, _offered),
    "evse_din-04": (firmware_17, charging_old),
    "evse_din-05": (old, _asks_unheard),
    "evse_din-06": (old, _ventilated),
    "evse_din-07": (firmware_17, _diode),
    "evse_din-08": (firmware_17, _emergency),
    "evse_din-09": (precise, charging_old),
    "evse_din-10": (old, _turned_off),
    "evse_din-11": (firmware_17, _rcd),
    "evse_din-12": (EvseDin, lambda _: None),
}


def test_every_documented_trace_is_played() -> None:
    assert set(SITUATIONS) == set(TRACES)


@pytest.mark.parametrize("trace", SITUATIONS)
def test_the_board_answers_as_documented(trace: str) -> None:
    board, prepare = SITUATIONS[trace]
    box = Box(board)
    prepare(box)
    assert box.wire(TRACES[trace]["request"]) == TRACES[trace]["response"]


@pytest.mark.parametrize("write", FILE["write"], ids=[entry["action"] for entry in FILE["write"]])
def test_writes_are_answered_as_documented_and_can_be_read_back(write: dict[str, str]) -> None:
    box = Box(precise if write["precise"] else EvseDin)
    assert box.wire(write["request"]) == write["response"]
    address, word = int(write["request"][4:8], 16), int(write["request"][14:18], 16)
    assert box.evse.read_words(3, address, 1) == [word]


def test_an_old_board_refuses_eight_words_and_a_line_adds_its_faults() -> None:
    eight, wrong_unit, noise = FILE["frames"][0], FILE["frames"][3], FILE["frames"][4]
    box = Box(old)
    assert box.wire(eight["request"]) == eight["response"]
    _paused(box)
    box.evse.faults.unit = 2
    assert box.wire(wrong_unit["request"]) == wrong_unit["response"]
    box.evse.faults.unit, box.evse.faults.before = None, b"\0"
    assert box.wire(noise["request"]) == noise["response"]


def test_only_functions_3_6_and_16_and_known_addresses_are_served() -> None:
    evse = Box().evse
    for call, code in (
        (lambda: evse.read_words(4, 1000, 1), "1"),
        (lambda: evse.read_words(3, 1008, 3), "2"),
        (lambda: evse.read_words(3, 2017, 2), "2"),
        (lambda: evse.write_words(1002, [3]), "2"),
        (lambda: evse.write_words(1000, [81]), "3"),
    ):
        with pytest.raises(Refused, match=code):
            call()


def test_a_car_asks_ramps_up_and_its_energy_reaches_the_meter() -> None:
    box = Box()
    box.limit(10)
    box.car.plug()
    assert box.after(0)[:3] == [10, 10, 2]
    assert box.after(0.7)[2] == 3
    assert 0 < box.drawn < 10
    box.clock.advance(2)
    assert box.drawn == 10
    before = box.meter.import_wh
    box.clock.advance(3600)
    assert float(box.meter.import_wh - before) == pytest.approx(6900, abs=0.1)


def test_a_car_draws_no_more_than_it_can_nor_than_the_cable_allows() -> None:
    assert charging(Box(car=Car(max_a=10))).drawn == 10
    box = Box()
    box.evse.cable_a = 13
    assert charging(box).drawn == 13
    assert box.after(0)[1] == 13


def test_a_car_follows_a_lower_limit_and_stops_without_an_offer() -> None:
    box = charging(Box())
    box.limit(8)
    assert box.after(1)[1:3] == [8, 3]
    assert box.drawn == 8
    box.limit(0)
    assert box.after(3)[1:3] == [0, 2]
    assert box.drawn == 0
    assert box.after(0)[6:] == [1, 0]
    box.limit(16)
    assert box.after(5)[2] == 3


def test_the_contactor_opens_three_seconds_after_the_offer_ends_whatever_the_car_does() -> None:
    box = charging(Box(car=Car(stays_in_c=True)))
    box.car.ramp_a_s = 0.001
    box.limit(0)
    assert box.after(2.5)[7] == 1
    assert box.after(1)[7] == 0
    assert box.drawn == 0


def test_less_than_the_minimum_is_no_offer() -> None:
    box = Box()
    box.limit(4)
    box.car.plug()
    assert box.after(5)[:3] == [4, 0, 2]
    box.evse.shows_minimum = True
    assert box.after(0)[:3] == [4, 5, 2]


def test_pulling_the_cable_under_load_ends_the_current_at_once() -> None:
    box = charging(Box())
    box.car.unplug()
    assert box.drawn == 0
    assert box.after(0.2)[1:8] == [0, 1, 5, 0, 18, 1, 0]


def test_a_full_battery_goes_back_to_b_and_takes_less_before() -> None:
    box = charging(Box(car=Car(capacity_wh=10_000, charged_wh=9_000)))
    box.clock.advance(180)
    taper = box.drawn
    assert 6 <= taper < 16
    assert box.after(3600)[2] == 2
    assert (box.drawn, box.car.full) == (0, True)
    box.car.resume()
    assert box.after(5)[2] == 3


def test_a_car_pauses_and_goes_on_by_itself() -> None:
    box = charging(Box())
    box.car.suspend()
    assert box.after(3)[1:3] == [16, 2]
    box.car.resume()
    assert box.after(5)[2] == 3


def test_a_single_phase_car_uses_one_phase() -> None:
    box = charging(Box(car=Car(phases=1)))
    assert box.circuit.amps == (16, 0, 0)


def test_faults_end_the_charge_and_the_rcd_is_cleared_by_its_bit() -> None:
    box = charging(Box())
    box.evse.rcd = True
    assert box.after(1)[1:8] == [0, 5, 32, 0, 18, 3, 0x20]
    assert box.drawn == 0
    box.evse.write_words(1004, [4])
    assert box.after(5)[2] == 3
    box.evse.diode = True
    assert box.after(1)[2::5] == [5, 2]


def test_a_car_that_needs_ventilation_is_a_failure_where_it_is_not_allowed() -> None:
    box = Box()
    box.evse.write_words(2005, [0x0201])
    box.car.ventilation = True
    box.limit(16)
    box.car.plug()
    assert box.after(5)[2::5] == [5, 4]


def test_turning_off_lasts_until_the_next_current_and_disabling_until_it_is_lifted() -> None:
    box = charging(Box())
    box.evse.write_words(1004, [1])
    assert box.after(3)[1::5] == [0, 3]
    box.limit(16)
    assert box.after(3)[1::5] == [16, 2]
    box.evse.write_words(2005, [0x4209])
    assert box.after(3)[1::5] == [0, 3]


def test_ignored_writes_are_answered_and_change_nothing() -> None:
    box = Box()
    box.evse.ignores_writes = True
    box.limit(10)
    assert box.after(0)[0] == 32


def test_power_up_brings_the_current_of_register_2000() -> None:
    box = Box()
    box.evse.write_words(2000, [6])
    box.limit(16)
    box.evse.power_cycle()
    assert box.after(0)[0] == 6
    assert box.evse.settings_written == [2000]


def test_a_board_without_supply_answers_nothing_and_offers_nothing() -> None:
    box = charging(Box())
    box.evse.power_cycle(2.0)
    assert not box.wire("010303E800078478")
    box.clock.advance(0.2)
    assert (box.drawn, box.evse.offered_a) == (0, 0)
    box.clock.advance(2.2)
    assert box.wire("010303E800078478")
    assert box.after(5)[:3] == [32, 32, 3]


def test_a_cable_that_stays_in_the_socket_still_shows_what_it_allows() -> None:
    box = charging(Box())
    box.car.unplug(at_car=True)
    assert box.after(0.2)[2:4] == [1, 32]
    box.car.unplug()
    assert box.after(0.2)[2:4] == [1, 5]


def test_a_welded_contactor_lets_a_deaf_car_go_on_unseen() -> None:
    box = charging(Box())
    box.evse.welded = box.car.deaf = True
    box.limit(0)
    assert box.after(10)[1::6] == [0, 0]
    assert box.drawn == 16


def test_a_contactor_that_does_not_close_lets_nothing_flow_unseen() -> None:
    box = Box()
    box.evse.stuck_open = True
    charging(box)
    assert box.after(1)[7] == 1
    assert box.drawn == 0


def test_the_emergency_stop_opens_the_contactor_without_a_reason() -> None:
    box = charging(Box())
    box.evse.emergency = True
    assert box.after(1)[2::5] == [5, 0]
    assert box.drawn == 0
    box.evse.emergency = False
    assert box.after(5)[2] == 3


def test_writes_are_counted_register_by_register() -> None:
    box = Box()
    box.limit(10)
    box.limit(11)
    box.evse.write_words(2000, [6])
    assert box.evse.written == {1000: 2, 2000: 1}


def test_a_car_that_refuses_never_asks() -> None:
    box = Box()
    box.car.refuses = True
    box.limit(16)
    box.car.plug()
    assert box.after(3600)[2] == 2
    box.car.resume()
    assert box.after(5)[2] == 3


def test_a_slow_car_asks_only_after_its_time() -> None:
    box = Box(car=Car(wakes_after_s=90))
    box.limit(16)
    box.car.plug()
    assert box.after(89)[2] == 2
    assert box.after(2)[2] == 3


def test_a_sleeping_car_is_not_woken_by_an_offer_alone() -> None:
    box = Box()
    box.car.asleep = True
    box.limit(16)
    box.car.plug()
    assert box.after(600)[2] == 2
    box.evse.power_cycle(5.0)
    assert box.after(11)[2] == 3


def test_a_deaf_car_draws_what_it_can() -> None:
    box = Box()
    box.car.deaf = True
    assert charging(box, 6).drawn == 16


def test_a_car_can_draw_more_than_it_is_offered() -> None:
    box = Box()
    box.car.extra_a = (2.0, 2.0, 2.0)
    assert charging(box, 10).circuit.amps == (12, 12, 12)
    box.car.phases = 1
    assert box.circuit.amps == (12, 0, 0)


def test_a_car_that_flaps_asks_every_other_time() -> None:
    box = charging(Box())
    box.car.flaps_s = 10.0
    assert box.after(2)[2] == 3
    assert [box.after(5)[2] for _ in range(7)] == [3, 2, 2, 3, 3, 2, 2]
    box.car.flaps_s = 0.0
    assert box.after(5)[2] == 3


def test_a_car_that_is_replugged_quickly_starts_anew() -> None:
    box = charging(Box())
    box.car.unplug()
    box.clock.advance(0.3)
    assert box.drawn == 0
    box.car.plug()
    assert box.after(0)[2] == 2
    assert box.after(3)[2] == 3


def test_the_board_shows_its_address() -> None:
    assert EvseDin(unit=2).read_words(3, 2001, 1) == [2]


def test_the_bootloader_bit_kills_the_board() -> None:
    box = Box()
    box.wire("011007D5000102" + "8209" + "0000")
    assert box.evse.faults.silent
    box.evse.faults.clear()
    box.evse.power_cycle()
    assert box.evse.faults.silent


def test_the_self_test_runs_for_half_a_minute() -> None:
    box = Box()
    box.evse.write_words(1004, [2])
    assert box.after(10)[7] == 0x10
    assert box.evse.read_words(3, 1009, 1) == [20]
    assert box.after(21)[7] == 0
