"""The Heidelberg Energy Control and its car: documented wire bytes, watchdog, standby, lock, heat, counters, faults."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import pytest

from simulators.circuit import Circuit, HandClock, SimClock
from simulators.errors import Misuse
from simulators.framing import Request, Rtu, rtu_frame
from simulators.heidelberg import Heidelberg
from simulators.meter import Meter
from simulators.modbus import Line, Refused
from simulators.vehicle import Car
from tests.simulators.wires import VECTORS

FILE = json.loads((VECTORS / "heidelberg.json").read_text())
TRACES = {entry["id"]: entry["reads"] for entry in FILE["decode"]}
A1, A2, B1, B2, C1, C2, DERATED, SHORTED, F, ERROR = range(2, 12)
FED = rtu_frame(1, bytes.fromhex("0400050001")).hex()


class Box:
    """A box with a car and a meter on a clock that is moved by hand; unit 1."""

    def __init__(self, car: Car | None = None, speed: float = 0.0, **options: float) -> None:
        self.clock = HandClock()
        self.real = [0.0]
        clock = SimClock(speed, lambda: self.real[0]) if speed else self.clock
        self.circuit = Circuit(clock)
        self.circuit.volts = (230.0, 231.0, 229.0)
        self.meter = Meter(circuit=self.circuit, register_wh=0)
        self.evse = Heidelberg(circuit=self.circuit, car=car or Car(), **options)  # type: ignore[arg-type]  # each fits
        self.car = self.evse.car
        self.line = Line({1: self.evse})

    def wire(self, request: str) -> str:
        data = bytes.fromhex(request)
        answers = self.line.answer(Request(data[0], data[1:-2]), Rtu())
        return "".join(data.hex().upper() for _, data in answers)

    def write(self, address: int, *words: int) -> None:
        self.evse.write_words(address, words)

    def silent_for(self, seconds: float) -> int:
        """Return the state when a time has passed in which nobody asked."""
        self.clock.advance(seconds)
        return self.input(5)

    def after(self, seconds: float) -> int:
        """Return the state when a time has passed in which it was asked each second."""
        for _ in range(int(seconds)):
            self.clock.advance(1)
            self.evse.hears()
        return self.silent_for(seconds % 1)

    def input(self, address: int) -> int:
        return self.evse.read_words(4, address, 1)[0]

    def inputs(self, address: int, count: int) -> Sequence[int]:
        return self.evse.read_words(4, address, count)

    @property
    def drawn(self) -> float:
        self.circuit.advance()
        return self.circuit.amps[0]


def charging(box: Box, tenths: int = 160) -> Box:
    box.write(261, tenths)
    box.car.plug()
    assert box.after(5) == C2
    return box


def at_once(box: Box) -> None:
    """Charge, in so short a time that no counter has moved."""
    box.car.wakes_after_s, box.car.ramp_a_s = 0.0, 1e9
    box.car.plug()
    box.clock.advance(0.2)
    box.circuit.advance()


def _offered(box: Box) -> None:
    box.car.suspend()
    box.car.plug()


def _paused(box: Box) -> None:
    box.write(261, 0)
    box.car.plug()


def _asks_unheard(box: Box) -> None:
    box.car.stays_in_c = True
    at_once(box)
    box.write(261, 0)
    box.clock.advance(0.1)


def _uneven(box: Box) -> None:
    box.car.extra_a = (0.0, -0.1, 0.1)
    at_once(box)


def _hot(box: Box) -> None:
    box.evse.temperature_c = 79.1
    at_once(box)


def _cold(box: Box) -> None:
    box.evse.temperature_c = -10.5
    _paused(box)


def _fault(name: str) -> Callable[[Box], None]:
    return lambda box: setattr(box.evse, name, True)


#: Trace -> how the box gets into it, and what it has counted.
SITUATIONS: dict[str, tuple[Callable[[Box], None], int]] = {
    "heidelberg-s2": (lambda box: box.write(261, 0), 3_268_073),
    "heidelberg-s3": (lambda _: None, 3_268_073),
    "heidelberg-s4": (_paused, 3_268_073),
    "heidelberg-s5": (_offered, 3_268_073),
    "heidelberg-s6": (_asks_unheard, 3_268_073),
    "heidelberg-s7": (_uneven, 3_268_073),
    "heidelberg-s8": (_hot, 0),
    "heidelberg-s9": (_fault("cp_error"), 0),
    "heidelberg-s10": (_fault("not_ready"), 0),
    "heidelberg-s11": (_fault("internal"), 0),
    "heidelberg-cold": (_cold, 0),
    "heidelberg-lock": (_fault("locked"), 0),
    "heidelberg-cfg": (lambda box: box.write(258, 4), 0),
    "heidelberg-limits": (lambda _: None, 0),
}


def test_every_documented_trace_is_played() -> None:
    assert {*SITUATIONS, "heidelberg-hw"} == set(TRACES)


@pytest.mark.parametrize("trace", SITUATIONS)
def test_the_box_answers_as_documented(trace: str) -> None:
    prepare, energy_vah = SITUATIONS[trace]
    box = Box(energy_vah=energy_vah)
    prepare(box)
    for read in TRACES[trace]:
        assert box.wire(read["request"]) == read["response"]


def test_a_newer_box_tells_its_variant_and_software() -> None:
    box = Box(layout=0x0108, software=0x82)
    for read in TRACES["heidelberg-hw"]:
        assert box.wire(read["request"]) == read["response"]


@pytest.mark.parametrize("write", FILE["write"], ids=[f"{n}-{w['action']}" for n, w in enumerate(FILE["write"])])
def test_writes_are_answered_as_documented_and_can_be_read_back(write: dict[str, str]) -> None:
    box = Box()
    assert box.wire(write["request"]) == write["response"]
    function, address = int(write["request"][2:4], 16), int(write["request"][4:8], 16)
    word = write["request"][14:18] if function == 16 else write["request"][8:12]
    assert box.evse.read_words(3, address, 1) == [int(word, 16)]
    assert box.evse.written == {address: 1}


def test_traces_of_a_real_box() -> None:
    box = Box()
    box.circuit.volts = (237.0, 238.0, 238.0)
    box.write(261, 0)
    box.line.devices = {2: box.evse}
    for frame in FILE["frames"][:3]:
        assert box.wire(frame["request"]) == frame["response"]
    box.evse.sleep()
    assert box.wire(FILE["frames"][3]["request"]) == ""


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ("0400040010", "8402"),
        ("0300040001", "8302"),
        ("0400C80002", "8402"),
        ("0301030002", "8302"),
        ("0600050001", "8602"),
        ("0601050032", "8603"),
        ("06010500A1", "8603"),
        ("0601020001", "8603"),
        ("0601030002", "8603"),
        ("1001050002040000FFFF", "9003"),
        ("0100000001", "8101"),
    ],
)
def test_unknown_registers_and_impossible_values_are_refused(request_: str, code: str) -> None:
    box = Box()
    assert box.wire(rtu_frame(1, bytes.fromhex(request_)).hex())[2:6] == code
    assert not box.evse.written
    assert box.evse.read_words(3, 261, 2) == [160, 0]


def test_a_charge_counts_alike_on_the_box_and_on_the_meter() -> None:
    box = charging(Box(), 100)
    assert box.inputs(6, 3) == [100, 100, 100]
    assert box.input(14) == 6900
    box.write(257, 0)
    box.clock.advance(3600)
    counted = box.inputs(15, 4)
    assert counted[1] == int(box.meter.import_wh)
    assert counted[2] * 0x10000 + counted[3] == 3_268_073 + int(box.meter.import_wh)


def test_the_current_follows_the_limit_in_tenths_down_to_six_ampere() -> None:
    box = charging(Box())
    for tenths, drawn, state in ((65, 6.5, C2), (60, 6.0, C2), (0, 0.0, B1), (160, 16.0, C2)):
        box.write(261, tenths)
        assert box.after(5) == state
        assert box.drawn == drawn


def test_no_more_is_offered_than_the_rotary_switch_allows() -> None:
    box = Box(maximum_a=10, power_up_a=10)
    assert charging(box).drawn == 10
    assert box.inputs(100, 2) == [10, 6]


def test_the_watchdog_expires_at_its_time_and_any_frame_feeds_it() -> None:
    box = charging(Box())
    box.write(262, 60)
    box.write(257, 4000)
    for request in (FED, rtu_frame(1, bytes.fromhex("0601030001")).hex(), rtu_frame(1, bytes.fromhex("2B0E01")).hex()):
        box.clock.advance(3.5)
        assert box.wire(request)
        assert not box.evse.expired
    box.clock.advance(3.9)
    assert not box.evse.expired
    box.clock.advance(0.2)
    assert box.evse.expired
    box.clock.advance(3)
    assert box.drawn == 6
    assert box.wire(FED)[6:10] == "0007"
    box.clock.advance(3)
    assert box.drawn == 16


def test_frames_for_others_and_on_a_dead_line_do_not_feed_the_watchdog() -> None:
    box = Box()
    box.wire(FED)
    box.clock.advance(14)
    box.wire(rtu_frame(3, bytes.fromhex("0400050001")).hex())
    box.evse.faults.silent = True
    box.wire(FED)
    box.clock.advance(2)
    assert box.evse.expired


def test_a_fail_safe_current_of_nothing_is_state_f_for_ten_seconds_and_then_normal() -> None:
    box = charging(Box())
    assert box.silent_for(15) == F
    assert box.silent_for(9.5) == F
    assert box.drawn == 0
    assert box.silent_for(1) == B1
    assert box.wire(FED)
    assert box.after(5) == C2


def test_the_fail_safe_current_flows_even_where_the_limit_is_nothing() -> None:
    box = Box()
    box.write(261, 0, 80)
    box.car.plug()
    assert box.after(5) == B1
    assert box.silent_for(20) == C2
    assert box.drawn == 8


def test_a_watchdog_of_zero_never_expires() -> None:
    box = charging(Box())
    box.write(257, 0)
    assert box.silent_for(90_000) in {B2, C2}
    assert not box.evse.expired


def test_the_watchdog_runs_in_real_time_however_fast_the_energy_flows() -> None:
    box = Box(speed=240)
    box.car.plug()
    box.evse.hears()
    box.real[0] = 14
    assert box.input(5) == C2
    box.real[0] = 15.01
    assert box.input(5) == F
    box.real[0] = 26
    assert box.input(5) == B1
    assert float(box.meter.import_wh) == pytest.approx(3680 * 3 * 14 * 240 / 3600, rel=0.1)


def test_it_sleeps_after_twelve_minutes_without_a_car_and_forgets_its_limits() -> None:
    box = Box()
    box.write(257, 0)
    box.write(261, 100, 60)
    box.clock.advance(719)
    assert box.wire(FED)
    box.clock.advance(2)
    assert not box.wire(FED)
    box.car.plug()
    assert box.wire(FED)
    assert box.evse.read_words(3, 261, 2) == [160, 0]
    assert box.evse.read_words(3, 257, 1) == [0]


def test_it_stays_awake_with_a_car_and_where_that_is_set() -> None:
    box = charging(Box())
    box.write(257, 0)
    box.car.suspend()
    box.clock.advance(1000)
    assert box.wire(FED)
    with pytest.raises(Misuse):
        box.evse.sleep()
    box.car.unplug()
    box.write(258, 4)
    box.clock.advance(1000)
    assert box.wire(FED)
    with pytest.raises(Misuse):
        box.evse.sleep()


def test_the_remote_lock_is_state_f_and_wakes_a_sleeping_car() -> None:
    box = Box()
    box.car.asleep = True
    box.car.plug()
    assert box.after(60) == B2
    box.write(259, 0)
    assert box.after(10) == F
    box.write(259, 1)
    assert box.after(5) == C2


def test_a_lock_input_ends_the_charge_and_gives_it_back() -> None:
    box = charging(Box())
    box.evse.locked = True
    assert box.after(3) == F
    assert (box.drawn, box.input(13)) == (0, 0)
    box.evse.locked = False
    assert box.after(5) == C2


def test_heat_halves_the_current_but_not_below_six_ampere() -> None:
    box = charging(Box())
    box.evse.temperature_c = 80
    assert box.after(5) == DERATED
    assert box.drawn == 8
    box.write(261, 80)
    assert box.after(5) == DERATED
    assert box.drawn == 6
    box.car.suspend()
    assert box.after(5) == B2
    box.evse.temperature_c = 40
    box.car.resume()
    assert box.after(5) == C2
    assert box.drawn == 8


@pytest.mark.parametrize(
    ("fault", "state"),
    [
        ("diode", SHORTED),
        ("cp_error", SHORTED),
        ("rcd", ERROR),
        ("emergency", ERROR),
        ("internal", ERROR),
        ("not_ready", F),
    ],
)
def test_faults_of_the_box_end_the_charge_until_they_are_gone(fault: str, state: int) -> None:
    box = charging(Box())
    setattr(box.evse, fault, True)
    assert box.after(3) == state
    assert box.drawn == 0
    setattr(box.evse, fault, False)
    assert box.after(5) == C2


def test_a_car_that_asks_for_ventilation_is_an_error() -> None:
    box = Box()
    box.car.ventilation = True
    box.car.plug()
    assert box.after(5) == ERROR


def test_a_welded_contactor_is_an_error_and_a_deaf_car_uses_it() -> None:
    box = charging(Box())
    box.evse.welded = box.car.deaf = True
    box.write(261, 0)
    assert box.after(10) == ERROR
    assert box.drawn == 16


def test_a_contactor_that_does_not_close_lets_nothing_flow() -> None:
    box = Box()
    box.evse.stuck_open = True
    assert charging(box).drawn == 0


def test_ignored_writes_are_answered_and_change_nothing() -> None:
    box = Box()
    box.evse.ignores_writes = True
    write = FILE["write"][5]
    assert box.wire(write["request"]) == write["response"]
    assert box.evse.read_words(3, 261, 1) == [160]
    assert not box.evse.written


def test_a_power_cut_loses_settings_and_the_count_since_power_on() -> None:
    box = charging(Box())
    box.write(258, 4)
    box.write(257, 0)
    box.clock.advance(3600)
    total = box.inputs(17, 2)
    box.evse.power_cycle(2.0)
    assert not box.wire(FED)
    box.clock.advance(2.1)
    assert box.wire(FED)
    assert box.evse.read_words(3, 257, 2) == [15_000, 0]
    assert box.inputs(15, 2) == [0, 0]
    assert box.inputs(17, 2) == total


def test_a_power_cut_can_set_the_counter_back_to_the_last_standby() -> None:
    box = charging(Box())
    box.evse.loses_energy = True
    box.write(257, 0)
    box.clock.advance(3600)
    assert box.inputs(17, 2) != [0x31, 0xDDE9]
    box.evse.power_cycle()
    assert box.inputs(17, 2) == [0x31, 0xDDE9]
    box.car.unplug()
    box.evse.sleep()
    assert box.evse.asleep


def test_all_or_nothing_of_a_request_is_written() -> None:
    box = Box()
    with pytest.raises(Refused, match="3"):
        box.write(261, 100, 7)
    assert box.evse.read_words(3, 261, 2) == [160, 0]
