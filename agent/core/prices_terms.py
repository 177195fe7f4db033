"""The terms that a session begins with: the tariff that is in force, on the basis that the statement is made on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from typing import Final

from agent.core.company import Company
from agent.core.instant import Instant, TimeStatus
from agent.core.policy import Policy
from agent.core.prices import PriceBlock, frozen
from agent.core.tariff import Basis, Dimension, Element, PriceComponent, Restrictions, Tariff, Terms

EVERY_YEAR: Final = 0
"""Stands for all years that have no flat price of their own."""


def terms_at(policy: Policy, company: Company, at: Instant, *, fleet: bool) -> Terms | None:
    """Return the terms that a session beginning now is frozen with, None where no tariff is known.

    The company's tariff wins over the configuration file's; private sessions are not refunded.
    """
    tariff = tariff_at(company, at) or policy.tariff
    if tariff is None:
        return None
    if policy.basis is Basis.FLAT:
        tariff = flat_tariff(tariff.currency, dict(policy.flat))
    percentage = company.settings.refund_percentage if company.settings else Decimal(100)
    known = policy.basis is Basis.HOURLY and at.status is not TimeStatus.UNKNOWN
    prices = frozen(_known(policy, company, tariff.currency), at.wall) if known else ()
    return Terms(tariff, policy.timezone, percentage if fleet else None, policy.basis, prices)


def known_prices(terms: Terms | None, policy: Policy, company: Company) -> tuple[PriceBlock, ...]:
    """Return all hourly prices that are known now in the terms' currency; pushed ones win over the file's."""
    return () if terms is None else _known(policy, company, terms.tariff.currency)


def in_currency(blocks: Iterable[PriceBlock], currency: str) -> tuple[PriceBlock, ...]:
    """Return the prices that a tariff of a currency can be charged by."""
    return tuple(block for block in blocks if block.currency in {None, currency})


def _known(policy: Policy, company: Company, currency: str) -> tuple[PriceBlock, ...]:
    return in_currency((*policy.hourly, *company.prices), currency)


def tariff_at(company: Company, at: Instant) -> Tariff | None:
    """Return the company's tariff for a session that begins now, None where it has none, or none that is valid now.

    Until the newest one begins the one before it holds. A station that does not know the time takes the newest.
    """
    newest = company.settings.tariff if company.settings else None
    if newest is None or at.status is TimeStatus.UNKNOWN:
        return newest
    return next((tariff for tariff in (newest, company.earlier) if tariff is not None and tariff.valid(at.wall)), None)


def with_earlier(before: Company, after: Company, at: Instant) -> Company:
    """Return a link that took settings anew with the tariff that holds until that of the settings begins."""
    newest = after.settings.tariff if after.settings else None
    if after.settings is before.settings:
        return after
    waits = newest is not None and newest.begins is not None and newest.begins > at.wall
    return replace(after, earlier=tariff_at(before, at) if waits else None)


def flat_tariff(currency: str, years: Mapping[int, Decimal]) -> Tariff:
    """Return the tariff that a tax office's flat prices stand for; it has no VAT and nothing but energy.

    years: price per kWh by calendar year, EVERY_YEAR for all others. Energy of a year without one has no price.
    """
    elements = [
        Element(_flat(price), Restrictions(start_date=date(year, 1, 1), end_date=date(year + 1, 1, 1)))
        for year, price in sorted(years.items())
        if year != EVERY_YEAR
    ]
    if EVERY_YEAR in years:
        elements.append(Element(_flat(years[EVERY_YEAR])))
    return Tariff(currency, tuple(elements), id="flat")


def settled(terms: Terms, end: datetime) -> Terms:
    """Return the terms that a session which ends then is charged by: of flat prices the one of that year alone.

    As with its month, a session belongs to the year that it ends in by local time. Without a price for that year its
    energy has none.
    """
    if terms.basis is not Basis.FLAT:
        return terms
    local = end.astimezone(terms.zone)
    found = [Element(element.components) for element in terms.tariff.elements if element.restrictions.allow(local)]
    return replace(terms, tariff=replace(terms.tariff, elements=tuple(found[:1])))


def _flat(price: Decimal) -> tuple[PriceComponent, ...]:
    return (PriceComponent(Dimension.ENERGY, price),)
