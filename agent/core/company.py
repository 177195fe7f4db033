"""The company link: which company sessions go to, its settings, and which sessions may leave (contract section 5)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from typing import Final

from agent.core.model import Profile, Reporting
from agent.core.prices import PriceBlock
from agent.core.tariff import Tariff


class LinkState(StrEnum):
    """How far the link with a company has come."""

    NONE = "none"
    PENDING = "pending"
    LINKED = "linked"
    REJECTED = "rejected"
    UNSUPPORTED = "unsupported"


TAKEN_IN: Final = frozenset({LinkState.LINKED, LinkState.PENDING})
"""The states in which a company may send what holds for its stations."""
UNTOLD_MOST: Final = 8
"""So many codes that were left are remembered to be told; an older one is not."""
NOT_LINKED: Final = "the station is not linked to a company"


@dataclass(frozen=True, slots=True)
class CompanySettings:
    """What the company decides for this station; applied whole, from the next session on.

    refund_percentage: 0 to 100; tariff None: the one of the configuration file.
    """

    version: int
    session_logging: bool = True
    automatic_payment: bool = False
    refund_percentage: Decimal = Decimal(100)
    tariff: Tariff | None = None


@dataclass(frozen=True, slots=True)
class LinkAnswer:
    """A readable answer to LinkCompany, or a CompanyLink that the company sent.

    status: PENDING, LINKED or REJECTED.
    """

    status: LinkState
    reason: str | None = None
    name: str | None = None
    settings: CompanySettings | None = None


@dataclass(frozen=True, slots=True)
class Company:
    """The link as it stands; durable.

    left: the code that ``unlink`` left: its sessions stay here for ever; None where nothing was left.
    configured: the configuration file's code that was acted upon; only another one is acted upon again.
    earlier: the tariff that holds until that of the settings begins; prices: by the hour, as they were pushed, a later
    block wins. untold: codes that were left, as long as the central system has not heard.
    """

    code: str | None = None
    state: LinkState = LinkState.NONE
    name: str | None = None
    reason: str | None = None
    settings: CompanySettings | None = None
    left: str | None = None
    configured: str | None = None
    earlier: Tariff | None = None
    prices: tuple[PriceBlock, ...] = ()
    untold: tuple[str, ...] = ()

    @property
    def settings_version(self) -> int | None:
        """Version of the settings in force, None without any."""
        return None if self.settings is None else self.settings.version


#: What a fleet session that begins in each state may do.
REPORTING: Final = {
    LinkState.NONE: Reporting.REPORT,
    LinkState.UNSUPPORTED: Reporting.REPORT,
    LinkState.LINKED: Reporting.REPORT,
    LinkState.PENDING: Reporting.HOLD,
    LinkState.REJECTED: Reporting.LOCAL_ONLY,
}


def reporting(company: Company, profile: Profile) -> Reporting:
    """Tell what a session that begins now may do (contract, section 5, table of link states)."""
    logging_off = company.settings is not None and not company.settings.session_logging
    if profile is Profile.PRIVATE or logging_off or (company.state is LinkState.NONE and company.left is not None):
        return Reporting.LOCAL_ONLY
    return REPORTING[company.state]


def remote_start_allowed(company: Company) -> bool:
    """Tell whether the link lets a central system start a session (contract, section 5)."""
    return reporting(company, Profile.FLEET) is Reporting.REPORT


def request(company: Company, code: str) -> Company:
    """Return the link right after somebody asked for a code; one that was not refused keeps what is known of it."""
    if company.code == code and company.state not in {LinkState.NONE, LinkState.REJECTED}:
        return company
    reason = "waiting for the central system"
    untold = tuple(left for left in company.untold if left != code)
    return Company(
        code=code, state=LinkState.PENDING, reason=reason, configured=company.configured, untold=untold[-UNTOLD_MOST:]
    )


def answered(company: Company, answer: LinkAnswer) -> Company:
    """Return the link after the central system told its state.

    Older settings change nothing; a company that refuses the station has none to make.
    """
    name = answer.name or company.name
    told = replace(company, state=answer.status, reason=answer.reason, name=name)
    if answer.status is LinkState.REJECTED:
        return replace(told, settings=None, earlier=None, prices=())
    newer = answer.settings is not None and answer.settings.version != company.settings_version
    if newer and answer.settings is not None and acceptable(told, answer.settings) is None:
        return replace(told, settings=answer.settings)
    return told


def acceptable(company: Company, settings: CompanySettings) -> str | None:
    """Return why settings are refused, None when they may be applied."""
    if company.state not in TAKEN_IN:
        return NOT_LINKED
    current = company.settings_version
    if current is not None and settings.version < current:
        return f"version {settings.version} is older than {current}, which is in force"
    return None


def unlinked(company: Company) -> Company:
    """Return the link after leaving the company."""
    left = company.code or company.left
    untold = (*(code for code in company.untold if code != company.code), *filter(None, (company.code,)))
    return Company(left=left, configured=company.configured, untold=untold[-UNTOLD_MOST:])


def told(company: Company, code: str) -> Company:
    """Return the link after the central system has heard that a code was left."""
    return replace(company, untold=tuple(left for left in company.untold if left != code))
