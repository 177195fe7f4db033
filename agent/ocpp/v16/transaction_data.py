"""The readings that go with StopTransaction: begin, samples and end, thinned evenly where there are too many.

Source: OCPP 1.6 ed. 2, sections 3.16.5, 9.1.30 and 9.1.32; errata 3.14 and 3.91.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from agent.core.facts import SessionEnded, SessionSampled, SessionStarted
from agent.core.model import Reading, ReadingContext
from agent.core.settings import Settings
from agent.ocpp.dialect import stamp
from agent.ocpp.rpc import JsonObject
from agent.ocpp.v16.measurands import sampled_values

MOST: Final = 1000
"""StopTransactionMaxMeterValues."""
FRAME: Final = 60_000
"""Bytes that the readings may take, so that the whole stays below the 64 KiB that central systems take."""


def transaction_data(
    ended: SessionEnded, history: Sequence[SessionStarted | SessionSampled], settings: Settings
) -> list[JsonObject]:
    """Return meterValue objects, oldest first; empty where neither list of measurands asks for any.

    The first and the last are the values at begin and end; what lies between may be thinned.
    """
    first = [_begin(fact, settings) for fact in history if isinstance(fact, SessionStarted)]
    between = [_between(fact, settings) for fact in history if isinstance(fact, SessionSampled)]
    last = [_end(ended, settings)]
    edges = [value for value in (*first, *last) if value is not None]
    inner = [value for value in between if value is not None]
    kept = thinned(inner, MOST - len(edges), FRAME - _size(edges))
    return [*(value for value in first if value is not None), *kept, *(value for value in last if value is not None)]


def thinned(values: Sequence[JsonObject], most: int, size: int) -> list[JsonObject]:
    """Return as many of the values as may be, evenly spread: at most ``most``, of ``size`` bytes of JSON together."""
    kept = list(values)
    while kept and (len(kept) > most or _size(kept) > size):
        allowed = min(most, len(kept) * size // max(_size(kept), 1), len(kept) - 1)
        kept = [kept[n * len(kept) // allowed] for n in range(allowed)] if allowed > 0 else []
    return kept


def _begin(fact: SessionStarted, settings: Settings) -> JsonObject | None:
    return _value(replace(fact.reading, at=fact.at), settings.stop_sampled_measurands, ReadingContext.BEGIN)


def _between(fact: SessionSampled, settings: Settings) -> JsonObject | None:
    if fact.context is ReadingContext.CLOCK:
        return _value(fact.reading, settings.stop_aligned_measurands, fact.context)
    if fact.context is ReadingContext.PERIODIC:
        return _value(fact.reading, settings.stop_sampled_measurands, fact.context)
    return None


def _end(fact: SessionEnded, settings: Settings) -> JsonObject | None:
    """Return the values at the end; of a meter that told nothing then, the register alone."""
    reading = fact.reading or Reading(fact.at, fact.register)
    at_stop = replace(reading, at=fact.at, register=fact.register)
    return _value(at_stop, settings.stop_sampled_measurands, ReadingContext.END)


def _value(reading: Reading, wanted: Iterable[str], context: ReadingContext) -> JsonObject | None:
    values = sampled_values(reading, tuple(wanted), context)
    return {"timestamp": stamp(reading.at.wall), "sampledValue": values} if values else None


def _size(values: Sequence[JsonObject]) -> int:
    return len(json.dumps(values))
