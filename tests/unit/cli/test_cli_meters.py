"""``meters``: the list, a file that is checked and explained, and a simulated meter that is read with it."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from agent.cli.main import main
from agent.meter.modbus_meter import DEFINITIONS, available_models
from simulators.circuit import HandClock
from simulators.meter import Meter, MeterBus

OWN = """
model = "Own 1P"
source = "its manual"
[bus]
baudrate = 19200
parity = "E"
stop_bits = 1
[points.poll]
energy_import = { function = 4, address = 0x0048, type = "f32", unit = "Wh", scale = 1000 }
"""


@contextmanager
def served(meter: Meter) -> Iterator[int]:
    """Serve a meter on a TCP port, in a thread of its own: the command runs a loop of its own, too."""
    ready, ports, ended = threading.Event(), [0], []

    async def serve() -> None:
        async with MeterBus.on_tcp(meter) as bus:
            ports[0] = bus.port
            over = asyncio.Event()
            ended.append((asyncio.get_running_loop(), over))
            ready.set()
            await over.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert ready.wait(5)
    try:
        yield ports[0]
    finally:
        for loop, over in ended:
            loop.call_soon_threadsafe(over.set)
        thread.join(5)


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    status = main(["meters", *(str(argument) for argument in arguments)])
    told = capsys.readouterr()
    return status, told.out, told.err


def quick(folder: Path, model: str) -> Path:
    """Return a copy of a definition without the pause between two requests."""
    path = folder / f"{model}.toml"
    text = (DEFINITIONS / path.name).read_text(encoding="utf-8")
    path.write_text(re.sub(r"min_gap_ms = \d+", "min_gap_ms = 0", text), encoding="utf-8")
    return path


def test_every_meter_is_listed_with_the_names_on_its_housings(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "list")
    assert status == 0
    assert all(f"{model} " in out for model in available_models())
    assert "WAGO 879-30x0" in out
    assert all(len(line) <= 110 for line in out.splitlines())
    status, out, _ = run(capsys, "list", "--json")
    found = {entry["id"]: entry for entry in json.loads(out)}
    assert tuple(found) == available_models()
    assert found["eastron_sdm72dm"]["values"] == ["power_total", "energy_import", "energy_export"]
    assert "power_total" in found["kostal_ksem"]["values"]


def test_a_good_file_is_explained(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "own_1p.toml"
    path.write_text(OWN)
    status, out, err = run(capsys, "check", path)
    assert (status, err) == (0, "")
    assert out.startswith(f"{path}: no errors\n")
    assert "19200 8E1, address 1" in out
    assert "energy_import  poll  input 72 (0x0048)  f32   x 1000 Wh" in out
    assert "TOLD" not in out
    assert run(capsys, "check", path, "--json")[1] == '{\n  "ok": true,\n  "errors": [],\n  "values": {}\n}\n'


@pytest.mark.parametrize("model", available_models())
def test_every_known_meter_can_be_explained_by_its_id(capsys: pytest.CaptureFixture[str], model: str) -> None:
    status, out, err = run(capsys, "check", model)
    assert (status, err) == (0, "")
    assert "energy_import" in out


def test_a_file_at_fault_is_told_line_by_line_and_is_status_1(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "own_1p.toml"
    path.write_text(OWN.replace('"f32"', '"f33"').replace("19200", "1"))
    status, out, err = run(capsys, "check", path)
    assert (status, out) == (1, "")
    assert [line.partition(" is not allowed")[0] for line in err.splitlines()] == [
        f"{path}: bus.baudrate: 1",
        f"{path}: points.poll.energy_import.type: 'f33'",
    ]
    status, out, err = run(capsys, "check", path, "--json")
    assert (status, err) == (1, "")
    document = json.loads(out)
    assert (document["ok"], len(document["errors"]), document["values"]) == (False, 2, {})


def test_what_is_no_meter_is_status_1(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "cannot be read" in run(capsys, "check", tmp_path / "none.toml")[2]
    assert "'sdm' is not known: use one of abb_b21" in run(capsys, "check", "sdm")[2]
    controller = DEFINITIONS.parents[1] / "evse" / "definitions" / "evse_din.toml"
    status, out, err = run(capsys, "check", controller)
    assert (status, out) == (1, "")
    assert "control: is not allowed: a meter is read alone" in err


@pytest.mark.parametrize("model", ["eastron_sdm630_v2", "sunspec_203", "siemens_pac2200"])
def test_a_live_meter_is_read_with_a_file(capsys: pytest.CaptureFixture[str], model: str, tmp_path: Path) -> None:
    path = quick(tmp_path, model)
    with served(Meter(model, clock=HandClock(), register_wh=1_234_567)) as port:
        where = ("--transport", "tcp", "--host", "127.0.0.1", "--port", port)
        status, out, err = run(capsys, "check", path, *where, "--json")
        assert (status, err) == (0, "")
        document = json.loads(out)
        assert (document["ok"], document["errors"]) == (True, [])
        assert document["values"]["energy_import"] == pytest.approx(1_234_567, abs=0.2)
        status, out, _ = run(capsys, "check", path, *where)
    assert status == 0
    (line,) = [line for line in out.splitlines() if line.startswith("energy_import ")]
    assert "123456" in line


def test_a_meter_that_is_another_is_told_with_what_it_tells(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    meter = Meter(clock=HandClock(), lenient=True)
    path = quick(tmp_path, meter.model)
    values = tuple(replace(one, fixed=0x89) if one.name == "model_code" else one for one in meter.map.values)
    meter.map = replace(meter.map, values=values)
    with served(meter) as port:
        status, out, err = run(capsys, "check", path, "--host", "127.0.0.1", "--port", port)
        assert status == 1
        assert "1234567.0" in out
        assert "model_code is 137, not one of 112, 121, 0; check the model" in err
        meter.pretended["voltage_l1"] = 23.0
        assert (
            "voltage_l1 is 23.0 V, not 80 to 300; check types, scales and word orders of the file"
            in (run(capsys, "check", path, "--host", "127.0.0.1", "--port", port)[2])
        )
        meter.pretended["frequency"] = 500.0
        document = json.loads(run(capsys, "check", path, "--host", "127.0.0.1", "--port", port, "--json")[1])
        assert document["values"]["frequency"] == 500
        assert "told 500.00 Hz, which cannot be" in document["errors"][0]


def test_a_meter_that_does_not_answer_is_status_1(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    status, out, err = run(capsys, "check", "abb_b23", "--device", tmp_path / "ttyUSB9", "--address", 3)
    assert status == 1
    assert "energy_import" in out
    assert "TOLD" not in out
    assert err.startswith(f"meter address 3 on {tmp_path}/ttyUSB9: the port is not there")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--address", 3), "add --device /dev/ttyUSB0"),
        (("--transport", "rtu", "--host", "x"), "add --device /dev/ttyUSB0"),
        (("--transport", "rtu-over-tcp", "--device", "x"), "add --host 192.168.1.20"),
        (("--device", "x", "--port", 70000), "argument --port: invalid port (1 to 65535) value: '70000'"),
        (("--device", "x", "--parity", "X"), "argument --parity: invalid choice"),
    ],
)
def test_options_that_make_no_line_are_status_2(
    capsys: pytest.CaptureFixture[str], arguments: tuple[object, ...], words: str
) -> None:
    status, out, err = run(capsys, "check", "abb_b23", *arguments)
    assert (status, out) == (2, "")
    assert words in err


def test_the_schema_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "schema")
    assert status == 0
    assert json.loads(out)["title"] == "Definition file of a meter"
