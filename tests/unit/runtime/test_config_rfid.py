"""The section [rfid]: which readers can be driven, their options, and what the core takes from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.core.errors import ConfigError
from agent.rfid.reader import available_readers
from agent.runtime.config import AgentConfig, load
from agent.runtime.config.hardware import READER_OPTIONS, READERS, installed
from agent.runtime.config.sections import Rfid

BASE = """
[station]
id = "NL-ACME-000123"
[cloud]
url = "ws://csms.example.com/ocpp"
[rfid]
{rfid}
[[connector]]
[connector.meter]
model = "eastron_sdm630_v2"
device = "/dev/ttyUSB0"
[connector.evse]
controller = "evse_din"
address = 2
device = "/dev/ttyUSB0"
"""
PN532 = 'reader = "pn532_hsu"\ndevice = "/dev/ttyUSB1"\n'


def config(folder: Path, rfid: str) -> AgentConfig:
    path = folder / "agent.toml"
    path.write_text(BASE.format(rfid=rfid))
    return load(path, {}, None)


def reader_notes(loaded: AgentConfig) -> list[str]:
    return [note for note in loaded.notes if note.startswith("rfid")]


def test_a_pn532_needs_nothing_but_its_port(tmp_path: Path) -> None:
    loaded = config(tmp_path, PN532)
    assert (loaded.rfid.reader, str(loaded.rfid.device), loaded.rfid.baudrate) == ("pn532_hsu", "/dev/ttyUSB1", None)
    assert reader_notes(loaded) == []


def test_the_readers_that_can_be_driven_are_those_that_can_be_configured() -> None:
    assert {*installed().readers} == {*available_readers(), "none"}
    assert set(available_readers()) < READERS


@pytest.mark.parametrize("reader", ["pn532_hsu", "rdm6300"])
def test_every_reader_heeds_the_options_of_a_touch(tmp_path: Path, reader: str) -> None:
    loaded = config(tmp_path, f'reader = "{reader}"\ndevice = "/dev/ttyUSB1"\nrelease_gap_ms = 2000\nmin_repeat_ms = 1')
    assert (loaded.rfid.release_gap_ms, loaded.rfid.min_repeat_ms) == (2000, 1)
    assert reader_notes(loaded) == []


@pytest.mark.parametrize(
    ("line", "note"),
    [
        ("crc = true", "rfid.crc: is not used with reader pn532_hsu, only with twn4_simple"),
        ('mode = "binary"', "rfid.mode: is not used with reader pn532_hsu, only with twn4_simple"),
        ("idle_ms = 100", "rfid.idle_ms: is not used with reader pn532_hsu, only with ascii_line"),
        ('order = "lsb"', "rfid.order: is not used with reader pn532_hsu, only with ascii_line"),
    ],
)
def test_an_option_of_other_readers_is_told_with_those_that_have_it(tmp_path: Path, line: str, note: str) -> None:
    assert reader_notes(config(tmp_path, PN532 + line)) == [note]


def test_every_option_of_a_reader_is_a_key_and_every_key_has_its_readers() -> None:
    own = {key for options in READER_OPTIONS.values() for key in options}
    everyones = {"reader", "device", "baudrate", "release_gap_ms", "min_repeat_ms", "same_card_pause"}
    assert own | everyones == set(Rfid.model_fields)
    assert not own & everyones
    assert set(READER_OPTIONS) <= READERS


def test_a_key_that_no_reader_has_is_refused_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"agent\.toml:9: rfid\.release_gap: unknown"):
        config(tmp_path, PN532 + "release_gap = 1.5")


@pytest.mark.parametrize(("line", "pause"), [("", 5.0), ("same_card_pause = 0", 0.0), ("same_card_pause = 30", 30.0)])
@pytest.mark.parametrize("reader", [PN532, ""], ids=["a reader", "no reader"])
def test_the_core_ignores_the_same_card_for_the_time_that_is_configured(
    tmp_path: Path, reader: str, line: str, pause: float
) -> None:
    loaded = config(tmp_path, reader + line)
    assert loaded.policy().same_card_pause_s == pause
    assert reader_notes(loaded) == []
