"""Sections of agent.toml: every key with its type and default (contract, section 2)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from agent.fieldbus.line import LineSettings, Transport
from agent.runtime.config import values as v

LOCALTIME: Final = Path("/etc/localtime")

KeepDays: TypeAlias = Annotated[int, v.Allowed("30 to 36500 (days)", range(30, 36_501).__contains__)]
MegaBytes: TypeAlias = Annotated[int, v.Allowed("16 to 1000000 (MB)", range(16, 1_000_001).__contains__)]


def system_zone(localtime: Path = LOCALTIME) -> str:
    """Return the machine's time zone, UTC where it has none that the tz database knows."""
    _, _, name = os.path.realpath(localtime).partition("/zoneinfo/")
    return name if name and v.is_zone(name) else "UTC"


class Section(BaseModel):
    """A table of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def __repr_args__(self) -> Iterator[tuple[str | None, object]]:
        """Keep what URLs hold of secrets out of any text."""
        for name, value in super().__repr_args__():
            yield name, v.masked(value) if name in v.URLS and isinstance(value, str) else value


class Station(Section):
    """Who the station is, and where it keeps what it knows."""

    id: v.StationId
    vendor: v.Text20 = "Generic"
    model: v.Text20 = "Wallbox"
    serial_number: v.Text25 | None = None
    timezone: v.Zone = Field(default_factory=system_zone)
    state_dir: v.Folder = Path("/var/lib/wallbox-agent")


class Cloud(Section):
    """The central system."""

    url: v.WebSocketUrl
    url_secure: v.SecureUrl | None = None
    protocols: v.Protocols = ("ocpp1.6",)
    security_profile: v.SecurityProfile = 0
    password: v.Secret | None = None
    password_file: v.ReadableFile | None = None
    ca_file: v.CaFile | None = None
    client_cert_file: v.ReadableFile | None = None
    client_key_file: v.ReadableFile | None = None
    additional_root_check: bool = False
    company_code: v.CompanyCode | None = None


class ReportTo(Cloud):
    """A central system that only listens."""

    name: v.Name


class Location(Section):
    """Where the station stands, for statements and OCPI records."""

    name: v.Text255 | None = None
    address: v.Text45 | None = None
    postal_code: v.Postcode | None = None
    city: v.Text45 | None = None
    country: v.Country3 | None = None
    latitude: v.Latitude | None = None
    longitude: v.Longitude | None = None
    country_code: v.Country2 | None = None
    party_id: v.PartyId | None = None


class Rfid(Section):
    """The card reader, and the options of the readers' protocols; None where the reader's default applies."""

    reader: v.Reader = "none"
    device: v.Device | None = None
    baudrate: v.Baudrate | None = None
    mode: Literal["ascii", "binary"] | None = None
    crc: bool | None = None
    format: Literal["hex", "dec", "text"] | None = None
    width_bytes: v.Width | None = None
    order: Literal["msb", "lsb"] | None = None
    terminator: Literal["line", "idle"] | None = None
    idle_ms: v.Milliseconds | None = None
    prefix: v.Affix | None = None
    suffix: v.Affix | None = None
    pattern: v.Pattern | None = None
    release_gap_ms: v.Milliseconds | None = None
    min_repeat_ms: v.Milliseconds | None = None
    same_card_pause: v.Seconds = 5.0

    @property
    def line(self) -> LineSettings:
        """The reader's port."""
        return LineSettings(Transport.SERIAL, self.device, self.baudrate)


class Line(Section):
    """The keys that say how a device is reached."""

    transport: v.Transport = "rtu"
    device: v.Device | None = None
    baudrate: v.Baudrate | None = None
    parity: v.Parity | None = None
    stopbits: v.StopBits | None = None
    host: v.Host | None = None
    port: v.Port | None = None
    address: v.Address | None = None

    @property
    def line(self) -> LineSettings:
        """What of these keys the transport uses; the Modbus id is ``address``."""
        if self.transport == "rtu":
            return LineSettings(Transport.RTU, self.device, self.baudrate, self.parity, self.stopbits)
        return LineSettings(Transport(self.transport), host=self.host, port=self.port)


class Meter(Line):
    """The kWh meter; max_power: W, None for the default of ``AgentConfig.policy``; mid: the marking on its plate."""

    model: v.MeterModel
    mid: v.Text45 | None = None
    poll_interval: v.PollInterval = 1.0
    max_power: v.Watt | None = None
    meter_grace: v.Seconds = 60.0


class Evse(Line):
    """The EVSE controller, and the options of the drivers."""

    controller: v.Controller
    local_port: v.Port | None = None
    failsafe_current: v.FailsafeCurrent = v.NO_CURRENT
    watchdog: v.Watchdog = 30.0
    on_exit: Literal["keep", "pause", "limit"] | None = None
    precise: bool | None = None
    variant: v.Text45 | None = None
    connector: v.ConnectorNumber | None = None


class Connector(Section):
    """A connector as installed; max_current: A per phase."""

    evse_id: v.EvseIdentity | None = None
    max_current: v.Current = v.DEFAULT_CURRENT
    phases: v.Phases = 3
    meter: Meter
    evse: Evse


class Prices(Section):
    """Prices excl. VAT: energy per kWh, time and parking per hour, the others once."""

    energy: v.Price | None = None
    time: v.Price | None = None
    fixed: v.Price | None = None
    parking: v.Price | None = None
    reservation: v.Price | None = None


class Slot(Prices):
    """Prices of some hours; an end of 00:00 or 24:00 is midnight."""

    days: v.Days = v.DAYS
    start: v.SlotStart = "00:00"
    end: v.SlotEnd = "24:00"


class TariffKeys(Prices):
    """The shorthand of the default tariff; its own prices hold where no slot has one."""

    currency: v.Currency
    vat_percentage: v.Percentage | None = None
    slot: tuple[Slot, ...] = ()


class Statement(Section):
    """The monthly statement."""

    language: Literal["en", "nl", "de", "es", "fr"] = "en"
    letterhead: v.Letterhead | None = None
    logo: v.ReadableFile | None = None
    basis: Literal["tariff", "hourly", "flat"] = "tariff"
    hourly_prices: v.ReadableFile | None = None
    flat_price: v.FlatPrice | None = None


class Delivery(Section):
    """Where a month's statement goes by itself; tls, sender: None for what port and user tell."""

    name: v.Name
    type: v.DeliveryType
    format: v.Formats = ("pdf",)
    url: v.DeliveryUrl | None = None
    token_file: v.ReadableFile | None = None
    ca_file: v.CaFile | None = None
    path: v.Folder | None = None
    host: v.Host | None = None
    port: v.Port | None = None
    tls: Literal["implicit", "starttls"] | None = None
    sender: v.Mail | None = None
    to: v.Recipients | None = None
    user: v.Text255 | None = None
    password_file: v.ReadableFile | None = None


class Page(Section):
    """The status page."""

    enabled: bool = False
    host: v.Host = "0.0.0.0"  # noqa: S104  the contract's default; the page is off unless it is enabled
    port: v.Port = 8080


class Mqtt(Section):
    """The MQTT broker."""

    url: v.MqttUrl


class Metrics(Section):
    """The Prometheus exporter."""

    port: v.Port = 9100


class Ledger(Section):
    """How long the ledger keeps details, in days, and how large it may be before that is told, in MB of 1 048 576 B."""

    keep_details_days: KeepDays = 730
    max_size_mb: MegaBytes = 512


class Firmware(Section):
    """Firmware updates; root_file: PEM, the certificates of manufacturers whose signed images are installed."""

    root_file: v.CaFile | None = None


class Log(Section):
    """The daemon's log."""

    level: Literal["debug", "info", "warning", "error", "critical"] = "info"
    format: Literal["console", "json"] = "console"


class Document(BaseSettings):
    """The whole configuration, as environment, credentials, file and defaults give it."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid")

    station: Station
    cloud: Cloud
    location: Location | None = None
    report_to: tuple[ReportTo, ...] = ()
    rfid: Rfid = Rfid()
    connector: tuple[Connector, ...]
    tariff: TariffKeys | None = None
    statement: Statement | None = None
    delivery: tuple[Delivery, ...] = ()
    page: Page = Page()
    mqtt: Mqtt | None = None
    metrics: Metrics | None = None
    ledger: Ledger = Ledger()
    firmware: Firmware = Firmware()
    log: Log = Log()

    def __init__(self, sources: tuple[PydanticBaseSettingsSource, ...]) -> None:
        """Take the values from the sources, the first that has a key wins. Raises: pydantic.ValidationError."""
        super().__init__(_build_sources=(sources, {}))
