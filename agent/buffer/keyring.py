"""Which keys may have signed the records of a chain, and which records they did sign."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from agent.buffer.records import JsonObject, Kind, digest, parsed
from agent.buffer.signing import Verifier, public_keys

Progress = Callable[[int, int], None]
"""Told how many of how many signatures were verified."""


class Verdict(StrEnum):
    """What a signature is worth; STRANGE: it is valid, of a key that is not known to be the station's."""

    GOOD = "good"
    STRANGE = "strange"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Stored:
    """A record as it was found.

    number: its place, None where nothing tells it; text: None where the text is withheld; hash, previous: as told
    beside the text, or in place of it; told: what the ledger's columns repeat of the text, as (name, value).
    """

    number: int | None
    text: bytes | None
    hash: str | None
    signature: str
    previous: str | None = None
    told: tuple[tuple[str, object], ...] = ()
    body: JsonObject | None = field(init=False)
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        """Read the text once; what is no canonical document has none."""
        object.__setattr__(self, "body", None if self.text is None else parsed(self.text))
        object.__setattr__(self, "digest", (self.hash or "") if self.text is None else digest(self.text))

    @property
    def session(self) -> str | None:
        """The session that the record is about: by its text, by what is told beside it where that cannot be read."""
        session = dict(self.told).get("session") if self.body is None else self.body.get("session")
        return session if isinstance(session, str) else None


@dataclass(frozen=True, slots=True)
class Keyring:
    """Public keys by fingerprint; trusted: those that are the station's, as far as whoever verifies can know."""

    keys: Mapping[str, Verifier]
    trusted: frozenset[str]

    def verdict(self, stored: Stored) -> Verdict:
        """Return what the signature of a record is worth."""
        if stored.text is None:
            names: Iterable[str] = self.keys
        else:
            names = [str((stored.body or {}).get("key"))]
        signers = [n for n in names if n in self.keys and self.keys[n].verifies(stored.signature, stored.digest)]
        if not signers:
            return Verdict.BAD
        return Verdict.GOOD if self.trusted.intersection(signers) else Verdict.STRANGE


def keyring(records: Sequence[Stored], beside: Iterable[bytes] = (), given: Sequence[bytes] | None = None) -> Keyring:
    """Return the keys of a chain: those its records declare, those told beside them, and those that somebody gave.

    given: keys known from elsewhere, None where there are none: then every key that is declared has to be believed. A
    key that signs is believed about the one it replaced. Keys in DER. Raises: ValueError for one that is no key.
    """
    keys = {verifier.fingerprint: verifier for verifier in map(Verifier, (*beside, *(given or ())))}
    replaced: dict[str, str] = {}
    for record in records:
        body, verifier = record.body, _declared(record)
        if body is not None and verifier is not None:
            keys.setdefault(verifier.fingerprint, verifier)
            replaced[verifier.fingerprint] = str(body.get("replaces"))
    if given is None:
        return Keyring(keys, frozenset(keys))
    trusted, more = set[str](), {Verifier(key).fingerprint for key in given}
    while more - trusted:
        trusted |= more
        more = {replaced[name] for name in trusted if name in replaced}
    return Keyring(keys, frozenset(trusted))


def verdicts(records: Sequence[Stored], ring: Keyring, progress: Progress | None = None) -> list[Verdict]:
    """Return what each signature is worth; takes about a millisecond each, many on a small computer."""
    found = []
    for number, record in enumerate(records):
        if progress is not None:
            progress(number, len(records))
        found.append(ring.verdict(record))
    return found


def _declared(record: Stored) -> Verifier | None:
    """Return the key that a key record declares and is signed with."""
    body = record.body
    if body is None or body.get("kind") != Kind.KEY:
        return None
    try:
        (key,) = public_keys(str(body.get("public_key")))
    except ValueError:
        return None
    verifier = Verifier(key)
    signed = body.get("key") == verifier.fingerprint and verifier.verifies(record.signature, record.digest)
    return verifier if signed else None
