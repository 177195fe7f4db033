"""Definition files: what they can say, and what is said about those at fault."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.core.errors import ConfigError
from agent.evse.modbus_evse import DEFINITIONS as CONTROLLERS
from agent.fieldbus.definition import Definition, available, find, load_definition
from agent.meter.modbus_meter import DEFINITIONS as METERS

HEAD = """
model = "Example 3P-100"
source = "Modbus protocol, revision 2.1, table 4"
[bus]
baudrate = 9600
parity = "N"
stop_bits = 1
"""
ENERGY = 'energy_import = { function = 4, address = 72, type = "f32", unit = "Wh", scale = 1000 }\n'
METER = HEAD + "[points.poll]\n" + ENERGY


def load(folder: Path, text: str) -> Definition:
    path = folder / "example.toml"
    path.write_text(text)
    return load_definition(path)


CHAIN = """
[chain]
function = 4
starts = [40000]
marker = "0x53756E53"
models = { x = [1] }
"""


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        load(folder, text)
    prefix = f"{folder}/example.toml: "
    assert all(problem.startswith(prefix) for problem in raised.value.problems)
    return [problem.removeprefix(prefix) for problem in raised.value.problems]


def words(function: int, address: int, *values: int) -> dict[tuple[int, int], int]:
    return {(function, address + place): value for place, value in enumerate(values)}


def test_a_definition_has_what_its_file_says(tmp_path: Path) -> None:
    definition = load(tmp_path, METER)
    assert (definition.id, definition.model) == ("example", "Example 3P-100")
    assert (definition.bus.address, definition.bus.max_registers, definition.bus.timeout_ms) == (1, 125, 1000)
    assert definition.value("energy_import", words(4, 72, 0x449A, 0x5225)) == Decimal("1234567.0166015625")
    assert definition.step("energy_import", words(4, 72, 0x449A, 0x5225)) == Decimal("0.1220703125")
    assert definition.value("energy_import", words(4, 72, 0x449A)) is None
    assert definition.step("energy_import", {}) == 0


@pytest.mark.parametrize(
    ("point", "image", "value"),
    [
        ('type = "u32", scale = 0.1', (0, 2301), "230.1"),
        ('type = "u32", invalid = ["0xFFFFFFFF"]', (0xFFFF, 0xFFFF), None),
        ('type = "i32", word_order = "little", invalid = ["0x7FFFFFFF"]', (0xFFFF, 0x7FFF), None),
        ('type = "i32", word_order = "little", invalid_high_word = "0x7FFF"', (0x1234, 0x7FFF), None),
        ('type = "i32", word_order = "little", invalid_high_word = "0x7FFF"', (0x7FFF, 0), "32767"),
        ('type = "i32", magnitude = true', (0xFFFF, 0xFFFB), "5"),
        ('type = "f32"', (0x7FC0, 0), None),
        ('type = "i16", scale_register = 11', (7, 0xFFFE), "0.07"),
        ('type = "i16", scale_register = 11', (7, 2), "700"),
        ('type = "i16", scale_register = 11', (7, 0x8000), None),
        ('type = "i16", scale_register = 99', (7,), None),
        ('type = "u16", mask = "0x0FFF"', (0x910B,), "267"),
        ('type = "u32", word_order = "little", mask = "0xFFFF00"', (0x1234, 0x5678), str(0x781200)),
        ('type = "ascii", count = 2', (0x4231, 0x3200), "B12"),
    ],
)
def test_what_real_meters_need_can_be_said(
    tmp_path: Path, point: str, image: tuple[int, ...], value: str | None
) -> None:
    definition = load(tmp_path, f"{METER}x = {{ function = 3, address = 10, {point} }}\n")
    seen = definition.value("x", words(3, 10, *image))
    assert seen == (Decimal(value) if value is not None and "ascii" not in point else value)


def test_points_can_be_sums_and_differences(tmp_path: Path) -> None:
    definition = load(
        tmp_path,
        HEAD
        + """
[points.poll]
t1 = { function = 4, address = 1, type = "f32", unit = "Wh" }
t2 = { function = 4, address = 3, type = "u16", unit = "Wh", scale = 10 }
[combined]
energy_import = { add = ["t1", "t2"] }
power_total = { subtract = ["t1", "t2"] }
""",
    )
    image = words(4, 1, 0x3FC0, 0, 7)
    assert definition.values(image) == {
        "t1": Decimal("1.5"),
        "t2": Decimal(70),
        "energy_import": Decimal("71.5"),
        "power_total": Decimal("-68.5"),
    }
    assert definition.step("energy_import", image) == 10
    assert definition.value("energy_import", words(4, 1, 0x3FC0, 0)) is None
    assert definition.spans("energy_import") == ((4, 1, 2), (4, 3, 1))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (METER.replace('"N"', '"X"'), ["bus.parity: 'X' is not allowed: input should be 'N', 'E' or 'O'"]),
        (METER.replace("baudrate = 9600\n", ""), ["bus.baudrate: is missing"]),
        (
            METER.replace("address = 72", "address = 70000"),
            [
                "points.poll.energy_import.address: 70000 is not allowed: input should be less than or equal to 65535",
            ],
        ),
        (
            METER.replace("function = 4", "function = 6"),
            ["points.poll.energy_import.function: 6 is not allowed: input"],
        ),
        (
            METER.replace('"f32"', '"f16"'),
            ["points.poll.energy_import.type: 'f16' is not allowed: input should be 'bit'"],
        ),
        (METER.replace('"Wh"', '"kWh"'), ["points.poll.energy_import.unit: 'kWh' is not allowed: input should be ''"]),
        (METER.replace('"Wh"', '"W"'), ["points.poll.energy_import.unit: 'W' is not allowed: 'Wh', after scaling"]),
        (METER.replace("scale", "factor"), ["points.poll.energy_import.factor: there is no such key here"]),
        (METER.replace("scale = 1000", "scale = 0"), ["points.poll.energy_import.scale: 0 is not allowed"]),
        ("colour = 1\n" + METER, ["colour: there is no such key here"]),
        (METER.replace("energy_import", "energy"), ["points.poll.energy_import: is missing"]),
        (
            METER.replace("72", "65535"),
            ["points.poll.energy_import.address: 65535 is not allowed: the value ends behind"],
        ),
        (
            METER.replace("stop_bits = 1", "stop_bits = 1\nmax_registers = 1"),
            ["points.poll.energy_import.type: 2 registers are more than bus.max_registers (1)"],
        ),
        (
            METER.replace("scale = 1000", 'scale = 1000, count = 2, invalid = ["0x1FFFFFFFF"]'),
            [
                "points.poll.energy_import.count: 2 is not allowed",
                "points.poll.energy_import.invalid: 0x1ffffffff is not allowed: at most 2 registers",
            ],
        ),
        (
            METER + '[combined]\nx = { add = ["y"] }\n',
            [
                "combined.x.add, subtract: one of them, with at least two points",
                "combined.x.add, subtract: 'y' is not allowed: not in points.poll",
            ],
        ),
        (METER + "[points.identity]\n" + ENERGY, ["points: 'energy_import' is there twice"]),
        (
            METER + "[[blocks]]\nfunction = 4\naddress = 0\ncount = 9\notherwise = 9\n",
            ["blocks.0.otherwise: 9 is not allowed: less than count (9)"],
        ),
        (METER + "[bus\n", ["not a TOML file: "]),
        (METER + f"x = {'9' * 5000}", ["not a TOML file: "]),
        (METER + f"x = {'[' * 3000}", ["not a TOML file: "]),
        (METER.replace("9600", "9600.5"), ["bus.baudrate: 9600.5 is not allowed: a whole number"]),
        (METER.replace("[bus]", "[[bus]]"), ["bus: a list is not allowed: a table"]),
        (METER.replace('model = "Example 3P-100"', "model = 3"), ["model: 3 is not allowed: a text in quotes"]),
        (
            METER + ENERGY.replace("energy_import", "Energy"),
            ["points.poll.Energy: this name is not allowed: small let"],
        ),
        (METER + '"a\\nb" = 1\n', ["points.poll.'a\\nb': this name", "points.poll.'a\\nb': 1 is not allowed: a table"]),
        (METER.replace("1000", "1e99"), ["points.poll.energy_import.scale: 1.000000E+99 is not allowed: a number of"]),
        (METER.replace("1000", "nan"), ["points.poll.energy_import.scale: NaN is not allowed: a number"]),
        (
            METER.replace("1000", '1000, invalid = ["FFFG"]'),
            ["points.poll.energy_import.invalid.0: 'FFFG' is not allowed: w"],
        ),
        (
            METER.replace("1000", '1000, mask = "0xFF"'),
            ["points.poll.energy_import.mask: is not allowed: only with u16, u3"],
        ),
        (
            METER.replace("1000", "1000, accept = [1.5]"),
            ["points.poll.energy_import.accept.0: 1.5 is not allowed: a who"],
        ),
        (
            METER.replace("1000", '1000, accept = ["x"]'),
            ["points.poll.energy_import.accept: 'x' is not allowed: a number"],
        ),
        (
            METER.replace("function = 4", "function = 1"),
            ["points.poll.energy_import.type: 'f32' is not allowed: 'bit' w"],
        ),
        (
            METER + "[points.command]\n" + ENERGY.replace("energy_import", "x").replace("4", "3", 1),
            ["points.command.x: is no"],
        ),
        (
            METER.replace("1000", '1000, accept = ["1..x"]'),
            ["points.poll.energy_import.accept: '1..x' is not allowed: a number, or \"330..345\" for those from 330"],
        ),
        (
            METER.replace("1000", '1000, within = "meter"'),
            ["points.poll.energy_import.within: 'meter' is not allowed: not in chain.models"],
        ),
        (
            METER.replace("1000", '1000, within = "x"') + CHAIN.replace("function = 4", "function = 3"),
            ["points.poll.energy_import.function: 4 is not allowed: that of the chain"],
        ),
        (METER + CHAIN.replace("[40000]", "[]"), ["chain.starts: is empty"]),
        (METER + CHAIN.replace("{ x = [1] }", "{}"), ["chain.models: is empty"]),
        (METER + CHAIN.replace("[1]", "[]"), ["chain.models.x: is empty: the ids of a model"]),
        (METER + CHAIN.replace("53756E53", "053756E5312"), ["chain.marker: 0x53756e5312 is not allowed: two reg"]),
        (METER + CHAIN.replace("marker", "mark"), ["chain.marker: is missing", "chain.mark: there is no such key"]),
        (METER + "[variants.x]\n", ["variants: there is no such key here: only a controller"]),
        (METER + "[[blocks]]\nfunction = 4\naddress = 65535\ncount = 2\n", ["blocks.0.address: 65535 is not allowed"]),
    ],
)
def test_a_file_at_fault_is_told_where_and_why(tmp_path: Path, text: str, expected: list[str]) -> None:
    found = problems(tmp_path, text)
    assert len(found) == len(expected)
    for problem, beginning in zip(found, expected, strict=True):
        assert problem.startswith(beginning)


@pytest.mark.parametrize(
    ("text", "seen", "accepted"),
    [
        ('type = "u16", accept = ["330..345", 348]', Decimal(330), True),
        ('type = "u16", accept = ["330..345", 348]', Decimal(346), False),
        ('type = "u16", accept = ["330..345", 348]', Decimal(348), True),
        ('type = "ascii", count = 2, accept = ["*7M.38*"]', "Finder 7M.38.8", True),
        ('type = "ascii", count = 2, accept = ["B23*"]', "B24 312", False),
        ('type = "ascii", count = 2', "anything", True),
    ],
)
def test_a_model_is_told_by_numbers_ranges_and_patterns(
    tmp_path: Path, text: str, seen: Decimal | str, *, accepted: bool
) -> None:
    of = load(tmp_path, METER + f"[points.identity]\ncode = {{ function = 3, address = 1, {text} }}\n")
    assert of.points.identity["code"].accepts(seen) is accepted


CONTROLLER = (
    HEAD
    + """
[points.poll]
limit = { function = 3, address = 1000, type = "u16", unit = "A" }
[control]
limit = "limit"
function = 16
pause = [{ point = "limit", value = 0 }]
rules = [{ when = { limit = [1] }, pilot = "A" }]
"""
)


BOX = (
    HEAD
    + """
[points.poll]
state = { function = 4, address = 1, type = "u16" }
text = { function = 4, address = 2, type = "ascii", count = 1 }
part = { function = 3, address = 9, type = "u16", mask = "0x00FF" }
limit = { function = 3, address = 10, type = "f32", unit = "A" }
go = { function = 1, address = 0, type = "bit", write = 5 }
[points.identity]
most = { function = 4, address = 3, type = "u16", unit = "A" }
[points.inspection]
safe = { function = 3, address = 20, type = "u16", unit = "A" }
time = { function = 3, address = 21, type = "u16", unit = "s" }
[points.command]
alive = { function = 3, address = 30, type = "u16" }
[control]
limit = "limit"
readback = "limit"
function = 16
pause = [{ point = "go", value = 0 }]
keep = [{ point = "safe", value = 7 }]
failsafe = "safe"
maximum = "most"
minimum_a = 6
maximum_a = 16
rules = [{ when = { state = [1] }, bits = { state = 15 }, fault = "f" }]
[control.watchdog]
point = "time"
default_s = 15
least_s = 4
most_s = 60
fault = "f"
[control.heartbeat]
writes = [{ point = "alive", value = 1 }]
interval_s = 5
"""
)


def test_a_controller_may_say_much(tmp_path: Path) -> None:
    control = load(tmp_path, BOX).control
    assert control is not None
    assert control.watchdog is not None
    assert (control.watchdog.default_s, control.watchdog.recovery_s) == (15, 1)


def test_a_controller_needs_no_energy(tmp_path: Path) -> None:
    control = load(tmp_path, CONTROLLER).control
    assert control is not None
    assert (control.minimum_a, control.maximum_a, control.rules[0].pilot) == (6, 80, "A")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (CONTROLLER.replace("when = { limit", "when = { state"), "control.rules.0.when: 'state' is not allowed"),
        (CONTROLLER.replace("[1] }", "[1] }, bits = { b = 1 }"), "control.rules.0.bits: 'b' is not allowed"),
        (CONTROLLER.replace('{ point = "limit"', '{ point = "coil"'), "control.pause: 'coil' is not allowed"),
        (
            CONTROLLER.replace('[control]\nlimit = "limit"', '[control]\nlimit = "x"'),
            "control.limit: 'x' is not allowed",
        ),
        (
            CONTROLLER.replace("rules", 'failsafe = "f"\nrules'),
            "control.failsafe: 'f' is not allowed: not in points.insp",
        ),
        (CONTROLLER + "[options.precise.scale]\nx = 1\n", "options.precise.scale: 'x' is not allowed"),
        (
            CONTROLLER + '[options.precise]\ncheck = { point = "c", bit = 7 }\n',
            "options.precise.check: 'c' is not allowed: not in points.inspection",
        ),
        (CONTROLLER + "[options.precise.scale]\nlimit = 0\n", "options.precise.scale: 0 is not allowed"),
        (CONTROLLER + "[variants.x.read]\ny = 4\n", "variants.x.read: 'y' is not allowed: not in points"),
        (CONTROLLER + "[variants.x]\nfunction = 3\n", "variants.x.function: 3 is not allowed: input should be 6 or 16"),
        (CONTROLLER + '[variants.x]\npause = [{ point = "y", value = 0 }]\n', "variants.x.pause: 'y' is not allowed"),
        (
            CONTROLLER + "[connectors]\nstep = 40000\nmost = 3\n",
            "connectors.step: 40000 is not allowed: connector 3 en",
        ),
        (BOX.replace("function = 16", "function = 6"), "control.limit: 'limit' is not allowed: function 6 writes one"),
        (BOX.replace('limit = "limit"', 'limit = "go"'), "control.limit: 'go' is not allowed: a bit holds no current"),
        (BOX.replace('limit = "limit"', 'limit = "state"'), "control.limit: 'state' is not allowed: function 4 reads"),
        (
            BOX.replace('limit = "limit"', 'limit = "part"'),
            "control.limit: 'part' is not allowed: only a number that fi",
        ),
        (
            BOX.replace('limit = "limit"', 'limit = "most"'),
            "control.limit: 'most' is not allowed: not in points.poll, i",
        ),
        (
            BOX.replace('readback = "limit"', 'readback = "safe"'),
            "control.readback: 'safe' is not allowed: not in points",
        ),
        (
            BOX.replace('"go", value = 0', '"go", value = 2'),
            "control.pause: 2 is not allowed: it does not fit into go (bit",
        ),
        (
            BOX.replace('"alive", value = 1', '"alive", value = 65536'),
            "control.heartbeat.writes: 65536 is not allowed: it d",
        ),
        (
            BOX.replace('type = "bit", write = 5', 'type = "bit", write = 6'),
            "control.pause: 'go' is not allowed: function 5",
        ),
        (
            BOX.replace('pause = [{ point = "go", value = 0 }]', "pause = []"),
            "control.pause: is empty: nothing would with",
        ),
        (
            BOX.replace('failsafe = "safe"', 'failsafe = "state"'),
            "control.failsafe: 'state' is not allowed: function 4",
        ),
        (
            BOX.replace('maximum = "most"', 'maximum = "safe"'),
            "control.maximum: 'safe' is not allowed: not in points.i",
        ),
        (
            BOX.replace('"safe", value = 7', '"alive", value = 7'),
            "control.keep: 'alive' is not allowed: it is never read",
        ),
        (
            BOX.replace('point = "time"', 'point = "alive"'),
            "control.watchdog.point: 'alive' is not allowed: not in points",
        ),
        (
            BOX.replace("default_s = 15", "default_s = 1"),
            "control.watchdog.default_s: 1 is not allowed: from least_s (4)",
        ),
        (
            BOX.replace('fault = "f"\n', 'fault = "g"\n'),
            "control.watchdog.fault: 'g' is not allowed: the fault of one o",
        ),
        (
            BOX.replace("interval_s = 5", "interval_s = 0"),
            "control.heartbeat.interval_s: 0 is not allowed: input should",
        ),
        (BOX.replace("state = [1]", 'state = ["A"]'), "control.rules.0.when.state: 'A' is not allowed: a number"),
        (BOX.replace("state = [1]", "text = [1]"), "control.rules.0.when.text: 1 is not allowed: a text"),
        (
            BOX.replace("state = [1]", "state = [1.5]"),
            "control.rules.0.when.state.0: 1.5 is not allowed: a whole number, o",
        ),
        (
            BOX.replace("state = 15", "state = 16"),
            "control.rules.0.bits.state: 16 is not allowed: a bit of a number with 16 b",
        ),
        (
            BOX.replace("minimum_a = 6", "minimum_a = 32"),
            "control.minimum_a: 32 is not allowed: at most maximum_a (16)",
        ),
        (BOX.replace("0x00FF", "0x1FFFF"), "points.poll.part.mask: 0x1ffff is not allowed: bits of the 1 registers"),
        (
            BOX.replace("alive = { function = 3", "alive = { function = 4"),
            "points.command.alive.function: 4 is not allowed",
        ),
    ],
)
def test_a_controller_at_fault_is_told_too(tmp_path: Path, text: str, expected: str) -> None:
    found = problems(tmp_path, text)
    assert found[0].startswith(expected)
    assert all("\n" not in problem for problem in found)


SHIPPED = [path.read_text(encoding="utf-8") for folder in (METERS, CONTROLLERS) for path in folder.glob("*.toml")]
JUNK = ["-1", "0", "1.5", "70000", "1e99", "nan", '""', '"x"', '"0xZZ"', "true", "[]", "[1]", '["x"]', "{}", "x"]
VALUE = re.compile(r'(?<== )("[^"\n]*"|[\w.]+|\[[^\]\n]*\]|\{[^\n]*\})')


def said_of(path: Path) -> tuple[str, ...]:
    try:
        load_definition(path)
    except ConfigError as error:
        return error.problems
    return ()


@given(st.sampled_from(SHIPPED), st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_wrong_value_is_told_in_lines_or_taken(tmp_path: Path, text: str, data: st.DataObject) -> None:
    place = data.draw(st.sampled_from(list(VALUE.finditer(text))))
    path = tmp_path / "example.toml"
    wrong = text[: place.start()] + data.draw(st.sampled_from(JUNK)) + text[place.end() :]
    path.write_text(wrong, encoding="utf-8")
    assert all(line.startswith(f"{path}: ") and line.isprintable() for line in said_of(path))


@given(st.sampled_from(SHIPPED), st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_key_that_is_missing_or_there_twice_is_told_in_lines_or_has_a_default(
    tmp_path: Path, text: str, data: st.DataObject
) -> None:
    path = tmp_path / "example.toml"
    keyed = list(re.finditer(r"^\w+ = .*$", text, re.MULTILINE))
    line = data.draw(st.sampled_from(keyed))
    path.write_text(text[: line.end()] + "\n" + line[0] + text[line.end() :], encoding="utf-8")
    assert said_of(path)[0].startswith(f"{path}: not a TOML file: ")
    path.write_text(text[: line.start()] + text[line.end() :], encoding="utf-8")
    assert all(said.startswith(f"{path}: ") and said.isprintable() for said in said_of(path))
    inner = data.draw(st.sampled_from(list(re.finditer(r"(?<=[{,] )\w+ = [^,{}\[\]]+", text)) or [line]))
    path.write_text(text[: inner.start()] + text[inner.end() :].removeprefix(","), encoding="utf-8")
    assert all(said.startswith(f"{path}: ") and said.isprintable() for said in said_of(path))


def test_a_definition_is_found_by_id_or_by_path(tmp_path: Path) -> None:
    load(tmp_path, METER)
    assert available(tmp_path) == ("example",)
    assert find(tmp_path, "example").id == "example"
    assert find(Path("/nowhere"), str(tmp_path / "example.toml")).id == "example"
    with pytest.raises(ConfigError, match="'sdm' is not known: use one of example, or the path of a definition file"):
        find(tmp_path, "sdm")
    with pytest.raises(ConfigError, match="the definition file cannot be read"):
        find(tmp_path, "other.toml")
