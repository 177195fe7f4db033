"""The writing end of the chain of evidence records: its newest link, and the key that signs there.

It goes on from the highest number that anything knows of (records, the row ``chain``, the file beside the ledger): no
number is given twice, so what somebody removed stays missing for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from agent.buffer.database import Database, Statement
from agent.buffer.file import explained
from agent.buffer.head import HEAD, HeadDamaged, read_head, write_head
from agent.buffer.records import Draft, Kind, Link, completed, digest, moment, parsed
from agent.buffer.signing import KEY, KeyDamaged, Signer, found, made, public_pem
from agent.core.instant import Instant
from agent.core.model import EvseId

CHAIN: Final = "SELECT number, hash, filed FROM chain"
NEWEST: Final = "SELECT number, hash FROM record ORDER BY number DESC LIMIT 1"
NEWEST_KEY: Final = "SELECT json FROM record WHERE kind = 'key' ORDER BY number DESC LIMIT 1"
RECORD: Final = "INSERT INTO record (number, kind, session, hash, signature, json) VALUES (?, ?, ?, ?, ?, ?)"
MOVE: Final = "INSERT OR REPLACE INTO chain (only, number, hash, filed) VALUES (1, ?, ?, ?)"

ANOTHER_KEY: Final = (
    "the signing key was lost, damaged or replaced: records are signed with another one from now on; give its public"
    " key (`wallbox-agent key`) to those who check statements and exports"
)


@dataclass(frozen=True, slots=True)
class Station:
    """Who signs: what every record says of the station, and what records say of its connectors."""

    id: str
    version: str
    evse_ids: Mapping[EvseId, str | None] = field(default_factory=dict)
    meters: Mapping[EvseId, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sealed:
    """What a commit writes of the chain; link: its new end, None where nothing is added; key: who signs there."""

    statements: tuple[Statement, ...] = ()
    link: Link | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True)
class _End:
    """The end of the chain as last committed.

    key: fingerprint of the key that signs there; filed: number in the file beside it; drafts: what has to be told next.
    """

    link: Link
    key: str | None
    filed: int
    drafts: tuple[Draft, ...] = ()


class Chain:
    """Adds records to the chain of one ledger. Its caller sees to it that one commit at a time is made."""

    def __init__(self, database: Database, state_dir: Path, station: Station) -> None:
        """Keep what is needed; nothing is read yet. state_dir: where the key and the file with the chain's end are."""
        self._database = database
        self._state_dir = state_dir
        self._station = station
        self._end: _End | None = None
        self._signer: Signer | None = None
        self.notices: list[str] = []

    async def sealed(self, drafts: Sequence[Draft], at: Instant, more: Sequence[Statement] = ()) -> Sealed:
        """Return what a commit writes to add records, signed, after what the chain itself has to tell, if anything.

        Nothing is added without drafts and news; more: what is written with the records. Raises: JournalError.
        """
        if self._end is None:
            self._end = await self._read()
        return await asyncio.to_thread(self._signed, self._end, drafts, at, more=more)

    async def written(self, sealed: Sealed) -> None:
        """Take note that a commit is on the disk, and write the file beside the ledger; one that fails stays behind."""
        if sealed.link is None or self._end is None:
            return
        filed = await asyncio.to_thread(self._file, sealed.link)
        self._end = _End(sealed.link, sealed.key, sealed.link.number if filed else self._end.filed)

    async def _read(self) -> _End:
        chain = [tuple(row) for row in await self._database.read(CHAIN)]
        inside = [Link(number, text) for number, text, *_ in [*chain, *await self._database.read(NEWEST)]]
        filed = int(chain[0][2]) if chain else 0
        beside, incident = await asyncio.to_thread(self._beside, filed)
        link = max([Link(), *([] if beside is None else [beside]), *inside], key=lambda known: known.number)
        keys = await self._database.read(NEWEST_KEY)
        key = (parsed(keys[0][0].encode()) or {}).get("key") if keys else None
        if beside != link and incident is None and link.number and await asyncio.to_thread(self._file, link):
            beside = link  # a power cut had come between a commit and the file
        drafts = () if incident is None else (Draft(Kind.INCIDENT, {"what": incident}),)
        return _End(link, key, 0 if beside is None else beside.number, drafts)

    def _beside(self, filed: int) -> tuple[Link | None, str | None]:
        """Return what the file beside the ledger says, and what is wrong with it, in the words of a record."""
        beside, wrong = None, "head-damaged"
        with explained(self._state_dir / HEAD):
            try:
                beside = read_head(self._state_dir)
                wrong = "head-missing" if beside is None else "head-behind"
            except HeadDamaged:
                pass
        if filed <= (0 if beside is None else beside.number):
            return beside, None
        self.notices.append(
            f"{self._state_dir / HEAD} was changed or removed while the agent was not running ({wrong})"
        )
        return beside, wrong

    def _file(self, link: Link) -> bool:
        try:
            write_head(self._state_dir, link)
        except OSError as error:
            self.notices.append(
                f"{self._state_dir / HEAD} cannot be written ({error.strerror or error}): check the disk"
            )
            return False
        return True

    def _signed(self, end: _End, drafts: Sequence[Draft], at: Instant, *, more: Sequence[Statement]) -> Sealed:
        """Sign drafts. On a thread: it is arithmetic of some milliseconds."""
        with explained(self._state_dir / KEY):
            if self._signer is None:
                self._signer = self._key(end)
            try:
                return self._linked(self._signer, end, drafts, at=at, more=more)
            except KeyDamaged:
                self._signer = self._new_key(end)
                return self._linked(self._signer, end, drafts, at=at, more=more)

    def _linked(
        self, signer: Signer, end: _End, drafts: Sequence[Draft], *, at: Instant, more: Sequence[Statement]
    ) -> Sealed:
        first = () if end.key == signer.fingerprint else (_key_draft(signer, end.key),)
        common = {
            "station": self._station.id,
            "agent": self._station.version,
            "recorded": moment(at),
            "key": signer.fingerprint,
        }
        link, statements = end.link, list[Statement]()
        for draft in (*first, *end.drafts, *drafts):
            text = completed(draft, link, common)
            link = Link(link.number + 1, digest(text))
            row = (link.number, draft.kind.value, draft.session, link.hash, signer.sign(text), text.decode())
            statements.append((RECORD, row))
        if link == end.link:
            return Sealed(tuple(more))
        return Sealed((*statements, *more, (MOVE, (link.number, link.hash, end.filed))), link, signer.fingerprint)

    def _key(self, end: _End) -> Signer:
        """Return the key of the state directory, a new one where there is none that can be used."""
        try:
            signer = found(self._state_dir)
        except KeyDamaged:
            return self._new_key(end)
        if signer is None:
            return self._new_key(end)
        if end.key not in {None, signer.fingerprint}:
            self.notices.append(ANOTHER_KEY)
        return signer

    def _new_key(self, end: _End) -> Signer:
        if end.key is not None:
            self.notices.append(ANOTHER_KEY)
        return made(self._state_dir)


def _key_draft(signer: Signer, before: str | None) -> Draft:
    return Draft(Kind.KEY, {"public_key": public_pem(signer.public), "replaces": before})
