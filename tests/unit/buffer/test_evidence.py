"""How evidence is made on real files: records, key, corrections, late ones, and the note of the chain's end."""

from __future__ import annotations

import asyncio
import json
import shutil
import stat
import subprocess
import time
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from agent.buffer.codec import dump
from agent.buffer.database import open_database
from agent.buffer.evidence import verify_ledger
from agent.buffer.file import LEDGER
from agent.buffer.head import HEAD, read_head
from agent.buffer.journal import SqliteJournal
from agent.buffer.migrate import packaged
from agent.buffer.ocmf import keep
from agent.buffer.reader import open_reader
from agent.buffer.records import ORIGIN, Link, canonical, digest
from agent.buffer.sealing import AT_ONCE
from agent.buffer.signing import KEY, Verifier, found, public_keys, public_pem
from agent.core.errors import JournalError
from agent.core.facts import HeldReleased
from agent.core.instant import TimeStatus
from agent.core.model import Profile, Quality, Reporting, Wh
from tests.unit.buffer.evidence_rig import (
    CARD,
    SLICES,
    STATION,
    charge,
    five_sessions,
    knife,
    private,
    sealing,
    verified,
)
from tests.unit.buffer.scripted import EMPTY, at, ended, reading, sampled, started

UNKNOWN = TimeStatus.UNKNOWN


def records(state_dir: Path) -> list[dict[str, Any]]:
    """Return the records as documents, in order."""
    with open_reader(state_dir) as connection:
        return [json.loads(text) for (text,) in connection.execute("SELECT json FROM record ORDER BY number")]


def names(state_dir: Path) -> list[str]:
    return sorted(path.name for path in state_dir.iterdir())


def kinds(state_dir: Path) -> list[tuple[str, str | None]]:
    return [(record["kind"], record["session"]) for record in records(state_dir)]


async def until_sealed(journal: SqliteJournal, state_dir: Path, count: int) -> None:
    """Let the records be made that are due, until there are so many."""
    task = asyncio.create_task(journal.seal_due(lambda: at(9000)))
    try:
        async with asyncio.timeout(5):
            while len(records(state_dir)) < count:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.02)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_record_says_all_that_is_to_be_proven(tmp_path: Path) -> None:
    async with sealing(tmp_path) as ledger:
        await ledger.session("s1")
    key, record = records(tmp_path)
    with open_reader(tmp_path) as connection:
        facts = [tuple(row) for row in connection.execute("SELECT * FROM fact ORDER BY seq")]
    hashes = [digest(json.dumps(list(row), separators=(",", ":"), ensure_ascii=False).encode()) for row in facts]
    assert record == {
        "format": 1,
        "kind": "session",
        "number": 2,
        "previous": digest(canonical(key)),
        "station": "NL-ACME-000123",
        "agent": "1.0.0",
        "key": key["key"],
        "recorded": {"at": "2026-01-01T01:23:20.000Z", "clock": "S"},
        "session": "s1",
        "connector": 1,
        "evse_id": "NL*ACM*E000123*1",
        "id_tag": "04A1B2C3D4E5F6",
        "card": "NL-WEX-CNQPWFBEK",
        "ended_by": None,
        "profile": "fleet",
        "trigger": "card",
        "company_code": None,
        "reporting": "report",
        "started": {"at": "2026-01-01T00:01:40.000Z", "clock": "S"},
        "stopped": {"at": "2026-01-01T01:01:40.000Z", "clock": "S"},
        "duration_s": "3600.000",
        "meter_model": "SDM630-Modbus V2",
        "meter_serial": "23004711",
        "register_start_wh": "1234567.0",
        "register_stop_wh": "1242089.4",
        "step_start_wh": "0.1",
        "step_stop_wh": "0.1",
        "energy_wh": "7522",
        "stop_reason": "EVDisconnected",
        "quality": ["measured"],
        "prices": [{"energy_wh": "7522", "price": "0.29"}],
        "prices_from": [{"at": "2026-01-01T00:01:40.000Z", "clock": "S"}],
        "cost": {
            "currency": "EUR",
            "energy": "2.18",
            "time": "0.00",
            "fixed": "0.00",
            "parking": "0.00",
            "reservation": "0.00",
            "surcharge": "0.00",
            "excl_vat": "2.18",
            "vat": "0.46",
            "incl_vat": "2.64",
        },
        "refund": {"percentage": "100.0", "amount": "2.64"},
        "signed": [],
        "late": False,
        "facts": {
            "start": [1, hashes[0]],
            "between": [1, digest(hashes[1].encode())],
            "end": [3, hashes[2]],
        },
    }


async def test_the_chain_begins_with_the_key_and_is_linked_by_hashes(tmp_path: Path) -> None:
    await five_sessions(tmp_path)
    found_records = records(tmp_path)
    assert [record["number"] for record in found_records] == [1, 2, 3, 4, 5, 6]
    previous = ORIGIN
    for record in found_records:
        assert record["previous"] == previous
        previous = digest(canonical(record))
    signer = found(tmp_path)
    assert signer is not None
    assert found_records[0]["public_key"] == public_pem(signer.public)
    assert read_head(tmp_path) == Link(6, previous)
    assert verified(tmp_path) == []


async def test_openssl_verifies_a_record_with_the_public_key(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    async with sealing(tmp_path) as ledger:
        await ledger.session("s1")
    signer = found(tmp_path)
    assert signer is not None
    with open_reader(tmp_path) as connection:
        ((text, signature),) = connection.execute("SELECT json, signature FROM record WHERE kind = 'session'")
    (tmp_path / "pub.pem").write_text(public_pem(signer.public))
    (tmp_path / "sig.der").write_bytes(bytes.fromhex(signature))
    for content, words in ((text, "Verified OK"), (text.replace("1242089.4", "1242089.5"), "Verification failure")):
        (tmp_path / "record.json").write_text(content)
        command = ["openssl", "dgst", "-sha256", "-verify", "pub.pem", "-signature", "sig.der", "record.json"]
        done = await asyncio.to_thread(
            subprocess.run, command, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.stdout.strip() == words


async def test_record_and_end_are_in_one_commit(tmp_path: Path) -> None:
    async with sealing(tmp_path) as ledger:
        begin, end = charge("s1")
        await ledger.commit(begin)
        with knife(tmp_path) as connection:
            connection.execute(
                "CREATE TRIGGER no BEFORE INSERT ON record BEGIN SELECT RAISE(ROLLBACK, 'no record'); END"
            )
        with pytest.raises(Exception, match="no record"):
            await ledger.commit(end)
        with knife(tmp_path) as connection:
            connection.execute("DROP TRIGGER no")
        assert verified(tmp_path) == []
        await ledger.commit(end)  # the same numbers again
    assert kinds(tmp_path) == [("key", None), ("session", "s1")]
    assert verified(tmp_path) == []


async def test_sessions_that_end_in_one_commit_are_recorded_in_their_order(tmp_path: Path) -> None:
    async with sealing(tmp_path) as ledger:
        await ledger.commit(*charge("s1"), *charge("s2"))
    assert kinds(tmp_path) == [("key", None), ("session", "s1"), ("session", "s2")]
    assert verified(tmp_path) == []


async def test_registers_keep_the_digits_of_the_meter_and_money_its_places(tmp_path: Path) -> None:
    begin, end = charge("s1")
    begin = replace(begin, reading=replace(begin.reading, register=Wh(Decimal("1E+6")), step=Wh(Decimal(10))))
    end = replace(end, register=Wh(Decimal("1000000.1250")), quality=(Quality.RECONSTRUCTED, Quality.METER_GAP))
    async with sealing(tmp_path) as ledger:
        await ledger.commit(begin, replace(end, reading=None, cost=None, refund=None))
    record = records(tmp_path)[-1]
    assert (record["register_start_wh"], record["register_stop_wh"]) == ("1000000", "1000000.1250")
    assert (record["step_start_wh"], record["step_stop_wh"], record["energy_wh"]) == ("10", "10", "0")
    assert (record["cost"], record["refund"]) == (None, None)
    assert record["quality"] == ["reconstructed", "meter-gap"]
    assert verified(tmp_path) == []


async def test_the_key_is_made_at_the_first_start_and_is_closed_to_others(tmp_path: Path) -> None:
    async with sealing(tmp_path):
        pass
    path = tmp_path / KEY
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    first = path.read_bytes()
    path.chmod(0o644)
    async with sealing(tmp_path) as ledger:
        await ledger.session("s1")
    assert path.read_bytes() == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / HEAD).stat().st_mode) == 0o600
    assert kinds(tmp_path) == [("key", None), ("session", "s1")]
    assert not [name for name in names(tmp_path) if name.startswith(".")]


async def test_a_start_without_news_writes_no_record(tmp_path: Path) -> None:
    for _ in range(3):
        async with sealing(tmp_path) as ledger:
            assert ledger.sealer.notices == []
    assert kinds(tmp_path) == [("key", None)]


@pytest.mark.parametrize("damage", ["gone", "cut", "of another kind", "halves", "another"])
async def test_a_key_that_was_lost_is_followed_by_another_which_says_so(tmp_path: Path, damage: str) -> None:
    async with sealing(tmp_path) as ledger:
        await ledger.session("s1")
    path, first = tmp_path / KEY, found(tmp_path)
    assert first is not None
    text = path.read_text()
    async with sealing(tmp_path / "other"):
        other = (tmp_path / "other" / KEY).read_text()
    new = {
        "cut": text[:80],
        "of another kind": "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n",
        "halves": text[:60] + ("A" if text[60] != "A" else "B") + text[61:],  # in the secret half
        "another": other,
    }
    if damage == "gone":
        path.unlink()
    else:
        path.write_text(new[damage])
    async with sealing(tmp_path) as ledger:
        await ledger.session("s2", 20_000)
        (notice,) = ledger.sealer.notices
        assert notice.startswith("the signing key was lost, damaged or replaced")
    found_records, second = records(tmp_path), found(tmp_path)
    assert second is not None
    assert second.fingerprint != first.fingerprint
    assert [record["kind"] for record in found_records] == ["key", "session", "key", "session"]
    assert (found_records[2]["replaces"], found_records[2]["key"]) == (first.fingerprint, second.fingerprint)
    assert [record["key"] for record in found_records] == [first.fingerprint] * 2 + [second.fingerprint] * 2
    aside = [name for name in names(tmp_path) if name.startswith(f"{KEY}.")]
    assert aside == ([] if damage in {"gone", "another"} else [f"{KEY}.damaged-1"])
    finding = verify_ledger(tmp_path)
    assert finding.faults == ()
    assert finding.notes == (f"record 3: from here on another key signs ({second.fingerprint[:16]}…)",)


async def test_a_public_key_survives_its_pem_form(tmp_path: Path) -> None:
    async with sealing(tmp_path):
        signer = found(tmp_path)
    assert signer is not None
    assert public_keys(public_pem(signer.public) * 2) == (signer.public,) * 2
    with pytest.raises(ValueError, match="ec private key where a public key is due"):
        public_keys((tmp_path / KEY).read_text())
    with pytest.raises(ValueError, match="no key in PEM form"):
        public_keys("hello")
    with pytest.raises(ValueError, match="no point of P-256"):
        public_keys(public_pem(signer.public[:-1] + bytes([signer.public[-1] ^ 1])))
    with pytest.raises(ValueError, match="another kind of key"):
        public_keys(public_pem(b"0" * 91))


async def test_only_the_one_form_of_a_signature_counts(tmp_path: Path) -> None:
    async with sealing(tmp_path):
        signer = found(tmp_path)
    assert signer is not None
    signature, text = signer.sign(b"text"), digest(b"text")
    verifier = Verifier(signer.public)
    assert verifier.verifies(signature, text)
    assert signer.sign(b"text") == signature
    for wrong in ("", "00", signature.upper(), f"{signature} ", signature + "00", signature[:-2], "30" * 36):
        assert not verifier.verifies(wrong, text)
    assert not verifier.verifies(signature, digest(b"other"))
    assert not verifier.verifies(signature, "no hash")


async def test_sessions_from_before_the_evidence_get_their_records_in_order_of_their_end(tmp_path: Path) -> None:
    async with open_database(tmp_path) as database:
        journal = SqliteJournal(database, ("cloud",))
        await journal.boot_number("boot-1")
        await journal.load()
        begin, end = charge("late")
        await journal.commit(SLICES, [begin], at(100))
        for number in range(AT_ONCE + 3):
            await journal.commit(SLICES, charge(f"s{number:02}", 1000 + number), at(200))
        await journal.commit(SLICES, [end], at(300))
        open_one = charge("open")[0]
        await journal.commit(SLICES, [open_one], at(300))
        await database.write([("INSERT INTO record_due SELECT id, 'late' FROM session WHERE end_fact IS NOT NULL", ())])
    count = AT_ONCE + 4
    async with sealing(tmp_path) as ledger:
        finding = verify_ledger(tmp_path)
        assert finding.faults == ()
        assert finding.notes == (f"{count} sessions closed before there was evidence, and get their records soon",)
        await until_sealed(ledger.journal, tmp_path, count + 1)
        await ledger.session("new", 20_000)
    sessions = [record for record in records(tmp_path) if record["kind"] == "session"]
    assert [record["session"] for record in sessions] == [f"s{n:02}" for n in range(AT_ONCE + 3)] + ["late", "new"]
    assert [record["late"] for record in sessions] == [True] * count + [False]
    assert sessions[0]["recorded"] == {"at": "2026-01-01T02:30:00.000Z", "clock": "S"}
    finding = verify_ledger(tmp_path)
    assert finding.faults == ()
    assert finding.notes == (f"{count} records were made later than their sessions closed",)


def test_the_migration_notes_the_sessions_that_have_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scripts = packaged()

    async def write() -> None:
        async with open_database(tmp_path) as database:
            journal = SqliteJournal(database, ("cloud",))
            await journal.boot_number("boot-1")
            await journal.load()
            await journal.commit(EMPTY, [*charge("closed"), charge("open")[0]], at(100))

    monkeypatch.setattr("agent.buffer.migrate.packaged", lambda: scripts[:2])
    asyncio.run(write())
    monkeypatch.setattr("agent.buffer.migrate.packaged", lambda: scripts)

    async def upgrade() -> None:
        async with sealing(tmp_path) as ledger:
            await until_sealed(ledger.journal, tmp_path, 2)

    asyncio.run(upgrade())
    assert kinds(tmp_path) == [("key", None), ("session", "closed")]
    assert verified(tmp_path) == []


async def test_a_clock_that_becomes_known_later_makes_a_correction_once(tmp_path: Path) -> None:
    begin, end = charge("s1")
    unknown = [replace(p, start=at(100, UNKNOWN)) for p in end.periods]
    begin, end = replace(begin, at=at(100, UNKNOWN)), replace(end, at=at(3700, UNKNOWN), periods=tuple(unknown))
    async with sealing(tmp_path) as ledger:
        await ledger.journal.commit(SLICES, [begin, end], at(3700, UNKNOWN))
        (before,) = records(tmp_path)[1:]
        assert (before["started"]["clock"], before["stopped"]["clock"]) == ("U", "U")
        assert verified(tmp_path) == []
        known = replace(at(4000), wall=at(4000 + 86_400).wall)  # the day was wrong
        task = asyncio.create_task(ledger.journal.seal_due(lambda: known))
        await asyncio.sleep(0.05)
        assert len(records(tmp_path)) == 2
        await ledger.journal.anchor(known)
        async with asyncio.timeout(5):
            while len(records(tmp_path)) < 3:
                await asyncio.sleep(0.01)
        await ledger.session("s2", 20_000)
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert kinds(tmp_path) == [("key", None), ("session", "s1"), ("correction", "s1"), ("session", "s2")]
    assert records(tmp_path)[1] == before
    correction = records(tmp_path)[2]
    assert (correction["corrects"], correction["reason"]) == (2, "clock")
    assert correction["started"] == {"at": "2026-01-02T00:01:40.000Z", "clock": "R"}
    assert correction["stopped"] == {"at": "2026-01-02T01:01:40.000Z", "clock": "R"}
    assert correction["prices_from"] == [{"at": "2026-01-02T00:01:40.000Z", "clock": "R"}]
    finding = verify_ledger(tmp_path)
    assert (finding.faults, finding.notes) == ((), ())


async def test_a_clock_that_becomes_known_during_the_session_needs_no_correction(tmp_path: Path) -> None:
    begin, end = charge("s1")
    async with sealing(tmp_path) as ledger:
        await ledger.journal.commit(SLICES, [replace(begin, at=at(100, UNKNOWN))], at(100, UNKNOWN))
        known = replace(end.at, wall=at(3700 + 86_400).wall)
        await ledger.journal.commit(SLICES, [replace(end, at=known, periods=())], known)
        record = records(tmp_path)[-1]
        assert record["started"] == {"at": "2026-01-02T00:01:40.000Z", "clock": "R"}
        assert record["stopped"] == {"at": "2026-01-02T01:01:40.000Z", "clock": "S"}
    assert kinds(tmp_path) == [("key", None), ("session", "s1")]
    assert verified(tmp_path) == []


async def test_a_boot_that_ended_without_a_clock_is_corrected_as_well_as_can_be(tmp_path: Path) -> None:
    begin, end = charge("s1")
    begin, end = replace(begin, at=at(100, UNKNOWN)), replace(end, at=at(3700, UNKNOWN), periods=())
    async with sealing(tmp_path) as ledger:
        await ledger.journal.commit(SLICES, [begin, end], at(3700, UNKNOWN))
    async with sealing(tmp_path, boot="boot-2") as ledger:
        await ledger.journal.anchor(replace(at(50, boot=2), wall=at(90_050).wall))
        await until_sealed(ledger.journal, tmp_path, 3)
    correction = records(tmp_path)[-1]
    assert (correction["kind"], correction["stopped"]["clock"]) == ("correction", "I")
    assert verified(tmp_path) == []


async def test_a_held_session_that_is_released_is_no_fault(tmp_path: Path) -> None:
    async with sealing(tmp_path) as ledger:
        held = {"reporting": Reporting.HOLD, "company_code": "ACME"}
        await ledger.commit(*charge("s1", 100, **held))
        await ledger.commit(HeldReleased("ACME"))
    assert records(tmp_path)[-1]["reporting"] == "hold"
    assert verified(tmp_path) == []
    with knife(tmp_path) as connection:
        connection.execute("UPDATE session SET reporting = 'local-only'")
    assert verified(tmp_path) == [(2, "s1", "changed")]


async def test_a_power_cut_between_commit_and_note_is_no_alarm(tmp_path: Path) -> None:
    async with sealing(tmp_path) as ledger:
        await ledger.session("s1")
        before = (tmp_path / HEAD).read_bytes()
        await ledger.session("s2", 20_000)
    (tmp_path / HEAD).write_bytes(before)
    assert verified(tmp_path) == []
    async with sealing(tmp_path) as ledger:
        assert ledger.sealer.notices == []
    head = read_head(tmp_path)
    assert head is not None
    assert head.number == 3
    assert kinds(tmp_path)[-1] == ("session", "s2")


async def test_a_power_cut_before_the_very_first_note_is_no_alarm(tmp_path: Path) -> None:
    async with sealing(tmp_path):
        pass
    (tmp_path / HEAD).unlink()
    assert verified(tmp_path) == []
    async with sealing(tmp_path) as ledger:
        await ledger.session("s1")
        assert ledger.sealer.notices == []
    assert kinds(tmp_path) == [("key", None), ("session", "s1")]


@pytest.mark.parametrize("what", ["head-missing", "head-damaged", "head-behind"])
async def test_a_note_that_was_tampered_with_is_remembered_in_the_chain(tmp_path: Path, what: str) -> None:
    async with sealing(tmp_path) as ledger:
        await ledger.session("s1")
        old = (tmp_path / HEAD).read_bytes()
        await ledger.session("s2", 20_000)
        await ledger.session("s3", 40_000)
    if what == "head-missing":
        (tmp_path / HEAD).unlink()
    else:
        (tmp_path / HEAD).write_bytes(old if what == "head-behind" else b"{}")
    words = "head missing" if what == "head-missing" else "head changed"
    assert verified(tmp_path) == [(None, None, words)]
    async with sealing(tmp_path) as ledger:
        assert len(ledger.sealer.notices) == 1
    assert kinds(tmp_path)[-1] == ("incident", None)
    finding = verify_ledger(tmp_path)
    assert finding.faults == ()
    assert finding.notes == (f"record 5: at the agent's start the evidence was not as it had left it ({what})",)


async def test_numbers_of_records_that_are_gone_are_not_given_again(tmp_path: Path) -> None:
    await five_sessions(tmp_path)
    with knife(tmp_path) as connection:
        connection.execute("DELETE FROM record WHERE number = 6")
        connection.execute("DELETE FROM chain")
    async with sealing(tmp_path) as ledger:
        await ledger.session("s6", 60_000)
    assert [record["number"] for record in records(tmp_path)] == [1, 2, 3, 4, 5, 7]
    assert verified(tmp_path) == [(6, None, "missing"), (None, "s5", "missing")]


async def test_a_note_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    async with sealing(tmp_path) as ledger:
        await ledger.session("s1")
        (tmp_path / HEAD).unlink()
        (tmp_path / HEAD).mkdir()
        await ledger.session("s2", 20_000)
        (notice,) = ledger.sealer.notices
        assert "cannot be written" in notice
        (tmp_path / HEAD).rmdir()
        await ledger.session("s3", 40_000)
    assert verified(tmp_path) == []


async def test_a_session_is_closed_even_where_its_facts_cannot_be_read(tmp_path: Path) -> None:
    async with sealing(tmp_path) as ledger:
        begin, end = charge("s1")
        await ledger.commit(begin)
        with knife(tmp_path) as connection:
            connection.execute("UPDATE fact SET json = '{}'")
        await ledger.commit(end)
        assert ledger.sealer.notices[0].startswith("session s1 has no evidence record yet")
        with knife(tmp_path) as connection:
            connection.execute("UPDATE fact SET json = ? WHERE seq = 1", (dump(begin),))
        await until_sealed(ledger.journal, tmp_path, 2)
    assert [(r["session"], r["late"]) for r in records(tmp_path)[1:]] == [("s1", True)]
    assert verified(tmp_path) == []


async def test_what_a_meter_signed_is_kept_and_recorded_byte_for_byte(tmp_path: Path) -> None:
    begin, end = charge("s1")
    signed = b"OCMF|{\xc3\xa9}|\r\n\x00\xff"
    async with sealing(tmp_path) as ledger:
        await ledger.commit(begin)
        with knife(tmp_path) as connection:
            connection.execute(*keep("s1", 0, "OCMF", signed))
        await ledger.commit(end)
    assert records(tmp_path)[-1]["signed"] == [["OCMF", digest(signed)]]
    assert verified(tmp_path) == []
    with knife(tmp_path) as connection:
        connection.execute("UPDATE signed_reading SET text = CAST('OCMF' AS BLOB)")
    assert verified(tmp_path) == [(2, "s1", "changed")]


async def test_a_session_that_another_card_ended_tells_whose(tmp_path: Path) -> None:
    begin, end = charge("s1")
    async with sealing(tmp_path) as ledger:
        await ledger.commit(begin, replace(end, id_token=replace(CARD, value="04FFFFFF")))
    assert records(tmp_path)[-1]["ended_by"] == "04FFFFFF"


async def test_a_private_session_has_its_record_too(tmp_path: Path) -> None:
    async with sealing(tmp_path) as ledger:
        await ledger.commit(*private("s1"))
    assert records(tmp_path)[-1]["profile"] == Profile.PRIVATE
    assert verified(tmp_path) == []


async def test_a_daemon_goes_on_while_its_ledger_is_verified(tmp_path: Path) -> None:
    async with sealing(tmp_path) as ledger:
        loop = asyncio.get_running_loop()
        verifying = loop.run_in_executor(None, lambda: [verified(tmp_path) for _ in range(20)])
        number = 0
        while not verifying.done():
            number += 1
            await ledger.session(f"s{number}", number * 10_000)
        assert await verifying == [[]] * 20
    assert number > 1


async def test_signing_lets_the_event_loop_go_on(tmp_path: Path) -> None:
    async with sealing(tmp_path) as ledger:
        await ledger.commit(started("s1"))
        for first in range(0, 2000, 500):
            await ledger.commit(*(sampled("s1", 1 + n, at(20 + n)) for n in range(first, first + 500)))
        longest, last = 0.0, time.monotonic()
        ending = asyncio.create_task(ledger.commit(ended("s1", 2001, at(3600), reading=reading(at(3600)))))
        while not ending.done():
            await asyncio.sleep(0)
            now = time.monotonic()
            longest, last = max(longest, now - last), now
        await ending
    assert longest < 0.25  # some milliseconds on an idle machine


async def test_a_ledger_that_takes_no_key_says_so(tmp_path: Path) -> None:
    async with sealing(tmp_path):
        pass
    (tmp_path / KEY).unlink()
    (tmp_path / KEY).mkdir()
    with pytest.raises(JournalError, match="signing_key"):
        async with sealing(tmp_path):
            pass
    assert STATION.id == "NL-ACME-000123"
    assert (tmp_path / LEDGER).exists()
