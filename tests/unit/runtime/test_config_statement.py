"""What the configuration says of statements: the station they are about, how they look, and logos that do not do."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from agent.core.errors import ConfigError
from agent.core.tariff import Basis
from agent.runtime.config import AgentConfig, load
from agent.runtime.config.statements import form_of, site_of
from agent.statement.files import Form
from agent.statement.model import Device, Location
from tests.unit.statement.book import png

PLAIN: Final = """\
[station]
id = "NL-ACME-000123"
timezone = "Europe/Amsterdam"
[cloud]
url = "ws://127.0.0.1:1/ocpp"
[[connector]]
[connector.meter]
model = "eastron_sdm630_v2"
device = "/dev/ttyUSB0"
[connector.evse]
controller = "evse_din"
device = "/dev/ttyUSB0"
address = 2
"""
WHOLE: Final = """
[location]
name = "Home"
address = "Am Hafen 10"
postal_code = "17207"
city = "Müritz"
country = "DEU"
latitude = 53.4
longitude = 12.6
country_code = "DE"
party_id = "ACM"
[tariff]
currency = "CHF"
energy = 0.29
[statement]
language = "fr"
letterhead = "ACME"
logo = "logo.png"
basis = "flat"
flat_price = 0.34
"""


def loaded(folder: Path, text: str) -> AgentConfig:
    (folder / "agent.toml").write_text(text)
    return load(folder / "agent.toml", {})


def test_without_a_word_of_statements_there_are_defaults(tmp_path: Path) -> None:
    config = loaded(tmp_path, PLAIN)
    site = site_of(config)
    assert (site.station, site.timezone, site.currency, site.basis) == (
        "NL-ACME-000123",
        "Europe/Amsterdam",
        None,
        Basis.TARIFF,
    )
    assert site.devices == (Device(None, "eastron_sdm630_v2", "Eastron SDM630-Modbus v2 / MID"),)
    assert site.location == Location()
    assert form_of(config) == Form()


def test_location_meter_and_look_are_taken(tmp_path: Path) -> None:
    (tmp_path / "logo.png").write_bytes(png())
    text = PLAIN.replace('model = "', 'mid = "M16 0122"\nmodel = "').replace(
        "[connector.meter]", 'evse_id = "NL*ACM*E1"\nphases = 1\n[connector.meter]'
    )
    config = loaded(tmp_path, text + WHOLE)
    site = site_of(config)
    assert (site.location.city, site.location.party_id, site.location.latitude) == ("Müritz", "ACM", 53.4)
    assert (site.devices[0].evse_id, site.devices[0].mid, site.devices[0].phases) == ("NL*ACM*E1", "M16 0122", 1)
    assert (site.currency, site.basis) == ("CHF", Basis.FLAT)
    assert form_of(config) == Form("fr", "ACME", tmp_path / "logo.png")
    assert form_of(config, "de", "excel") == Form("de", "ACME", tmp_path / "logo.png", "excel")
    assert not [note for note in config.notes if note.startswith("statement.logo")]


def test_a_logo_that_cannot_be_used_is_noted_and_keeps_nothing_from_starting(tmp_path: Path) -> None:
    (tmp_path / "logo.png").write_bytes(b"GIF89a")
    notes = loaded(tmp_path, PLAIN + WHOLE).notes
    (note,) = (note for note in notes if note.startswith("statement.logo"))
    assert "is no PNG and no JPEG picture; save it as one of these" in note


@pytest.mark.parametrize("mid", ['""', f'"{"x" * 46}"', "16", '"a\\nb"'])
def test_a_marking_of_another_kind_is_refused(mid: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"connector\.meter\.mid"):
        loaded(tmp_path, PLAIN.replace('model = "', f'mid = {mid}\nmodel = "'))
