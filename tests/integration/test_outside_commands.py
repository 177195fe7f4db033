"""The command line as scripts use it: keys of the JSON documents, exit statuses, one line on standard error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from outside import charge, unplug
from station import FLEET, Station, a_station

pytestmark = pytest.mark.timeout(60)

STATUS = {
    "station": {"id", "version", "uptime_s"},
    "cloud": {"state", "protocol", "registration", "queued_messages", "last_error"},
    "company": {"code", "state", "name", "reason", "settings_version", "settings"},
    "clock": {"synchronised", "source"},
    "rfid": {"ok", "last_error"},
}
CONNECTOR = {
    "meter": {
        "ok", "model", "serial_number", "energy_wh", "power_w", "values", "unattributed_wh", "warnings", "last_error"
    },
    "evse": {"ok", "state", "connected", "charging", "current_limit_a", "faults", "warnings", "last_error"},
}  # fmt: skip
SESSION = {
    "id", "connector", "transaction_id", "id_tag", "card", "profile", "started_at", "stopped_at", "clock",
    "meter_start_wh", "meter_stop_wh", "energy_wh", "stop_reason", "state", "reporting", "quality", "delivery", "cost",
    "refund",
}  # fmt: skip
COST = {
    "currency", "excl_vat", "vat", "incl_vat", "energy", "time", "fixed", "parking", "reservation", "surcharge"
}  # fmt: skip
CARD = {"id_tag", "card", "ema_id", "name", "profile", "status", "reason"}


async def document(station: Station, *arguments: str) -> Any:  # noqa: ANN401  # JSON
    status, out, err = await station.cli(*arguments, "--json")
    assert (status, err) == (0, "")
    return json.loads(out)


async def test_the_documents_have_the_keys_of_the_contract(tmp_path: Path) -> None:
    async with a_station(tmp_path) as station:
        await station.ready()
        assert (await station.cli("cards", "block", FLEET[::-1], "--reason", "lost"))[0] == 0
        await charge(station)
        await unplug(station)
        await station.employer.wait_for("StopTransaction")
        status = await document(station, "status")
        assert all(status[section].keys() >= keys for section, keys in STATUS.items())
        (connector,) = status["connectors"]
        assert connector.keys() >= {"id", "status", "error_code", "meter", "evse", "session"}
        assert all(connector[device].keys() >= keys for device, keys in CONNECTOR.items())
        assert status["deliveries"] == []
        (session,) = await document(station, "sessions", "list")
        assert session.keys() == SESSION
        assert session["cost"].keys() == COST
        assert session["refund"].keys() == {"percentage", "amount"}
        assert session["delivery"][0].keys() == {"to", "state", "error"}
        shown = await document(station, "sessions", "show", session["id"])
        assert shown.keys() == SESSION | {"periods", "odometer_km", "note"}
        (card,) = await document(station, "cards", "list")
        assert card.keys() == CARD
        assert (await document(station, "link", "acme-7f3k")).keys() == {"code", "state"}


#: arguments -> exit status without a daemon
STATUSES = {
    ("status",): 3,
    ("link", "ACME-7F3K"): 3,
    ("cards", "add", "AA"): 3,
    ("sessions", "list"): 0,
    ("cards", "list"): 0,
    ("config", "check"): 0,
    ("sessions", "show", "nothing"): 1,
    ("link", "ab"): 2,
    ("cards", "add", "x" * 25): 2,
    ("nonsense",): 2,
}


async def test_exit_statuses_without_a_daemon(tmp_path: Path) -> None:
    async with a_station(tmp_path) as station:
        await station.until(lambda s: s["station"])
        station.kill()
        for arguments, expected in STATUSES.items():
            status, out, err = await station.cli(*arguments)
            seen = (status, bool(out), len(err.splitlines()))
            assert seen == (expected, expected == 0, int(expected != 0)), arguments
