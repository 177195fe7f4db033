"""The security log: lines, bounds, and what of it is given out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent.core.effects import KeepSecurityEvent
from agent.core.instant import Instant, TimeStatus
from agent.core.security_model import SecurityEventKind
from agent.trust import security_log
from agent.trust.security_log import LOG, SecurityLog

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def event(minutes: int = 0, info: str | None = "why") -> KeepSecurityEvent:
    at = Instant(1.0, NOON + timedelta(minutes=minutes), TimeStatus.SYNCHRONISED, 1)
    return KeepSecurityEvent(SecurityEventKind.STARTUP, at, info)


def test_an_event_is_a_line_in_a_file_closed_to_others(tmp_path: Path) -> None:
    log = SecurityLog(tmp_path)
    assert log.text() == ""
    log.add(event(info="two\nlines\tand \x1b[31m red"))
    log.add(event(1, None))
    assert log.text() == (
        "2026-11-24T12:00:00.000Z\tStartupOfTheDevice\ttwo lines and [31m red\n"
        "2026-11-24T12:01:00.000Z\tStartupOfTheDevice\t\n"
    )
    assert (tmp_path / LOG).stat().st_mode & 0o777 == 0o600


def test_only_what_lies_between_two_moments_is_given_out(tmp_path: Path) -> None:
    log = SecurityLog(tmp_path)
    for minute in range(4):
        log.add(event(minute))
    within = log.text(NOON + timedelta(minutes=1), NOON + timedelta(minutes=2)).splitlines()
    assert [line[:16] for line in within] == ["2026-11-24T12:01", "2026-11-24T12:02"]
    assert log.text(latest=NOON).count("\n") == 1


def test_the_log_stays_small_and_keeps_the_newest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(security_log, "MOST", 1000)
    log = SecurityLog(tmp_path)
    for minute in range(500):
        log.add(event(minute))
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 2000
    lines = log.text().splitlines()
    assert len(lines) > 15
    assert lines[-1].startswith("2026-11-24T20:19")
    assert lines == sorted(lines)


def test_a_damaged_line_is_given_out_as_it_is(tmp_path: Path) -> None:
    log = SecurityLog(tmp_path)
    (tmp_path / LOG).write_bytes(b"\xff garbage\n")
    log.add(event())
    assert "garbage" in log.text(NOON)
