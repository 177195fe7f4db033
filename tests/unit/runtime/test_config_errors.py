"""Every rule of the configuration file: a wrong value is refused with its line, key, value and what is allowed."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

import pytest

from agent.core.errors import ConfigError
from agent.runtime.config import load

GOOD: Final = """\
[station]
id = "NL-ACME-000123"
[cloud]
url = "ws://csms.example.com:8180/ocpp"
[rfid]
reader = "rdm6300"
device = "/dev/ttyUSB9"
[[connector]]
evse_id = "NL*ACM*E000123*1"
[connector.meter]
model = "eastron_sdm630_v2"
device = "/dev/ttyUSB0"
[connector.evse]
controller = "evse_din"
device = "/dev/ttyUSB0"
address = 2
[tariff]
currency = "EUR"
energy = 0.29
"""
SECOND: Final = """
[[connector]]
[connector.meter]
model = "eastron_sdm630_v2"
device = "/dev/ttyUSB0"
address = 3
[connector.evse]
controller = "evse_din"
device = "/dev/ttyUSB0"
address = 4
"""


def changed(section: str, *lines: str, text: str = GOOD) -> str:
    """Return the good file with lines put into a section, in place of those of the same keys; ``key`` takes one out."""
    header = re.compile(rf"^\[+{re.escape(section)}\]+$", re.MULTILINE)
    if not header.search(text):
        array = section in {"report_to", "delivery", "tariff.slot"}
        text += f"[[{section}]]\n" if array else f"[{section}]\n"
    found = header.search(text)
    assert found is not None
    end = text.find("\n[", found.end())
    body = text[found.end() : end if end >= 0 else len(text)]
    for line in lines:
        key = re.split(r"[ =]", line)[0]
        body = re.sub(rf"^{re.escape(key)} =.*\n?", "", body, flags=re.MULTILINE)
    body = "\n" + "\n".join([*(line for line in lines if "=" in line), body.strip("\n")]).strip("\n")
    return text[: found.end()] + body + ("\n" if end < 0 else "") + (text[end:] if end >= 0 else "")


def problems(folder: Path, text: str, environ: dict[str, str] | None = None) -> list[str]:
    """Return what is wrong with a file of this text, each without the folder; empty where nothing is."""
    path = folder / "agent.toml"
    path.write_text(text)
    try:
        load(path, environ or {})
    except ConfigError as error:
        return [problem.replace(f"{folder}/", "") for problem in error.problems]
    return []


#: section, lines that are put into it -> the one problem, which must contain all of these.
WRONG: Final[list[tuple[str, list[str], list[str]]]] = [
    ("station", ["id"], ["agent.toml:1: station.id: missing", 'add id = "NL-ACME-000123"']),
    ("station", ['id = ""'], ['agent.toml:2: station.id: ""', "1 to 48 characters"]),
    ("station", ['id = "NL/1"'], ['station.id: "NL/1"', 'without "/", ":" and spaces']),
    ("station", ['id = "NL:1"'], ['station.id: "NL:1"', "without"]),
    ("station", ['id = "NL 1"'], ['station.id: "NL 1"', "without"]),
    ("station", [f'id = "{"x" * 49}"'], ["station.id: ", "1 to 48"]),
    ("station", [f'vendor = "{"x" * 21}"'], ["station.vendor", "1 to 20 characters"]),
    ("station", [f'model = "{"x" * 21}"'], ["station.model", "1 to 20 characters"]),
    ("station", ['model = ""'], ["station.model", "1 to 20 characters"]),
    ("station", ["serial_number = 123"], ["station.serial_number: 123", "in quotes"]),
    ("station", [f'serial_number = "{"x" * 26}"'], ["station.serial_number", "1 to 25"]),
    ("station", ['timezone = "Europe/Amsterdm"'], ["station.timezone", 'did you mean "Europe/Amsterdam"?']),
    ("station", ['timezone = "../../etc/passwd"'], ["station.timezone", "tz database"]),
    ("station", ['timezone = "Europe"'], ["station.timezone", "tz database"]),
    ("station", ["vendor = [1, 2]"], ["station.vendor: a list is not allowed"]),
    ("station", ["vendor = {a = 1}"], ["station.vendor: a table is not allowed"]),
    ("station", ["state_dir = 7"], ["station.state_dir: 7", "path of a directory"]),
    ("station", ['vendro = "x"'], ["agent.toml:2: station.vendro: unknown key", 'did you mean "vendor"?']),
    ("station", ['poll_interval = "x"'], ["station.poll_interval: unknown key here", "[connector.meter]"]),
    ("station", ["xyzzy = 1"], ["station.xyzzy: unknown key; known here: id, vendor, model"]),
    ("cloud", ["url"], ["agent.toml:3: cloud.url: missing", 'add url = "ws://']),
    ("cloud", ['url = "http://csms.example"'], ['cloud.url: "http://csms.example"', "ws:// or wss://"]),
    ("cloud", ['url = "csms.example"'], ["cloud.url", "must begin with ws:// or wss://"]),
    ("cloud", ['url = "ws:///ocpp"'], ["cloud.url", "names no host"]),
    ("cloud", ['url = "ws://h:99999/"'], ["cloud.url", "1 to 65535"]),
    ("cloud", ['url = "ws://h:0/"'], ["cloud.url", "1 to 65535"]),
    ("cloud", ['url = "ws://[::1/"'], ["cloud.url", "is no URL"]),
    ("cloud", ['url = "ws://h/a b"'], ["cloud.url", "spaces"]),
    ("cloud", ['url = "ws://h/#x"'], ["cloud.url", "must not contain #"]),
    ("cloud", ['url = "ws://h/{station}"'], ["cloud.url", "{station_id} and {company_code}"]),
    ("cloud", ['url = "ws://h/{station_id"'], ["cloud.url", "{station_id} and {company_code}"]),
    ("cloud", ['url_secure = "ws://h/"'], ["cloud.url_secure", "must begin with wss://"]),
    ("cloud", ['protocols = ["ocpp1.5"]'], ['cloud.protocols: "ocpp1.5"', "ocpp1.6"]),
    ("cloud", ["protocols = []"], ["cloud.protocols", "ocpp1.6"]),
    ("cloud", ['protocols = ["ocpp1.6", "ocpp1.6"]'], ["cloud.protocols", "at most once"]),
    ("cloud", ['protocols = ["ocpp2.0.1"]'], ["cloud.protocols", "not part of this release", 'add "ocpp1.6"']),
    ("cloud", ["security_profile = 4"], ["cloud.security_profile: 4", "0, 1, 2 or 3"]),
    ("cloud", ["security_profile = true"], ["cloud.security_profile: true", "0, 1, 2 or 3"]),
    ("cloud", ["security_profile = 1"], ["agent.toml:3: cloud.password: missing", "password_file", "credential"]),
    ("cloud", ["security_profile = 2", 'url = "wss://h/"'], ["cloud.password: missing", "profile 2"]),
    ("cloud", ["security_profile = 2", 'password = "x"'], ["agent.toml:4: cloud.security_profile: 2", "wss://"]),
    (
        "cloud",
        ["security_profile = 1", 'password = "x"', 'url = "wss://h/"'],
        ["agent.toml:4: cloud.security_profile: 1", "use 2"],
    ),
    (
        "cloud",
        ["security_profile = 3", 'url = "wss://h/"', 'client_cert_file = "agent.toml"'],
        ["cloud.client_key_file: missing"],
    ),
    ("cloud", ['client_key_file = "agent.toml"'], ["cloud.client_cert_file: missing"]),
    ("cloud", ['client_cert_file = "agent.toml"'], ["cloud.client_key_file: missing"]),
    ("cloud", ['password = "x"', 'password_file = "secret"'], ["cloud.password_file", "beside password"]),
    ("cloud", ['password = ""'], ["cloud.password: ***", "not empty"]),
    ("cloud", ['password_file = "nope"'], ['cloud.password_file: "nope" does not exist', "check the path"]),
    ("cloud", ['password_file = "empty"'], ['cloud.password_file: "empty" is empty', "write the password"]),
    ("cloud", ['password_file = "bom"'], ["cloud.password_file", "byte order mark"]),
    ("cloud", ['password_file = "."'], ["cloud.password_file", "is not a file"]),
    ("cloud", ['ca_file = "nope.pem"'], ['cloud.ca_file: "nope.pem" does not exist']),
    ("cloud", ['ca_file = "a\\u0000b"'], ["cloud.ca_file", "use the path of a PEM file"]),
    ("cloud", ['ca_file = "empty"'], ['agent.toml:4: cloud.ca_file: "empty" is empty', "CA's certificate"]),
    ("cloud", ['ca_file = "secret"'], ['agent.toml:4: cloud.ca_file: "secret" is not in PEM form']),
    ("cloud", ['ca_file = "."'], ["agent.toml:4: cloud.ca_file", "is not a file"]),
    ("cloud", [f'ca_file = "{"x" * 300}"'], ["cloud.ca_file", "cannot be read"]),
    ("cloud", ['company_code = "A_B-C"'], ['cloud.company_code: "A_B-C"', "A-Z, 0-9"]),
    ("cloud", ['company_code = "ABC"'], ["cloud.company_code", "4 to 36"]),
    ("location", ['country = "DE"'], ["location.country", "three capital letters"]),
    ("location", ["latitude = 91"], ["location.latitude: 91", "-90 to 90"]),
    ("location", ['party_id = "ACME"'], ["location.party_id", "three characters"]),
    ("report_to", ['url = "ws://h/"'], ["report_to.name: missing"]),
    ("report_to", ['name = "Cloud"', 'url = "ws://h/"'], ['report_to.name: "Cloud" is taken by the station itself']),
    ("report_to", ['name = "ere"'], ["report_to.url: missing"]),
    ("report_to", ['name = "ere"', 'url = "ws://h/"', "security_profile = 1"], ["report_to.password: missing"]),
    ("rfid", ["reader"], ["rfid.reader: missing", "/dev/ttyUSB9", "rdm6300"]),
    ("rfid", ["device"], ["agent.toml:5: rfid.device: missing"]),
    ("rfid", ['device = "ttyUSB1"'], ['rfid.device: "ttyUSB1"', "like /dev/ttyUSB0"]),
    ("rfid", ['reader = "rdm6301"'], ['rfid.reader: "rdm6301" is not known', 'did you mean "rdm6300"?']),
    ("rfid", ['reader = "twn4_simple"'], ["rfid.reader", "not part of this release", "none, pn532_hsu, rdm6300"]),
    ("rfid", ["baudrate = 9601"], ["rfid.baudrate: 9601 is not allowed", "1200, 2400"]),
    ("rfid", ['pattern = "("'], ["rfid.pattern", "regular expression"]),
    ("rfid", ['pattern = "(a)(b)"'], ["rfid.pattern", "at most one group"]),
    ("rfid", ["same_card_pause = -1"], ["rfid.same_card_pause: -1", "0 to 3600 (s)"]),
    ("rfid", ["same_card_pause = inf"], ["rfid.same_card_pause: infinity", "0 to 3600 (s)"]),
    ("rfid", ["min_repeat_ms = 1.5"], ["rfid.min_repeat_ms: 1.5", "whole number"]),
    ("rfid", ['device = "/dev/ttyUSB0"'], ["rfid.device", "also the port of connector.meter", "of its own"]),
    ("connector", ["max_current = 5"], ["agent.toml:9: connector.max_current: 5", "6 to 80 (A)"]),
    ("connector", ["max_current = 81"], ["connector.max_current: 81", "6 to 80 (A)"]),
    ("connector", ["max_current = nan"], ["connector.max_current: nan", "6 to 80 (A)"]),
    ("connector", ["max_current = 1e999999999"], ["connector.max_current", "6 to 80 (A)"]),
    ("connector", ["phases = 2"], ["connector.phases: 2", "1 or 3"]),
    ("connector", ['evse_id = "NL ACM"'], ["connector.evse_id", "without spaces"]),
    ("connector", ["meter_grace = 1"], ["connector.meter_grace: unknown key here", "[connector.meter]"]),
    ("connector.meter", ["model"], ["agent.toml:10: connector.meter.model: missing"]),
    ("connector.meter", ['model = "WAGO 879"'], ["connector.meter.model", 'did you mean "inepro_pro380"?']),
    (
        "connector.meter",
        ['model = "dmm"'],
        ['"dmm" is not known; available now: abb_b21, abb_b23', "a definition file"],
    ),
    ("connector.meter", ['model = "eastron_sdm63"'], ["is not known", 'did you mean "eastron_sdm630_v2"?']),
    ("connector.meter", ['model = "own.toml"'], ['connector.meter.model: "own.toml" does not exist']),
    (
        "connector.meter",
        ['model = "bad.toml"'],
        ["connector.meter.model: the definition is at fault: bad.toml: source: is missing"],
    ),
    ("connector.meter", ['transport = "udp"'], ["connector.meter.transport", "rtu, tcp, rtu-over-tcp"]),
    ("connector.meter", ["device"], ["connector.meter.device: missing", "serial port"]),
    ("connector.meter", ["device", 'host = "h"'], ["connector.meter.device: missing", 'transport = "tcp"']),
    ("connector.meter", ['transport = "tcp"'], ["connector.meter.host: missing"]),
    ("connector.meter", ['transport = "tcp"', 'host = "http://h"'], ["connector.meter.host", "alone"]),
    (
        "connector.meter",
        ["baudrate = 9601"],
        ["connector.meter.baudrate: 9601 is not allowed", "one of 300, 600, 1200"],
    ),
    ("connector.meter", ["baudrate = 999999999999999999999"], ["connector.meter.baudrate: a number this large"]),
    ("connector.meter", ['parity = "even"'], ["connector.meter.parity", "N, E, O"]),
    ("connector.meter", ["stopbits = 0"], ["connector.meter.stopbits: 0", "1 or 2"]),
    ("connector.meter", ["port = 65536"], ["connector.meter.port: 65536", "1 to 65535"]),
    ("connector.meter", ["address = 0"], ["connector.meter.address: 0", "1 to 247"]),
    ("connector.meter", ["address = 248"], ["connector.meter.address: 248", "1 to 247"]),
    ("connector.meter", ["poll_interval = 0"], ["connector.meter.poll_interval: 0", "0.05 to 60 (s)"]),
    ("connector.meter", ["max_power = 0"], ["connector.meter.max_power: 0", "(W)"]),
    ("connector.meter", ["meter_grace = -1"], ["connector.meter.meter_grace: -1", "0 to 3600 (s)"]),
    ("connector.evse", ["controller"], ["connector.evse.controller: missing"]),
    (
        "connector.evse",
        ['controller = "charx"'],
        ["connector.evse.controller", "not part of this release", "evse_din, heidelberg, none"],
    ),
    ("connector.evse", ['controller = "evsedin"'], ["is not known", 'did you mean "evse_din"?']),
    ("connector.evse", ["failsafe_current = 5"], ["connector.evse.failsafe_current: 5", "0, or 6 to 80 (A)"]),
    ("connector.evse", ["failsafe_current = 20"], ["connector.evse.failsafe_current: 20", "max_current (16 A)"]),
    ("connector.evse", ["watchdog = 0"], ["connector.evse.watchdog: 0", "1 to 3600 (s)"]),
    ("connector.evse", ['on_exit = "off"'], ["connector.evse.on_exit", "keep, pause, limit"]),
    (
        "connector.evse",
        ["address"],
        ["connector.evse.address: 1, the device's default", "also the address of connector.meter"],
    ),
    ("connector.evse", ["baudrate = 19200"], ["connector.evse.baudrate: 19200 differs from 9600 of connector.meter"]),
    ("connector.evse", ['parity = "E"'], ['connector.evse.parity: "E" differs from "N"']),
    ("connector.evse", ["stopbits = 2"], ["connector.evse.stopbits: 2 differs from 1"]),
    ("tariff", ["currency"], ["tariff.currency: missing", '"EUR"']),
    ("tariff", ['currency = "XXX"'], ["tariff.currency", "ISO 4217"]),
    ("tariff", ['currency = "eur"'], ["tariff.currency", 'did you mean "EUR"?']),
    ("tariff", ["energy = -0.01"], ["tariff.energy: -0.01", "not negative"]),
    ("tariff", ["energy = true"], ["tariff.energy: true", "not negative"]),
    ("tariff", ["fixed = -1"], ["tariff.fixed: -1", "not negative"]),
    ("tariff", ["vat_percentage = 101"], ["tariff.vat_percentage: 101", "0 to 100 (%)"]),
    ("tariff", ["energy"], ["tariff.energy: missing", "energy = 0.29"]),
    ("tariff.slot", ["energy = 1", 'days = "weekdays"'], ["tariff.slot.days", 'did you mean "weekday"?']),
    ("tariff.slot", ["energy = 1", 'days = ["mon", "tues"]'], ["tariff.slot.days", "weekend, all"]),
    ("tariff.slot", ["energy = 1", "days = []"], ["tariff.slot.days", "weekend, all"]),
    ("tariff.slot", ["energy = 1", 'start = "7:00"'], ["tariff.slot.start", '"00:00" to "23:59"']),
    ("tariff.slot", ["energy = 1", 'end = "24:01"'], ["tariff.slot.end", '"00:00" to "24:00"']),
    ("tariff.slot", ["energy = 1", "start = 07:00:00"], ["tariff.slot.start: 07:00:00", '"00:00" to "23:59"']),
    ("tariff.slot", ["energy = 1", 'start = "07:00"', 'end = "07:00"'], ["tariff.slot.end", "also the start"]),
    ("tariff.slot", ['start = "07:00"'], ["tariff.slot: has no price"]),
    ("statement", ['language = "it"'], ["statement.language", "en, nl, de, es, fr"]),
    ("statement", ['basis = "flat"'], ["statement.flat_price: missing"]),
    ("statement", ['logo = "nope.png"'], ['statement.logo: "nope.png" does not exist']),
    ("delivery", ['name = "a"'], ["delivery.type: missing"]),
    ("delivery", ['name = "a"', 'type = "ftp"'], ["delivery.type", "folder, https or mail"]),
    ("delivery", ['name = "a"', 'type = "https"'], ["delivery.url: missing"]),
    ("delivery", ['name = "a"', 'type = "https"', 'url = "http://h/"'], ["delivery.url", "must begin with https://"]),
    ("delivery", ['name = "a"', 'type = "folder"'], ["delivery.path: missing"]),
    (
        "delivery",
        ['name = "a"', 'type = "https"', 'url = "https://user:s3cret@h/in"'],
        ["delivery.url", "***", "must not hold a user name or password; use token_file"],
    ),
    (
        "delivery",
        ['name = "a"', 'type = "https"', 'url = "http://127.0.0.1.example/"'],
        ["delivery.url", "it may go to 127.0.0.1"],
    ),
    ("delivery", ['name = "a"', 'type = "mail"', 'host = "h"', 'to = ["a@b"]', 'tls = "none"'], ["delivery.tls"]),
    (
        "delivery",
        ['name = "a"', 'type = "mail"', 'host = "h"', 'to = ["a@b"]', 'sender = "x"'],
        ["delivery.sender", "mail address"],
    ),
    ("delivery", ['name = "a"', 'type = "mail"', 'host = "h"', 'to = ["a@b", "c,d@e"]'], ["delivery.to"]),
    ("delivery", ['name = "a"', 'type = "mail"', 'to = ["a@b"]'], ["delivery.host: missing"]),
    ("delivery", ['name = "a"', 'type = "mail"', 'host = "h"', 'to = ["a"]'], ["delivery.to", "mail address"]),
    (
        "delivery",
        ['name = "a"', 'type = "mail"', 'host = "h"', 'to = ["a@b"]', 'password_file = "secret"'],
        ["delivery.user: missing"],
    ),
    (
        "delivery",
        ['name = "a"', 'type = "https"', 'url = "https://h"', 'token_file = "latin"'],
        ["delivery.token_file", "not UTF-8"],
    ),
    (
        "delivery",
        ['name = "a"', 'type = "https"', 'url = "https://h"', 'ca_file = "empty"'],
        ['delivery.ca_file: "empty" is empty'],
    ),
    ("delivery", ['name = "a"', 'type = "folder"', 'path = "."', 'format = ["doc"]'], ["delivery.format", "pdf, xlsx"]),
    ("page", ["port = 0"], ["page.port: 0", "1 to 65535"]),
    ("page", ['enabled = "perhaps"'], ["page.enabled", "true or false"]),
    ("mqtt", ['url = "http://h"'], ["mqtt.url", "mqtt:// or mqtts://"]),
    ("mqtt", [], ["mqtt.url: missing"]),
    ("metrics", ["port = -1"], ["metrics.port: -1", "1 to 65535"]),
    ("ledger", ["keep_details_days = 7"], ["ledger.keep_details_days: 7", "30 to 36500 (days)"]),
    ("ledger", ["max_size_mb = 1"], ["ledger.max_size_mb: 1", "16 to 1000000 (MB)"]),
    ("log", ['level = "verbose"'], ["log.level", "debug, info, warning, error, critical"]),
    ("log", ['format = "xml"'], ["log.format", "console, json"]),
    ("clowd", ["a = 1"], ["clowd: unknown section", 'did you mean "cloud"?']),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with the files that the table names."""
    (tmp_path / "secret").write_text("hunter2\n")
    (tmp_path / "empty").write_text(" \n")
    (tmp_path / "latin").write_bytes(b"pass\xe9")
    (tmp_path / "bom").write_bytes(b"\xef\xbb\xbfhunter2\n")
    (tmp_path / "bad.toml").write_text('model = "x"\n')
    return tmp_path


def test_the_file_that_the_table_changes_is_good(folder: Path) -> None:
    assert problems(folder, GOOD) == []
    assert problems(folder, GOOD + SECOND) == []


@pytest.mark.parametrize(("section", "lines", "words"), WRONG, ids=[f"{s}-{'-'.join(n)}"[:60] for s, n, _ in WRONG])
def test_what_is_wrong_is_refused_in_words(folder: Path, section: str, lines: list[str], words: list[str]) -> None:
    found = problems(folder, changed(section, *lines))
    assert len(found) >= 1
    assert all(word in found[0] for word in words), found
    assert all(line.startswith("agent.toml") and "\n" not in line and not line.endswith(".") for line in found)
    if section != "connector.meter" or "bad.toml" not in lines[0]:
        assert len(found) == 1, found


def test_a_second_connector_is_named_by_its_number(folder: Path) -> None:
    (line,) = problems(folder, GOOD + SECOND.replace("address = 4", "address = 4\nbaudrate = 1"))
    assert "connector[2].evse.baudrate: 1 is not allowed" in line


def test_all_devices_of_one_port_are_compared(folder: Path) -> None:
    (line,) = problems(folder, GOOD + SECOND.replace("address = 4", "address = 2"))
    assert "connector[2].evse.address: 2 is also the address of connector[1].evse" in line


def test_two_names_of_one_port_are_one_port(folder: Path) -> None:
    (folder / "one").symlink_to("/dev/null")
    (folder / "two").symlink_to("/dev/null")
    text = GOOD.replace("/dev/ttyUSB0", f"{folder}/one", 1).replace("/dev/ttyUSB0", f"{folder}/two")
    (line,) = problems(folder, text.replace("address = 2", "address = 1"))
    assert "connector.evse.address: 1 is also the address of connector.meter" in line


def test_a_bridge_has_one_transport_for_all_and_its_own_line_settings(folder: Path) -> None:
    meter, evse = ['transport = "tcp"', 'host = "bridge"'], ['transport = "rtu-over-tcp"', 'host = "bridge"']
    text = changed("connector.meter", "device", *meter)
    assert problems(folder, changed("connector.evse", "device", *meter, "baudrate = 300", text=text)) == []
    (line,) = problems(folder, changed("connector.evse", "device", *evse, text=text))
    assert 'connector.evse.transport: "rtu-over-tcp" differs from "tcp"' in line


@pytest.mark.parametrize(("controller", "key"), [("rapi", "device"), ("keba_udp", "host"), ("switch", "host")])
def test_controllers_without_modbus_need_what_reaches_them(folder: Path, controller: str, key: str) -> None:
    missing, unknown = problems(folder, changed("connector.evse", "device", f'controller = "{controller}"'))
    assert f"connector.evse.{key}: missing" in missing
    assert f'"{controller}" is not part of this release' in unknown


def test_an_address_over_247_is_for_tcp_alone(folder: Path) -> None:
    reached = ["device", 'host = "h"', "address = 255"]
    assert problems(folder, changed("connector.meter", *reached, 'transport = "tcp"')) == []
    (line,) = problems(folder, changed("connector.meter", *reached, 'transport = "rtu-over-tcp"'))
    assert "connector.meter.address: 255 is not allowed; use 1 to 247" in line


def test_an_evse_id_stands_once_whatever_its_case(folder: Path) -> None:
    (line,) = problems(
        folder, GOOD + SECOND.replace("[[connector]]\n", '[[connector]]\nevse_id = "nl*acm*E000123*1"\n')
    )
    assert 'connector[2].evse_id: "nl*acm*E000123*1" stands twice' in line


@pytest.mark.parametrize("count", [0, 3])
def test_there_are_one_or_two_connectors(folder: Path, count: int) -> None:
    start, end = GOOD.index("[[connector]]"), GOOD.index("[tariff]")
    connectors = "".join(GOOD[start:end].replace("*1", f"*{n}").replace("USB0", f"USB{n}") for n in range(1, count + 1))
    text = GOOD[:start] + (connectors or "") + GOOD[end:]
    (line,) = problems(folder, text if count else f"connector = []\n{text}")
    assert f"connector: {count} connectors are not allowed; write [[connector]] once or twice" in line


def test_a_file_without_connector_says_what_to_add(folder: Path) -> None:
    (line,) = problems(folder, GOOD[: GOOD.index("[[connector]]")])
    assert line == "agent.toml: connector: missing; add a section [[connector]]"


def test_an_empty_file_names_all_that_is_needed(folder: Path) -> None:
    found = problems(folder, "")
    assert [line.split(": ")[1] for line in found] == ["station.id", "cloud.url", "connector"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("cloud = 5\n" + GOOD.replace("[cloud]\nurl", "[x]\nurl"), "agent.toml:1: cloud: is not written as a section"),
        (
            GOOD.replace("[[connector]]", "[connector]"),
            "agent.toml:8: connector: is not written as a section; write [[",
        ),
        (GOOD.replace("[cloud]", "[[cloud]]"), "agent.toml:3: cloud: is not written as a section; write [cloud]"),
        (
            f"connector = [5]\n{GOOD[: GOOD.index('[[connector]]')]}",
            "agent.toml:1: connector: is not written as a section",
        ),
    ],
)
def test_a_section_that_is_none_says_how_it_is_written(folder: Path, text: str, words: str) -> None:
    assert any(line.startswith(words) for line in problems(folder, text))


def test_all_problems_are_told_at_once_in_the_order_of_the_file(folder: Path) -> None:
    text = changed("station", 'id = "N/L"', "a_key = 1")
    text = changed("cloud", "security_profile = 1", text=text)
    text = changed("connector", "phases = 2", text=text)
    text = changed("connector.evse", "address = 1", text=text)
    found = problems(folder, text, {"WALLBOX_LOG__LEVEL": "loud"})
    assert [line.split(": ")[1] for line in found] == [
        "station.id",
        "station.a_key",
        "cloud.password",
        "connector.phases",
        "connector.evse.address",
        "log.level",
    ]
    numbers = [int(line.split(":")[1]) for line in found[:-1]]
    assert numbers == sorted(numbers)


def test_what_only_follows_from_another_problem_is_not_told(folder: Path) -> None:
    (line,) = problems(folder, changed("connector.meter", 'transport = "tpc"', "device", 'host = "h"'))
    assert 'connector.meter.transport: "tpc"' in line
    assert 'did you mean "tcp"?' in line


@pytest.mark.parametrize("section", ["report_to", "delivery"])
def test_names_stand_once(folder: Path, section: str) -> None:
    keys = 'url = "ws://h/"' if section == "report_to" else 'type = "folder"\npath = "."'
    text = GOOD + f'[[{section}]]\nname = "one"\n{keys}\n[[{section}]]\nname = "ONE"\n{keys}\n'
    (line,) = problems(folder, text)
    assert f'{section}[2].name: "ONE" stands twice' in line


@pytest.mark.parametrize(
    ("slots", "words"),
    [
        (["", 'start = "23:00"\nend = "24:00"'], "tariff.slot[2]: overlaps tariff.slot[1] from mon 23:00 on"),
        (
            ['start = "22:00"\nend = "06:00"\ndays = ["sun"]', 'days = ["mon"]\nend = "07:00"'],
            "overlaps tariff.slot[1] from mon 00:00 on",
        ),
        (
            ['days = "weekend"', 'days = "weekday"\nstart = "07:00"'],
            "tariff.energy: missing; no slot covers mon 00:00 to mon 07:00",
        ),
        (['days = ["sat"]', 'days = "weekday"'], "no slot covers sun 00:00 to sun 24:00"),
    ],
)
def test_each_hour_of_the_week_has_one_price(folder: Path, slots: list[str], words: str) -> None:
    text = changed("tariff", "energy") + "".join(f"[[tariff.slot]]\nenergy = 0.3\n{slot}\n" for slot in slots)
    assert words in "\n".join(problems(folder, text))


@pytest.mark.parametrize(
    "slots",
    [
        [""],
        ['start = "22:00"\nend = "06:00"', 'start = "06:00"\nend = "22:00"'],
        ['days = "weekend"', 'days = "weekday"\nend = "12:00"', 'days = "weekday"\nstart = "12:00"\nend = "00:00"'],
        [
            'days = ["sun"]\nstart = "20:00"\nend = "04:00"',
            'days = ["mon"]\nstart = "04:00"',
            'days = ["tue","wed","thu","fri","sat"]',
            'days = ["sun"]\nend = "20:00"',
        ],
    ],
)
def test_slots_that_share_out_the_week_need_no_flat_price(folder: Path, slots: list[str]) -> None:
    text = changed("tariff", "energy") + "".join(f"[[tariff.slot]]\nenergy = 0.3\n{slot}\n" for slot in slots)
    assert problems(folder, text) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[station]\nid = NL-1\n", "agent.toml:2: is not valid TOML: invalid value at column 6; texts stand in quotes"),
        (
            '[station]\nid = "a"\nid = "b"\n',
            "agent.toml:3: is not valid TOML: cannot overwrite a value at column 9; a key or section stands twice",
        ),
        ('[station]\nid = "a"; vendor = "b"\n', "agent.toml:2: is not valid TOML: expected newline"),
        ('[station]\nid = "a"; vendor = "b"\n', "TOML has no ;"),
        ('[cloud]\npassword = "hunter2\n', "agent.toml:2: is not valid TOML"),
        ("[station", "agent.toml: is not valid TOML"),
        ("a = " + "[" * 5000, "agent.toml: is nested too deeply"),
        ("a = " + "9" * 5000, "agent.toml: is not valid TOML"),
    ],
)
def test_what_is_no_toml_is_refused_with_its_line(folder: Path, text: str, words: str) -> None:
    (line,) = problems(folder, text)
    assert words in line
    assert "hunter2" not in line


def test_a_file_that_is_not_there_says_how_to_make_it(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    (line,) = caught.value.problems
    assert line.startswith(f"{path}: there is no such file; copy deploy/systemd/agent.example.toml")
    assert "WALLBOX_CONFIG" in line


def test_a_file_that_is_no_text_or_a_folder_is_refused(folder: Path) -> None:
    (folder / "agent.toml").write_bytes(b"[station]\nid = 'caf\xe9'\n")
    with pytest.raises(ConfigError, match=r"agent.toml:2: is not UTF-8 text"):
        load(folder / "agent.toml", {})
    with pytest.raises(ConfigError, match="cannot be read"):
        load(folder, {})


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_without_permission_is_refused(folder: Path) -> None:
    (folder / "agent.toml").touch(0o000)
    with pytest.raises(ConfigError, match="cannot be read by this user"):
        load(folder / "agent.toml", {})


def test_a_file_of_an_editor_on_windows_is_read(folder: Path) -> None:
    assert problems(folder, "") != []
    (folder / "agent.toml").write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert load(folder / "agent.toml", {}).station.id == "NL-ACME-000123"


@pytest.mark.parametrize(
    "lines",
    [
        ["password = 12345678"],
        ['pasword = "hunter2"'],
        ['password = "hunter2"', 'password_file = "secret"', "security_profile = 9"],
        ['url = "ws://user:hunter2@h/"'],
        ['url = "http://h/?key=hunter2"'],
        ['url = "ws:user:hunter2@h"'],
        ['password = ["hunter2", "12345678"]'],
    ],
)
def test_no_message_shows_a_secret(folder: Path, lines: list[str]) -> None:
    found = problems(folder, changed("cloud", *lines))
    assert found
    assert not re.search("hunter2|12345678", "\n".join(found))


def test_messages_are_one_line_whatever_stands_in_the_file(folder: Path) -> None:
    found = problems(
        folder, changed("station", r'vendor = "a\u001b[31m\nb\u2028 and much more of the same kind"', r'"x\ny" = 1')
    )
    assert len(found) == 2
    assert all(line.isprintable() for line in found)
