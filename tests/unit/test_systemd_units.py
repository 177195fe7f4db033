"""What deploy/systemd installs: service, user, folders, udev rules and the example configuration."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from agent.runtime.config import load

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DEPLOY: Final = Path(__file__).resolve().parents[2] / "deploy" / "systemd"
SERVICE: Final = DEPLOY / "wallbox-agent.service"
EXAMPLE: Final = DEPLOY / "agent.example.toml"
MOST_EXPOSURE: Final = 1.5

needs_systemd_analyze = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not on this machine"
)


def parse(text: str) -> Mapping[str, Mapping[str, list[str]]]:
    """Return section -> key -> values in their order, as systemd.syntax(7) says."""
    sections: dict[str, dict[str, list[str]]] = {}
    current: dict[str, list[str]] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        if line.startswith("["):
            current = sections.setdefault(line.strip("[]"), defaultdict(list))
        elif not line.startswith(("#", ";")):
            key, equals, value = line.partition("=")
            assert equals, f"not a setting: {line}"
            current[key].append(value)
    return sections


UNIT: Final = parse(SERVICE.read_text())


def setting(key: str, section: str = "Service") -> str:
    """Return the value of a key that stands there once."""
    (value,) = UNIT[section][key]
    return value


def lines(path: Path) -> Iterator[list[str]]:
    """Yield the words of each line that is no comment."""
    for line in path.read_text().splitlines():
        if line and not line.startswith("#"):
            yield re.findall(r'"[^"]*"|\S+', line)


def test_the_daemon_tells_systemd_that_it_is_ready_and_alive() -> None:
    assert (setting("Type"), setting("NotifyAccess")) == ("notify", "main")
    assert setting("WatchdogSec") == "60s"


def test_the_daemon_is_started_with_the_default_configuration() -> None:
    command = setting("ExecStart").split()
    assert command == [
        "/opt/wallbox-agent/.venv/bin/wallbox-launch", "run", "--config", "/etc/wallbox-agent/agent.toml",
    ]  # fmt: skip
    assert "ExecReload" not in UNIT["Service"]


def test_a_failed_daemon_comes_back_for_ever_and_slowly_and_not_with_a_wrong_configuration() -> None:
    assert setting("Restart") == "on-failure"
    assert int(setting("RestartSec").removesuffix("s")) >= 10
    assert setting("StartLimitIntervalSec", "Unit") == "0"
    assert setting("RestartPreventExitStatus") == "2"


def test_the_daemon_runs_as_a_user_of_its_own_who_may_open_serial_ports() -> None:
    assert setting("User") == setting("Group") == "wallbox-agent"
    assert setting("SupplementaryGroups") == "dialout"
    assert setting("DevicePolicy") == "closed"
    allowed = {line.split()[0] for line in UNIT["Service"]["DeviceAllow"]}
    assert allowed == {"char-ttyUSB", "char-ttyACM", "char-ttyAMA", "char-ttyS"}


def test_the_state_is_closed_to_other_users() -> None:
    assert (setting("StateDirectory"), setting("StateDirectoryMode"), setting("UMask")) == (
        "wallbox-agent", "0750", "0077",
    )  # fmt: skip


def test_the_start_waits_for_no_network() -> None:
    assert "network-online.target" not in " ".join(value for values in UNIT["Unit"].values() for value in values)


def test_proc_sys_stays_readable_for_the_boot_id() -> None:
    assert "ProcSubset" not in UNIT["Service"]


@needs_systemd_analyze
def test_the_service_is_exposed_as_little_as_a_program_with_network_and_ports_can_be(tmp_path: Path) -> None:
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(SERVICE)]
    report = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    overall = re.search(r"Overall exposure level for wallbox-agent\.service: (\d+\.\d+)", report)
    assert overall, report
    assert float(overall[1]) <= MOST_EXPOSURE


@needs_systemd_analyze
def test_systemd_knows_every_key_of_the_service(tmp_path: Path) -> None:
    # Debian 12 is the oldest system that is supported. Its program is put where none is installed.
    unit = tmp_path / SERVICE.name
    unit.write_text(re.sub(r"(?m)^ExecStart=\S+", "ExecStart=/bin/true", SERVICE.read_text()))
    command = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(unit)]
    report = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)
    complaints = [line for line in report.stderr.splitlines() if SERVICE.name in line]
    assert complaints == []


@needs_systemd_analyze
def test_a_risky_service_would_be_noticed(tmp_path: Path) -> None:
    unit = tmp_path / SERVICE.name
    unit.write_text(re.sub(r"(?m)^(SystemCallFilter|Protect\w+|CapabilityBoundingSet)=.*\n", "", SERVICE.read_text()))
    command = ["systemd-analyze", "security", "--offline=true", "--json=short", "--threshold=15", str(unit)]
    report = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert report.returncode != 0
    assert json.loads(report.stdout)


def test_the_user_is_made_with_the_group_of_serial_ports() -> None:
    assert list(lines(DEPLOY / "sysusers.d" / "wallbox-agent.conf")) == [
        ["u", "wallbox-agent", "-", '"Wallbox agent"', "/var/lib/wallbox-agent", "-"],
        ["m", "wallbox-agent", "dialout"],
    ]


def test_configuration_and_state_are_closed_to_others() -> None:
    modes = {
        path: (mode, user, group) for _, path, mode, user, group, *_ in lines(DEPLOY / "tmpfiles.d/wallbox-agent.conf")
    }
    assert modes == {
        "/etc/wallbox-agent": ("0750", "root", "wallbox-agent"),
        "/etc/wallbox-agent/agent.toml": ("0640", "root", "wallbox-agent"),
        "/var/lib/wallbox-agent": ("0750", "wallbox-agent", "wallbox-agent"),
    }


UDEV_TERM: Final = re.compile(r'[A-Z_]+(\{[\w/]+\})?(==|!=|=|\+=|:=)"[^"]*"')


def test_every_udev_rule_is_a_list_of_matches_and_assignments() -> None:
    rules = [line for line in (DEPLOY / "udev" / "60-wallbox-agent.rules").read_text().splitlines() if line]
    for rule in (rule for rule in rules if not rule.startswith("#")):
        assert all(UDEV_TERM.fullmatch(term) for term in re.split(r",\s*", rule)), rule


def test_no_modem_program_speaks_to_an_adapter() -> None:
    text = (DEPLOY / "udev" / "60-wallbox-agent.rules").read_text()
    assert 'ENV{ID_MM_DEVICE_IGNORE}="1"' in text
    assert 'ENV{ID_MM_PORT_IGNORE}="1"' in text


TRANSPORT: Final = frozenset({"transport", "device", "baudrate", "parity", "stopbits", "host", "port", "address"})
#: Section -> the keys that it may have; what is in an array of tables is named as if it were one.
KEYS: Final[Mapping[str, frozenset[str]]] = {
    "station": frozenset({"id", "vendor", "model", "serial_number", "timezone", "state_dir"}),
    "cloud": frozenset(
        {"url", "protocols", "security_profile", "password", "password_file", "ca_file", "client_cert_file"}
        | {"client_key_file", "company_code"}
    ),
    "rfid": frozenset({"reader", "device", "baudrate", "same_card_pause"}),
    "connector": frozenset({"evse_id", "max_current", "phases"}),
    "connector.meter": TRANSPORT | {"model", "poll_interval", "max_power", "meter_grace"},
    "connector.evse": TRANSPORT | {"controller", "failsafe_current", "watchdog"},
    "tariff": frozenset({"currency", "vat_percentage", "energy"}),
    "tariff.slot": frozenset({"days", "start", "end", "energy"}),
    "delivery": frozenset(
        {
            "name",
            "type",
            "format",
            "url",
            "token_file",
            "path",
            "host",
            "port",
            "to",
            "user",
            "password_file",
        }
    ),
    "firmware": frozenset({"root_file"}),
    "ledger": frozenset({"keep_details_days", "max_size_mb"}),
    "log": frozenset({"level", "format"}),
}


def keys(value: Any, path: str = "") -> Iterator[str]:  # noqa: ANN401  a TOML document
    """Yield the dotted keys of all values."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from keys(inner, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for inner in value:
            yield from keys(inner, path)
    else:
        yield path


def test_the_example_is_the_smallest_file_that_works() -> None:
    assert set(keys(tomllib.loads(EXAMPLE.read_text()))) == {
        "station.id",
        "cloud.url",
        "connector.max_current",
        "connector.phases",
        "connector.meter.model",
        "connector.meter.transport",
        "connector.meter.device",
        "connector.meter.address",
        "connector.evse.controller",
        "connector.evse.transport",
        "connector.evse.host",
        "connector.evse.port",
        "connector.evse.address",
    }


def with_all_options() -> str:
    """Return the example with each commented option switched on."""
    return re.sub(r"(?m)^#(?=[a-z\[])", "", EXAMPLE.read_text())


def test_the_options_of_the_example_are_configuration_keys() -> None:
    shown = [key.rpartition(".") for key in keys(tomllib.loads(with_all_options()))]
    assert [f"{section}.{key}" for section, _, key in shown if key not in KEYS[section]] == []
    assert {section for section, _, _ in shown} == KEYS.keys()


def test_the_agent_takes_the_example_and_finds_nothing_useless_in_it() -> None:
    assert load(EXAMPLE, {}).notes == ()


def test_the_agent_takes_every_option_of_the_example(tmp_path: Path) -> None:
    configuration = tmp_path / "agent.toml"
    here = with_all_options().replace("/srv/statements", str(tmp_path))
    configuration.write_text(re.sub(r"(?m)^\w+_file = .*\n", "", here))
    (tmp_path / "delivery.fleet.password").write_text("correct horse")
    assert load(configuration, {}, tmp_path).notes == ()


def test_the_credentials_of_the_service_are_the_secrets(tmp_path: Path) -> None:
    cloud, payroll = re.findall(r"(?m)^#LoadCredential=(\S+?):", SERVICE.read_text())
    (tmp_path / cloud).write_text("correct horse\n")
    (tmp_path / payroll).write_text("t0ken\n")
    configuration = tmp_path / "agent.toml"
    configuration.write_text(
        f'{EXAMPLE.read_text()}\n[[delivery]]\nname = "payroll"\ntype = "https"\nurl = "https://payroll.example"\n'
    )
    loaded = load(configuration, {}, tmp_path)
    assert loaded.password is not None
    assert loaded.password.get_secret_value() == "correct horse"
    assert loaded.secrets == {"payroll": tmp_path / payroll}
