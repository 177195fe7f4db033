"""Security as the core decides it: which profile the link uses, what is a security event, when a certificate is due.

A new profile is on trial until it has connected once; when it fails a few times the one before holds again, and after
its first success never a lower one (whitepaper ed. 3, A05). Keys and certificates are with somebody else (``Entrust``).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from agent.core.commands import CallRef, Outcome, Result
from agent.core.effects import (
    Answer,
    ClearRequest,
    Entrust,
    KeepSecurityEvent,
    MakeRequest,
    Reconnect,
    SendRequest,
)
from agent.core.events import CloudChanged
from agent.core.facts import SecurityEventRaised
from agent.core.security_commands import RequestCertificate, SecurityCommand
from agent.core.security_events import (
    CertificateBegins,
    CertificateExpires,
    ConnectFailed,
    Entrusted,
    RequestAnswered,
    RequestMade,
    SecurityNews,
    SecurityNoticed,
)
from agent.core.security_model import DAILY, Guard, Security, SecurityEventKind
from agent.core.turn import Turn

TRIALS: Final = 3
"""So many attempts a new profile has before the old one holds again."""
INFO_LENGTH: Final = 255
MUTUAL_TLS: Final = 3
BASIC: Final = frozenset({1, 2})
CLOCK_STEP_S: Final = 20.0
"""A clock that was set by more than this is a security event."""


def entrust(turn: Turn, call: CallRef, command: SecurityCommand) -> Outcome | None:
    """Have a command carried out by who keeps keys and certificates; None: the answer comes from there."""
    if isinstance(command, RequestCertificate):
        return Outcome(command, request_certificate(turn))
    turn.effects.append(Entrust(call, command))
    return None


def request_certificate(turn: Turn) -> Result:
    """Begin with a new certificate of the station (A02); REJECTED while nobody has named the operator (CpoName)."""
    if not turn.settings.cpo_name:
        return Result.REJECTED
    turn.effects.append(MakeRequest(turn.settings.cpo_name))
    return Result.ACCEPTED


def raise_event(turn: Turn, kind: SecurityEventKind, info: str | None = None) -> None:
    """Keep a security event in the log, and queue it for the central system unless it is of no concern there."""
    info = None if info is None else info[:INFO_LENGTH]
    turn.effects.append(KeepSecurityEvent(kind, turn.at, info))
    if turn.settings.security_profile or kind not in DAILY:
        turn.facts.append(SecurityEventRaised(kind, turn.at, info))


def take(turn: Turn, news: SecurityNews) -> None:  # noqa: C901  # one line per event
    """Draw the consequences of what came in about security."""
    match news:
        case Entrusted():
            _answered(turn, news)
        case ConnectFailed():
            _connect_failed(turn, news)
        case SecurityNoticed(kind, info):
            _once(turn, kind, info)
        case RequestMade(csr):
            turn.effects.append(SendRequest(csr))
        case RequestAnswered(accepted):
            turn.effects += [ClearRequest()] if accepted is False else []
        case CertificateExpires():
            request_certificate(turn)
        case CertificateBegins():
            if turn.settings.security_profile == MUTUAL_TLS:
                turn.effects.append(Reconnect("a new certificate of this station is valid from now on"))


def connected(turn: Turn, event: CloudChanged) -> None:
    """Take that a connection stands: a profile on trial has proven itself, and what was told may be told anew."""
    if not event.connected or event.profile is None:
        return
    turn.state = replace(turn.state, guard=Guard())
    if turn.state.security.fallback is not None and event.profile == turn.settings.security_profile:
        turn.state = replace(turn.state, security=Security())


def changed_profile(turn: Turn, before: int, *, on_trial: bool) -> None:
    """Take that another security profile shall be used; on_trial: as the central system asks, who may fail to take it.

    The installer, who takes back what was changed, knows what he does.
    """
    now = turn.settings.security_profile
    if now == before:
        return
    fallback = before if turn.state.security.fallback is None else turn.state.security.fallback
    turn.state = replace(turn.state, security=Security(fallback if on_trial else None), guard=Guard())
    turn.effects.append(Reconnect(f"security profile {now} is to be used"))
    raise_event(turn, SecurityEventKind.RECONFIGURATION, f"security profile {now} instead of {before}")


def clock_stepped(turn: Turn, by_s: float) -> None:
    """Take that the wall clock was set."""
    if abs(by_s) > CLOCK_STEP_S:
        raise_event(turn, SecurityEventKind.SETTING_SYSTEM_TIME, f"the clock was set by {by_s:+.0f} s")


def _answered(turn: Turn, done: Entrusted) -> None:
    turn.effects.append(Answer(done.call, done.outcome))
    if done.kind is not None:
        raise_event(turn, done.kind, done.info)
    if done.reconnect and turn.settings.security_profile in BASIC:
        turn.effects.append(Reconnect(done.info or "the password was changed"))


def _connect_failed(turn: Turn, failed: ConnectFailed) -> None:
    if failed.kind is not None:
        _once(turn, failed.kind, failed.words)
    fallback, tried = turn.state.security.fallback, turn.settings.security_profile
    if fallback is None or failed.profile != tried:
        return
    turn.state = replace(turn.state, guard=replace(turn.state.guard, failures=turn.state.guard.failures + 1))
    if turn.state.guard.failures >= TRIALS:
        _fall_back(turn, tried, fallback)


def _fall_back(turn: Turn, tried: int, before: int) -> None:
    """Use the old profile again; the configuration file's own is no change of it."""
    overrides = turn.state.overrides.drop("security_profile")
    if turn.policy.settings.security_profile != before:
        overrides = overrides.put("security_profile", before)
    turn.state = replace(
        turn.state, overrides=overrides, security=Security(), guard=replace(turn.state.guard, failures=0)
    )
    words = f"security profile {tried} does not connect, {before} holds again"
    turn.effects.append(Reconnect(words))
    raise_event(turn, SecurityEventKind.RECONFIGURATION, words)


def _once(turn: Turn, kind: SecurityEventKind, info: str | None) -> None:
    """Raise an event, one of its kind between two good connections: a cause that lasts is told once."""
    if kind not in turn.state.guard.told:
        turn.state = replace(turn.state, guard=replace(turn.state.guard, told=turn.state.guard.told | {kind}))
        raise_event(turn, kind, info)
