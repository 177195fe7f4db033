"""The export that is verified by itself: what it holds and withholds, and what is found when it was tampered with."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.buffer.evidence import Finding, all_records
from agent.buffer.ledger import sessions, to_json
from agent.buffer.proof import NoExport, _private, as_sessions, exported, verify_export
from agent.buffer.reader import open_reader
from agent.buffer.records import Draft, Kind, canonical
from agent.buffer.signing import KEY, Signer, found, made
from tests.unit.buffer.evidence_rig import faults, five_sessions, knife, sealing
from tests.unit.buffer.scripted import at

Document = dict[str, Any]


@pytest.fixture(scope="module")
def state_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("state")
    asyncio.run(five_sessions(path))
    return path


@pytest.fixture(scope="module")
def signer(state_dir: Path) -> Signer:
    key = found(state_dir)
    assert key is not None
    return key


@pytest.fixture(scope="module")
def whole(state_dir: Path, signer: Signer) -> bytes:
    return export(state_dir, signer)


def export(state_dir: Path, signer: Signer, *, only: frozenset[str] | None = None, private: bool = False) -> bytes:
    with open_reader(state_dir) as connection:
        told = [
            to_json(r) for r in sessions(connection) if (only is None or r.id in only) and (private or r.id != "s3")
        ]
        return exported(connection, signer, told, only=only, private=private)


def tampered(whole: bytes, change: Callable[[Document], object]) -> bytes:
    document = json.loads(whole)
    change(document)
    return json.dumps(document).encode()


def found_in(
    whole: bytes, change: Callable[[Document], object], *keys: bytes
) -> list[tuple[int | None, str | None, str]]:
    return faults(verify_export(tampered(whole, change), keys or None))


def test_an_export_proves_itself(whole: bytes, signer: Signer) -> None:
    finding = verify_export(whole, [signer.public])
    assert (finding.records, finding.withheld, finding.faults, finding.notes) == (6, 1, (), ())
    assert finding.newest.number == 6


def test_the_same_ledger_makes_the_same_export(whole: bytes, state_dir: Path, signer: Signer) -> None:
    assert export(state_dir, signer) == whole


def test_without_a_key_the_one_in_it_is_believed_and_that_is_said(whole: bytes) -> None:
    finding = verify_export(whole)
    assert finding.faults == ()
    assert finding.notes == ("the key in the export was believed: compare it with the station's (`--public-key`)",)


def test_nothing_of_a_private_session_leaves(whole: bytes, state_dir: Path, signer: Signer) -> None:
    document = json.loads(whole)
    assert set(document["records"][3]) == {"number", "previous", "hash", "signature"}
    assert '"s3"' not in whole.decode()
    assert "private" not in whole.decode()
    everything = export(state_dir, signer, private=True)
    assert "s3" in everything.decode()
    assert verify_export(everything, [signer.public]) == Finding(6, (), (), verify_export(whole).newest, 0)


def test_what_was_added_to_a_private_session_does_not_leave_either(tmp_path: Path) -> None:
    asyncio.run(five_sessions(tmp_path))

    async def add() -> None:
        async with sealing(tmp_path) as ledger:
            await ledger.journal.add_record(Draft(Kind.ANNOTATION, {"note": "at my mother's"}, "s3"), at(9))

    asyncio.run(add())
    with open_reader(tmp_path) as connection:
        hidden = set(_private(all_records(connection)))
    key = found(tmp_path)
    assert key is not None
    assert hidden == {"s3"}
    document = json.loads(export(tmp_path, key))
    assert [set(r) == {"record", "signature"} for r in document["records"]] == [
        True,
        True,
        True,
        False,
        True,
        True,
        False,
    ]
    assert verify_export(json.dumps(document).encode(), [key.public]).faults == ()


def test_a_part_says_where_it_begins_and_ends(state_dir: Path, signer: Signer) -> None:
    part = export(state_dir, signer, only=frozenset({"s2", "s4"}))
    finding = verify_export(part, [signer.public])
    assert (finding.records, finding.withheld, finding.faults) == (3, 1, ())
    assert finding.notes == (
        "the export begins with record 3",
        "the export ends with record 5, the chain had 6 then",
    )
    assert json.loads(json.loads(part)["head"]["head"])["before"][0] == 2


def test_an_export_of_no_session_is_empty_and_true(state_dir: Path, signer: Signer) -> None:
    finding = verify_export(export(state_dir, signer, only=frozenset()), [signer.public])
    assert (finding.records, finding.faults) == (0, ())


def test_a_ledger_whose_newest_record_is_gone_exports_no_clean_chain(tmp_path: Path) -> None:
    asyncio.run(five_sessions(tmp_path))
    with knife(tmp_path) as connection:
        connection.execute("DELETE FROM record WHERE number = 6")
    key = found(tmp_path)
    assert key is not None
    assert faults(verify_export(export(tmp_path, key))) == [(6, None, "missing")]


@pytest.mark.parametrize("place", [0, 1, 4, 5])
def test_a_changed_text_is_named(whole: bytes, place: int) -> None:
    def change(document: Document) -> None:
        text = document["records"][place]["record"]
        document["records"][place]["record"] = text.replace('"agent":"1.0.0"', '"agent":"1.0.1"')

    session = None if place == 0 else f"s{place}"
    assert found_in(whole, change) == [(place + 1, session, "changed")]


def test_a_changed_signature_is_named(whole: bytes) -> None:
    def change(document: Document) -> None:
        document["records"][2]["signature"] = document["records"][1]["signature"]

    assert found_in(whole, change) == [(3, "s2", "wrong signature")]


@pytest.mark.parametrize("member", ["number", "previous", "hash", "signature"])
def test_what_stands_for_a_withheld_text_is_covered(whole: bytes, member: str) -> None:
    def change(document: Document) -> None:
        entry = document["records"][3]
        entry[member] = 9 if member == "number" else document["records"][1]["signature"][:64]

    assert found_in(whole, change)[0][0] in {4, 9}


@pytest.mark.parametrize("place", [0, 1, 3, 5])
def test_a_record_that_was_left_out_is_missed(whole: bytes, place: int) -> None:
    assert found_in(whole, lambda document: document["records"].pop(place)) == [(place + 1, None, "missing")]


def test_records_in_another_order_are_named(whole: bytes) -> None:
    def change(document: Document) -> None:
        document["records"][1], document["records"][4] = document["records"][4], document["records"][1]

    assert found_in(whole, change) == [(2, "s1", "reordered"), (5, "s4", "reordered")]


def test_a_record_that_is_there_twice_is_named(whole: bytes) -> None:
    assert (2, "s1", "inserted") in found_in(whole, lambda d: d["records"].append(d["records"][1]))


def test_a_forged_record_is_named(whole: bytes) -> None:
    def change(document: Document) -> None:
        body = {**json.loads(document["records"][5]["record"]), "number": 7, "session": "forged"}
        forged = {"record": canonical(body).decode(), "signature": document["records"][5]["signature"]}
        document["records"].append(forged)

    assert found_in(whole, change) == [(7, "forged", "inserted")]


def test_a_text_that_was_taken_away_is_not_called_private(whole: bytes) -> None:
    def change(document: Document) -> None:
        body = json.loads(document["records"][2]["record"])
        document["records"][2] = {
            "number": 3,
            "previous": body["previous"],
            "hash": json.loads(document["records"][3]["previous"].join('""')),
            "signature": document["records"][2]["signature"],
        }

    assert found_in(whole, change) == [(3, None, "missing")]


def test_a_head_that_is_gone_or_changed_is_named(whole: bytes) -> None:
    assert found_in(whole, lambda document: document.pop("head")) == [(None, None, "head missing")]

    def cut(document: Document) -> None:
        document["records"].pop()
        head = json.loads(document["head"]["head"])
        head["last"] = [5, json.loads(document["records"][4]["record"])["previous"]]
        document["head"]["head"] = canonical(head).decode()

    assert found_in(whole, cut) == [(None, None, "head changed")]


def test_a_head_of_an_older_export_does_not_fit(state_dir: Path, signer: Signer, whole: bytes) -> None:
    older = json.loads(export(state_dir, signer, only=frozenset({"s1", "s2", "s4"})))
    assert found_in(whole, lambda document: document.update(head=older["head"])) == [
        (1, None, "inserted"),
        (6, "s5", "inserted"),
        (None, "s5", "inserted"),
    ]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda d: d["sessions"][1].update(energy_wh=1.0), [(None, "s2", "changed")]),
        (lambda d: d["sessions"][0].update(reporting="reported"), [(None, "s1", "changed")]),
        (lambda d: d["sessions"].pop(), [(None, "s5", "missing")]),
        (lambda d: d["sessions"].append({**d["sessions"][0], "id": "s9"}), [(None, "s9", "inserted")]),
        (lambda d: d["sessions"].append(d["sessions"][0]), [(None, "s1", "inserted")]),
        (lambda d: d["sessions"].reverse(), [(None, None, "reordered")]),
        (lambda d: d.pop("sessions"), [(None, f"s{n}", "missing") for n in (1, 2, 4, 5)]),
    ],
)
def test_the_sessions_beside_the_records_are_covered(
    whole: bytes, change: Callable[[Document], object], expected: list[tuple[int | None, str | None, str]]
) -> None:
    assert sorted(found_in(whole, change), key=str) == sorted(expected, key=str)


def test_another_key_than_the_one_given_is_named(whole: bytes, tmp_path: Path) -> None:
    other = made(tmp_path)
    found_faults = faults(verify_export(whole, [other.public]))
    assert found_faults[:6] == [(n, f, "wrong signature") for n, f in zip(range(1, 7), SESSIONS, strict=True)]
    assert found_faults[6:] == [(None, None, "wrong signature")]


SESSIONS = (None, "s1", "s2", None, "s4", "s5")


def test_a_forger_who_signs_everything_anew_is_found_with_the_stations_key(signer: Signer, tmp_path: Path) -> None:
    asyncio.run(five_sessions(tmp_path))
    other = found(tmp_path)
    assert other is not None
    forged = export(tmp_path, other)
    assert verify_export(forged).faults == ()  # which is why a key from elsewhere is asked for
    assert len(verify_export(forged, [signer.public]).faults) == 7


def test_records_of_an_older_key_count_where_the_newer_one_vouches_for_it(tmp_path: Path) -> None:
    asyncio.run(five_sessions(tmp_path))
    old = found(tmp_path)
    (tmp_path / KEY).unlink()

    async def more() -> None:
        async with sealing(tmp_path) as ledger:
            await ledger.session("s6", 60_000)

    asyncio.run(more())
    new = found(tmp_path)
    assert old is not None
    assert new is not None
    for only in (None, frozenset({"s1", "s2"})):
        text = export(tmp_path, new, only=only)
        assert verify_export(text, [new.public]).faults == ()
        assert verify_export(text, [new.public, old.public]).faults == ()
    with_old = faults(verify_export(export(tmp_path, new), [old.public]))
    assert with_old == [
        (7, None, "wrong signature"),
        (8, "s6", "wrong signature"),
        (None, None, "wrong signature"),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "no JSON document"),
        (b"\xff\xfe", "no JSON document"),
        (b"[" * 100_000, "no JSON document"),
        (b"[]", "no list of sessions, or an empty one"),
        (b"[5]", "no list of sessions"),
        (b'[{"evidence":1},{"evidence":{}}]', "more than one of its sessions"),
        (b'{"format":"x"}', "no export of the evidence"),
        (b'{"format":"wallbox-agent evidence 1","format":"wallbox-agent evidence 1"}', "there twice"),
    ],
)
def test_what_is_no_export_is_refused_with_the_reason(text: bytes, words: str) -> None:
    with pytest.raises(NoExport, match=words):
        verify_export(text)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.update(extra=1), "members that an export does not have: extra"),
        (lambda d: d.update(records={}), "`records` is no list"),
        (lambda d: d["records"].append(5), "entry 7 of its member `records` is no record"),
        (lambda d: d["records"][0].update(extra=""), "entry 1 of its member `records`"),
        (lambda d: d["records"][3].update(number=True), "entry 4 of its member `records`"),
        (lambda d: d.update(keys=["x"]), "`keys` has what is no public key"),
        (lambda d: d.update(head=[]), "`head` is none"),
        (lambda d: d.update(sessions=[1]), "`sessions` has what is no session"),
    ],
)
def test_an_export_that_lost_its_shape_is_refused(
    whole: bytes, change: Callable[[Document], object], words: str
) -> None:
    with pytest.raises(NoExport, match=words):
        verify_export(tampered(whole, change))


@settings(max_examples=150)
@given(data=st.data())
def test_whatever_byte_of_an_export_is_changed_is_found(whole: bytes, signer: Signer, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(whole) - 1))
    new = data.draw(st.integers(0, 255).filter(lambda byte: byte != whole[place]))
    text = whole[:place] + bytes([new]) + whole[place + 1 :]
    try:
        finding = verify_export(text, [signer.public])
    except NoExport:
        return
    assert finding.faults or json.loads(text) == json.loads(whole)  # a blank between two members says nothing


def test_a_list_of_sessions_carries_the_evidence_in_its_last_one(whole: bytes, signer: Signer) -> None:
    folded = as_sessions(whole)
    sessions = json.loads(folded)
    assert [s["id"] for s in sessions] == [s["id"] for s in json.loads(whole)["sessions"]]
    assert ["evidence" in s for s in sessions] == [False] * (len(sessions) - 1) + [True]
    assert verify_export(folded, [signer.public]) == verify_export(whole, [signer.public])
    sessions[0]["energy_wh"] = 1.0
    assert faults(verify_export(json.dumps(sessions).encode(), [signer.public])) == [(None, "s1", "changed")]


def test_a_list_whose_end_is_cut_off_proves_nothing(whole: bytes) -> None:
    sessions = json.loads(as_sessions(whole))[:-1]
    ((_, _, fault),) = faults(verify_export(json.dumps(sessions).encode()))
    assert fault == "head missing"


def test_no_sessions_make_an_empty_list() -> None:
    assert as_sessions(b'{"format": "x", "sessions": []}') == b"[]\n"
