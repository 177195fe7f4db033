"""The newest lines of the log."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import structlog

from agent.runtime import recent as module
from agent.runtime.logs import configure
from agent.runtime.recent import Recent, before


@pytest.fixture
def recent() -> Recent:
    return configure("info", "console", io.StringIO())


def test_lines_are_kept_masked_as_they_are_printed(recent: Recent) -> None:
    structlog.get_logger("agent.test").info("card held", card="04AABBCCDD", password="secret")
    structlog.get_logger("agent.test").debug("not at this level")
    (line,) = recent.lines()
    assert "******CCDD" in line
    assert "secret" not in line


def test_the_oldest_lines_go(recent: Recent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 1000)
    for number in range(100):
        structlog.get_logger("agent.test").info("line", number=number)
    lines = recent.lines()
    assert sum(map(len, lines)) <= 1000
    assert "number=99" in lines[-1]


def test_a_time_can_be_asked_for(recent: Recent) -> None:
    structlog.get_logger("agent.test").info("now")
    now = datetime.now(UTC)
    assert recent.lines(now - timedelta(minutes=1), now + timedelta(minutes=1))
    assert recent.lines(since=now + timedelta(minutes=1)) == []
    assert recent.lines(until=now - timedelta(minutes=1)) == []


def test_the_end_of_a_run_is_kept_with_its_reason(recent: Recent, tmp_path: Path) -> None:
    structlog.get_logger("agent.test").info("last words")
    recent.save(tmp_path, ValueError("why"))
    text = "\n".join(before(tmp_path))
    assert "last words" in text
    assert "ValueError: why" in text
    assert (tmp_path / module.BEFORE).stat().st_mode & 0o777 == 0o600


def test_a_disk_at_fault_is_no_matter(recent: Recent, tmp_path: Path) -> None:
    recent.save(tmp_path / "absent", None)
    assert before(tmp_path / "absent") == []
