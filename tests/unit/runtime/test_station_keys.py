"""Configuration keys as the installer changes them: OCPP 1.6's table, refusals in words, and where values come from."""

from __future__ import annotations

import pytest

from agent.core.commands import ChangeSetting, ResetSetting
from agent.core.company import Company, LinkState
from agent.core.settings import Overrides, Settings
from agent.ocpp.dialect import StationView
from agent.ocpp.v16.configuration import KEYS, change
from agent.runtime.keys import Source, change_of, changed_names, key_named, shown
from agent.runtime.requests import Refused

STATION = StationView(2, Settings(), Company())
LINKED = Company("ACME-7F3K", LinkState.LINKED, configured="ACME-7F3K")


@pytest.mark.parametrize("name", ["HeartbeatInterval", "heartbeatinterval", " HEARTBEATINTERVAL "])
def test_a_key_is_found_in_any_case(name: str) -> None:
    assert key_named(name).name == "HeartbeatInterval"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("HeartbetInterval", "there is no configuration key 'HeartbetInterval': did you mean HeartbeatInterval?"),
        ("heart", "there is no configuration key 'heart': did you mean HeartbeatInterval?"),
        ("PingInterval", "there is no configuration key 'PingInterval': did you mean WebSocketPingInterval?"),
        ("xyz", "there is no configuration key 'xyz': `wallbox-agent config get` lists them"),
        ("", "there is no configuration key '': `wallbox-agent config get` lists them"),
        (
            "heartbeat_interval_s",
            "there is no configuration key 'heartbeat_interval_s': did you mean HeartbeatInterval?",
        ),
    ],
)
def test_an_unknown_key_is_told_with_the_one_that_was_perhaps_meant(name: str, words: str) -> None:
    with pytest.raises(ValueError, match="no configuration key") as refused:
        key_named(name)
    assert str(refused.value) == words
    assert not isinstance(refused.value, Refused)


def test_a_change_is_what_the_central_systems_change_would_be() -> None:
    values = {bool: ("true", "False"), int: ("0", "1", "90", " 7 "), str: ("", "Acme BV", " x ")}
    values[tuple] = ("", "Voltage,current.import", "1.RST")
    compared = 0
    for key in KEYS.values():
        setting = key.setting
        for text in () if setting is None else values[type(getattr(Settings(), setting))]:
            theirs = change(key.name, text, STATION)
            if isinstance(theirs, ChangeSetting):
                assert change_of(key.name, text, STATION) == theirs
                compared += 1
            else:
                with pytest.raises(Refused):
                    change_of(key.name, text, STATION)
    assert compared > 40


def test_every_key_that_the_central_system_may_change_can_be_changed_or_names_its_command() -> None:
    for key in KEYS.values():
        if not key.readonly(STATION) and key.setting is None:
            assert key.name in {"CompanyCode", "AuthorizationKey"}


@pytest.mark.parametrize(
    ("key", "text", "words"),
    [
        ("HeartbeatInterval", "0", "HeartbeatInterval cannot be '0': must be a whole number from 1 to 2147483647"),
        ("HeartbeatInterval", "", "HeartbeatInterval cannot be '': must be a whole number from 1 to 2147483647"),
        ("localpreauthorize", "yes", "LocalPreAuthorize cannot be 'yes': must be true or false"),
        ("HeartbeatInterval", "9" * 400, f"HeartbeatInterval cannot be '{'9' * 60}': must be a whole number from 1"),
        (
            "MeterValuesSampledData",
            "Voltage, Warmth",
            "MeterValuesSampledData cannot have 'Warmth': allowed are Energy.",
        ),
        ("CompanyCode", "X", "CompanyCode is changed by `wallbox-agent link CODE` and `wallbox-agent unlink`"),
        ("CompanyCode", None, "CompanyCode is changed by `wallbox-agent link CODE` and `wallbox-agent unlink`"),
        ("RefundPercentage", "50", "RefundPercentage is decided by the company: ask the employer"),
        ("NumberOfConnectors", "2", "NumberOfConnectors is read-only: `wallbox-agent config get` shows which"),
        ("NumberOfConnectors", None, "NumberOfConnectors is read-only: `wallbox-agent config get` shows which"),
    ],
)
def test_a_refusal_says_what_is_allowed(key: str, text: str | None, words: str) -> None:
    with pytest.raises(Refused) as refused:
        change_of(key, text, STATION)
    assert str(refused.value).startswith(words)


def test_a_reset_names_the_setting_behind_the_key() -> None:
    assert change_of("metervaluesampleinterval", None, STATION) == ResetSetting("sample_interval_s")


def test_the_changed_keys_are_found_by_their_settings_and_others_are_left_alone() -> None:
    overrides = Overrides((("of_a_newer_release", 1), ("sample_interval_s", 5), ("cache_enabled", False)))
    assert changed_names(overrides) == ("AuthorizationCacheEnabled", "MeterValueSampleInterval")


@pytest.mark.parametrize(
    ("key", "overrides", "company", "source"),
    [
        ("HeartbeatInterval", Overrides(), Company(), Source.DEFAULT),
        ("HeartbeatInterval", Overrides((("heartbeat_interval_s", 300),)), Company(), Source.CHANGED),
        ("HeartbeatInterval", Overrides((("sample_interval_s", 5),)), Company(), Source.DEFAULT),
        ("NumberOfConnectors", Overrides(), Company(), Source.FILE),
        ("GetConfigurationMaxKeys", Overrides(), Company(), Source.FIXED),
        ("CompanyCode", Overrides(), Company(), Source.DEFAULT),
        ("CompanyCode", Overrides(), LINKED, Source.FILE),
        ("CompanyCode", Overrides(), Company("ACME-7F3K", LinkState.LINKED), Source.CHANGED),
        ("RefundPercentage", Overrides(), Company(), Source.DEFAULT),
        ("RefundPercentage", Overrides(), LINKED, Source.COMPANY),
    ],
)
def test_each_value_has_its_source(key: str, overrides: Overrides, company: Company, source: Source) -> None:
    station = StationView(1, overrides.over(Settings()), company)
    assert shown(key_named(key), overrides, station).source is source


def test_a_key_is_shown_as_the_central_system_would_read_it() -> None:
    seen = shown(key_named("CompanyCode"), Overrides(), STATION)
    assert (seen.name, seen.value, seen.readonly) == ("CompanyCode", None, False)
    seen = shown(key_named("numberofconnectors"), Overrides(), STATION)
    assert (seen.name, seen.value, seen.readonly) == ("NumberOfConnectors", "2", True)
