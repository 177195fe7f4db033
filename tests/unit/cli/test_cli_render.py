"""The station's status as a person reads it: golden texts, 80 columns, marks, nothing that a terminal obeys."""

from __future__ import annotations

import copy
import json
from decimal import Decimal
from typing import Any

import pytest

from agent.cli import balance
from agent.cli.render import link_text, local_zone, status_text

ZONE = local_zone("Europe/Amsterdam")

Json = dict[str, Any]

GOOD: Json = json.loads("""
{"station": {"id": "NL-ACME-000123", "version": "1.0.0", "uptime_s": 11523.3},
 "cloud": {"state": "connected", "protocol": "ocpp1.6", "registration": "Accepted",
           "queued_messages": 0, "last_error": null},
 "company": {"code": "ACME-7F3K", "state": "linked", "name": "Acme BV", "reason": null,
             "settings_version": 7, "settings": {}},
 "clock": {"synchronised": true, "source": "ntp"},
 "rfid": {"ok": true, "last_error": null},
 "ledger": {"ok": true, "last_error": null},
 "connectors": [{"id": 1, "status": "Charging", "error_code": "NoError",
                 "meter": {"ok": true, "model": "eastron_sdm630_v2", "serial_number": "23004711",
                           "energy_wh": 1234567.0, "power_w": 7360.4, "values": {"voltage_l1": 230.1},
                           "unattributed_wh": 0.0, "warnings": [], "last_error": null},
                 "evse": {"ok": true, "state": "C", "connected": true, "charging": true,
                          "current_limit_a": 16.0, "faults": [], "last_error": null},
                 "session": {"id": "019a", "transaction_id": 42, "id_tag": "**********E5F6",
                             "started_at": "2026-11-21T23:15:03.120Z", "energy_wh": 1234.5, "state": "charging"}}],
 "deliveries": []}
""")

GOOD_TEXT = """\
  station      NL-ACME-000123, version 1.0.0, up 3 h 12 min
  cloud        connected with ocpp1.6, Accepted
  company      ACME-7F3K linked, Acme BV, settings 7
  clock        synchronised by ntp
  card reader  ok

  connector 1  Charging
    meter      1234.567 kWh, 7360 W, eastron_sdm630_v2 no. 23004711
    EVSE       C car may draw, offers 16 A
    session    charging, 1.235 kWh since 2026-11-22 00:15, card **********E5F6,
               transaction 42

  all is well
"""

BAD_TEXT = """\
  station      NL-ACME-000123, version 1.0.0, up 3 h 12 min
! cloud        offline; 3 messages waiting: csms.example.com:8180 refuses the
               connection: check cloud.url
! company      ACME-7F3K rejected, Acme BV, settings 7, unknown code
! clock        not synchronised: no source has told the time yet; check the
               network and NTP
! card reader  /dev/ttyUSB1 is not there: plug in the reader
! ledger       no space left for the ledger

! connector 1  Faulted, PowerMeterFailure
!   meter      no answer from device 1 on /dev/ttyUSB0 (9600 8N1): check wiring
               A/B, address and baud rate (eastron_sdm630_v2 no. 23004711)
!              power does not match voltage and current
               0.013 kWh since the start of the agent belong to no session
!   EVSE       no answer within 1 s
    session    none

  9 things to look at, marked with !
"""


def bad() -> Json:
    """Return a status in which everything that can be wrong is."""
    document = copy.deepcopy(GOOD)
    document["cloud"] = {
        "state": "offline",
        "protocol": None,
        "registration": None,
        "queued_messages": 3,
        "last_error": "csms.example.com:8180 refuses the connection: check cloud.url",
    }
    document["company"].update(state="rejected", reason="unknown code")
    document["clock"] = {"synchronised": False, "source": None}
    document["rfid"] = {"ok": False, "last_error": "/dev/ttyUSB1 is not there: plug in the reader"}
    document["ledger"] = {"ok": False, "last_error": "no space left for the ledger"}
    connector = document["connectors"][0]
    connector.update(status="Faulted", error_code="PowerMeterFailure", session=None)
    connector["meter"].update(
        ok=False,
        energy_wh=None,
        power_w=None,
        values={},
        last_error="no answer from device 1 on /dev/ttyUSB0 (9600 8N1): check wiring A/B, address and baud rate",
        warnings=["power does not match voltage and current"],
        unattributed_wh=12.5,
    )
    connector["evse"].update(ok=False, state=None, current_limit_a=None, last_error="no answer within 1 s")
    return document


def changed(section: str, **members: object) -> str:
    """Return the text of the good status with members of one section changed."""
    document = copy.deepcopy(GOOD)
    target = document[section] if section in document else document["connectors"][0][section]
    target.update(members)
    return status_text(document, ZONE)


def test_a_good_station_reads_like_this() -> None:
    assert status_text(GOOD, ZONE) == GOOD_TEXT


def test_a_bad_station_reads_like_this() -> None:
    assert status_text(bad(), ZONE) == BAD_TEXT


def test_no_line_is_wider_than_80_columns() -> None:
    document = bad()
    document["company"]["name"] = "a company with a name " * 10
    document["connectors"].append({**document["connectors"][0], "id": 2})
    assert max(len(line) for line in status_text(document, ZONE).splitlines()) <= 80


def test_a_fresh_station_is_told_without_inventing_anything() -> None:
    nothing = {
        "station": {"id": "NL-1", "version": "1.0.0", "uptime_s": 0.4},
        "cloud": {"state": "connecting", "protocol": None, "registration": None, "queued_messages": 1},
        "company": {"code": None, "state": "none"},
        "clock": {"synchronised": True, "source": "ocpp"},
        "rfid": {"ok": True},
        "connectors": [{"id": 1, "status": None, "error_code": None, "meter": {"ok": False}, "evse": {"ok": False}}],
    }
    assert status_text(nothing, ZONE) == (
        "  station      NL-1, version 1.0.0, up 0 s\n"
        "! cloud        connecting; 1 message waiting\n"
        "  company      none linked\n"
        "  clock        synchronised by ocpp\n"
        "  card reader  ok\n"
        "\n"
        "  connector 1  not known yet\n"
        "!   meter      has not answered yet\n"
        "!   EVSE       the controller has not answered yet\n"
        "    session    none\n"
        "\n"
        "  3 things to look at, marked with !\n"
    )


def test_an_empty_document_is_no_crash() -> None:
    assert "things to look at" in status_text({}, ZONE)
    assert "things to look at" in status_text({"connectors": "none", "cloud": [1], "station": None}, ZONE)


@pytest.mark.parametrize("section", ["station", "cloud", "company", "meter", "evse", "session"])
def test_nothing_from_afar_reaches_the_terminal_as_a_command(section: str) -> None:
    evil = "x\x1b[2J\x07\r\n\u202ey"
    names = ("id", "version", "last_error", "name", "reason", "code", "model", "id_tag", "state", "protocol")
    members = dict.fromkeys(names, evil)
    text = changed(section, ok=False, faults=[evil], warnings=[evil], **members)
    assert all(c.isprintable() for c in text.replace("\n", ""))


def test_a_registration_that_is_not_accepted_is_marked_with_its_error() -> None:
    text = changed("cloud", registration="Pending", last_error="the central system has not accepted the station yet")
    assert "! cloud        connected with ocpp1.6, Pending: the central system has not" in text
    assert "! cloud        connected with ocpp1.6, not registered yet" in changed("cloud", registration=None)


def test_an_error_of_the_past_is_not_shown_once_all_is_well_again() -> None:
    assert "refused" not in changed("cloud", last_error="connection refused")


@pytest.mark.parametrize(
    ("members", "line"),
    [
        ({"state": "A", "current_limit_a": 0.0}, "    EVSE       A no car, offers nothing"),
        ({"state": "B", "current_limit_a": None}, "    EVSE       B car plugged in\n"),
        ({"state": "E"}, "!   EVSE       E fault on the control pilot, offers 16 A"),
        ({"state": "C", "faults": ["rcd", "diode"]}, "!   EVSE       C car may draw, offers 16 A, faults: rcd, diode"),
        ({"current_limit_a": 8.0, "charging_profile": 1234567}, ", offers 8 A (charging profile 1234567)\n"),
        ({"state": None, "current_limit_a": 6.0}, "    EVSE       state not known, offers 6 A"),
        ({"state": None, "current_limit_a": None}, "    EVSE       no controller, or its state is not known"),
    ],
)
def test_the_controller_is_told_in_words(members: Json, line: str) -> None:
    assert line in changed("evse", **members)


def test_a_meter_without_power_and_serial_shows_what_it_has() -> None:
    assert "    meter      1234.567 kWh, abb_b21\n" in changed(
        "meter", power_w=None, serial_number=None, model="abb_b21"
    )
    assert "    meter      1234.567 kWh, 0 W, " in changed("meter", power_w=0.0)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.9, "0 s"),
        (59, "59 s"),
        (60, "1 min 0 s"),
        (3600, "1 h 0 min"),
        (90_000, "1 d 1 h"),
        (86_400 * 40, "40 d 0 h"),
    ],
)
def test_a_length_of_time_is_told_in_two_units(seconds: float, words: str) -> None:
    assert f"up {words}\n" in changed("station", uptime_s=seconds)


@pytest.mark.parametrize(
    ("link", "text"),
    [
        (
            {"code": "ACME-7F3K", "state": "pending", "reason": "waiting for the cloud"},
            "ACME-7F3K: pending (waiting for the cloud); `wallbox-agent status` shows what the company answers",
        ),
        ({"code": "ACME-7F3K", "state": "linked", "reason": None}, "ACME-7F3K: linked"),
        ({"code": None, "state": "none"}, "the station is linked to no company; sessions from now on stay here"),
    ],
)
def test_the_link_is_told_in_one_line(link: Json, text: str) -> None:
    assert link_text(link) == text


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("car", "waits for the car to be plugged in"),
        ("charger", "waits for the charger to be ready"),
        ("central-system", "waits for the central system's answer"),
        ("something new", "waits for something new"),
    ],
)
def test_a_card_without_a_session_is_shown_with_what_it_waits_for(reason: str, words: str) -> None:
    document = copy.deepcopy(GOOD)
    card = {"id_tag": "**********E5F6", "for": reason}
    document["connectors"][0] |= {"session": None, "waiting": card}
    document["waiting"] = [card]
    text = " ".join(status_text(document, ZONE).split())
    assert f"session none; card **********E5F6 {words}" in text
    assert f"waiting card **********E5F6 {words}, at any connector" in text
    assert "all is well" in text


def test_a_reservation_is_shown_with_its_end() -> None:
    document = copy.deepcopy(GOOD)
    until = "2026-11-21T12:30:00.000Z"
    document["connectors"][0]["reservation"] = {"id": 7, "id_tag": "******E5F6", "until": until}
    assert "reserved for card ******E5F6 until 2026-11-21 13:30" in " ".join(status_text(document, ZONE).split())


def test_a_narrow_terminal_gets_narrow_lines() -> None:
    text = status_text(GOOD, ZONE, 40)
    assert max(len(line) for line in text.splitlines()) <= 40
    assert text.split() == status_text(GOOD, ZONE).split()


def test_energy_is_shown_exactly_and_without_zeros_that_say_nothing() -> None:
    shown = [balance._shown(Decimal(text)) for text in ("35.7666015625000", "0E-10", "1200", "0.0")]
    assert shown == ["35.7666015625 Wh", "0 Wh", "1200 Wh", "0 Wh"]
