"""``diagnostics``: what is in the bundle, and what is not."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from tests.unit.cli.installed import Station


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "d.zip"


def content(file: Path) -> dict[str, str]:
    with zipfile.ZipFile(file) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def test_a_bundle_has_configuration_sessions_and_queue_of_a_stopped_agent(with_ledger: Station, file: Path) -> None:
    told = with_ledger.json("diagnostics", str(file))
    found = content(file)
    assert told["files"] == list(found)
    assert told["running"] is False
    assert {"about.json", "configuration.toml", "configuration-keys.json", "sessions.json", "queue.json"} <= set(found)
    assert "status.json" not in found
    assert file.stat().st_mode & 0o777 == 0o600


def test_ids_are_masked_and_private_cards_do_not_exist(with_ledger: Station, file: Path) -> None:
    with_ledger.call("diagnostics", str(file))
    found = content(file)
    sessions = json.loads(found["sessions.json"])
    assert sessions
    assert all(session["id_tag"].startswith("*") for session in sessions)
    everything = "".join(found.values())
    assert "04A1B2C3D4E5F6" not in everything
    assert "virtual-1" not in everything


def test_a_running_agent_tells_status_and_log(station: Station, file: Path) -> None:
    status, out, err = station.call("diagnostics", str(file))
    assert (status, err) == (0, "")
    assert "status.json" in out
    assert json.loads(content(file)["status.json"])


def test_without_a_ledger_the_bundle_says_so(stopped: Station, file: Path) -> None:
    stopped.call("diagnostics", str(file))
    assert json.loads(content(file)["about.json"])["faults"] == ["there is no ledger yet"]


def test_a_file_that_cannot_be_written_is_a_refusal(with_ledger: Station, tmp_path: Path) -> None:
    assert "cannot be written" in with_ledger.refusal("diagnostics", str(tmp_path / "absent" / "d.zip"))


def test_no_secret_of_the_configuration_is_in_it(with_ledger: Station, file: Path) -> None:
    text = with_ledger.path.read_text() if hasattr(with_ledger, "path") else ""
    with_ledger.call("diagnostics", str(file))
    everything = "".join(content(file).values())
    secrets = [line.split('"')[1] for line in text.splitlines() if line.startswith("password")]
    assert not [secret for secret in secrets if secret in everything]
