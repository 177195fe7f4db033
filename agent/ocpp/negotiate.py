"""Subprotocol -> dialect: the only place that names versions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from agent.ocpp.dialect import Dialect
from agent.ocpp.v16 import decode, encode, results

DIALECTS: Final = {"ocpp1.6": Dialect("ocpp1.6", requests=encode, results=results, commands=decode)}


def offered(protocols: Sequence[str]) -> tuple[str, ...]:
    """Return those of the configured subprotocols that this release speaks, in the configured order."""
    return tuple(name for name in protocols if name in DIALECTS)


def dialect(subprotocol: str) -> Dialect:
    """Return the dialect that was agreed on. Raises: KeyError for one that was not offered."""
    return DIALECTS[subprotocol]
