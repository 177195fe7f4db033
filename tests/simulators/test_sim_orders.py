"""The line commands of meter, controller, car, reader, wire: what each does to the bytes; wrong usage in one line."""

from __future__ import annotations

import asyncio
import struct

import pytest

from simulators.board import Board
from simulators.bus import Bus, Endpoint
from simulators.circuit import Circuit, HandClock, SimClock
from simulators.console import Commands
from simulators.devices import CONTROLLERS, READERS
from simulators.errors import Misuse, SimulatorError
from simulators.evse import EvseDin
from simulators.framing import Mbap, Request, Rtu, rtu_frame
from simulators.heidelberg import Heidelberg
from simulators.meter import Meter
from simulators.orders.box import add_evse_commands
from simulators.orders.line import FAULTS, add_line_commands
from simulators.orders.meter import add_meter_commands
from simulators.orders.reader import add_reader_commands
from simulators.pn532 import Pn532
from simulators.rfid import CardReader, SerialReader
from simulators.vehicle import Car
from tests.simulators.wires import SerialLine

READ = bytes.fromhex("0400480002")
#: 1234.567 kWh.
GOOD = rtu_frame(1, bytes.fromhex("0404449A5225")).hex()
GOOD_TCP = "0007000000070104" + "04449A5225".lower()


class Wall:
    """Everything that can be ordered about, on a clock that is moved by hand and a wire that is not plugged in."""

    def __init__(self, board: type[Board] = EvseDin, endpoint: Endpoint | None = None) -> None:
        self.clock = HandClock()
        circuit = Circuit(self.clock)
        self.evse: Board = board(circuit=circuit, car=Car())  # type: ignore[call-arg]  # each takes both
        self.meter = Meter(circuit=circuit)
        self.bus = Bus({1: self.meter, 2: self.evse}, endpoint or Endpoint())
        self.commands = Commands()
        add_evse_commands(self.commands, self.evse)
        add_meter_commands(self.commands, self.meter)
        add_line_commands(self.commands, self.bus, {"meter": self.meter.faults, "evse": self.evse.faults})

    async def order(self, line: str) -> str:
        return await self.commands.obey(line)

    def sent(self, unit: int = 1, pdu: bytes = READ) -> list[tuple[float, str]]:
        framing = Mbap() if self.bus.wire == "tcp" else Rtu()
        return [(delay, data.hex()) for delay, data in self.bus.line.answer(Request(unit, pdu, 7), framing)]

    def kwh(self) -> float:
        value: float = struct.unpack(">f", struct.pack(">2H", *self.meter.read_words(4, 0x48, 2)))[0]
        return value

    def register(self, address: int) -> int:
        return self.evse.read_words(4 if isinstance(self.evse, Heidelberg) else 3, address, 1)[0]


LINE_FAULTS: dict[str, list[tuple[float, str]]] = {
    "silence": [],
    "flaky 100": [],
    "delay 1.5": [(1.5, GOOD)],
    "late": [],
    "stray": [(0, GOOD), (0, GOOD)],
    "exception 4": [(0, rtu_frame(1, b"\x84\x04").hex())],
    "wrong-unit 9": [(0, rtu_frame(9, bytes.fromhex("0404449A5225")).hex())],
    "wrong-function 3": [(0, rtu_frame(1, bytes.fromhex("0304449A5225")).hex())],
    "fewer 1": [(0, rtu_frame(1, bytes.fromhex("0402449A")).hex())],
    "crc": [(0, GOOD[:-2] + f"{int(GOOD[-2:], 16) ^ 0xFF:02x}")],
    "truncate 4": [(0, GOOD[:8])],
    "garbage 0": [(0, GOOD)],
    "before 00FF": [(0, "00ff" + GOOD)],
    "after 00": [(0, GOOD + "00")],
    "echo": [(0, rtu_frame(1, READ).hex() + GOOD)],
    "slow 1": [(place, GOOD[2 * place : 2 * place + 2]) for place in range(9)],
    "gap 0.1": [(0, GOOD)],
}
TCP_FAULTS: dict[str, list[tuple[float, str]]] = {
    "wrong-transaction": [(0, "0008" + GOOD_TCP[4:])],
    "wrong-transaction 16": [(0, "0017" + GOOD_TCP[4:])],
    "wrong-length 2": [(0, GOOD_TCP[:8] + "0009" + GOOD_TCP[12:])],
    "crc": [(0, GOOD_TCP[:4] + "5555" + GOOD_TCP[8:])],
    "reset": [],
}


def test_every_fault_of_a_line_is_tried_here() -> None:
    assert {each.split()[0] for each in LINE_FAULTS | TCP_FAULTS} == set(FAULTS)


@pytest.mark.parametrize("fault", LINE_FAULTS)
async def test_a_fault_of_a_serial_line_shows_in_the_bytes_until_it_is_cleared(fault: str) -> None:
    wall = Wall()
    assert await wall.order(f"fault {fault}") == f"meter: {fault}"
    assert wall.sent() == LINE_FAULTS[fault]
    assert await wall.order("fault clear") == "meter: no faults"
    assert wall.sent() == [(0, GOOD)]


@pytest.mark.parametrize("fault", TCP_FAULTS)
async def test_a_fault_of_modbus_tcp_shows_in_the_bytes_for_as_often_as_asked(fault: str) -> None:
    wall = Wall(endpoint=Endpoint(host="127.0.0.1"))
    assert await wall.order(f"fault meter {fault} x1") == f"meter: {fault}, 1 times"
    assert wall.sent() == TCP_FAULTS[fault]
    assert wall.sent() == [(0, GOOD_TCP)]


async def test_faults_hit_the_unit_that_is_named_and_are_listed() -> None:
    wall = Wall()
    await wall.order("fault evse silence")
    await wall.order("fault meter delay 2")
    assert wall.sent(2, bytes.fromhex("0303E80001")) == []
    assert wall.sent() == [(2, GOOD)]
    assert await wall.order("faults") == "  meter: delay 2.0\n  evse: silence True"


async def test_garbage_has_a_usual_length() -> None:
    wall = Wall()
    await wall.order("fault garbage")
    assert len(wall.sent()[0][1]) == 14


async def test_an_adapter_is_pulled_for_a_time_and_back_again() -> None:
    wall = Wall()
    async with wall.bus:
        path = wall.bus.path
        async with SerialLine(path) as line:
            await wall.order("unplug-bus 0.05")
            assert line.lost.is_set() or await asyncio.wait_for(line.lost.wait(), 1)
        async with SerialLine(wall.bus.path) as line:
            assert (await line.ask(rtu_frame(1, READ).hex(), 9)).lower() == GOOD
            await wall.order("inject 55AA")
            assert await line.read(2) == b"\x55\xaa"
        assert "unit 1: 04 00 48 00 02 -> 01 04 04" in await wall.order("trace 1")


METER_ORDERS: list[tuple[str, float]] = [
    ("register 5000", 5.0),
    ("jump -1000000", 234.567),
    ("replace 42", 0.0),
    ("replace 42 7000", 7.0),
    ("pretend energy_import 9000", 9.0),
]


@pytest.mark.parametrize(("order", "kwh"), METER_ORDERS)
async def test_the_register_goes_where_it_is_told(order: str, kwh: float) -> None:
    wall = Wall()
    await wall.order(order)
    assert wall.kwh() == pytest.approx(kwh)


async def test_a_meter_loses_freezes_and_turns_values() -> None:
    wall = Wall()
    await wall.order("nan")
    assert wall.meter.read_words(4, 0x48, 2) == [0x7FC0, 0]
    await wall.order("nan none")
    await wall.order("freeze energy_import")
    await wall.order("load 10")
    wall.clock.advance(3600)
    assert wall.kwh() == pytest.approx(1234.567)
    await wall.order("freeze off")
    assert wall.kwh() > 1240
    await wall.order("upside-down")
    assert float(str(wall.meter.values()["power_total"])) < 0
    await wall.order("voltage 230 0 0")
    assert wall.meter.values()["power_total"] == -2300
    await wall.order("pretend frequency 90")
    assert "frequency            90.0" in await wall.order("show")
    await wall.order("pretend frequency off")
    await wall.order("serial 99")
    assert list(wall.meter.read_words(3, 0xFC00, 2)) == [0, 99]


@pytest.mark.parametrize("board", CONTROLLERS.values())
async def test_every_fault_of_a_controller_has_its_command(board: type[Board]) -> None:
    wall = Wall(board)
    for fault in board.FAULTS:
        name = "ignore" if fault == "ignores_writes" else fault.replace("_", "-")
        await wall.order(name)
        assert getattr(wall.evse, fault) is True
        await wall.order(f"{name} off")
        assert getattr(wall.evse, fault) is False


async def test_a_car_is_led_through_its_moods() -> None:
    wall = Wall()
    car = wall.evse.car
    await wall.order("phases 1")
    await wall.order("amps 10")
    await wall.order("wakes-after 2")
    await wall.order("overdraw 1.5")
    await wall.order("plug")
    wall.clock.advance(1.5)
    assert wall.register(1002) == 2
    wall.clock.advance(5)
    assert (wall.register(1002), wall.evse.circuit.amps) == (3, (11.5, 0, 0))
    await wall.order("unplug-car")
    assert (wall.register(1002), wall.register(1003)) == (1, 32)
    await wall.order("unplug")
    assert wall.register(1003) == 5
    await wall.order("replug 0")
    assert wall.register(1002) == 2
    for mood in ("refuses", "asleep", "deaf", "stays-in-c", "ventilation"):
        await wall.order(mood)
        assert getattr(car, mood.replace("-", "_")) is True
        await wall.order(f"{mood} off")
    for order, field, value in (
        ("battery 50", "charged_wh", 30_000),
        ("flap 3", "flaps_s", 3),
        ("flap off", "flaps_s", 0),
    ):
        await wall.order(order)
        assert getattr(car, field) == value
    await wall.order("full")
    assert car.full


async def test_another_master_writes_and_writes_are_counted() -> None:
    wall = Wall()
    await wall.order("write 1000 0x0A")
    assert wall.register(1000) == 10
    assert await wall.order("writes") == "  register 1000: 1"
    await wall.order("cable 13")
    await wall.order("plug")
    assert wall.register(1003) == 13
    await wall.order("power-cycle 1")
    assert wall.sent(2, bytes.fromhex("0303E80001")) == []
    with pytest.raises(Misuse, match="the controller refuses that: modbus exception 2"):
        await wall.order("write 1 1")


async def test_a_heidelberg_sleeps_and_gets_hot() -> None:
    wall = Wall(Heidelberg)
    await wall.order("temperature 79.1")
    assert wall.register(9) == 791
    await wall.order("standby")
    assert wall.sent(2, bytes.fromhex("0400050001")) == []
    assert "asleep" in await wall.order("state")


async def test_time_runs_faster_from_now_on() -> None:
    circuit = Circuit(SimClock(1))
    commands = Commands()
    add_meter_commands(commands, Meter(circuit=circuit))
    await commands.obey("speed 60")
    assert circuit.pace == 60


@pytest.mark.parametrize("reader", READERS.values())
async def test_every_fault_of_a_reader_has_its_command(reader: type[SerialReader]) -> None:
    simulated = reader()
    commands = Commands()
    add_reader_commands(commands, simulated)
    for fault in reader.FAULTS:
        await commands.obey(fault.replace("_", "-"))
        assert getattr(simulated, fault) is True
    values = (("split 0.1", "split_s", 0.1), ("lose 2", "lose", 2), ("noise-before 00 FF", "noise_before", b"\0\xff"))
    for order, field, value in values:
        await commands.obey(order)
        assert getattr(simulated, field) == value
        await commands.obey(f"{order.split()[0]} off")
        assert not getattr(simulated, field)


async def test_a_pushing_reader_repeats_glues_and_is_pulled() -> None:
    reader = CardReader()
    commands = Commands()
    add_reader_commands(commands, reader)
    async with reader:
        await commands.obey("glue 2")
        async with SerialLine(reader.path) as line:
            await commands.obey("tap 62E3086CED 0")
            assert len(await line.read(100, 0.1)) == 28
            await commands.obey("unplug 0.05")
            assert line.lost.is_set() or await asyncio.wait_for(line.lost.wait(), 1)
        await commands.obey("glue 1")
        await commands.obey("repeats 2")
        async with SerialLine(reader.path) as line:
            await commands.obey("tap 62E3086CED 0")
            assert len(await line.read(100, 0.1)) == 28


async def test_a_polled_reader_holds_cards_and_loses_its_supply() -> None:
    reader = Pn532()
    commands = Commands()
    add_reader_commands(commands, reader)
    await commands.obey("hold DEADBEEF")
    await commands.obey("hold 04A1B2C3D4E580 desfire")
    await commands.obey("relists")
    await commands.obey("late 0.5")
    await commands.obey("late-ack 0.1")
    assert (reader.late_s, reader.late_ack_s, reader.chip.relists) == (0.5, 0.1, True)
    reader.chip.wake()
    assert await commands.obey("state") == "  unconfigured"
    await commands.obey("power-cycle")
    assert await commands.obey("state") == "  asleep"
    await commands.obey("remove DEADBEEF")
    await commands.obey("remove")
    with pytest.raises(Misuse, match="those have 7 bytes"):
        await commands.obey("hold DEADBEEF desfire")


WRONG = [
    "fault", "fault odd", "fault crc 1", "fault delay", "fault delay -1", "fault delay soon", "fault exception 256",
    "fault flaky 101", "fault flaky nan", "fault wrong-unit x", "fault fewer -1", "fault before X", "fault crc x0",
    "fault reset", "fault wrong-length", "fault nobody crc", "unplug-bus -1", "unplug-bus 1 2", "inject", "inject G",
    "trace x", "load", "load 1 2", "load x", "voltage 1 2 3 4", "register", "register inf", "register 1 2", "jump nan",
    "replace", "replace 1 2 3", "serial", "nan odd", "freeze odd", "pretend frequency", "pretend odd 1",
    "pretend frequency x", "upside-down maybe", "speed 0", "speed -1", "speed x", "plug now", "replug -1",
    "battery 101", "battery", "wakes-after x", "phases 4", "phases", "amps -1", "overdraw", "flap", "flap -2",
    "refuses maybe", "rcd maybe", "power-cycle x", "write 1000", "write 1000 70000", "write 2 2", "cable x", "cable",
    "help odd", "nothing",
]  # fmt: skip


@pytest.mark.parametrize("line", WRONG)
async def test_wrong_usage_is_one_line_and_changes_nothing(line: str) -> None:
    wall = Wall()
    before = (wall.sent(), wall.sent(2, bytes.fromhex("0303E80008")))
    with pytest.raises(SimulatorError) as error:
        await wall.order(line)
    assert str(error.value)
    assert "\n" not in str(error.value)
    assert (wall.sent(), wall.sent(2, bytes.fromhex("0303E80008"))) == before


@pytest.mark.parametrize(
    "line",
    ["tap", "tap 62E3086CED x", "tap 62E3086CED 1 2 3", "tap 12", "lose x", "lose -1", "split -1", "noise G",
     "noise-before", "unplug x", "half maybe", "glue 0", "repeats x", "hold", "hold 12", "remove 12", "late", "late x",
     "tap DEADBEEF 0 gold"],
)  # fmt: skip
async def test_wrong_usage_of_a_reader_is_one_line(line: str) -> None:
    for reader in (CardReader(), Pn532()):
        commands = Commands()
        add_reader_commands(commands, reader)
        with pytest.raises(SimulatorError) as error:
            await commands.obey(line)
        assert "\n" not in str(error.value)


async def test_help_lists_each_command_and_each_fault_with_one_line_by_topic() -> None:
    wall = Wall()
    listing = await wall.order("help")
    lines = listing.splitlines()
    for fault in FAULTS:
        assert sum(line.startswith(f"    fault {fault} ") for line in lines) == 1
    for topic in (
        "the car",
        "faults of the car",
        "the controller",
        "faults of the controller",
        "the meter",
        "the wire",
    ):
        assert lines.count(f"{topic}:") == 1
    assert all(len(line) <= 120 for line in lines)
    assert (await wall.order("help rcd")).startswith("  rcd [off]  residual current")
    assert len((await wall.order("help fault")).splitlines()) == len(FAULTS) + 2
