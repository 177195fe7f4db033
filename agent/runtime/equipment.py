"""The devices of a station as the configuration has them: adapters, and what polls and commands them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from agent.core.events import Event
from agent.core.model import EvseId, MilliAmp
from agent.evse.modbus_evse import EvseOptions, EvseSettings, ModbusEvse, open_evse
from agent.fieldbus.bus import Wires
from agent.meter.modbus_meter import MeterSettings, ModbusMeter, open_meter
from agent.rfid.reader import ReaderSettings, SerialReader, open_reader
from agent.runtime.clock import SystemClock
from agent.runtime.commander import Commander
from agent.runtime.config import AgentConfig
from agent.runtime.config.sections import Connector
from agent.runtime.polling import EVSE_INTERVAL_S, Poll, ask_evse, ask_meter
from agent.runtime.status import Installed


@dataclass(frozen=True, slots=True)
class Hall:
    """The devices of one EVSE, and what polls and commands them."""

    meter: ModbusMeter
    meter_poll: Poll
    evse: ModbusEvse | None
    evse_poll: Poll | None
    commander: Commander | None


def halls(config: AgentConfig, wires: Wires, clock: SystemClock, post: Callable[[Event], None]) -> dict[EvseId, Hall]:
    """Return the devices by EVSE; nothing is opened. post: takes what they tell."""
    numbers = map(EvseId, range(1, len(config.connectors) + 1))
    return {n: _hall(n, config.connectors[n - 1], wires, clock, post=post) for n in numbers}


def reader(config: AgentConfig, clock: SystemClock, opened: Callable[[], None]) -> SerialReader | None:
    """Return the card reader, None where there is none; opened: called each time its port was opened."""
    rfid = config.rfid
    if rfid.reader == "none" or rfid.device is None:
        return None
    settings = ReaderSettings(rfid.reader, str(rfid.device), rfid.baudrate)
    if rfid.release_gap_ms is not None:
        settings = replace(settings, release_gap_s=rfid.release_gap_ms / 1000)
    if rfid.min_repeat_ms is not None:
        settings = replace(settings, min_repeat_s=rfid.min_repeat_ms / 1000)
    return open_reader(settings, clock, opened)


def installed(hall: Hall) -> Installed:
    """Return what ``status`` shows of an EVSE beside its state."""
    doubt, set_up = hall.meter.doubt, None if hall.evse is None else hall.evse.doubt
    return Installed(
        meter_model=hall.meter.model,
        serial=hall.meter.serial,
        controlled=hall.evse is not None,
        warnings=() if doubt is None else (doubt,),
        evse_warnings=() if set_up is None else (set_up,),
    )


def _hall(
    number: EvseId, connector: Connector, wires: Wires, clock: SystemClock, *, post: Callable[[Event], None]
) -> Hall:
    def poll(ask: Callable[[], Awaitable[Event]], interval_s: float) -> Poll:
        return Poll(ask, interval_s=interval_s, clock=clock, post=post)

    meter = open_meter(
        MeterSettings(connector.meter.model, connector.meter.line, connector.meter.address), wires, clock
    )
    meter_poll = poll(ask_meter(number, meter), connector.meter.poll_interval)
    if connector.evse.controller == "none":
        return Hall(meter, meter_poll, None, None, None)
    chosen = connector.evse
    options = EvseOptions(
        precise=bool(chosen.precise),
        variant=chosen.variant,
        connector=chosen.connector or 1,
        failsafe=MilliAmp(int(chosen.failsafe_current * 1000)),
        watchdog_s=chosen.watchdog if "watchdog" in chosen.model_fields_set else None,
    )
    evse = open_evse(EvseSettings(chosen.controller, chosen.line, chosen.address, options), wires, clock)
    return Hall(meter, meter_poll, evse, poll(ask_evse(number, evse), EVSE_INTERVAL_S), Commander(number, evse, post))
