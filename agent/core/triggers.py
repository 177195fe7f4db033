"""Messages that a central system asks for out of turn: what may be sent, and what it takes.

Source: OCPP 1.6 ed. 2, section 5.17; errata 3.35 (no BootNotification once accepted); security whitepaper, section
6.16; contract, promise 11 and section 5.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from agent.core import firmware, uploads
from agent.core.commands import CallRef, Outcome, Result
from agent.core.company import reporting
from agent.core.effects import ReportTriggered, SendTriggered
from agent.core.maintenance_effects import SendNotice
from agent.core.metering import SILENT, fresh
from agent.core.model import STATION, EvseId, Profile, Registration, Reporting
from agent.core.sampling import offered
from agent.core.state import EvseState
from agent.core.trigger_commands import Trigger, TriggerCommand
from agent.core.turn import Turn


def perform(turn: Turn, call: CallRef, command: TriggerCommand) -> Outcome:
    """Have a message sent to whoever asked for it, after the answer; a message that nobody makes is NOT_SUPPORTED."""
    make = MAKERS.get(command.trigger)
    if make is None:
        return Outcome(command, Result.NOT_SUPPORTED)
    refusal = make(turn, call.origin, command)
    return Outcome(command, Result.ACCEPTED if refusal is None else Result.REJECTED, refusal)


def _boot(turn: Turn, origin: str, command: TriggerCommand) -> str | None:
    if turn.state.cloud.registration is Registration.ACCEPTED:
        return "the station is registered already"
    return _plain(turn, origin, command)


def _plain(turn: Turn, origin: str, command: TriggerCommand) -> str | None:
    """Send what is the station's, and needs nothing of the core; a connector does not matter."""
    turn.effects.append(SendTriggered(origin, command.trigger))
    return None


def _status(turn: Turn, origin: str, command: TriggerCommand) -> str | None:
    """Tell a connector's status as it was shown last, or that of the station (0) and of all."""
    shown = {STATION: turn.state.station_shown, **{e.id: e.shown for e in turn.state.evses}}
    if command.evse is not None and shown.get(command.evse) is None:
        return _nowhere(command.evse)
    turn.effects.append(SendTriggered(origin, command.trigger, command.evse))
    return None


def _values(turn: Turn, origin: str, command: TriggerCommand) -> str | None:
    """Tell the latest values of a connector, or of each; of one that keeps its energy to itself none leave."""
    evses = [e for e in turn.state.evses if command.evse in {None, e.id}]
    refusals = [_untold(turn, evse) for evse in evses]
    for evse, refusal in zip(evses, refusals, strict=True):
        if refusal is None and evse.meter.reading is not None:
            transaction = None if evse.session is None else evse.session.transaction
            reading = offered(turn, evse, evse.meter.reading)
            turn.effects.append(ReportTriggered(origin, evse.id, transaction, reading))
    return None if None in refusals else next(iter(refusals), _nowhere(command.evse))


def _firmware(turn: Turn, origin: str, command: TriggerCommand) -> str | None:
    signed = command.trigger is Trigger.SIGNED_FIRMWARE
    turn.effects.append(SendNotice(firmware.current(turn, signed=signed), origin))
    return None


def _upload(turn: Turn, origin: str, command: TriggerCommand) -> str | None:
    turn.effects.append(SendNotice(uploads.current(turn, signed=command.trigger is Trigger.LOG), origin))
    return None


def _untold(turn: Turn, evse: EvseState) -> str | None:
    """Return why a connector's values are not told, None where they are."""
    session = evse.session
    told = reporting(turn.state.company, Profile.FLEET) if session is None else session.reporting
    if told is not Reporting.REPORT:
        return f"what connector {evse.id} measures stays here"
    if evse.meter.reading is None or not fresh(evse.meter, turn.at, turn.evse_policy(evse)):
        return f"no meter reading: {evse.meter.error or SILENT}"
    return None


def _nowhere(evse: EvseId | None) -> str:
    return f"there is no connector {evse}, or nothing is known of it yet"


Maker = Callable[[Turn, str, TriggerCommand], str | None]
"""Adds the effects that send a message to its asker (the origin of its commands); returns why it does not."""

#: Message -> what has it sent. Another one joins by a row here, one in ``Trigger``, and one where the request is read.
MAKERS: Final[Mapping[Trigger, Maker]] = {
    Trigger.BOOT: _boot,
    Trigger.HEARTBEAT: _plain,
    Trigger.STATUS: _status,
    Trigger.METER_VALUES: _values,
    Trigger.FIRMWARE: _firmware,
    Trigger.SIGNED_FIRMWARE: _firmware,
    Trigger.DIAGNOSTICS: _upload,
    Trigger.LOG: _upload,
}
