"""Definition files: what they can say, and what is said about those at fault."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from agent.core.errors import ConfigError
from agent.fieldbus.definition import Definition, available, find, load_definition

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
            ["points.poll.energy_import.type: 'f16' is not allowed: input should be 'u16'"],
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
    ],
)
def test_a_file_at_fault_is_told_where_and_why(tmp_path: Path, text: str, expected: list[str]) -> None:
    found = problems(tmp_path, text)
    assert len(found) == len(expected)
    for problem, beginning in zip(found, expected, strict=True):
        assert problem.startswith(beginning)


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
        (CONTROLLER.replace('"u16"', '"u32"'), "control.limit: 'limit' is not allowed: more than one register"),
        (CONTROLLER + "[options.precise.scale]\nx = 1\n", "options.precise.scale: 'x' is not allowed"),
        (
            CONTROLLER + '[options.precise]\ncheck = { point = "c", bit = 7 }\n',
            "options.precise.check: 'c' is not allowed: not in points.inspection",
        ),
    ],
)
def test_a_controller_at_fault_is_told_too(tmp_path: Path, text: str, expected: str) -> None:
    (problem,) = problems(tmp_path, text)
    assert problem.startswith(expected)


def test_a_definition_is_found_by_id_or_by_path(tmp_path: Path) -> None:
    load(tmp_path, METER)
    assert available(tmp_path) == ("example",)
    assert find(tmp_path, "example").id == "example"
    assert find(Path("/nowhere"), str(tmp_path / "example.toml")).id == "example"
    with pytest.raises(ConfigError, match="'sdm' is not known: use one of example, or the path of a definition file"):
        find(tmp_path, "sdm")
    with pytest.raises(ConfigError, match="the definition file cannot be read"):
        find(tmp_path, "other.toml")
