"""A message at which the central system hangs up: forgiven at first, blamed when it was the same one too often."""

from __future__ import annotations

from agent.ocpp.hangups import FORGIVEN, SOON_S, Hangups


def lose(hangups: Hangups, row: int, after_s: float = 0.1) -> bool:
    """Send a message, lose the connection, and tell whether the message is blamed on the next one."""
    hangups.sent(row, 100.0)
    hangups.lost(100.0 + after_s)
    return hangups.blames(row)


def test_only_the_same_message_again_and_again_is_blamed_and_once_for_each_loss() -> None:
    hangups = Hangups()
    assert [lose(hangups, 1) for _ in range(FORGIVEN + 2)] == [False] * FORGIVEN + [True, True]
    assert not hangups.blames(1)
    assert not lose(hangups, 2)


def test_losses_that_have_other_causes_do_not_count() -> None:
    hangups = Hangups()
    for _ in range(3 * FORGIVEN):
        assert not lose(hangups, 1, SOON_S + 1)
        hangups.lost(200.0)
    for row in range(3 * FORGIVEN):
        assert not lose(hangups, row % 2)


def test_an_answer_takes_the_suspicion_away() -> None:
    hangups = Hangups()
    for _ in range(FORGIVEN):
        lose(hangups, 1)
    hangups.sent(1, 100.0)
    hangups.settled()
    hangups.lost(100.1)
    assert [lose(hangups, 1) for _ in range(FORGIVEN)] == [False] * FORGIVEN


def test_another_message_that_was_answered_meanwhile_does_not() -> None:
    hangups = Hangups()
    for _ in range(FORGIVEN):
        lose(hangups, 1)
        hangups.sent(7, 100.0)
        hangups.settled()
    assert lose(hangups, 1)
