"""Values of the configuration: types that check what stands at a key, and the words that say what may stand there."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Final, Literal, TypeAlias
from urllib.parse import SplitResult, urlsplit
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BeforeValidator, GetCoreSchemaHandler, SecretStr, TypeAdapter, ValidationError
from pydantic_core import CoreSchema, core_schema

from agent.core.prices_currency import CURRENCIES
from agent.ocpp.security import trust

HIDDEN: Final = "***"
URLS: Final = frozenset({"url", "url_secure"})
"""Keys whose values may hold a secret in parts."""
DIGITS: Final = 12
"""A number with more digits before the point is none that a key here can mean; it is not even computed with."""
BAUDRATES: Final = (300, 600, 1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200, 230400, 460800, 921600)
DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_GROUPS: Final = {"all": DAYS, "weekday": DAYS[:5], "weekend": DAYS[5:]}
DEFAULT_CURRENT: Final = Decimal(16)
NO_CURRENT: Final = Decimal(0)
LEAST_CURRENT: Final = 6
MOST_CURRENT: Final = 80
LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
PLACEHOLDERS: Final = frozenset({"station_id", "company_code"})


@dataclass(frozen=True, slots=True)
class Allowed:
    """What may stand at a key.

    text: completes "use …"; check: tells whether a value of the right type is allowed, or raises ValueError with words
    that follow the value ("does not exist; check the path"); example: what to write where the key is missing, as TOML
    has it; choices: values to think of when one is misspelt; definition: a value that ends in .toml is a
    path.
    """

    text: str
    check: Callable[..., bool] = lambda _value: True
    example: str = ""
    choices: tuple[str, ...] = ()
    definition: bool = False

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Check after the type, and keep from number types what pydantic would take for a number."""
        schema = core_schema.no_info_after_validator_function(self._checked, handler(source))
        if source in {int, float, Decimal}:
            return core_schema.no_info_before_validator_function(_number, schema)
        return schema

    def _checked(self, value: object) -> object:
        if not self.check(value):
            raise ValueError
        return value


def _number(value: object) -> object:
    large = isinstance(value, Decimal) and not (value.is_finite() and value.adjusted() < DIGITS)
    if isinstance(value, bool) or large:
        raise ValueError
    return value


def one_line(text: str) -> bool:
    """Tell whether a text has no line ends and nothing else that a terminal acts upon."""
    return text.isprintable()


def _between(low: float, high: float) -> Callable[..., bool]:
    return lambda value: low <= value <= high


def _length(most: int) -> Callable[[str], bool]:
    return lambda text: 1 <= len(text) <= most and one_line(text)


def _at_most(length: int) -> Callable[[str], bool]:
    return lambda text: len(text) <= length


def _like(pattern: str) -> Callable[[str], bool]:
    compiled = re.compile(pattern)
    return lambda text: compiled.fullmatch(text) is not None and one_line(text)


def _current(amps: Decimal) -> bool:
    return LEAST_CURRENT <= amps <= MOST_CURRENT and amps * 1000 % 1 == 0


def is_zone(name: str) -> bool:
    """Tell whether the tz database knows a time zone."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True


def _pattern(text: str) -> bool:
    try:
        return re.compile(text).groups <= 1
    except (re.error, RecursionError, OverflowError):
        return False


def _days(value: object) -> object:
    """Turn a group of days into its members."""
    return DAY_GROUPS.get(value, value) if isinstance(value, str) else value


def _distinct(values: tuple[str, ...]) -> bool:
    return len(values) > 0 and len(set(values)) == len(values)


def is_definition(model: str) -> bool:
    """Tell whether a meter's model names a definition file."""
    return model.endswith(".toml")


def masked(url: str) -> str:
    """Return a URL without the parts that may hold a secret: user, password and query."""
    unnamed = re.sub(r"^([a-zA-Z+.-]*:)?(//)?.*@", rf"\1\2{HIDDEN}@", url, flags=re.DOTALL)
    return re.sub(r"\?.*", f"?{HIDDEN}", unnamed, flags=re.DOTALL)


def split(url: str, *schemes: str) -> SplitResult:
    """Return the parts of a URL. Raises: ValueError with words that follow the URL."""
    if not one_line(url) or " " in url:
        raise ValueError("must not contain spaces or control characters")
    if not url.startswith(tuple(f"{scheme}://" for scheme in schemes)):
        raise ValueError(f"must begin with {' or '.join(f'{scheme}://' for scheme in schemes)}")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError("is no URL; check host and port (1 to 65535)") from error
    if not host or port == 0:
        raise ValueError("names no host; check what follows the //, and the port (1 to 65535)")
    return parts


def _websocket(*schemes: str) -> Callable[[str], bool]:
    def check(url: str) -> bool:
        parts = split(url, *schemes)
        if "@" in parts.netloc:
            raise ValueError("must not hold a user name or password; use password or password_file")
        if parts.fragment:
            raise ValueError("must not contain #")
        if set(re.findall(r"\{([^{}]*)\}", url)) - PLACEHOLDERS or re.search(r"[{}]", re.sub(r"\{[^{}]*\}", "", url)):
            raise ValueError("may contain {station_id} and {company_code}, and no other braces")
        return True

    return check


def _url(*schemes: str) -> Callable[[str], bool]:
    return lambda url: bool(split(url, *schemes))


def _delivery(url: str) -> bool:
    """Tell that statements may go to a URL: without TLS only within this machine, since it would show the token."""
    parts = split(url, "https", "http")
    if "@" in parts.netloc:
        raise ValueError("must not hold a user name or password; use token_file")
    if parts.fragment:
        raise ValueError("must not contain #")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        reason = "http:// would show token and statement on the way (it may go to 127.0.0.1, [::1] or localhost)"
        raise ValueError(f"must begin with https://; {reason}")
    return True


def readable(path: Path) -> bool:
    """Tell that a file can be read. Raises: ValueError; its words follow the path."""
    if not one_line(str(path)):
        raise ValueError
    try:
        if path.exists() and not path.is_file():
            raise ValueError("is not a file; name a file")
        with path.open("rb"):
            return True
    except FileNotFoundError as error:
        raise ValueError("does not exist; check the path, or create it") from error
    except PermissionError as error:
        raise ValueError("cannot be read; give the user of the service access to it and its directories") from error
    except OSError as error:
        raise ValueError(f"cannot be read ({error.strerror}); check the path") from error


def _certificates(path: Path) -> bool:
    """Tell that a file holds certificates to trust. Raises: ValueError; its words follow the path."""
    readable(path)
    trust(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), path)
    return True


def _flat(value: object) -> object:
    """Return a price, or the prices of a table by year. Raises: ValueError; its words follow "a table"."""
    if not isinstance(value, dict):
        return _price(value)
    if not value:
        raise ValueError("has no year; write one like {2026 = 0.34}")
    prices: dict[int, object] = {}
    for year, price in value.items():
        if re.fullmatch("2[0-9]{3}", str(year)) is None:
            raise ValueError(f"has {str(year)[:20]!r} where a year like 2026 is wanted")
        try:
            prices[int(year)] = _price(price)
        except ValueError as error:
            raise ValueError(
                f"has no price for {year} that is allowed; use one that is not negative, like 0.34"
            ) from error
    lacking = [year for year in range(min(prices), max(prices)) if year not in prices]
    if lacking:
        raise ValueError(f"has no price for {lacking[0]}, and has some for years before and after")
    return prices


def _price(value: object) -> object:
    """Return what stands where a price is wanted. Raises: ValueError."""
    try:
        return TypeAdapter(Price).validate_python(value)
    except ValidationError as error:
        raise ValueError from error


def _folder(path: Path) -> bool:
    return one_line(str(path))


Text20: TypeAlias = Annotated[str, Allowed("a text of 1 to 20 characters, in quotes", _length(20))]
Text25: TypeAlias = Annotated[str, Allowed("a text of 1 to 25 characters, in quotes", _length(25))]
Text45: TypeAlias = Annotated[str, Allowed("a text of 1 to 45 characters, in quotes", _length(45))]
Text255: TypeAlias = Annotated[str, Allowed("a text of 1 to 255 characters, in quotes", _length(255))]
Postcode: TypeAlias = Annotated[str, Allowed("a text of 1 to 10 characters, in quotes", _length(10))]
Letterhead: TypeAlias = Annotated[str, Allowed("a text of at most 1000 characters", _at_most(1000))]
Name: TypeAlias = Annotated[str, Allowed("a name of 1 to 50 characters", _length(50), '"payroll"')]
StationId: TypeAlias = Annotated[
    str, Allowed('1 to 48 characters without "/", ":" and spaces', _like(r"[^\s/:]{1,48}"), '"NL-ACME-000123"')
]
EvseIdentity: TypeAlias = Annotated[str, Allowed("1 to 48 characters without spaces", _like(r"\S{1,48}"))]
CompanyCode: TypeAlias = Annotated[
    str, Allowed('4 to 36 of the characters A-Z, 0-9 and "-"', _like("[A-Za-z0-9-]{4,36}")), AfterValidator(str.upper)
]
Zone: TypeAlias = Annotated[str, Allowed("a name of the tz database, like Europe/Amsterdam", is_zone)]
Currency: TypeAlias = Annotated[
    str, Allowed("a code of ISO 4217, like EUR", CURRENCIES.__contains__, '"EUR"', tuple(sorted(CURRENCIES)))
]
Country3: TypeAlias = Annotated[str, Allowed("three capital letters (ISO 3166-1 alpha-3), like DEU", _like("[A-Z]{3}"))]
Country2: TypeAlias = Annotated[str, Allowed("two capital letters (ISO 3166-1 alpha-2), like DE", _like("[A-Z]{2}"))]
PartyId: TypeAlias = Annotated[str, Allowed("three characters A-Z and 0-9, like ACM", _like("[A-Z0-9]{3}"))]
Latitude: TypeAlias = Annotated[float, Allowed("degrees from -90 to 90", _between(-90, 90))]
Longitude: TypeAlias = Annotated[float, Allowed("degrees from -180 to 180", _between(-180, 180))]
Secret: TypeAlias = Annotated[
    SecretStr, Allowed("a text in quotes, not empty", lambda secret: bool(secret.get_secret_value()))
]

WebSocketUrl: TypeAlias = Annotated[
    str, Allowed("a ws:// or wss:// URL", _websocket("ws", "wss"), '"ws://csms.example.com:8180/ocpp"')
]
SecureUrl: TypeAlias = Annotated[str, Allowed("a wss:// URL", _websocket("wss"))]
DeliveryUrl: TypeAlias = Annotated[str, Allowed("an https:// URL", _delivery)]
MqttUrl: TypeAlias = Annotated[
    str, Allowed("an mqtt:// or mqtts:// URL", _url("mqtt", "mqtts"), '"mqtt://homeassistant.local:1883"')
]
Host: TypeAlias = Annotated[
    str, Allowed("a host name or address alone, without // and port", _like(r"[^\s/@]{1,253}"), '"192.168.1.20"')
]
Port: TypeAlias = Annotated[int, Allowed("a port from 1 to 65535", _between(1, 65535))]
Mail: TypeAlias = Annotated[
    str, Allowed("a mail address in ASCII", _like(r"[!#-'*+\-/-9=?A-Z^-~.]{1,64}@[A-Za-z0-9\[\]:._-]{1,255}"))
]
ReadableFile: TypeAlias = Annotated[Path, Allowed("the path of a file", readable)]
CaFile: TypeAlias = Annotated[Path, Allowed("the path of a PEM file", _certificates)]
Folder: TypeAlias = Annotated[Path, Allowed("the path of a directory", _folder)]

Transport: TypeAlias = Literal["rtu", "tcp", "rtu-over-tcp"]
Device: TypeAlias = Annotated[
    str, Allowed("the path of a serial port, like /dev/ttyUSB0", _like("/.+"), '"/dev/ttyUSB0"')
]
Baudrate: TypeAlias = Annotated[int, Allowed(f"one of {', '.join(map(str, BAUDRATES))}", BAUDRATES.__contains__)]
Parity: TypeAlias = Literal["N", "E", "O"]
StopBits: TypeAlias = Annotated[int, Allowed("1 or 2", (1, 2).__contains__)]
Address: TypeAlias = Annotated[int, Allowed("a Modbus address from 1 to 247, over TCP to 255", _between(1, 255))]
Reader: TypeAlias = Annotated[str, Allowed("the id of a card reader", _length(50), '"rdm6300"')]
MeterModel: TypeAlias = Annotated[
    str,
    Allowed(
        "the id of a meter, or the path of a definition file (.toml)",
        _length(4096),
        '"eastron_sdm630_v2"',
        definition=True,
    ),
]
Controller: TypeAlias = Annotated[str, Allowed("the id of a controller", _length(50), '"evse_din"')]
Current: TypeAlias = Annotated[Decimal, Allowed("6 to 80 (A)", _current)]
FailsafeCurrent: TypeAlias = Annotated[Decimal, Allowed("0, or 6 to 80 (A)", lambda amps: amps == 0 or _current(amps))]
Phases: TypeAlias = Annotated[int, Allowed("1 or 3", (1, 3).__contains__)]
PollInterval: TypeAlias = Annotated[float, Allowed("0.05 to 60 (s)", _between(0.05, 60))]
Seconds: TypeAlias = Annotated[float, Allowed("0 to 3600 (s)", _between(0, 3600))]
Watchdog: TypeAlias = Annotated[float, Allowed("1 to 3600 (s)", _between(1, 3600))]
Milliseconds: TypeAlias = Annotated[int, Allowed("a whole number from 0 to 60000 (ms)", _between(0, 60_000))]
Watt: TypeAlias = Annotated[int, Allowed("a whole number from 1 to 5000000 (W)", _between(1, 5_000_000))]
Width: TypeAlias = Annotated[int, Allowed("1 to 10 (bytes)", _between(1, 10))]
Affix: TypeAlias = Annotated[str, Allowed("a text of at most 16 characters", _at_most(16))]
Pattern: TypeAlias = Annotated[str, Allowed("a regular expression with at most one group", _pattern)]
ConnectorNumber: TypeAlias = Annotated[int, Allowed("a number from 1 to 12", _between(1, 12))]

Protocols: TypeAlias = Annotated[
    tuple[Literal["ocpp2.0.1", "ocpp1.6"], ...],
    Allowed('a list of "ocpp2.0.1" and "ocpp1.6", each at most once', _distinct, choices=("ocpp2.0.1", "ocpp1.6")),
]
SecurityProfile: TypeAlias = Annotated[int, Allowed("0, 1, 2 or 3", _between(0, 3))]
Price: TypeAlias = Annotated[
    Decimal, Allowed("a price that is not negative, like 0.29", _between(0, 1_000_000), "0.29")
]
FlatPrice: TypeAlias = Annotated[
    Decimal | dict[int, Decimal],
    BeforeValidator(_flat),
    Allowed("a price like 0.34, or one for each year like {2026 = 0.34, 2027 = 0.35}", example="0.34"),
]
Percentage: TypeAlias = Annotated[Decimal, Allowed("0 to 100 (%)", _between(0, 100))]
SlotStart: TypeAlias = Annotated[str, Allowed('a time from "00:00" to "23:59"', _like(r"([01]\d|2[0-3]):[0-5]\d"))]
SlotEnd: TypeAlias = Annotated[str, Allowed('a time from "00:00" to "24:00"', _like(r"([01]\d|2[0-3]):[0-5]\d|24:00"))]
Days: TypeAlias = Annotated[
    tuple[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], ...],
    BeforeValidator(_days),
    Allowed(
        'weekday, weekend, all, or a list like ["mon", "tue"], each day once', _distinct, choices=(*DAY_GROUPS, *DAYS)
    ),
]
DeliveryType: TypeAlias = Annotated[
    Literal["folder", "https", "mail"], Allowed("folder, https or mail", example='"https"')
]
Formats: TypeAlias = Annotated[
    tuple[Literal["pdf", "xlsx", "csv", "json", "ocpi"], ...],
    Allowed(
        "a list of pdf, xlsx, csv, json and ocpi, each at most once",
        _distinct,
        '["pdf"]',
        ("pdf", "xlsx", "csv", "json", "ocpi"),
    ),
]
Recipients: TypeAlias = Annotated[
    tuple[Mail, ...], Allowed('a list of mail addresses, like ["fleet@acme.example"]', bool)
]


def zones() -> tuple[str, ...]:
    """Return all names of time zones; slow, for suggestions only."""
    return tuple(available_timezones())
