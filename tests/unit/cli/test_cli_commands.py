"""The commands against a real control socket with the real core behind it, and a real ledger without a daemon."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from agent.cli.context import CommandFailed
from agent.cli.station import _busy
from agent.core.model import EvseId, EvseReading, IdToken, Pilot, Profile
from agent.core.state import Card, EvseState, EvseView, MeterView, StationState
from agent.runtime.possession import acquire
from tests.unit.cli.installed import Station, instant, reading

NOT_RUNNING = "the agent is not running: start it with `systemctl start wallbox-agent`, or `wallbox-agent run`"


# ---- with a daemon ---------------------------------------------------------------------------------------------------


def test_status_as_json_is_the_daemons_document(station: Station) -> None:
    assert station.json("status") == json.loads(json.dumps(station.status()))


def test_status_for_people_is_text(station: Station) -> None:
    status, out, err = station.call("status")
    assert (status, err) == (0, "")
    assert out.startswith("  station      NL-ACME-000123, version 1.0.0, up 12 s\n! cloud        offline\n")


def test_link_tells_code_and_state_and_nothing_else(station: Station) -> None:
    assert station.json("link", "acme-7f3k") == {"code": "ACME-7F3K", "state": "pending"}
    assert station.call("link", "ACME-7F3K") == (
        0,
        "ACME-7F3K: pending (waiting for the central system); `wallbox-agent status` shows what the company answers\n",
        "",
    )


def test_unlink_leaves_the_company_and_says_so(station: Station) -> None:
    assert station.refusal("unlink") == "the station is not linked to a company"
    station.json("link", "ACME-7F3K")
    assert station.json("unlink") == {"code": None, "state": "none"}
    station.json("link", "ACME-7F3K")
    assert station.call("unlink")[1] == "the station is linked to no company; sessions from now on stay here\n"


def test_a_card_is_added_with_all_that_is_said_of_it(station: Station) -> None:
    arguments = ["--number", "NL-WEX-CNQPWFBEK", "--ema-id", "NLACM1", "--profile", "private", "--name", "Kim Ö."]
    added = station.json("cards", "add", "04:a1:b2:c3:d4:e5:f6", *arguments)
    assert added == {"id_tag": "04A1B2C3D4E5F6", "result": "accepted", "reason": None}
    card = Card(IdToken("04A1B2C3D4E5F6"), Profile.PRIVATE, "NL-WEX-CNQPWFBEK", "NLACM1", "Kim Ö.")
    assert station.state.tokens.cards == {"04A1B2C3D4E5F6": card}


def test_cards_are_changed_with_words_for_people(station: Station) -> None:
    assert station.call("cards", "add", "04a1b2c3") == (0, "card 04A1B2C3 is known (fleet)\n", "")
    assert station.call("cards", "block", "04a1b2c3", "--reason", "lost") == (0, "card 04A1B2C3 is blocked\n", "")
    assert station.state.tokens.cards["04A1B2C3"].blocked == "lost"
    assert station.call("cards", "unblock", "04a1b2c3") == (0, "card 04A1B2C3 is no longer blocked here\n", "")
    assert station.refusal("cards", "unblock", "04:a1:b2:c3") == "card 04A1B2C3 is not blocked here"
    assert station.call("cards", "remove", "04a1b2c3") == (0, "card 04A1B2C3 is forgotten\n", "")
    assert station.refusal("cards", "remove", "04a1b2c3") == "card 04A1B2C3 is not known here"


def test_a_card_can_be_blocked_without_a_reason(station: Station) -> None:
    station.json("cards", "block", "04a1b2c3")
    assert station.state.tokens.cards["04A1B2C3"].blocked == ""


def test_a_number_that_changes_at_each_touch_is_added_with_a_warning(station: Station) -> None:
    status, out, err = station.call("cards", "add", "08:a1:b2:c3", "--json")
    assert status == 0
    assert json.loads(out)["id_tag"] == "08A1B2C3"
    assert err == "note: 08A1B2C3 looks like a number that changes at each touch (a phone): touch the reader twice\n"


def test_a_session_is_stopped_from_here(station: Station) -> None:
    plugged = EvseView(EvseReading(instant(), Pilot.B, connected=True, charging=False))
    evse = EvseState(EvseId(1), meter=MeterView(reading(0, "1234567")), evse=plugged, plugged_since=90.0)
    station.state = StationState((evse,))
    station.json("cards", "add", "04A1B2C3", "--profile", "private")
    station.daemon_is_asked("start", card="04A1B2C3")
    assert f"card {'*' * 4}B2C3" in station.call("status")[1]
    assert station.call("stop") == (0, "the session on connector 1 is being stopped\n", "")
    ending = station.state.evses[0].session
    assert ending is None or ending.ending is not None


def test_a_stop_without_a_session_says_so(station: Station) -> None:
    assert station.refusal("stop") == "no session is running: look at `wallbox-agent status`"
    assert station.refusal("stop", "--connector", "1") == "no session is running on connector 1"
    assert station.refusal("stop", "--connector", "2") == "there is no connector 2"


def test_a_stop_without_a_connector_means_the_only_busy_one() -> None:
    one, two = {"id": 1, "session": {"id": "019a"}}, {"id": 2, "session": {"id": "019b"}}
    idle = {**one, "session": None}
    assert _busy({"connectors": [idle, two]}) == 2
    with pytest.raises(CommandFailed, match="sessions run on both connectors") as failed:
        _busy({"connectors": [one, two]})
    assert failed.value.status == 2
    with pytest.raises(CommandFailed, match="no session is running"):
        _busy({})


def test_what_is_wrong_with_a_text_is_told_by_the_daemon_with_status_2(station: Station) -> None:
    words = "name must be one line of at most 100 characters"
    assert station.refusal("cards", "add", "04A1B2C3", "--name", "x" * 101, status=2) == words


# ---- without a daemon ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ["status"],
        ["watch"],
        ["config", "set", "HeartbeatInterval", "60"],
        ["config", "set", "Nonsense", "60"],
        ["config", "reset", "HeartbeatInterval"],
        ["config", "reset", "--all"],
        ["link", "ACME-7F3K"],
        ["unlink"],
        ["start", "--connector", "1", "--card", "04A1B2C3"],
        ["stop"],
        ["stop", "--connector", "1"],
        ["cards", "add", "04A1B2C3"],
        ["cards", "block", "04A1B2C3"],
        ["cards", "unblock", "04A1B2C3"],
        ["cards", "remove", "04A1B2C3"],
    ],
)
def test_what_needs_the_daemon_ends_with_status_3_without_one(stopped: Station, arguments: list[str]) -> None:
    assert stopped.refusal(*arguments, status=3) == NOT_RUNNING


def test_a_station_that_never_ran_has_neither_sessions_nor_cards(stopped: Station) -> None:
    assert stopped.json("sessions", "list") == []
    assert stopped.json("cards", "list") == []
    assert stopped.call("sessions", "list") == (0, "no sessions yet\n", "")
    assert stopped.call("cards", "list")[1].startswith("no cards are known here")
    assert "no session has the id '019a'" in stopped.refusal("sessions", "show", "019a")


def test_sessions_are_listed_as_the_contract_has_them(with_ledger: Station) -> None:
    closed, still_open = with_ledger.json("sessions", "list")
    assert closed == {
        "id": "019a1234-0000-7000-8000-000000000001",
        "connector": 1,
        "transaction_id": None,
        "id_tag": "04A1B2C3D4E5F6",
        "card": "NL-WEX-CNQPWFBEK",
        "profile": "fleet",
        "started_at": "2026-11-21T20:15:03.120Z",
        "stopped_at": "2026-11-21T23:41:59.000Z",
        "clock": "synchronised",
        "meter_start_wh": 1234567.0,
        "meter_stop_wh": 1242089.0,
        "energy_wh": 7522.0,
        "stop_reason": "EVDisconnected",
        "state": "closed",
        "reporting": "pending",
        "quality": ["measured"],
        "delivery": [{"to": "cloud", "state": "queued", "error": None}],
        "cost": None,
        "refund": None,
    }
    assert (still_open["state"], still_open["stopped_at"], still_open["energy_wh"]) == ("open", None, None)


def test_sessions_are_listed_for_people_in_local_time(with_ledger: Station) -> None:
    status, out, err = with_ledger.call("sessions", "list")
    assert (status, err) == (0, "")
    rows = [line.split() for line in out.splitlines()]
    assert rows[1][1:6] == ["2026-11-21", "21:15", "3:26:56", "7.522", "NL-WEX-CNQPWFBEK"]
    assert rows[2][3] == "running"


def test_a_session_is_shown_by_the_beginning_of_its_id(with_ledger: Station) -> None:
    name = "019a1234-0000-7000-8000-000000000001"
    shown = with_ledger.json("sessions", "show", name)
    assert (shown["id"], shown["periods"], shown["odometer_km"], shown["note"]) == (name, [], None, None)
    assert with_ledger.json("sessions", "show", name.upper()) == shown
    status, out, _ = with_ledger.call("sessions", "show", name)
    assert status == 0
    assert f"session      {name}, closed\n" in out
    assert "duration     3:26:56, clock synchronised\n" in out
    assert "to cloud   queued\n" in out


@pytest.mark.parametrize(
    ("prefix", "words"),
    [
        (
            "019a1234",
            "2 sessions begin with '019a1234': type more of the id, like 019a1234-0000-7000-8000-000000000002",
        ),
        ("ffff", "no session has the id 'ffff': look at `wallbox-agent sessions list`"),
        ("", "no session has the id '': look at `wallbox-agent sessions list`"),
    ],
)
def test_an_id_that_does_not_name_one_session_is_refused(with_ledger: Station, prefix: str, words: str) -> None:
    assert with_ledger.refusal("sessions", "show", prefix) == words


def test_cards_are_listed_as_the_contract_has_them(with_ledger: Station) -> None:
    assert with_ledger.json("cards", "list") == [
        {
            "id_tag": "04A1B2C3D4E5F6",
            "card": "NL-WEX-CNQPWFBEK",
            "ema_id": None,
            "name": "Kim",
            "profile": "fleet",
            "status": "blocked",
            "reason": "lost",
        },
        {
            "id_tag": "virtual-1",
            "card": None,
            "ema_id": None,
            "name": None,
            "profile": "private",
            "status": "active",
            "reason": None,
        },
    ]
    assert with_ledger.call("cards", "list")[1].splitlines()[1].split() == [
        "04A1B2C3D4E5F6", "NL-WEX-CNQPWFBEK", "-", "Kim", "fleet", "blocked", "lost",
    ]  # fmt: skip


def test_a_damaged_ledger_is_told_in_one_line(with_ledger: Station) -> None:
    (with_ledger.state_dir / "ledger.sqlite3").write_bytes(b"x" * 10_000)
    for arguments in (["sessions", "list"], ["cards", "list"]):
        assert "ledger.sqlite3" in with_ledger.refusal(*arguments)


# ---- configuration ---------------------------------------------------------------------------------------------------


def test_a_good_configuration_is_checked_in_one_line(stopped: Station) -> None:
    status, out, err = stopped.call("config", "check")
    assert (status, err) == (0, "")
    assert out.splitlines()[0] == f"{stopped.path}: no errors"
    checked = stopped.json("config", "check")
    assert (checked["ok"], checked["file"]) == (True, str(stopped.path))


@pytest.mark.parametrize("command", [["config", "check"], ["run"], ["sessions", "list"], ["status"]])
def test_a_wrong_configuration_is_one_line_per_error_with_its_key(stopped: Station, command: list[str]) -> None:
    text = (
        stopped.path.read_text().replace("eastron_sdm630_v2", "abacus").replace('id = "NL-ACME-000123"', 'id = "a/b"')
    )
    stopped.path.write_text(text)
    for more in ([], ["--json"]):
        status, out, err = stopped.call(*command, *more)
        assert (status, out) == (2, "")
        lines = err.splitlines()
        assert len(lines) == 2
        assert any("station.id" in line for line in lines)
        assert any("meter.model" in line for line in lines)
        assert "hunter2" not in err


def test_a_missing_configuration_is_told_with_its_path(stopped: Station) -> None:
    stopped.path.unlink()
    status, out, err = stopped.call("config", "check")
    assert (status, out) == (2, "")
    assert str(stopped.path) in err
    assert err.count("\n") == 1


def test_the_configuration_is_shown_without_its_secrets(stopped: Station) -> None:
    status, out, err = stopped.call("config", "show")
    assert (status, err) == (0, "")
    assert "NL-ACME-000123" in out
    assert "hunter2" not in out + json.dumps(stopped.json("config", "show"))


def test_the_environment_wins_over_the_file(stopped: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WALLBOX_STATION__STATE_DIR", str(stopped.state_dir / "elsewhere"))
    with stopped.running():
        assert stopped.refusal("status", status=3) == NOT_RUNNING


# ---- run -------------------------------------------------------------------------------------------------------------

#: The program with a daemon that takes the lock, logs a line, and ends.
RUN = """
import sys, types, structlog
from agent.cli.main import main
from agent.runtime.possession import acquire

async def run(config, path, recent):
    with acquire(config.station.state_dir):
        structlog.get_logger("agent.daemon").info("running", file=str(path), password=config.password)
    return 7

sys.modules["agent.runtime.daemon"] = types.SimpleNamespace(run=run)
sys.exit(main(sys.argv[1:]))
"""


def run(station: Station) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", RUN, "run", "--config", str(station.path)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_run_serves_the_configuration_logs_to_standard_error_and_ends_with_the_daemons_status(stopped: Station) -> None:
    done = run(stopped)
    assert (done.returncode, done.stdout) == (7, "")
    assert "running" in done.stderr
    assert f"file={stopped.path}" in done.stderr
    assert "hunter2" not in done.stderr


def test_a_second_daemon_is_refused_in_one_line_that_tells_who_has_the_state_directory(stopped: Station) -> None:
    with acquire(stopped.state_dir):
        done = run(stopped)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"uses {stopped.state_dir}: stop it with `systemctl stop wallbox-agent`" in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_daemon_wants_a_password_that_other_commands_do_without(stopped: Station) -> None:
    stopped.path.write_text(stopped.path.read_text().replace("password =", "#"))
    done = run(stopped)
    assert (done.returncode, done.stdout) == (2, "")
    assert "cloud.password" in done.stderr
    assert stopped.call("config", "check")[0] == 2
    assert stopped.json("sessions", "list") == []
