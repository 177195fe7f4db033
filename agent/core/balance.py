"""The register of an idle connector, noted so that the energy of any span of time can be made up from the ledger.

What flows between sessions is booked to nobody, and is the difference of the registers on record: at the end of a
session and the start of the next, and while there is none, at each start and end of the agent, once a day where it
moves, and on both sides of a break.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from agent.core.facts import MeterSampled
from agent.core.model import Reading, ReadingContext
from agent.core.state import EvseState
from agent.core.turn import Turn

DAY_S: Final = 86_400.0


def note(turn: Turn, evse: EvseState, reading: Reading) -> None:
    """Note a plausible reading of an idle connector where one is due."""
    if evse.session is not None:
        if evse.noted is not None:
            turn.put(replace(evse, noted=None))
        return
    noted = evse.noted
    moved = noted is None or reading.register != noted.register
    if noted is None or (moved and reading.at.mono - noted.at.mono >= DAY_S):
        _record(turn, evse, reading)


def broke(turn: Turn, evse: EvseState, last: Reading | None, reading: Reading) -> None:
    """Note both sides of a register that broke: the last good reading of an idle connector, and where it goes on."""
    if last is not None and evse.session is None and (evse.noted is None or evse.noted.register != last.register):
        _record(turn, evse, last)
    _record(turn, turn.state.evse(evse.id), reading, anew=True)


def shut_down(turn: Turn, evse: EvseState) -> None:
    """Note the register that the agent leaves an idle connector with."""
    reading = evse.meter.reading
    if evse.session is None and reading is not None and (evse.noted is None or evse.noted.register != reading.register):
        _record(turn, evse, reading)


def _record(turn: Turn, evse: EvseState, reading: Reading, *, anew: bool = False) -> None:
    turn.facts.append(MeterSampled(evse.id, ReadingContext.OTHER, replace(reading, values=()), anew))
    turn.put(replace(evse, noted=reading))
