"""``key`` and ``sessions verify`` as people and programs call them, and the exports that prove themselves."""

from __future__ import annotations

import asyncio
import io
import json
import os
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import ecdsa  # type: ignore[import-untyped]  # the library ships no types
import pytest

from agent.buffer.file import LEDGER
from agent.buffer.head import HEAD
from agent.buffer.ledger import sessions
from agent.buffer.reader import open_reader
from agent.buffer.signing import KEY, public_keys
from agent.cli import evidence
from agent.cli.context import CommandFailed
from tests.unit.buffer.evidence_rig import five_sessions, knife
from tests.unit.cli.installed import Station


@pytest.fixture
def with_evidence(stopped: Station) -> Station:
    """Return a stopped station with a ledger of six records."""
    asyncio.run(five_sessions(stopped.state_dir))
    return stopped


@pytest.fixture
def new(stopped: Station) -> Station:
    """Return a station that has never run."""
    return stopped


def exported(station: Station, **options: Any) -> Path:  # noqa: ANN401  # options of the function
    with open_reader(station.state_dir) as connection:
        picked = sessions(connection)
    path = station.state_dir.parent / "export.json"
    path.write_bytes(evidence.json_export(station.state_dir, picked, **options))
    return path


def test_the_key_is_printed_as_pem(with_evidence: Station) -> None:
    status, out, err = with_evidence.call("key")
    assert (status, err) == (0, "")
    assert out.startswith("-----BEGIN PUBLIC KEY-----\n")
    assert out.endswith("-----END PUBLIC KEY-----\n")
    document = with_evidence.json("key")
    assert document == {
        "public_key": out,
        "fingerprint": document["fingerprint"],
        "algorithm": "ECDSA-secp256r1-SHA256",
    }
    assert len(document["fingerprint"]) == 64


def test_a_station_that_never_ran_has_no_key_and_nothing_to_verify(new: Station) -> None:
    assert new.refusal("key") == f"there is no signing key in {new.state_dir} yet: start the service once"
    assert new.call("sessions", "verify") == (0, "0 records\n", "")


def test_a_damaged_key_is_told(with_evidence: Station) -> None:
    (with_evidence.state_dir / KEY).write_text("hello")
    assert "is damaged" in with_evidence.refusal("key")


def test_a_key_that_may_not_be_read_is_told(with_evidence: Station) -> None:
    if os.geteuid() == 0:
        (with_evidence.state_dir / KEY).unlink()
        (with_evidence.state_dir / KEY).mkdir()
        assert "run the command with sudo" in with_evidence.refusal("key")
    else:
        (with_evidence.state_dir / KEY).chmod(0)
        assert "is damaged" in with_evidence.refusal("key")


def test_a_true_ledger_is_verified(with_evidence: Station) -> None:
    status, out, err = with_evidence.call("sessions", "verify")
    assert (status, err) == (0, "")
    assert out.startswith("6 records: all as they were written; the newest is 6, ")
    document = with_evidence.json("sessions", "verify")
    assert (document["ok"], document["records"], document["faults"], document["notes"]) == (True, 6, [], [])
    assert document["newest"]["hash"] in out


def test_each_record_at_fault_is_told_in_a_line(with_evidence: Station) -> None:
    with knife(with_evidence.state_dir) as connection:
        connection.execute("DELETE FROM record WHERE number = 3")
        connection.execute("UPDATE record SET json = replace(json, '2.64', '9.64') WHERE number = 5")
    (with_evidence.state_dir / HEAD).unlink()
    status, out, err = with_evidence.call("sessions", "verify")
    assert (status, err) == (1, "")
    assert out.splitlines() == [
        "5 records, 5 faults:",
        "record 3: missing",
        "record 5, session s4: changed",
        "record 5, session s4: changed: not as recorded: cost, refund",
        f"head missing: {HEAD} is gone",
        "session s2: missing: the session has ended, and has no record",
    ]
    status, out, err = with_evidence.call("sessions", "verify", "--json")
    document = json.loads(out)
    assert (status, document["ok"], document["records"], err) == (1, False, 5, "")
    assert document["faults"][:2] == [
        {"number": 3, "session": None, "fault": "missing"},
        {"number": 5, "session": "s4", "fault": "changed"},
    ]


def test_a_ledger_that_is_gone_is_missed(with_evidence: Station) -> None:
    for path in with_evidence.state_dir.glob(f"{LEDGER}*"):
        path.unlink()
    status, out, _ = with_evidence.call("sessions", "verify")
    assert (status, out) == (1, f"0 records, 1 fault:\nmissing: the ledger is gone, and {HEAD} is there\n")


def test_a_ledger_that_cannot_be_read_is_told(with_evidence: Station) -> None:
    (with_evidence.state_dir / LEDGER).write_bytes(b"not a database, and long enough to be seen as none" * 100)
    assert "cannot be used" in with_evidence.refusal("sessions", "verify")


def test_an_export_is_verified_without_the_station(with_evidence: Station, tmp_path: Path) -> None:
    path, pem = exported(with_evidence, everything=True), tmp_path / "pub.pem"
    pem.write_text(with_evidence.call("key")[1])
    for left in with_evidence.state_dir.iterdir():
        left.unlink()
    with_evidence.path.unlink()  # not even a configuration is needed
    status, out, err = with_evidence.call("sessions", "verify", str(path), "--public-key", str(pem))
    assert (status, err) == (0, "")
    assert out.startswith("6 records, 1 of them private and told by their hash alone: all as they were written;")
    status, out, err = with_evidence.call("sessions", "verify", str(path))
    assert (status, err) == (0, "")
    assert "note: the key in the export was believed" in out


def test_a_statement_is_sealed_with_its_newest_record_and_the_stations_key(with_evidence: Station) -> None:
    public = with_evidence.json("key")
    document = with_evidence.json("report", "2026-01")
    assert len(document["chain_head"]) == 64
    assert document["key_fingerprint"] == public["fingerprint"]
    unsigned = {**document, "signature": None}
    text = json.dumps(unsigned, sort_keys=True, separators=(",", ":")).encode("ascii")
    (der,) = public_keys(public["public_key"])
    key = ecdsa.VerifyingKey.from_der(der)
    assert key.verify(bytes.fromhex(document["signature"]), text, sha256, sigdecode=ecdsa.util.sigdecode_der)
    assert with_evidence.json("report", "2026-01") == document
    assert with_evidence.json("report", "2025-10")["chain_head"] is None


def test_an_export_may_come_by_a_pipe(with_evidence: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    content = exported(with_evidence, everything=True).read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert with_evidence.call("sessions", "verify", "-")[0] == 0


def test_a_damaged_export_is_told(with_evidence: Station) -> None:
    path = exported(with_evidence, everything=True)
    text = path.read_text()
    path.write_text(text.replace("1242089.4", "1252089.4"))
    status, out, _ = with_evidence.call("sessions", "verify", str(path))
    assert (status, out.splitlines()[1]) == (
        1,
        "record 2, session s1: wrong signature: the text or its signature was changed",
    )
    path.write_text(text[: len(text) // 2])
    line = with_evidence.refusal("sessions", "verify", str(path), status=2)
    assert line.startswith(f"{path}: it is no JSON document (")
    assert line.endswith("give a file of `sessions export --format json`")
    path.write_text("[]")
    assert "no list of sessions, or an empty one" in with_evidence.refusal("sessions", "verify", str(path), status=2)
    path.unlink()
    assert with_evidence.refusal("sessions", "verify", str(path), status=2) == (
        f"{path} cannot be read (No such file or directory)"
    )


@pytest.mark.parametrize("content", ["", "hello", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", None])
def test_a_wrong_key_file_is_wrong_usage(with_evidence: Station, tmp_path: Path, content: str | None) -> None:
    pem = tmp_path / "pub.pem"
    if content is not None:
        pem.write_text(content)
    path = exported(with_evidence, everything=True)
    for what in ([], [str(path)]):
        line = with_evidence.refusal("sessions", "verify", *what, "--public-key", str(pem), status=2)
        assert line.startswith(f"--public-key {pem} cannot be used (")
        assert line.endswith("): give the output of `wallbox-agent key`")


def test_the_key_of_another_station_verifies_nothing(with_evidence: Station, tmp_path: Path) -> None:
    asyncio.run(five_sessions(tmp_path / "other"))
    pem = tmp_path / "pub.pem"
    mine = with_evidence.call("key")[1]
    (with_evidence.state_dir / KEY).rename(tmp_path / "mine")
    (tmp_path / "other" / KEY).rename(with_evidence.state_dir / KEY)
    pem.write_text(with_evidence.call("key")[1])
    (tmp_path / "mine").rename(with_evidence.state_dir / KEY)
    path = exported(with_evidence, everything=True)
    status, out, _ = with_evidence.call("sessions", "verify", str(path), "--public-key", str(pem))
    assert (status, out.count("wrong signature: it is signed with another key")) == (1, 6)
    more = tmp_path / "mine.pem"
    more.write_text(mine)
    both = ("--public-key", str(pem), "--public-key", str(more))
    assert with_evidence.call("sessions", "verify", str(path), *both)[0] == 0


def test_a_part_of_the_sessions_has_a_part_of_the_chain(with_evidence: Station) -> None:
    with open_reader(with_evidence.state_dir) as connection:
        picked = [record for record in sessions(connection) if record.id in {"s2", "s3", "s4"}]
    path = with_evidence.state_dir.parent / "part.json"
    path.write_bytes(evidence.json_export(with_evidence.state_dir, picked))
    status, out, _ = with_evidence.call("sessions", "verify", str(path))
    assert (status, out.splitlines()[0].startswith("3 records, 1 of them private")) == (0, True)
    assert "note: the export begins with record 3" in out.splitlines()
    assert [session["id"] for session in json.loads(path.read_text())] == ["s2", "s4"]


def test_private_sessions_are_exported_when_that_is_asked_for(with_evidence: Station) -> None:
    path = exported(with_evidence, everything=True, private=True)
    assert [session["id"] for session in json.loads(path.read_text())] == ["s1", "s2", "s3", "s4", "s5"]
    assert with_evidence.call("sessions", "verify", str(path))[1].startswith("6 records: all as they were written")


def test_ocmf_has_a_text_for_each_session_that_closed(with_evidence: Station) -> None:
    with open_reader(with_evidence.state_dir) as connection:
        picked = sessions(connection)
    content, count = evidence.ocmf_export(with_evidence.state_dir, picked)
    assert (count, content.count(b"OCMF|"), content.count(b"\n")) == (4, 4, 4)
    content, count = evidence.ocmf_export(with_evidence.state_dir, picked, private=True, xml=True)
    assert (count, content.count(b"<signedData"), content.count(b"<publicKey")) == (5, 5, 5)


def test_nothing_is_exported_without_a_key(new: Station) -> None:
    with pytest.raises(CommandFailed, match="no signing key"):
        evidence.json_export(new.state_dir, [])
    with pytest.raises(CommandFailed, match="no signing key"):
        evidence.ocmf_export(new.state_dir, [])


def test_a_terminal_is_shown_how_far_it_has_come(
    with_evidence: Station, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(evidence, "EVERY", 2)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    status, out, err = with_evidence.call("sessions", "verify")
    assert (status, out.startswith("6 records")) == (0, True)
    assert err == "\rverifying signatures: 2 of 6\rverifying signatures: 4 of 6\r\033[K"
    assert with_evidence.call("sessions", "verify", "--json")[2] == ""
    assert capsys.readouterr() == ("", "")
