"""Log lines for people and as JSON: levels, stamps, what libraries may say, and that identifiers are masked."""

from __future__ import annotations

import io
import json
import logging
import re
import warnings
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
import structlog

from agent.core.commands import CallRef, PutCard
from agent.core.events import CardPresented, CommandReceived
from agent.core.model import IdToken, Profile
from agent.runtime.logs import Format, Level, configure, last_four

UID = "04A1B2C3D4E5F6"


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("agent")
    before = (root.handlers[:], root.level, ours.level)
    root.handlers = []  # else configure closes those of the test runner
    yield
    root.handlers, root.level, ours.level = before
    logging.captureWarnings(False)
    structlog.reset_defaults()


def lines(style: Format, level: Level = "info", stream: io.StringIO | None = None) -> tuple[io.StringIO, Iterator[str]]:
    out = stream or io.StringIO()
    configure(level, style, out)

    def written() -> Iterator[str]:
        yield from out.getvalue().splitlines()

    return out, written()


def test_a_json_line_has_time_level_logger_event_and_values() -> None:
    out, written = lines("json")
    structlog.get_logger("agent.runtime.loop").info("meter read", register=Decimal("1234.5"), connector=1)
    entry = json.loads(next(written))
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", entry.pop("timestamp"))
    assert entry == {
        "event": "meter read",
        "register": "1234.5",
        "connector": 1,
        "level": "info",
        "logger": "agent.runtime.loop",
    }
    assert out.getvalue().count("\n") == 1


def test_a_console_line_is_readable_and_has_no_colours_where_there_is_no_terminal() -> None:
    _, written = lines("console")
    structlog.get_logger("agent.x").warning("meter lost", connector=1)
    line = next(written)
    assert "\x1b" not in line
    assert re.fullmatch(r"20\S+Z \[warning *\] meter lost +\[agent\.x\] connector=1", line)


def test_a_terminal_gets_colours() -> None:
    _, written = lines("console", stream=Terminal())
    structlog.get_logger("agent.x").warning("meter lost")
    assert "\x1b[" in next(written)


def test_below_the_level_nothing_is_written() -> None:
    out, _ = lines("json", "warning")
    log = structlog.get_logger("agent.x")
    log.debug("no")
    log.info("no")
    log.warning("yes")
    assert [json.loads(line)["event"] for line in out.getvalue().splitlines()] == ["yes"]


def test_libraries_are_heard_from_warning_on_even_when_the_agent_speaks_of_everything() -> None:
    out, _ = lines("json", "debug")
    logging.getLogger("websockets.client").debug('> TEXT \'[2,"1","Authorize",{"idTag":"%s"}]\'', UID)
    logging.getLogger("serial").warning("port %s closed", "ttyUSB0")
    structlog.get_logger("agent.x").debug("ours")
    assert [json.loads(line)["event"] for line in out.getvalue().splitlines()] == ["port ttyUSB0 closed", "ours"]
    assert UID not in out.getvalue()


def test_python_warnings_become_lines() -> None:
    out, _ = lines("json")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old interface", UserWarning, stacklevel=1)
    assert "old interface" in out.getvalue()


@pytest.mark.parametrize("style", ["console", "json"])
def test_identifiers_are_masked_wherever_they_stand(style: Format) -> None:
    out, _ = lines(style)
    log = structlog.get_logger("agent.x")
    log.info("one", id_tag=UID, idTag=UID, card=UID, uid=UID, id_token=IdToken(UID), tag=UID)
    log.info("two", payload={"idTagInfo": {"parentIdTag": UID}, "list": [{"idToken": UID}]}, cards=[UID, UID])
    log.info("three", anything=IdToken(UID), event_seen=CardPresented(IdToken(UID)))
    log.info("four", command=CommandReceived(CallRef("control", "1"), PutCard(IdToken(UID), Profile.FLEET)))
    log.info("five", deep={"a": {"b": {"c": {"d": {"e": {"f": {"idTag": UID, "x": UID}}}}}}})
    assert UID not in out.getvalue()
    assert "E5F6" in out.getvalue()


def test_secrets_are_not_written_at_all() -> None:
    out, _ = lines("json")
    structlog.get_logger("agent.x").info(
        "set", password="hunter2", token="hunter2", AuthorizationKey="hunter2", headers={"Authorization": "hunter2"}
    )
    assert "hunter2" not in out.getvalue()
    assert "ter2" not in out.getvalue()


def test_what_is_no_identifier_is_left_alone() -> None:
    out, _ = lines("json")
    structlog.get_logger("agent.x").info("x", connector=1, card=None, values=(1, 2.5), reason="cards are fine")
    entry = json.loads(out.getvalue())
    assert (entry["connector"], entry["card"], entry["values"], entry["reason"]) == (
        1,
        None,
        [1, 2.5],
        "cards are fine",
    )


@pytest.mark.parametrize("style", ["console", "json"])
def test_an_exception_is_written_with_its_traceback(style: Format) -> None:
    out, _ = lines(style)
    try:
        Path("/dev/null/x").stat()
    except NotADirectoryError:
        structlog.get_logger("agent.x").exception("commit failed")
    assert "commit failed" in out.getvalue()
    assert "Traceback" in out.getvalue()
    assert "Not a directory" in out.getvalue()


def test_configuring_again_replaces_what_was() -> None:
    first, _ = lines("json")
    second, _ = lines("json")
    structlog.get_logger("agent.x").info("once")
    assert first.getvalue() == ""
    assert second.getvalue().count("once") == 1


@pytest.mark.parametrize(("text", "shown"), [(UID, "**********E5F6"), ("12345", "*2345"), ("1234", "****"), ("", "")])
def test_the_last_four_characters_are_never_all_of_them(text: str, shown: str) -> None:
    assert last_four(text) == shown
