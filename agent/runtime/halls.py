"""The devices of a station as they are configured: meter, controller and what polls and commands them; card reader."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from agent.core.events import Event
from agent.core.model import EvseId, MilliAmp
from agent.evse.modbus_evse import EvseOptions, EvseSettings, ModbusEvse, open_evse
from agent.fieldbus.bus import Wires
from agent.meter.modbus_meter import MeterSettings, ModbusMeter, open_meter
from agent.ports import Clock
from agent.rfid.reader import ReaderSettings, SerialReader, open_reader
from agent.runtime.commander import Commander
from agent.runtime.config.sections import Connector, Rfid
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


@dataclass(frozen=True, slots=True)
class Site:
    """What all devices share: the clock, and where their events go."""

    clock: Clock
    post: Callable[[Event], None]

    def poll(self, ask: Callable[[], Awaitable[Event]], interval_s: float) -> Poll:
        """Return what asks a device again and again."""
        return Poll(ask, interval_s=interval_s, clock=self.clock, post=self.post)


def devices(number: EvseId, connector: Connector, wires: Wires, site: Site) -> Hall:
    """Return the devices of an EVSE as they are configured; opens nothing. Raises: ConfigError."""
    meter = open_meter(
        MeterSettings(connector.meter.model, connector.meter.line, connector.meter.address), wires, site.clock
    )
    meter_poll = site.poll(ask_meter(number, meter), connector.meter.poll_interval)
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
    settings = EvseSettings(connector.evse.controller, connector.evse.line, connector.evse.address, options)
    evse = open_evse(settings, wires, site.clock)
    commander = Commander(number, evse, site.post)
    return Hall(meter, meter_poll, evse, site.poll(ask_evse(number, evse), EVSE_INTERVAL_S), commander)


def card_reader(rfid: Rfid, clock: Clock, opened: Callable[[], None]) -> SerialReader | None:
    """Return the card reader, None where there is none; opened: called each time it answers again."""
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
