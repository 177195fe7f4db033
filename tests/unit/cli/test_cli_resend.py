"""``sessions resend``: what a daemon does with it, and what is said without one."""

from __future__ import annotations

import pytest

from tests.unit.cli.installed import Station

FIRST = "019a1234-0000-7000-8000-000000000001"


def test_a_session_is_found_by_its_id_and_queued_again(with_ledger: Station) -> None:
    with with_ledger.running():
        assert with_ledger.call("sessions", "resend", FIRST) == (
            0,
            f"session {FIRST}: 3 messages queued again: see `sessions show`\n",
            "",
        )
        assert with_ledger.json("sessions", "resend", FIRST) == {"session": FIRST, "messages": 3}


@pytest.mark.parametrize(
    ("session", "words"),
    [
        ("019a1234-0000-7000-8000-000000000002", "was given up: look at `wallbox-agent sessions show"),
        ("ffff", "no session has the id 'ffff': look at `wallbox-agent sessions list`"),
        ("019a", "2 sessions begin with '019a': type more of the id"),
    ],
)
def test_what_cannot_be_sent_again_is_refused_in_one_line(with_ledger: Station, session: str, words: str) -> None:
    with with_ledger.running():
        status, out, err = with_ledger.call("sessions", "resend", session)
    assert (status, out) == (1, "")
    assert words in err
    assert len(err.splitlines()) == 1


def test_without_a_daemon_nothing_is_sent(with_ledger: Station) -> None:
    status, _, err = with_ledger.call("sessions", "resend", FIRST)
    assert status == 3
    assert "not running" in err
