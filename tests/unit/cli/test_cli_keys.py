"""``config get``, ``set`` and ``reset``: from the ledger without a daemon, changed by the daemon with one."""

from __future__ import annotations

import pytest

from agent.core.company import Company, CompanySettings, LinkState
from agent.core.settings import Overrides
from agent.core.state import StationState
from tests.unit.cli.installed import Station, write_ledger

LINKED = Company("ACME-7F3K", LinkState.LINKED, "Acme BV", settings=CompanySettings(7, session_logging=False))
CHANGED = Overrides((("heartbeat_interval_s", 60), ("sampled_measurands", ("Voltage.L1", "Current.Import"))))


def test_a_station_that_never_ran_has_the_defaults_of_all_keys(stopped: Station) -> None:
    keys = stopped.json("config", "get")
    assert keys["HeartbeatInterval"] == {"value": "300", "readonly": False, "source": "default"}
    assert keys["NumberOfConnectors"] == {"value": "1", "readonly": True, "source": "file"}
    assert keys["CompanyCode"] == {"value": None, "readonly": False, "source": "default"}
    assert len(keys) > 30


def test_what_was_changed_is_read_from_the_ledger_without_a_daemon(stopped: Station) -> None:
    write_ledger(stopped.state_dir, StationState((), overrides=CHANGED, company=LINKED))
    names = ["heartbeatinterval", "METERVALUESSAMPLEDDATA", "companycode", "sessionloggingenabled", "heartbeatInterval"]
    assert stopped.json("config", "get", *names) == {
        "HeartbeatInterval": {"value": "60", "readonly": False, "source": "changed"},
        "MeterValuesSampledData": {"value": "Voltage.L1,Current.Import", "readonly": False, "source": "changed"},
        "CompanyCode": {"value": "ACME-7F3K", "readonly": False, "source": "changed"},
        "SessionLoggingEnabled": {"value": "false", "readonly": True, "source": "company"},
    }


def test_keys_are_shown_to_people_as_a_table_in_their_own_spelling(stopped: Station) -> None:
    status, out, err = stopped.call("config", "get", "heartbeatinterval", "stoptxnsampleddata", "companycode")
    assert (status, err) == (0, "")
    assert [row.split() for row in out.splitlines()] == [
        ["KEY", "CHANGEABLE", "FROM", "VALUE"],
        ["HeartbeatInterval", "yes", "default", "300"],
        ["StopTxnSampledData", "yes", "default", "(empty)"],
        ["CompanyCode", "yes", "default", "-"],
    ]


def test_an_unknown_key_is_wrong_usage_and_nothing_is_printed(stopped: Station) -> None:
    words = "there is no configuration key 'HeartbetInterval': did you mean HeartbeatInterval?"
    assert stopped.refusal("config", "get", "NumberOfConnectors", "HeartbetInterval", status=2) == words


def test_a_damaged_ledger_is_told_in_one_line(stopped: Station) -> None:
    (stopped.state_dir / "ledger.sqlite3").write_bytes(b"x" * 10_000)
    assert "ledger.sqlite3" in stopped.refusal("config", "get")


def test_a_key_is_set_by_the_daemon_and_told_as_it_holds(station: Station) -> None:
    assert station.json("config", "set", "heartbeatinterval", " 60") == {
        "key": "HeartbeatInterval",
        "value": "60",
        "status": "Accepted",
    }
    assert dict(station.state.overrides.values) == {"heartbeat_interval_s": 60}
    assert station.call("config", "set", "MeterValuesSampledData", "voltage.l1, current.import") == (
        0,
        "MeterValuesSampledData is Voltage.L1,Current.Import\n",
        "",
    )
    assert station.call("config", "set", "MeterValuesSampledData", "")[1] == "MeterValuesSampledData is (empty)\n"


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["HeartbeatInterval", "0"], 1, "HeartbeatInterval cannot be '0': must be a whole number from 1 to 2147483647"),
        (["cacheenabled", "1"], 2, "there is no configuration key 'cacheenabled': did you mean"),
        (["NumberOfConnectors", "2"], 1, "NumberOfConnectors is read-only"),
        (["CompanyCode", "ACME-7F3K"], 1, "CompanyCode is changed by `wallbox-agent link CODE`"),
        (["Nonsense", "1"], 2, "there is no configuration key 'Nonsense'"),
        (["HeartbeatInterval", "6\n0"], 2, "value must be one line without control characters"),
        (["HeartbeatInterval", "6" * 501], 2, "value has 501 characters, at most 500 are allowed"),
        (["", "1"], 2, "key is missing"),
    ],
)
def test_what_cannot_be_set_is_refused_with_what_is_allowed(
    station: Station, arguments: list[str], status: int, words: str
) -> None:
    assert station.refusal("config", "set", *arguments, status=status).startswith(words)
    assert station.state.overrides == Overrides()


def test_a_key_is_reset_whether_it_was_changed_or_not(station: Station) -> None:
    station.json("config", "set", "HeartbeatInterval", "60")
    assert station.call("config", "reset", "heartbeatinterval") == (0, "HeartbeatInterval is back to 300\n", "")
    assert station.json("config", "reset", "heartbeatinterval")["value"] == "300"
    assert station.state.overrides == Overrides()


def test_all_keys_that_were_changed_are_reset_together(stopped: Station) -> None:
    unknown = (("of_a_newer_release", 1),)
    stopped.state = StationState((), overrides=Overrides((*unknown, *CHANGED.values)))
    write_ledger(stopped.state_dir, stopped.state)
    with stopped.running():
        results = stopped.json("config", "reset", "--all")
        assert [(one["key"], one["status"]) for one in results] == [
            ("HeartbeatInterval", "Accepted"),
            ("MeterValuesSampledData", "Accepted"),
        ]
        assert stopped.state.overrides.values == unknown


def test_all_is_no_error_where_nothing_was_changed(station: Station) -> None:
    words = "no configuration key was changed: all have the values of this release\n"
    assert station.call("config", "reset", "--all") == (0, words, "")
    assert station.json("config", "reset", "--all") == []


@pytest.mark.parametrize("arguments", [[], ["HeartbeatInterval", "--all"]])
def test_a_reset_is_of_one_key_or_of_all(stopped: Station, arguments: list[str]) -> None:
    words = "say which key, or --all: see `wallbox-agent config reset --help`"
    assert stopped.refusal("config", "reset", *arguments, status=2) == words
