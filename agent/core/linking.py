"""The company link as it is lived: asking, being taken in, refused or let go, and what that means for held sessions."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import Final

from agent.core import company as companies
from agent.core.commands import (
    LinkCompany,
    Outcome,
    PushCompanyLink,
    PushCompanySettings,
    PushDayAheadPrices,
    Result,
    UnlinkCompany,
)
from agent.core.company import LinkAnswer, LinkState
from agent.core.effects import SendCompanyLink, SendCompanyUnlink
from agent.core.events import LinkFailure
from agent.core.facts import HeldDropped, HeldReleased
from agent.core.instant import Instant
from agent.core.policy import Policy
from agent.core.prices import taken
from agent.core.prices_push import refusal
from agent.core.prices_terms import tariff_at, with_earlier
from agent.core.state import StationState
from agent.core.turn import Step, Turn

UNANSWERED: Final = "the central system did not take the request for the link; it is asked again at growing intervals"
RETRY_FIRST_S: Final = 30.0
RETRY_MOST_S: Final = 900.0
RETRY_DOUBLINGS: Final = 5
TOLD: Final = frozenset({LinkState.LINKED, LinkState.PENDING, LinkState.REJECTED})
"""What a company may say of a link."""


def accepted_boot(turn: Turn) -> None:
    """Ask again for the link after each accepted boot (contract, section 5), and tell again what was left unheard."""
    _send(turn)
    turn.effects.extend(SendCompanyUnlink(code) for code in turn.state.company.untold)


def due(turn: Turn) -> None:
    """Ask again where the last try failed and its time has come."""
    retry = turn.state.link_retry
    if retry is not None and turn.at.mono >= retry[0] and turn.state.cloud.online:
        _send(turn)


def configured(state: StationState, at: Instant, policy: Policy) -> Step:
    """Return the step that acts on the file's company code where it is a new one; one once left is not taken up again.

    It follows recovery at a start, apart from it: this one may have to wait for the ledger.
    """
    turn = Turn(state, at, policy)
    if policy.company_code is not None and policy.company_code.upper() != state.company.configured:
        code = policy.company_code.upper()
        if code != state.company.code:
            _request(turn, code)
        turn.state = replace(turn.state, company=replace(turn.state.company, configured=code))
    return turn.step()


def link(turn: Turn, command: LinkCompany) -> Outcome:
    """Link to a company; what was held for another one stays here."""
    _request(turn, command.code.upper())
    turn.state = replace(turn.state, link_retry=(turn.at.mono, 0))
    return Outcome(command, Result.ACCEPTED)


def unlink(turn: Turn, command: UnlinkCompany) -> Outcome:
    """Leave the company at once."""
    code = turn.state.company.code
    if code is None:
        return Outcome(command, Result.REJECTED, companies.NOT_LINKED)
    turn.state = replace(turn.state, company=companies.unlinked(turn.state.company), link_retry=None)
    turn.facts.append(HeldDropped(code))
    turn.effects.append(SendCompanyUnlink(code))
    return Outcome(command, Result.ACCEPTED)


def answered(turn: Turn, code: str, answer: LinkAnswer | LinkFailure) -> None:
    """Take the central system's answer to LinkCompany; one for a code that is no longer ours changes nothing."""
    if code != turn.state.company.code:
        return
    if answer is LinkFailure.FAILED:
        _retry(turn)
    elif answer is LinkFailure.UNSUPPORTED:
        reason = "the central system knows no company links; sessions are reported as with any other"
        company = replace(turn.state.company, state=LinkState.UNSUPPORTED, reason=reason)
        turn.state = replace(turn.state, company=company, link_retry=None)
        turn.facts.append(HeldReleased(code))
    else:
        _take(turn, code, answer)


def unlink_told(turn: Turn, code: str) -> None:
    """Take that the central system has heard that a company was left."""
    if code in turn.state.company.untold:
        turn.state = replace(turn.state, company=companies.told(turn.state.company, code))


def pushed(turn: Turn, command: PushCompanyLink) -> Outcome:
    """Take a link that the company activates or ends by itself."""
    code = turn.state.company.code
    if code is None:
        return Outcome(command, Result.REJECTED, companies.NOT_LINKED)
    status = command.status.lower()
    if status not in TOLD:
        return Outcome(command, Result.REJECTED, f"status {command.status!r} is none of Linked, Pending, Rejected")
    _take(turn, code, LinkAnswer(LinkState(status), command.reason, command.name, command.settings))
    return Outcome(command, Result.ACCEPTED)


def settings(turn: Turn, command: PushCompanySettings) -> Outcome:
    """Take settings whole, or not at all; they hold from the next session on."""
    company = turn.state.company
    refusal = companies.acceptable(company, command.settings)
    if refusal is not None:
        return Outcome(command, Result.REJECTED, refusal)
    if company.settings_version != command.settings.version:
        taken = with_earlier(company, replace(company, settings=command.settings), turn.at)
        turn.state = replace(turn.state, company=taken)
    return Outcome(command, Result.ACCEPTED)


def prices(turn: Turn, command: PushDayAheadPrices) -> Outcome:
    """Take prices by the hour whole, or not at all; they also price what has ended without a cost (ADR 20)."""
    company = turn.state.company
    if company.state not in companies.TAKEN_IN:
        return Outcome(command, Result.REJECTED, companies.NOT_LINKED)
    tariff = tariff_at(company, turn.at) or turn.policy.tariff
    why = refusal(command.prices, basis=turn.policy.basis, in_force=tariff.currency if tariff else None)
    if why is not None:
        return Outcome(command, Result.REJECTED, why)
    known = taken(company.prices, command.prices, turn.at.wall)
    turn.state = replace(turn.state, company=replace(company, prices=known))
    return Outcome(command, Result.ACCEPTED)


def _take(turn: Turn, code: str, answer: LinkAnswer) -> None:
    company = with_earlier(turn.state.company, companies.answered(turn.state.company, answer), turn.at)
    if company != turn.state.company:
        turn.state = replace(turn.state, company=company)
    turn.state = replace(turn.state, link_retry=None)
    if answer.status is LinkState.LINKED:
        turn.facts.append(HeldReleased(code))
    elif answer.status is LinkState.REJECTED:
        turn.facts.append(HeldDropped(code))


def _request(turn: Turn, code: str) -> None:
    before = turn.state.company
    turn.state = replace(turn.state, company=companies.request(before, code), link_retry=None)
    if before.code is not None and before.code != code:
        turn.facts.append(HeldDropped(before.code))


def _send(turn: Turn) -> None:
    code, retry = turn.state.company.code, turn.state.link_retry
    if code is not None:
        turn.state = replace(turn.state, link_retry=(inf, 0 if retry is None else retry[1]))
        turn.effects.append(SendCompanyLink(code))


def _retry(turn: Turn) -> None:
    """Plan the next try: within a minute, then at growing intervals."""
    failures = turn.state.link_retry[1] + 1 if turn.state.link_retry else 1
    delay = min(RETRY_FIRST_S * 2 ** min(failures - 1, RETRY_DOUBLINGS), RETRY_MOST_S)
    turn.state = replace(turn.state, link_retry=(turn.at.mono + delay, failures))
    company = turn.state.company
    if company.state is LinkState.PENDING and company.reason != UNANSWERED:
        turn.state = replace(turn.state, company=replace(company, reason=UNANSWERED))
