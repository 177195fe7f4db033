"""The export that proves itself: the records of a chain, or of a part, for another machine (docs/evidence.md).

A private session's record is withheld: its hash and signature stand in its place, so that the chain still closes. The
end of the export is signed too: nobody can leave out its last records, or take a text away and call it withheld.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from agent.buffer.audit import Fault, Span, audit
from agent.buffer.evidence import Finding, all_records, in_order, newest_link, note
from agent.buffer.keyring import Keyring, Progress, Stored, Verdict, keyring, verdicts
from agent.buffer.records import FORMAT, JsonObject, Kind, Link, canonical, digest, parsed
from agent.buffer.signing import Signer, fingerprint, public_keys, public_pem

NAME: Final = "wallbox-agent evidence 1"
"""What an export of this form says it is."""
EXPORT: Final = "export"
"""Kind of the signed text on its end, which no record has."""
EVIDENCE: Final = "evidence"
"""Member of the last session of a list, with all else that an export has."""
PRIVATE: Final = "private"
MEMBERS: Final = frozenset({"format", "keys", "records", "head", "sessions"})
FULL: Final = frozenset({"record", "signature"})
WITHHELD: Final = frozenset({"number", "previous", "hash", "signature"})
HEAD: Final = frozenset({"head", "signature"})


class NoExport(Exception):
    """A text is no export of this form; says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class _Read:
    """An export as it was read; records: in the order of the list; head: the signed text on its end."""

    keys: tuple[bytes, ...]
    records: tuple[Stored, ...]
    head: Stored | None
    sessions: tuple[JsonObject, ...]


def exported(
    connection: sqlite3.Connection,
    signer: Signer,
    sessions: Sequence[Mapping[str, object]] = (),
    *,
    only: frozenset[str] | None = None,
    private: bool = False,
) -> bytes:
    """Return the export of an open ledger; the same ledger and choice make the same bytes.

    sessions: as ``sessions list --json`` has them, to go with it; they are covered by the signature on its end.
    only: ids of sessions: the export reaches from the first record on one of them to the last, with all in between.
    private: with the texts of private sessions too. Raises: KeyDamaged, JournalCorrupt.
    """
    every, newest = all_records(connection), newest_link(connection)
    first, last = _reach(every, only)
    part, keys = every[first:last], tuple(_keys(every, signer))
    hidden = frozenset[str]() if private else frozenset(_private(every))
    ends = {
        "before": _told(_link(every[first - 1]) if first else Link()),
        "last": _told(_end(every[:last], newest, whole=last == len(every))),
        "newest": _told(newest),
        "keys": [fingerprint(key) for key in keys],
        "withheld": [record.number for record in part if record.session in hidden],
        "sessions": [[session.get("id"), _session_digest(session)] for session in sessions],
    }
    document = {
        "format": NAME,
        "keys": [public_pem(key) for key in keys],
        "records": [_withheld(r) if r.session in hidden else _full(r) for r in part],
        "head": _head(signer, ends),
        "sessions": list(sessions),
    }
    return json.dumps(document, indent=1, ensure_ascii=True).encode() + b"\n"


def as_sessions(text: bytes) -> bytes:
    """Return an export as the list of its sessions, as other programs take it; the last carries the evidence."""
    document: JsonObject = json.loads(text)
    sessions: list[JsonObject] = document.pop("sessions")
    if sessions:
        sessions[-1] = {**sessions[-1], EVIDENCE: document}
    return json.dumps(sessions, indent=1, ensure_ascii=True).encode() + b"\n"


def verify_export(text: bytes, given: Sequence[bytes] | None = None, progress: Progress | None = None) -> Finding:
    """Verify an export by itself; given: public keys known from elsewhere (DER), without them those in it are believed.

    Raises: NoExport; ValueError for a given key that is none of P-256.
    """
    read = _read(text)
    ring = _ring(read, given)
    head = read.head.body if read.head is not None and read.head.body is not None else {}
    head_faults = list(_head_faults(read, ring))
    span = _open(read) if head_faults else Span(Link(*head["before"]), Link(*head["last"]), listed=True)
    faults = [
        *head_faults,
        *audit(read.records, verdicts(read.records, ring, progress), span),
        *(_content_faults(read, head) if not head_faults else ()),
    ]
    notes = [note(record) for record in read.records]
    if given is None:
        notes.append("the key in the export was believed: compare it with the station's (`--public-key`)")
    if span.before.number:
        notes.append(f"the export begins with record {span.before.number + 1}")
    if span.last is not None and head["newest"][0] > span.last.number:
        notes.append(f"the export ends with record {span.last.number}, the chain had {head['newest'][0]} then")
    withheld = sum(record.text is None for record in read.records)
    return Finding(len(read.records), in_order(faults), tuple(filter(None, notes)), span.last or Link(), withheld)


def _reach(every: Sequence[Stored], only: frozenset[str] | None) -> tuple[int, int]:
    """Return where in the list of records an export begins and ends."""
    places = [place for place, record in enumerate(every) if only is None or record.session in only]
    return (places[0], places[-1] + 1) if places else (0, 0)


def _private(records: Sequence[Stored]) -> Iterator[str]:
    """Yield the sessions whose records are withheld; corrections and annotations go with their session."""
    for record in records:
        if record.session is not None and (record.body or {}).get("profile") == PRIVATE:
            yield record.session


def _keys(records: Sequence[Stored], signer: Signer) -> Iterator[bytes]:
    """Yield the keys that signed the chain, oldest first, and last the one that signs the export."""
    texts = [str(r.body.get("public_key")) for r in records if r.body is not None and r.body.get("kind") == Kind.KEY]
    known: list[bytes] = []
    for text in texts:
        try:
            known += public_keys(text)
        except ValueError:
            continue  # a damaged record: the export is to show that, not to fail
    yield from dict.fromkeys([*(key for key in known if key != signer.public), signer.public])


def _full(record: Stored) -> JsonObject:
    return {"record": (record.text or b"").decode(errors="replace"), "signature": record.signature}


def _withheld(record: Stored) -> JsonObject:
    body = record.body or {}
    return {
        "number": body.get("number"),
        "previous": body.get("previous"),
        "hash": record.digest,
        "signature": record.signature,
    }


def _head(signer: Signer, ends: Mapping[str, object]) -> JsonObject:
    """Return the signed text on what an export is between, and what is in it."""
    text = canonical({**ends, "format": FORMAT, "kind": EXPORT, "key": signer.fingerprint})
    return {"head": text.decode(), "signature": signer.sign(text)}


def _end(records: Sequence[Stored], newest: Link, *, whole: bool) -> Link:
    """Return the last link of an export; of a whole one that of the chain, whose last records may be gone."""
    last = _link(records[-1]) if records else Link()
    return newest if whole and newest.number > last.number else last


def _told(link: Link) -> list[object]:
    return [link.number, link.hash]


def _link(record: Stored) -> Link:
    return Link(record.number or 0, record.digest)


def _session_digest(session: Mapping[str, object]) -> str:
    """Return the hash of a session as a program shows it, whatever its order and blanks."""
    return digest(json.dumps(session, sort_keys=True, separators=(",", ":")).encode())


def _read(text: bytes) -> _Read:
    try:
        document = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise NoExport(f"it is no JSON document ({error})") from error
    if isinstance(document, list):
        document = _unfolded(document)
    if not isinstance(document, dict) or document.get("format") != NAME:
        raise NoExport(f"it is no export of the evidence (its member `format` is not {NAME!r})")
    if strange := document.keys() - MEMBERS:
        raise NoExport(f"it has members that an export does not have: {', '.join(sorted(strange))}")
    head = document.get("head")
    return _Read(
        keys=tuple(_key(one) for one in _list(document, "keys")),
        records=tuple(_stored(place, one) for place, one in enumerate(_list(document, "records"), start=1)),
        head=None if head is None else _read_head(head),
        sessions=tuple(_session(one) for one in _list(document, "sessions")),
    )


def _unfolded(sessions: list[object]) -> JsonObject:
    """Return the export that ``as_sessions`` folded into a list; one whose end is gone has no records and no head."""
    if not sessions or not all(isinstance(session, dict) for session in sessions):
        raise NoExport("it is no list of sessions, or an empty one")
    told = [dict(session) for session in sessions if isinstance(session, dict)]
    found = [session.pop(EVIDENCE) for session in told if EVIDENCE in session]
    if not found:
        return {"format": NAME, "sessions": told}
    if len(found) > 1 or not isinstance(found[0], dict):
        raise NoExport(f"more than one of its sessions has a member `{EVIDENCE}`, or it is none")
    return {**found[0], "sessions": told}


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a member that is there twice: programs differ in which one they take."""
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a member is there twice")
    return document


def _list(document: JsonObject, name: str) -> list[object]:
    found = document.get(name, [])
    if not isinstance(found, list):
        raise NoExport(f"its member `{name}` is no list")
    return found


def _key(text: object) -> bytes:
    try:
        (key,) = public_keys(str(text))
    except ValueError as error:
        raise NoExport(f"its member `keys` has what is no public key: {error}") from error
    if public_pem(key) != text:
        raise NoExport("its member `keys` has a public key that is not as it was written")
    return key


def _stored(place: int, one: object) -> Stored:
    """Return a record of the list. Raises: NoExport where it has neither form."""
    members = one if isinstance(one, dict) else {}
    if members.keys() == FULL and all(isinstance(value, str) for value in members.values()):
        text = members["record"].encode(errors="surrogatepass")
        number = (parsed(text) or {}).get("number")
        return Stored(number if type(number) is int else None, text, None, members["signature"])
    texts = [members.get(name) for name in ("previous", "hash", "signature")]
    if members.keys() != WITHHELD or type(members["number"]) is not int or not all(isinstance(t, str) for t in texts):
        raise NoExport(f"entry {place} of its member `records` is no record")
    return Stored(members["number"], None, members["hash"], members["signature"], previous=members["previous"])


def _read_head(one: object) -> Stored:
    if not isinstance(one, dict) or one.keys() != HEAD or not all(isinstance(value, str) for value in one.values()):
        raise NoExport("its member `head` is none")
    return Stored(None, one["head"].encode(errors="surrogatepass"), None, one["signature"])


def _session(one: object) -> JsonObject:
    if not isinstance(one, dict):
        raise NoExport("its member `sessions` has what is no session")
    return one


def _head_faults(read: _Read, ring: Keyring) -> Iterator[Fault]:
    head = read.head
    if head is None:
        yield Fault(None, None, "head missing: nothing tells where the export ends")
    elif ring.verdict(head) is Verdict.STRANGE:
        yield Fault(None, None, "wrong signature: the head is signed with another key than the station's")
    elif ring.verdict(head) is Verdict.BAD or (head.body or {}).get("kind") != EXPORT:
        yield Fault(None, None, "head changed: it is not as the station signed it")


def _ring(read: _Read, given: Sequence[bytes] | None) -> Keyring:
    """Return the keys of an export; who signed its head is believed about the keys that the station had before."""
    ring = keyring(read.records, read.keys, given)
    if read.head is None or ring.verdict(read.head) is not Verdict.GOOD:
        return ring
    return replace(ring, trusted=ring.trusted.union(map(str, (read.head.body or {}).get("keys", []))))


def _open(read: _Read) -> Span:
    """Return what a list without a head is between: its own ends."""
    first = read.records[0] if read.records else None
    if first is None or first.number is None:
        return Span(listed=True)
    previous = first.previous if first.body is None else first.body.get("previous")
    return Span(Link(first.number - 1, str(previous)), listed=True)


def _content_faults(read: _Read, head: JsonObject) -> Iterator[Fault]:
    """Tell which texts were taken away, and which of the sessions that go with the records were changed."""
    for record in read.records:
        if record.text is None and record.number not in head["withheld"]:
            yield Fault(record.number, None, "missing: its text, which the export had")
    due = {str(session): told for session, told in head["sessions"]}
    ids = [str(session.get("id")) for session in read.sessions]
    for session in read.sessions:
        name = str(session.get("id"))
        if name not in due or ids.count(name) > 1:
            yield Fault(None, name, "inserted: in the list of sessions")
        elif due[name] != _session_digest(session):
            yield Fault(None, name, "changed: in the list of sessions")
    yield from (Fault(None, name, "missing: in the list of sessions") for name in due.keys() - set(ids))
    if set(ids) == due.keys() and ids != list(due) and len(ids) == len(due):
        yield Fault(None, None, "reordered: the list of sessions")
