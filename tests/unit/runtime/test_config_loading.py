"""Loading of a good configuration: precedence, defaults, what is derived, how it is shown, and what has no effect."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from datetime import UTC, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import pydantic
import pytest

from agent.core.calendar import Weekday
from agent.core.errors import ConfigError
from agent.core.model import Wh
from agent.core.prices_cost import Consumption, cost
from agent.core.tariff import Dimension, ReservationKind, Restrictions, Terms, component_at
from agent.fieldbus.line import LineSettings, Transport
from agent.runtime.config import AgentConfig, load, show, to_json
from agent.runtime.config.hardware import CONTROLLERS, READERS, installed
from agent.runtime.config.sections import system_zone

SMALLEST: Final = """\
[station]
id = "NL-ACME-000123"
[cloud]
url = "ws://csms.example.com:8180/ocpp"
[[connector]]
[connector.meter]
model = "eastron_sdm630_v2"
device = "/dev/ttyUSB0"
[connector.evse]
controller = "evse_din"
device = "/dev/ttyUSB1"
"""
EVERYTHING: Final = """\
[station]
id = "NL-ACME-000123"
vendor = "Generic"
model = "Wallbox"
serial_number = "WB123"
timezone = "Europe/Amsterdam"
state_dir = "/var/lib/wallbox-agent"

[cloud]
url = "wss://csms.example.com:8180/{company_code}"
url_secure = "wss://csms.example.com:8443/{station_id}"
protocols = ["ocpp2.0.1", "ocpp1.6"]
security_profile = 2
password_file = "secret"
ca_file = "ca.pem"
client_cert_file = "client.pem"
client_key_file = "client.key"
company_code = "acme-7F3K"

[location]
name = "Home"
address = "Am Hafen 10"
postal_code = "17207"
city = "Müritz"
country = "DEU"
latitude = 53.4
longitude = 12.6
country_code = "DE"
party_id = "ACM"

[[report_to]]
name = "ere"
url = "wss://registrant.example/ocpp"
security_profile = 2
password = "hunter2"

[rfid]
reader = "rdm6300"
device = "/dev/ttyUSB1"
baudrate = 9600
mode = "ascii"
crc = false
format = "hex"
width_bytes = 4
order = "msb"
terminator = "idle"
idle_ms = 100
prefix = "<"
suffix = ">"
pattern = "([0-9A-F]+)"
release_gap_ms = 1500
min_repeat_ms = 3000
same_card_pause = 5

[[connector]]
evse_id = "NL*ACM*E000123*1"
max_current = 16
phases = 3
[connector.meter]
model = "eastron_sdm630_v2"
transport = "rtu"
device = "/dev/ttyUSB0"
baudrate = 9600
parity = "N"
stopbits = 1
address = 1
poll_interval = 1.0
max_power = 13800
meter_grace = 60
[connector.evse]
controller = "evse_din"
transport = "rtu-over-tcp"
host = "192.168.1.20"
port = 502
local_port = 7090
address = 2
failsafe_current = 6
watchdog = 20
on_exit = "pause"
precise = true
variant = "P40"
connector = 1

[tariff]
currency = "EUR"
vat_percentage = 21
energy = 0.29
time = 1.5
fixed = 0.5
parking = 2
reservation = 3
[[tariff.slot]]
days = "weekday"
start = "07:00"
end = "23:00"
energy = 0.34

[statement]
language = "nl"
letterhead = "Acme BV\\nRotterdam"
logo = "logo.png"
basis = "hourly"
hourly_prices = "prices.csv"
flat_price = 0.34

[[delivery]]
name = "payroll"
type = "https"
format = ["pdf", "xlsx"]
url = "https://payroll.example/in"
token_file = "token"
ca_file = "ca.pem"
[[delivery]]
name = "archive"
type = "folder"
path = "."
[[delivery]]
name = "fleet"
type = "mail"
host = "mail.example"
port = 465
to = ["fleet@acme.example"]
user = "wallbox"
password_file = "secret"

[page]
enabled = true
host = "0.0.0.0"
port = 8080
[mqtt]
url = "mqtt://user:hunter2@homeassistant.local:1883"
[metrics]
port = 9100
[ledger]
keep_details_days = 365
max_size_mb = 256
[log]
level = "debug"
format = "json"
"""
ROOT: Final = Path(__file__).parents[2] / "vectors" / "tls" / "root.pem"
FILES: Final = ("secret", "token", "client.pem", "client.key", "logo.png")


def config(
    folder: Path, text: str = SMALLEST, environ: dict[str, str] | None = None, credentials: dict[str, str] | None = None
) -> AgentConfig:
    """Load a file of this text with these variables and systemd credentials."""
    for name in FILES:
        (folder / name).write_text("hunter2\n")
    (folder / "prices.csv").write_text("start,price_per_kwh\n2026-11-01T00:00,0.25\n")
    (folder / "ca.pem").write_bytes(ROOT.read_bytes())
    (folder / "agent.toml").write_text(text)
    directory = None
    if credentials is not None:
        directory = folder / "credentials"
        directory.mkdir()
        for name, value in credentials.items():
            (directory / name).write_text(value)
    return load(folder / "agent.toml", environ or {}, directory)


def test_the_smallest_file_is_enough(tmp_path: Path) -> None:
    loaded = config(tmp_path)
    assert loaded.notes == ()
    assert loaded.station.state_dir == Path("/var/lib/wallbox-agent")
    assert (loaded.station.vendor, loaded.station.model) == ("Generic", "Wallbox")
    assert (loaded.cloud.protocols, loaded.cloud.security_profile, loaded.password) == (("ocpp1.6",), 0, None)
    assert (loaded.rfid.reader, loaded.log.level, loaded.log.format) == ("none", "info", "console")
    assert loaded.tariff() is None


def test_every_key_of_the_contract_is_taken(tmp_path: Path) -> None:
    loaded = config(tmp_path, EVERYTHING)
    assert loaded.cloud.company_code == "ACME-7F3K"
    assert loaded.document.location is not None
    assert loaded.document.location.city == "Müritz"
    assert [delivery.name for delivery in loaded.document.delivery] == ["payroll", "archive", "fleet"]
    given = {".".join(str(part) for part in keys if isinstance(part, str)) for keys in loaded.origins}
    assert given == {
        *(f"{section}.{key}" for section, table in tomllib.loads(EVERYTHING).items() if isinstance(table, dict)
          for key, value in table.items() if not isinstance(value, list) or section == "cloud"),
        *(f"{section}.{key}" for section in ("report_to", "delivery") for table in tomllib.loads(EVERYTHING)[section]
          for key in table),
        *(f"connector.{key}" for key in ("evse_id", "max_current", "phases")),
        *(f"connector.{part}.{key}" for part in ("meter", "evse")
          for key in tomllib.loads(EVERYTHING)["connector"][0][part]),
        *(f"tariff.slot.{key}" for key in ("days", "start", "end", "energy")),
    }  # fmt: skip


def test_what_has_no_effect_is_noted(tmp_path: Path) -> None:
    notes = config(tmp_path, EVERYTHING, {"WALLBOX_COLOUR": "red", "WALLBOX_CONFIG": "x"}).notes
    assert [note.split(": ")[0] for note in notes] == [
        "environment WALLBOX_COLOUR",
        "cloud.protocols",
        "cloud.client_cert_file",
        "cloud.client_key_file",
        "mqtt",
        "metrics",
        "rfid.crc",
        "rfid.format",
        "rfid.idle_ms",
        "rfid.mode",
        "rfid.order",
        "rfid.pattern",
        "rfid.prefix",
        "rfid.suffix",
        "rfid.terminator",
        "rfid.width_bytes",
        "connector.evse.connector",
        "connector.evse.local_port",
        "connector.evse.variant",
        "statement.logo",
        "statement.flat_price",
        "page.enabled",
    ]
    assert notes[-1] == "page.enabled: the status page is not part of this release"
    assert "cloud.client_key_file: is not used with security profile 2" in notes


@pytest.mark.parametrize(
    ("old", "new", "note"),
    [
        ('device = "/dev/ttyUSB0"', 'device = "/dev/ttyUSB0"\nhost = "h"', "connector.meter.host: is not used with"),
        (
            'device = "/dev/ttyUSB0"',
            'transport = "tcp"\nhost = "h"\nparity = "E"',
            "connector.meter.parity: is not used with transport tcp",
        ),
        (
            'device = "/dev/ttyUSB0"',
            'device = "/dev/ttyUSB0"\nmax_power = 3000',
            "connector.meter.max_power: 3000 W is less than the connector can draw (11040 W)",
        ),
        ("[cloud]", '[cloud]\nca_file = "ca.pem"', "cloud.ca_file: is not used with a url without TLS"),
        (
            "[cloud]",
            '[rfid]\nreader = "none"\ndevice = "/dev/ttyS0"\n[cloud]',
            "rfid.device: is not used with reader none",
        ),
        (
            "[cloud]",
            '[[delivery]]\nname = "a"\ntype = "folder"\npath = "."\nport = 1\n[cloud]',
            "delivery.port: is not used with type folder",
        ),
        (
            "[cloud]",
            '[tariff]\ncurrency = "EUR"\n[[tariff.slot]]\nenergy = 1\n[cloud]',
            "station.timezone: not given; the hours of tariff.slot are those of this machine's zone",
        ),
    ],
)
def test_what_looks_like_a_mistake_is_noted(tmp_path: Path, old: str, new: str, note: str) -> None:
    assert any(line.startswith(note) for line in config(tmp_path, SMALLEST.replace(old, new)).notes)


def test_a_folder_that_is_not_there_is_noted_and_keeps_nobody_from_charging(tmp_path: Path) -> None:
    text = SMALLEST + '\n[[delivery]]\nname = "a"\ntype = "folder"\npath = "usb"\n'
    assert any(
        f'delivery.path: "{tmp_path}/usb" is no directory; create it' in note for note in config(tmp_path, text).notes
    )


def test_tokens_and_passwords_of_deliveries_can_be_credentials(tmp_path: Path) -> None:
    text = (
        SMALLEST
        + """
[[delivery]]
name = "acme.pay"
type = "https"
url = "https://payroll.example/in?key=s3cret"
[[delivery]]
name = "fleet"
type = "mail"
host = "mail.example"
to = ["fleet@acme.example"]
user = "wallbox"
"""
    )
    with pytest.raises(
        ConfigError, match=r"delivery\[2\]\.password_file: missing; .* credential delivery\.fleet\.password"
    ):
        config(tmp_path, text)
    loaded = config(
        tmp_path, text, credentials={"delivery.acme.pay.token": "t0ken", "delivery.fleet.password": "s3cret"}
    )
    assert {name: path.read_text() for name, path in loaded.secrets.items()} == {"acme.pay": "t0ken", "fleet": "s3cret"}
    assert "s3cret" not in show(loaded) + json.dumps(to_json(loaded))


def test_environment_wins_over_credentials_and_these_over_the_file(tmp_path: Path) -> None:
    text = SMALLEST.replace("[cloud]", '[log]\nlevel = "error"\nformat = "json"\n[cloud]\ncompany_code = "FILE"')
    environ = {"WALLBOX_LOG__LEVEL": "debug", "wallbox_station__vendor": "Environment"}
    credentials = {
        "log.level": "warning",
        "WALLBOX_CLOUD__COMPANY_CODE": "credential\n",
        "tls.key": "other's",
        "x": "y",
    }
    loaded = config(tmp_path, text, environ, credentials)
    assert (loaded.log.level, loaded.log.format) == ("debug", "json")
    assert (loaded.cloud.company_code, loaded.station.vendor) == ("CREDENTIAL", "Environment")
    assert loaded.origins["log", "level"] == "environment WALLBOX_LOG__LEVEL"
    assert loaded.origins["cloud", "company_code"] == "credential WALLBOX_CLOUD__COMPANY_CODE"
    assert loaded.origins["log", "format"] == "file, line 5"


def test_lists_and_tables_in_the_environment_are_json(tmp_path: Path) -> None:
    slot = '[{"energy": 0.1234567890123456789}]'
    environ = {
        "WALLBOX_CLOUD__PROTOCOLS": '["ocpp1.6", "ocpp2.0.1"]',
        "WALLBOX_TARIFF": '{"currency": "EUR"}',
        "WALLBOX_TARIFF__SLOT": slot,
        "WALLBOX_PAGE__ENABLED": "false",
        "WALLBOX_CONNECTOR": json.dumps(tomllib.loads(SMALLEST)["connector"]),
    }
    loaded = config(tmp_path, SMALLEST, environ)
    assert loaded.cloud.protocols == ("ocpp1.6", "ocpp2.0.1")
    tariff = loaded.tariff()
    assert tariff is not None
    assert tariff.elements[0].components[0].price == Decimal("0.1234567890123456789")
    assert loaded.origins["connector", 0, "meter", "model"] == "environment WALLBOX_CONNECTOR"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("WALLBOX_CLOUD__URL", "http://h", 'environment WALLBOX_CLOUD__URL: cloud.url: "http://h" must begin with'),
        ("WALLBOX_CLOUD__ULR", "ws://h", 'environment WALLBOX_CLOUD__ULR: cloud.ulr: unknown key; did you mean "url"?'),
        ("WALLBOX_CLOUD__PASSWORD", "", "environment WALLBOX_CLOUD__PASSWORD: cloud.password: *** is not allowed"),
        ("WALLBOX_CLOUD__PROTOCOLS", "ocpp1.6", "cloud.protocols: is not valid JSON; write a list in its JSON form"),
        ("WALLBOX_CLOUD", "hunter2", "environment WALLBOX_CLOUD: cloud: is not valid JSON; write a table"),
        ("WALLBOX_CLOUD", '"x"', "environment WALLBOX_CLOUD: cloud: is not written as a section"),
        ("WALLBOX_CONNECTOR__0__PHASES", "1", "a list is given whole, as JSON in WALLBOX_CONNECTOR"),
        ("WALLBOX_CONNECTOR", "[{}]", "environment WALLBOX_CONNECTOR: connector.meter.model: missing"),
        ("WALLBOX_CLOWD__URL", "x", 'clowd: unknown section; did you mean "cloud"?'),
        ("WALLBOX_LOG__LEVEL", "loud", 'environment WALLBOX_LOG__LEVEL: log.level: "loud" is not allowed'),
    ],
)
def test_what_is_wrong_in_the_environment_names_the_variable(tmp_path: Path, name: str, value: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config(tmp_path, SMALLEST, {name: value})
    assert words in caught.value.problems[0]
    assert "hunter2" not in str(caught.value)


def test_what_is_wrong_in_two_sources_is_told_for_the_one_that_counts(tmp_path: Path) -> None:
    text = SMALLEST.replace("[cloud]", '[log]\nlevel = "loud"\n[cloud]')
    with pytest.raises(ConfigError) as caught:
        config(tmp_path, text, {"WALLBOX_LOG__LEVEL": "louder", "WALLBOX_CLOUD": "5", "WALLBOX_CLOUD__URL": "x"})
    assert [problem.split(":")[0] for problem in caught.value.problems] == [
        "environment WALLBOX_CLOUD",
        "environment WALLBOX_LOG__LEVEL",
    ]


def test_what_is_wrong_in_a_credential_names_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        config(tmp_path, SMALLEST, credentials={"cloud.security_profile": "9"})
    assert caught.value.problems[0].startswith("credential cloud.security_profile: cloud.security_profile: ")


def test_credentials_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    config(tmp_path, credentials={})
    (tmp_path / "credentials" / "cloud.password").write_bytes(b"\xff")
    for directory, words in (("nowhere", "cannot be read"), ("credentials", "credential cloud.password: is not UTF-8")):
        with pytest.raises(ConfigError, match=words):
            load(tmp_path / "agent.toml", {}, tmp_path / directory)


@pytest.mark.parametrize(
    ("lines", "credentials", "expected"),
    [
        ('password = "as it stands "', None, "as it stands "),
        ('password_file = "secret"', None, "hunter2"),
        ('password_file = "secret"', {"cloud.password": "from systemd\n"}, "from systemd"),
        ('password = "file"', {"WALLBOX_CLOUD__PASSWORD": "from systemd"}, "from systemd"),
        ('password = "file"', {"cloud.password_file": "secret"}, "hunter2"),
    ],
)
def test_a_password_comes_from_where_it_ranks_highest(
    tmp_path: Path, lines: str, credentials: dict[str, str] | None, expected: str
) -> None:
    text = SMALLEST.replace("[cloud]", f"[cloud]\nsecurity_profile = 1\n{lines}")
    loaded = config(tmp_path, text, credentials=credentials)
    assert loaded.password is not None
    assert loaded.password.get_secret_value() == expected
    assert expected not in repr(loaded)


def test_a_command_without_credentials_can_do_without_the_password(tmp_path: Path) -> None:
    text = SMALLEST.replace("[cloud]", "[cloud]\nsecurity_profile = 1")
    with pytest.raises(ConfigError, match=r"cloud\.password: missing"):
        config(tmp_path, text)
    assert load(tmp_path / "agent.toml", {}, secrets=False).password is None


def test_relative_paths_begin_at_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = SMALLEST.replace("[cloud]", 'state_dir = "state"\n[cloud]\nca_file = "ca.pem"')
    model = Path(installed().meters / "eastron_sdm630_v2.toml").read_text()
    (tmp_path / "own.toml").write_text(model)
    config(tmp_path, text.replace('"eastron_sdm630_v2"', '"own.toml"'))
    monkeypatch.chdir(tmp_path)
    loaded = load(
        Path("agent.toml"),
        {"WALLBOX_CLOUD__CLIENT_KEY_FILE": "client.key", "WALLBOX_CLOUD__CLIENT_CERT_FILE": "ca.pem"},
    )
    assert loaded.station.state_dir == tmp_path / "state"
    assert (loaded.cloud.ca_file, loaded.cloud.client_key_file) == (tmp_path / "ca.pem", tmp_path / "client.key")
    assert loaded.connectors[0].meter.model == str(tmp_path / "own.toml")


def test_nothing_of_it_can_be_changed(tmp_path: Path) -> None:
    loaded = config(tmp_path, EVERYTHING)
    with pytest.raises(dataclasses.FrozenInstanceError):
        loaded.path = Path("x")  # type: ignore[misc]  # this is what must fail
    for section, name in ((loaded.document, "station"), (loaded.station, "id"), (loaded.connectors[0].meter, "model")):
        with pytest.raises(pydantic.ValidationError):
            setattr(section, name, "x")


def test_lines_hold_what_their_transport_uses(tmp_path: Path) -> None:
    loaded = config(tmp_path, EVERYTHING)
    (connector,) = loaded.connectors
    assert connector.meter.line == LineSettings(Transport.RTU, "/dev/ttyUSB0", 9600, "N", 1)
    assert connector.evse.line == LineSettings(Transport.RTU_OVER_TCP, host="192.168.1.20", port=502)
    assert loaded.rfid.line == LineSettings(Transport.SERIAL, "/dev/ttyUSB1", 9600)
    assert (connector.meter.address, connector.evse.address) == (1, 2)
    assert config(tmp_path).connectors[0].meter.line == LineSettings(Transport.RTU, "/dev/ttyUSB0")


def test_the_policy_is_what_the_file_says(tmp_path: Path) -> None:
    policy = config(tmp_path, EVERYTHING.replace("max_current = 16", "max_current = 12.5")).policy()
    (evse,) = policy.evses
    assert (evse.id, evse.max_current, evse.phases, evse.max_power_w) == (1, 12_500, 3, 13_800)
    assert (evse.meter_grace_s, evse.poll_s, evse.watchdog_s, evse.failsafe) == (60.0, 1.0, 20.0, 6_000)
    assert evse.controlled is True
    assert (policy.timezone, policy.company_code, policy.same_card_pause_s) == ("Europe/Amsterdam", "ACME-7F3K", 5.0)
    assert policy.tariff is not None


@pytest.mark.parametrize(("current", "phases", "watt"), [("16", 3, 13_248), ("32", 1, 8_832), ("6.5", 1, 1_794)])
def test_an_impossible_rise_is_a_fifth_above_what_the_connector_can_draw(
    tmp_path: Path, current: str, phases: int, watt: int
) -> None:
    text = SMALLEST.replace("[[connector]]", f"[[connector]]\nmax_current = {current}\nphases = {phases}")
    assert config(tmp_path, text).policy().evses[0].max_power_w == watt


def test_two_connectors_are_evse_1_and_2(tmp_path: Path) -> None:
    second = SMALLEST[SMALLEST.index("[[connector]]") :].replace("ttyUSB", "ttyACM")
    assert [evse.id for evse in config(tmp_path, SMALLEST + second).policy().evses] == [1, 2]


def test_the_shorthand_is_an_ocpi_tariff_with_the_flat_prices_behind_the_slots(tmp_path: Path) -> None:
    tariff = config(tmp_path, EVERYTHING).tariff()
    assert tariff is not None
    slot, rest, reserved = tariff.elements
    assert slot.restrictions == Restrictions(time(7), time(23), tuple(Weekday)[:5])
    assert [(c.dimension, c.price, c.vat) for c in slot.components] == [
        (Dimension.ENERGY, Decimal("0.34"), Decimal(21))
    ]
    assert rest.restrictions == Restrictions()
    assert [(c.dimension, c.price, c.vat, c.step_size) for c in rest.components] == [
        (Dimension.ENERGY, Decimal("0.29"), Decimal(21), 1),
        (Dimension.TIME, Decimal("1.5"), Decimal(21), 1),
        (Dimension.FLAT, Decimal("0.5"), Decimal(21), 1),
        (Dimension.PARKING_TIME, Decimal(2), Decimal(21), 1),
    ]
    assert [(c.dimension, c.price) for c in reserved.components] == [(Dimension.FLAT, Decimal(3))]
    assert reserved.restrictions == Restrictions(reservation=ReservationKind.RESERVATION)
    monday = datetime(2026, 11, 23, 22, 59)  # noqa: DTZ001  local time
    prices = [component_at(tariff, Dimension.ENERGY, monday.replace(hour=hour)) for hour in (6, 7, 22, 23)]
    assert [c and c.price for c in prices] == [Decimal(p) for p in ("0.29", "0.34", "0.34", "0.29")]


def test_prices_keep_their_digits(tmp_path: Path) -> None:
    text = EVERYTHING.replace("energy = 0.29", "energy = 0.1000000000000000055511151231257827")
    tariff = config(tmp_path, text).tariff()
    assert tariff is not None
    assert str(tariff.elements[1].components[0].price) == "0.1000000000000000055511151231257827"


def test_a_night_slot_belongs_to_the_day_on_which_it_begins(tmp_path: Path) -> None:
    text = SMALLEST + (
        '[tariff]\ncurrency = "EUR"\nenergy = 0.3\n'
        '[[tariff.slot]]\ndays = ["fri"]\nstart = "22:00"\nend = "06:00"\nenergy = 0.1\n'
        '[[tariff.slot]]\ndays = ["sun"]\nenergy = 0.2\n'
        '[[tariff.slot]]\ndays = ["mon"]\nstart = "22:00"\nend = "24:00"\nenergy = 0.4\n'
    )
    tariff = config(tmp_path, text).tariff()
    assert tariff is not None
    terms = Terms(tariff, "Europe/Amsterdam", None)

    def price(day: int, hour: int) -> Decimal:
        moment = datetime(2026, 11, day, hour, tzinfo=ZoneInfo("Europe/Amsterdam")).astimezone(UTC)
        return cost(terms, [Consumption(moment, Wh(Decimal(1000)))]).energy

    friday = 27
    hours = [(0, 21), (0, 22), (1, 5), (1, 6), (2, 0), (2, 23), (3, 0), (3, 22)]
    found = [price(friday + day, hour) for day, hour in hours if friday + day <= 30]
    assert found == [Decimal(p) for p in ("0.30", "0.10", "0.10", "0.30", "0.20", "0.20", "0.30", "0.40")]


def test_what_is_shown_is_toml_that_loads_to_the_same(tmp_path: Path) -> None:
    loaded = config(tmp_path, EVERYTHING)
    text = show(loaded)
    assert 'id = "NL-ACME-000123"  # file, line 2' in text
    assert "[connector.meter]" in text
    again = load(tmp_path / "agent.toml", {})
    (tmp_path / "shown.toml").write_text(text.replace("***@", "").replace('"***"', '"hunter2"'))
    shown = load(tmp_path / "shown.toml", {})
    assert shown.policy() == again.policy()
    assert shown.document.model_dump(exclude={"mqtt"}) == again.document.model_dump(exclude={"mqtt"})


def test_sources_are_shown_beside_the_values(tmp_path: Path) -> None:
    text = SMALLEST.replace("[cloud]", "[cloud]\nsecurity_profile = 1")
    loaded = config(tmp_path, text, {"WALLBOX_LOG__LEVEL": "debug"}, {"cloud.password": "hunter2"})
    shown = show(loaded)
    assert 'level = "debug"  # environment WALLBOX_LOG__LEVEL' in shown
    assert 'password = "***"  # credential cloud.password' in shown
    assert "max_current = 16  # default" in shown


def test_the_json_document_has_the_tables_of_the_file_and_the_sources(tmp_path: Path) -> None:
    document = json.loads(json.dumps(to_json(config(tmp_path, EVERYTHING))))
    assert document["cloud"]["url"] == "wss://csms.example.com:8180/{company_code}"
    assert document["cloud"]["password"] is None
    assert document["report_to"][0]["password"] == "***"
    assert document["mqtt"]["url"] == "mqtt://***@homeassistant.local:1883"
    assert document["connector"][0]["meter"]["max_power"] == 13_800
    assert document["tariff"]["energy"] == 0.29
    assert document["sources"]["station.id"] == "file, line 2"
    assert document["sources"]["delivery[2].type"].startswith("file, line ")
    assert document["sources"]["connector.max_current"].startswith("file, line ")


def test_no_output_shows_a_secret(tmp_path: Path) -> None:
    loaded = config(tmp_path, EVERYTHING)
    everything = f"{show(loaded)} {json.dumps(to_json(loaded))} {loaded.notes}"
    assert "hunter2" not in everything
    assert "hunter2" not in f"{loaded!r} {loaded.document.mqtt}"


def test_the_zone_of_the_machine_is_the_default(tmp_path: Path) -> None:
    (tmp_path / "localtime").symlink_to("/usr/share/zoneinfo/Europe/Madrid")
    assert system_zone(tmp_path / "localtime") == "Europe/Madrid"
    (tmp_path / "strange").symlink_to("/usr/share/zoneinfo/Nowhere/Atlantis")
    assert system_zone(tmp_path / "strange") == "UTC"
    assert system_zone(tmp_path / "none") == "UTC"


def test_what_is_installed_is_known() -> None:
    hardware = installed()
    assert {path.stem for path in hardware.controllers.glob("*.toml")} <= CONTROLLERS
    assert hardware.readers.keys() <= READERS


def test_hardware_that_is_added_as_a_file_can_be_used_at_once(tmp_path: Path) -> None:
    hardware = installed()
    meters = tmp_path / "meters"
    meters.mkdir()
    (meters / "own_meter.toml").write_text((hardware.meters / "eastron_sdm630_v2.toml").read_text())
    config(tmp_path)
    (tmp_path / "agent.toml").write_text(SMALLEST.replace("eastron_sdm630_v2", "own_meter"))
    loaded = load(tmp_path / "agent.toml", {}, hardware=dataclasses.replace(hardware, meters=meters))
    assert loaded.connectors[0].meter.model == "own_meter"


def test_a_controller_without_definition_can_be_added(tmp_path: Path) -> None:
    config(tmp_path)
    (tmp_path / "agent.toml").write_text(SMALLEST.replace('"evse_din"', '"switch"\nhost = "h"\nwatchdog = 9'))
    loaded = load(tmp_path / "agent.toml", {}, hardware=dataclasses.replace(installed(), others=frozenset({"switch"})))
    assert loaded.policy().evses[0].controlled is True
    assert loaded.notes == ()


def test_a_port_beside_the_file_is_found_from_anywhere(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    text = SMALLEST.replace('"/dev/ttyUSB0"', '"./bus"')
    path.write_text(text, encoding="utf-8")
    assert load(path, {}).connectors[0].meter.device == str(tmp_path / "bus")
