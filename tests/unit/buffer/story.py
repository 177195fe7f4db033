"""The story that every ledger under tests/vectors/ledgers tells, told by the code of its time.

To be run before a release whose schema is a new one, with the code as it was: ``python -m tests.unit.buffer.story
FOLDER [VERSION]`` leaves ``version-N.sqlite3``, the end of its chain and the key that signed it. VERSION stops at an
earlier schema, which the code can still write where it does not need the later tables.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

from agent.buffer import migrate
from agent.buffer.chain import Station
from agent.buffer.database import Database, open_database
from agent.buffer.file import LEDGER
from agent.buffer.head import HEAD
from agent.buffer.journal import SqliteJournal
from agent.buffer.outbox_store import OutboxStore
from agent.buffer.sealing import Sealer
from agent.buffer.signing import found, public_pem
from agent.core.facts import Fact, HeldDropped, MeterSampled, SessionStarted
from agent.core.instant import Instant, TimeStatus
from agent.core.model import EvseId, IdToken, Profile, Quality, ReadingContext, Reporting
from agent.core.state import Card, Durable, Tokens
from agent.ports import Acknowledged
from tests.unit.buffer.scripted import EMPTY, at, ended, reading, running, sampled, started

NAMES = [f"019a0000-0000-7000-8000-00000000000{n}" for n in range(1, 9)]
ONE = EvseId(1)
CARDS = (
    Card(IdToken("04A1B2C3D4E5F6"), Profile.FLEET, number="NL-WEX-CNQPWFBEK"),
    Card(IdToken("62E3086CED"), Profile.PRIVATE, name="Kim"),
    Card(IdToken("0000AB12CD"), Profile.FLEET, blocked="lost"),
)
KNOWN = replace(EMPTY, tokens=Tokens(cards={card.id_token.key: card for card in CARDS}))


@dataclass
class Teller:
    """Writes the story into an open ledger."""

    database: Database
    journal: SqliteJournal

    async def fact(self, *facts: Fact, moment: Instant, sessions: Durable = KNOWN) -> None:
        await self.journal.commit(sessions, facts, moment)

    async def session(self, number: int, begin: int, samples: int = 0, boot: int = 1, **changes: Any) -> None:  # noqa: ANN401
        """Let a session begin and end; the fact of its end has the number behind its samples."""
        name = NAMES[number]
        await self.fact(started(name, at(begin, boot=boot), **changes), moment=at(begin, boot=boot))
        for seq in range(1, samples + 1):
            moment = at(begin + 60 * seq, boot=boot)
            await self.fact(sampled(name, seq, moment), moment=moment)
        over = at(begin + 400, boot=boot)
        await self.fact(ended(name, samples + 1, over), moment=over)

    async def confirm(self, destination: str, messages: int, transaction: int) -> None:
        store = OutboxStore(self.database, destination)
        for _ in range(messages):
            (head, *_) = await store.rows(1)
            await store.sending([(head.message.row, f'[2,"{head.message.message_id}","...",{{}}]')])
            number = transaction if isinstance(head.fact, SessionStarted) else None
            await store.acknowledge([Acknowledged(head.message.row, at(5000), number)])

    async def give_up(self, destination: str, error: str) -> None:
        store = OutboxStore(self.database, destination)
        (head, *_) = await store.rows(1)
        await store.give_up(replace(head.message, attempts=3), error, at(5000))


async def tell(state_dir: Path) -> None:
    """Tell the story in a state directory that is empty."""
    async with open_database(state_dir) as database:
        sealer = Sealer(database, state_dir, Station("NL-HOME-1", "0.1.0", {ONE: "NL*HOM*E1*1"}, {ONE: "meter"}))
        teller = Teller(database, SqliteJournal(database, ("cloud", "ere"), sealer))
        await teller.journal.begin_run("boot-a", "0.1.0", at(1))
        await _first_life(teller)
        await teller.journal.end_run(at(6800))
        await teller.journal.begin_run("boot-b", "0.1.0", at(5, TimeStatus.UNKNOWN, boot=2))
        await _second_life(teller)


async def _first_life(teller: Teller) -> None:
    await teller.session(0, 1000, samples=2)
    await teller.confirm("cloud", 4, 41)
    await teller.confirm("ere", 4, 71)
    await teller.session(1, 2000)
    await teller.give_up("cloud", "FormationViolation: idTag")
    await teller.confirm("cloud", 1, 0)
    await teller.confirm("ere", 2, 72)
    private: dict[str, Any] = {
        "profile": Profile.PRIVATE,
        "id_token": IdToken("62E3086CED"),
        "reporting": Reporting.LOCAL_ONLY,
    }
    await teller.session(2, 3000, samples=1, **private)
    await teller.session(3, 4000, samples=1, reporting=Reporting.HOLD, company_code="ACME-7F3K")
    await teller.session(4, 5000, reporting=Reporting.HOLD, company_code="OTHER-1")
    await teller.fact(HeldDropped("OTHER-1"), moment=at(5500))
    await teller.session(5, 6000, samples=2)
    await teller.confirm("cloud", 1, 46)
    store = OutboxStore(teller.database, "cloud")
    (head, *_) = await store.rows(1)
    await store.sending([(head.message.row, f'[2,"{head.message.message_id}","MeterValues",{{}}]')])


async def _second_life(teller: Teller) -> None:
    early, over = at(10, TimeStatus.UNKNOWN, boot=2), at(300, TimeStatus.UNKNOWN, boot=2)
    await teller.fact(started(NAMES[6], early), moment=early)
    closing = replace(ended(NAMES[6], 1, over), quality=(Quality.RECONSTRUCTED,))
    await teller.fact(closing, moment=over)
    last = started(NAMES[7], at(600, boot=2))
    open_one = replace(KNOWN, sessions={ONE: running(last, seq=2)})
    await teller.fact(last, moment=at(600, boot=2), sessions=open_one)
    await teller.fact(sampled(NAMES[7], 1, at(660, boot=2)), moment=at(660, boot=2), sessions=open_one)
    for moment in (at(700, boot=2), at(800, boot=2)):
        idle = MeterSampled(EvseId(2), ReadingContext.CLOCK, reading(moment, "77"))
        await teller.fact(idle, moment=moment, sessions=open_one)


def write(folder: Path, migrations: Sequence[str]) -> None:
    """Write the files of the version that these migrations come to."""
    name = f"version-{len(migrations)}"
    with TemporaryDirectory() as there:
        with patch.object(migrate, "packaged", return_value=tuple(migrations)):
            asyncio.run(tell(Path(there)))
        signer = found(Path(there))
        assert signer is not None
        (folder / f"{name}.sqlite3").write_bytes((Path(there) / LEDGER).read_bytes())
        (folder / f"{name}.head.json").write_bytes((Path(there) / HEAD).read_bytes())
        (folder / f"{name}.pem").write_text(public_pem(signer.public))


if __name__ == "__main__":
    write(Path(sys.argv[1]), migrate.packaged()[: int(sys.argv[2]) if len(sys.argv) > 2 else None])
