"""Which meters and controllers the configuration takes, and what each lets the installer choose."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from agent.core.errors import ConfigError
from agent.runtime.config import AgentConfig, load
from agent.runtime.config.hardware import Hardware, installed

BASE = """
[station]
id = "NL-1"
[cloud]
url = "ws://csms.example/ocpp"
[[connector]]
[connector.meter]
model = "{model}"
device = "/dev/ttyUSB0"
[connector.evse]
controller = "{controller}"
"""


def config(
    folder: Path, *lines: str, controller: str, model: str = "eastron_sdm630_v2", hardware: Hardware | None = None
) -> AgentConfig:
    path = folder / "agent.toml"
    path.write_text(BASE.format(controller=controller, model=model) + "\n".join(lines))
    return load(path, {}, hardware=hardware)


def problems(folder: Path, *lines: str, controller: str, hardware: Hardware | None = None) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        config(folder, *lines, controller=controller, hardware=hardware)
    return [problem.replace(f"{folder}/", "") for problem in raised.value.problems]


def test_a_station_may_have_no_controller(tmp_path: Path) -> None:
    loaded = config(tmp_path, controller="none")
    assert loaded.policy().evses[0].controlled is False
    assert loaded.notes == ()


def test_without_a_controller_there_is_nothing_to_reach_or_to_choose(tmp_path: Path) -> None:
    lines = ('device = "/dev/ttyUSB0"', "watchdog = 10", 'on_exit = "pause"', "failsafe_current = 6", "precise = true")
    loaded = config(tmp_path, *lines, controller="none")
    keys = ("device", "failsafe_current", "on_exit", "precise", "watchdog")
    assert loaded.notes == tuple(f"connector.evse.{key}: is not used with controller none" for key in keys)


def test_two_connectors_may_have_no_controller(tmp_path: Path) -> None:
    second = ("[[connector]]", "[connector.meter]", 'model = "eastron_sdm120"', 'device = "/dev/ttyUSB0"')
    rest = ("address = 2", "[connector.evse]", 'controller = "none"')
    assert len(config(tmp_path, *second, *rest, controller="none").connectors) == 2


def test_meter_and_box_with_the_same_line_settings_share_a_bus(tmp_path: Path) -> None:
    lines = ('device = "/dev/ttyUSB0"', "address = 2")
    assert config(tmp_path, *lines, controller="heidelberg", model="abb_b23").notes == ()


def test_meter_and_box_with_different_line_settings_do_not_share_a_bus(tmp_path: Path) -> None:
    found = problems(tmp_path, 'device = "/dev/ttyUSB0"', "address = 2", controller="heidelberg")
    assert len(found) == 2
    assert "connector.evse.baudrate: 19200, the device's default, differs from 9600 of connector.meter" in found[0]
    assert 'connector.evse.parity: "E", the device\'s default, differs from "N"' in found[1]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("watchdog = 3", "connector.evse.watchdog: 3 is not allowed with heidelberg; use 4 to 65 (s)"),
        ("watchdog = 70.5", "connector.evse.watchdog: 70.5 is not allowed with heidelberg; use 4 to 65 (s)"),
        ('variant = "fc5"', 'connector.evse.variant: "fc5" is no variant of heidelberg; use fc6, or leave it out'),
    ],
)
def test_what_a_box_cannot_do_cannot_be_chosen(tmp_path: Path, line: str, words: str) -> None:
    (found,) = problems(tmp_path, 'device = "/dev/ttyUSB1"', line, controller="heidelberg")
    assert words in found


@pytest.mark.parametrize("line", ["watchdog = 4", "watchdog = 65", 'variant = "fc6"', "failsafe_current = 6"])
def test_what_a_box_can_do_can_be_chosen(tmp_path: Path, line: str) -> None:
    assert config(tmp_path, 'device = "/dev/ttyUSB1"', line, controller="heidelberg").notes == ()


def test_what_a_box_does_not_heed_is_noted(tmp_path: Path) -> None:
    lines = ('device = "/dev/ttyUSB1"', "precise = true", "connector = 2")
    assert config(tmp_path, *lines, controller="heidelberg").notes == (
        "connector.evse.connector: is not used with controller heidelberg",
        "connector.evse.precise: is not used with controller heidelberg",
    )
    lines = ('device = "/dev/ttyUSB1"', 'variant = "fc6"', "watchdog = 600")
    assert config(tmp_path, *lines, controller="evse_din").notes == (
        "connector.evse.variant: is not used with controller evse_din",
    )


def test_a_device_with_several_connectors_says_how_many(tmp_path: Path) -> None:
    controllers = tmp_path / "controllers"
    controllers.mkdir()
    text = (installed().controllers / "evse_din.toml").read_text()
    (controllers / "charx.toml").write_text(text + "\n[connectors]\nstep = 1000\nmost = 4\n")
    hardware = dataclasses.replace(installed(), controllers=controllers)
    line = 'device = "/dev/ttyUSB1"'
    (found,) = problems(tmp_path, line, "connector = 5", controller="charx", hardware=hardware)
    assert "connector.evse.connector: 5 is not allowed; charx has 1 to 4" in found
    assert config(tmp_path, line, "connector = 4", controller="charx", hardware=hardware).notes == ()


@pytest.mark.parametrize("model", ["abb_b23", "eastron_sdm120", "eastron_sdm630_v2"])
def test_the_meters_of_this_release_are_taken(tmp_path: Path, model: str) -> None:
    assert config(tmp_path, controller="none", model=model).connectors[0].meter.model == model
