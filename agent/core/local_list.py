"""The local authorisation list: only the central system changes it, whole or in parts, never by halves.

Source: OCPP 1.6 ed. 2, sections 3.5.2, 5.10, 5.15 and 6.41; errata 3.52.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from agent.core.authorization import current
from agent.core.commands import GetLocalListVersion, Outcome, Result, SendLocalList
from agent.core.model import IdToken, TokenInfo
from agent.core.state import Listed, ListVersion
from agent.core.turn import Turn

LONGEST: Final = 1000
"""Entries that the list takes, and that one request may bring."""
SWITCHED_OFF: Final = -1
"""What is told for the version of a list that is not used."""


def send(turn: Turn, command: SendLocalList) -> Outcome:
    """Take a list, or changes of it; what cannot be taken whole changes nothing."""
    refusal = _refusal(turn, command)
    if refusal is not None:
        return refusal
    tokens = turn.state.tokens
    listed = _applied(tokens.listed, command)
    if len(listed) > LONGEST:
        return Outcome(command, Result.FAILED, f"the list would have {len(listed)} entries, more than {LONGEST}")
    cache = {key: cached for key, cached in tokens.cache.items() if key not in listed}
    tokens = replace(tokens, listed=listed, list_version=ListVersion(command.version), cache=cache)
    turn.state = replace(turn.state, tokens=tokens, conflicts=frozenset())
    return Outcome(command, Result.ACCEPTED)


def version(turn: Turn, command: GetLocalListVersion) -> Outcome:
    """Tell the version: 0 while the list has no entry, whatever version was sent with it."""
    tokens = turn.state.tokens
    number = tokens.list_version.number if tokens.listed else 0
    told = number if turn.settings.local_list_enabled else SWITCHED_OFF
    return Outcome(command, Result.ACCEPTED, list_version=told)


def heard(turn: Turn, id_token: IdToken, info: TokenInfo) -> bool:
    """Hold a central system's verdict against the list; returns whether the token is in it.

    Where the two differ the list is left alone, and connector 0 shows it until they agree, or until a list is sent.
    """
    listed = turn.state.tokens.listed.get(id_token.key) if turn.settings.local_list_enabled else None
    if listed is None:
        return False
    agree = current(listed.info, turn.at).status is current(info, turn.at).status
    conflicts = turn.state.conflicts - {id_token.key} if agree else turn.state.conflicts | {id_token.key}
    turn.state = replace(turn.state, conflicts=conflicts)
    return True


def _refusal(turn: Turn, command: SendLocalList) -> Outcome | None:
    """Return why a list is not taken, None where nothing is wrong with the request itself."""
    if not turn.settings.local_list_enabled:
        return Outcome(command, Result.NOT_SUPPORTED, "the local list is switched off")
    if command.version <= 0:
        return Outcome(command, Result.FAILED, "the version of a list is 1 or more")
    if not command.full and command.version <= turn.state.tokens.list_version.number:
        return Outcome(command, Result.VERSION_MISMATCH, "the list here is as new, or newer")
    wrong = _wrong(command)
    return None if wrong is None else Outcome(command, Result.FAILED, wrong)


def _wrong(command: SendLocalList) -> str | None:
    keys = {entry.id_token.key for entry in command.entries}
    if len(command.entries) > LONGEST:
        return f"more than {LONGEST} entries in one request"
    if len(keys) < len(command.entries):
        return "a token stands in it twice"
    if command.full and any(entry.info is None for entry in command.entries):
        return "an entry of a full list says nothing of its token"
    return None


def _applied(before: Mapping[str, Listed], command: SendLocalList) -> dict[str, Listed]:
    """Return the list as it becomes; an entry that is as it was stays the same object, which spares the disk."""
    changed = {} if command.full else dict(before)
    for entry in command.entries:
        key = entry.id_token.key
        if entry.info is None:
            changed.pop(key, None)
        else:
            listed, old = Listed(entry.id_token, entry.info), before.get(key)
            changed[key] = old if old is not None and old == listed else listed
    return changed
