"""Settings in force: the file's, with what was changed on top."""

from __future__ import annotations

import pytest

from agent.core.settings import Overrides, Settings


def test_a_changed_setting_wins_until_it_is_reset() -> None:
    base = Settings(sample_interval_s=30)
    changed = Overrides().put("sample_interval_s", 10).put("stop_on_invalid", value=False)
    assert changed.over(base) == Settings(sample_interval_s=10, stop_on_invalid=False)
    assert changed.drop("sample_interval_s").over(base) == Settings(sample_interval_s=30, stop_on_invalid=False)


def test_a_setting_is_changed_once_however_often() -> None:
    assert Overrides().put("a", 1).put("b", 2).put("a", 3).values == (("b", 2), ("a", 3))


def test_dropping_what_was_not_changed_changes_nothing() -> None:
    assert Overrides().drop("a") == Overrides()


def test_a_setting_of_another_release_is_left_alone() -> None:
    assert Overrides().put("of_tomorrow", "x").over(Settings()) == Settings()


@pytest.mark.parametrize("name", ["message_attempts", "reset_retries", "connection_timeout_s"])
def test_defaults_make_a_station_that_works(name: str) -> None:
    assert getattr(Settings(), name) > 0
