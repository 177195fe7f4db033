"""``key`` and ``sessions verify``: the evidence of the ledger, with or without a daemon; and its exports."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agent.cli.context import REFUSED, USAGE, CommandFailed

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from agent.buffer.audit import Fault
    from agent.buffer.evidence import Finding
    from agent.buffer.ledger import SessionRecord
    from agent.buffer.signing import Signer
    from agent.cli.context import Commands, Context
    from agent.cli.layout import Document

VERIFY: Final = """\
Without EXPORT the ledger of this station is verified: that no evidence record was changed, removed, inserted or moved,
the newest one included, that each is signed with the station's key, and that the sessions are as they were recorded.
With EXPORT a file of `sessions export --format json` is verified by itself, on any machine.

Exit status 0: all is as it was written. 1: not so, with a line for each record at fault. 2: the file or the key given
cannot be read."""
EVERY: Final = 50
"""So many signatures are verified between two looks at the progress."""


def register(commands: Commands, shared: argparse.ArgumentParser) -> None:
    """Add the command ``key``."""
    parser = commands.add_parser("key", parents=[shared], allow_abbrev=False, help="the station's public key, PEM")
    parser.set_defaults(run=key)


def register_verify(verbs: Commands, shared: argparse.ArgumentParser) -> None:
    """Add ``verify`` below ``sessions``."""
    parser = verbs.add_parser(
        "verify",
        parents=[shared],
        allow_abbrev=False,
        help="whether any record was changed, removed or inserted",
        description=VERIFY,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("export", metavar="EXPORT", nargs="?", help="a JSON export; `-` is standard input")
    parser.add_argument(
        "--public-key",
        dest="public_keys",
        metavar="PEM",
        action="append",
        type=Path,
        help="file with the key to believe (`wallbox-agent key`); more than once where the station had several",
    )
    parser.set_defaults(run=verify)


def key(context: Context, options: argparse.Namespace) -> int:  # noqa: ARG001  # a command's form
    """Print the public key."""
    from agent.buffer.signing import ALGORITHM, fingerprint, public_pem

    public = _signer(context.config().station.state_dir).public
    document = {"public_key": public_pem(public), "fingerprint": fingerprint(public), "algorithm": ALGORITHM}
    return context.emit(document, lambda: public_pem(public))


def verify(context: Context, options: argparse.Namespace) -> int:
    """Verify the ledger or an export, and print what is at fault."""
    given = _given(options.public_keys)
    progress = _progress() if sys.stderr.isatty() and not context.as_json else None
    if options.export is None:
        from agent.buffer.evidence import verify_ledger

        state_dir = context.config().station.state_dir
        finding = _of_ledger(state_dir, lambda: verify_ledger(state_dir, given, progress))
    else:
        finding = _of_export(options.export, given, progress)
    if progress is not None:
        sys.stderr.write("\r\033[K")
    context.emit(_document(finding), lambda: _text(finding))
    return REFUSED if finding.faults else 0


def json_export(
    state_dir: Path, records: Sequence[SessionRecord], *, everything: bool = False, private: bool = False
) -> bytes:
    """Return the export that `sessions verify` checks elsewhere: the sessions, and the records of the chain on them.

    records: what was picked, oldest first; everything: nothing was left out, so that the whole chain goes with it.
    private: with private sessions, whose records are told by their hashes otherwise. Raises: CommandFailed,
    JournalError.
    """
    from agent.buffer.ledger import to_json
    from agent.buffer.proof import as_sessions, exported
    from agent.cli.ledger import read

    signer, chosen = _signer(state_dir), _chosen(records, private=private)
    only = None if everything else frozenset(record.id for record in chosen)
    told = [to_json(record) for record in chosen]

    def query(connection: sqlite3.Connection) -> list[bytes]:
        return [exported(connection, signer, told, only=only, private=private)]

    with key_in_use(state_dir):
        content = read(state_dir, query)
    if not content:
        raise CommandFailed(f"there is no ledger in {state_dir} yet: start the service once")
    return as_sessions(content[0])


def ocmf_export(
    state_dir: Path, records: Sequence[SessionRecord], *, private: bool = False, xml: bool = False
) -> tuple[bytes, int]:
    """Return the closed sessions as OCMF, and how many texts there are.

    One text a line; xml: as the file that transparency software opens. Raises: CommandFailed, JournalError.
    """
    from agent.buffer.ocmf import container, lines, receipts
    from agent.cli.ledger import read

    signer = _signer(state_dir)
    only = frozenset(record.id for record in _chosen(records, private=private))
    with key_in_use(state_dir):
        texts = read(state_dir, lambda ledger: receipts(ledger, signer, only=only, private=private))
    return container(texts, signer.public) if xml else lines(texts), len(texts)


def has_key(state_dir: Path) -> bool:
    """Tell whether the station has made a key yet; without one there is no evidence."""
    from agent.buffer.signing import KEY

    return (state_dir / KEY).exists()


def _chosen(records: Sequence[SessionRecord], *, private: bool) -> list[SessionRecord]:
    return [record for record in records if private or record.profile != "private"]


def _signer(state_dir: Path) -> Signer:
    """Return the station's key. Raises: CommandFailed."""
    from agent.buffer.signing import found

    with key_in_use(state_dir):
        signer = found(state_dir)
    if signer is None:
        raise CommandFailed(f"there is no signing key in {state_dir} yet: start the service once")
    return signer


@contextmanager
def key_in_use(state_dir: Path) -> Iterator[None]:
    """Say what to do about a key that cannot be used. Raises: CommandFailed."""
    from agent.buffer.signing import KEY, KeyDamaged

    path = state_dir / KEY
    try:
        yield
    except KeyDamaged as error:
        raise CommandFailed(f"{path} is damaged ({error}): restart the service, which makes a new key") from error
    except OSError as error:
        raise CommandFailed(f"{path} cannot be read ({error.strerror or error}): run the command with sudo") from error


def _given(paths: Sequence[Path] | None) -> list[bytes] | None:
    """Return the keys of the files that were named. Raises: CommandFailed with status 2."""
    from agent.buffer.signing import public_keys

    if paths is None:
        return None
    keys: list[bytes] = []
    for path in paths:
        try:
            keys += public_keys(path.read_text("ascii"))
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            words = f"--public-key {path} cannot be used ({reason}): give the output of `wallbox-agent key`"
            raise CommandFailed(words, status=USAGE) from error
    return keys


def _of_ledger(state_dir: Path, work: Callable[[], Finding]) -> Finding:
    from agent.buffer.audit import Fault
    from agent.buffer.evidence import Finding
    from agent.buffer.head import HEAD
    from agent.buffer.reader import LedgerMissing
    from agent.cli.client import no_permission

    try:
        return work()
    except LedgerMissing:
        gone = Fault(None, None, f"missing: the ledger is gone, and {HEAD} is there")
        return Finding(0, (gone,) if (state_dir / HEAD).exists() else ())
    except OSError as error:
        raise CommandFailed(no_permission(state_dir)) from error


def _of_export(name: str, given: Sequence[bytes] | None, progress: Callable[[int, int], None] | None) -> Finding:
    """Verify a file. Raises: CommandFailed with status 2 where it is no export."""
    from agent.buffer.proof import NoExport, verify_export

    try:
        content = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        return verify_export(content, given, progress)
    except OSError as error:
        raise CommandFailed(f"{name} cannot be read ({error.strerror or error})", status=USAGE) from error
    except NoExport as error:
        words = f"{name}: {error}: give a file of `sessions export --format json`"
        raise CommandFailed(words, status=USAGE) from error


def _document(finding: Finding) -> Document:
    return {
        "ok": not finding.faults,
        "records": finding.records,
        "withheld": finding.withheld,
        "newest": {"number": finding.newest.number, "hash": finding.newest.hash},
        "faults": [{"number": f.number, "session": f.session, "fault": f.fault} for f in finding.faults],
        "notes": list(finding.notes),
    }


def _text(finding: Finding) -> str:
    withheld = f", {finding.withheld} of them private and told by their hash alone" if finding.withheld else ""
    records = f"{finding.records} record{'' if finding.records == 1 else 's'}{withheld}"
    if finding.faults:
        count = len(finding.faults)
        head = f"{records}, {count} fault{'' if count == 1 else 's'}:"
    elif finding.newest.number:
        head = f"{records}: all as they were written; the newest is {finding.newest.number}, {finding.newest.hash}"
    else:
        head = records
    return "\n".join([head, *map(_line, finding.faults), *(f"note: {note}" for note in finding.notes)])


def _line(fault: Fault) -> str:
    """Return a fault in a line that begins with the record, or with the session where there is none."""
    session = f"session {fault.session}" if fault.session else ""
    record = f"record {fault.number}" if fault.number is not None else ""
    where = ", ".join(part for part in (record, session) if part)
    return f"{where}: {fault.fault}" if where else fault.fault


def _progress() -> Callable[[int, int], None]:
    """Return what shows on a terminal how far the verification has come."""

    def show(done: int, of: int) -> None:
        if done % EVERY == 0 and done:
            sys.stderr.write(f"\rverifying signatures: {done} of {of}")
            sys.stderr.flush()

    return show
