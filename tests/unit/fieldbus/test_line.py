"""Line settings: gaps filled from the definition, names, times, conflicts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agent.core.errors import ConfigError
from agent.fieldbus.line import LineSettings, Transport, conflict
from agent.fieldbus.points import Bus

BUS = Bus(baudrate=19200, parity="E", stop_bits=1, tcp_port=1502)
RTU = LineSettings(Transport.RTU, "/dev/ttyUSB0").completed(BUS)
TCP = LineSettings(Transport.TCP, host="10.0.0.7").completed(BUS)


def test_gaps_are_filled_from_the_definition_and_nothing_else_is() -> None:
    assert RTU.form == "19200 8E1"
    assert LineSettings(Transport.RTU, "/dev/ttyUSB0", 9600, "N", 2).completed(BUS).form == "9600 8N2"
    assert (TCP.name, RTU.name) == ("10.0.0.7:1502", "/dev/ttyUSB0")


def test_a_line_without_its_place_is_refused() -> None:
    with pytest.raises(ConfigError, match="device: is missing: rtu needs the path of a serial port"):
        LineSettings(Transport.RTU).completed(BUS)
    with pytest.raises(ConfigError, match="host: is missing: rtu-over-tcp needs a host name or address"):
        LineSettings(Transport.RTU_OVER_TCP, "/dev/ttyUSB0").completed(BUS)


def test_bytes_take_their_time_on_a_serial_line_only() -> None:
    assert RTU.seconds(1920) == pytest.approx(1.1)
    assert replace(RTU, parity="N", stopbits=2).seconds(1920) == pytest.approx(1.1)
    assert TCP.seconds(1000) == 0


def test_two_devices_on_one_port_need_the_same_settings(tmp_path: Path) -> None:
    name = tmp_path / "by-id"
    name.symlink_to("/dev/ttyUSB0")
    assert conflict(RTU, RTU) is None
    assert conflict(RTU, replace(RTU, device="/dev/ttyUSB1", baudrate=300)) is None
    assert conflict(RTU, replace(RTU, device=str(name), baudrate=9600)) == (
        "/dev/ttyUSB0: used with 19200 8E1 and with 9600 8E1; devices on one bus need the same settings"
    )


def test_a_reader_shares_its_port_with_nothing() -> None:
    reader = replace(RTU, transport=Transport.SERIAL)
    assert conflict(RTU, reader) == "/dev/ttyUSB0: a card reader shares its port with nothing else"
    assert conflict(reader, reader) is not None


def test_one_host_is_used_in_one_way() -> None:
    assert conflict(TCP, TCP) is None
    assert conflict(TCP, replace(TCP, transport=Transport.RTU_OVER_TCP)) == (
        "10.0.0.7:1502: used as tcp and as rtu-over-tcp"
    )
