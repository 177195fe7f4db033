"""The terms that a session begins with: whose tariff is in force, on which basis, and when a new one takes over."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from agent.core.company import Company, CompanySettings, LinkState
from agent.core.instant import Instant, TimeStatus
from agent.core.policy import EvsePolicy, Policy
from agent.core.prices import PriceBlock
from agent.core.prices_terms import flat_tariff, known_prices, settled, tariff_at, terms_at, with_earlier
from agent.core.tariff import Basis, Dimension, Element, PriceComponent, Tariff
from tests.unit.core.charger import ONE

NOW = Instant(100.0, datetime(2026, 12, 20, 12, tzinfo=UTC))
NEW_YEAR = datetime(2026, 12, 31, 23, tzinfo=UTC)


def priced_at(price: str, begins: datetime | None = None, ends: datetime | None = None) -> Tariff:
    element = Element((PriceComponent(Dimension.ENERGY, Decimal(price), Decimal(21)),))
    return Tariff("EUR", (element,), id=price, begins=begins, ends=ends)


def later(days: int) -> Instant:
    return Instant(NOW.mono + 86_400 * days, NOW.wall + timedelta(days=days))


FILE, OLD, NEW = priced_at("0.30"), priced_at("0.40"), priced_at("0.50", begins=NEW_YEAR)
POLICY = Policy(evses=(EvsePolicy(ONE),), timezone="Europe/Amsterdam", tariff=FILE)
LINKED = Company("ACME", LinkState.LINKED, settings=CompanySettings(7, refund_percentage=Decimal(80), tariff=OLD))
DAY = PriceBlock(NOW.wall, 60, tuple(Decimal(n) for n in range(24)))


def taking(company: Company, tariff: Tariff | None, at: Instant = NOW) -> Company:
    assert company.settings is not None
    settings = replace(company.settings, version=company.settings.version + 1, tariff=tariff)
    return with_earlier(company, replace(company, settings=settings), at)


def test_the_companys_tariff_wins_and_private_sessions_are_not_refunded() -> None:
    terms = terms_at(POLICY, LINKED, NOW, fleet=True)
    assert terms is not None
    assert (terms.tariff, terms.refund, terms.basis) == (OLD, Decimal(80), Basis.TARIFF)
    private = terms_at(POLICY, LINKED, NOW, fleet=False)
    assert private is not None
    assert private.refund is None
    own = terms_at(POLICY, Company(), NOW, fleet=True)
    assert own is not None
    assert (own.tariff, own.refund) == (FILE, Decimal(100))
    assert terms_at(replace(POLICY, tariff=None), Company(), NOW, fleet=True) is None


def test_the_tariff_before_holds_until_the_new_one_begins() -> None:
    company = taking(LINKED, NEW)
    assert tariff_at(company, NOW) == OLD
    assert tariff_at(company, later(11)) == OLD
    assert tariff_at(company, later(12)) == NEW
    assert company.earlier == OLD


def test_several_changes_before_the_begin_keep_what_holds_now() -> None:
    company = taking(taking(LINKED, NEW), replace(NEW, id="corrected"))
    assert tariff_at(company, NOW) == OLD
    assert taking(company, priced_at("0.45")).earlier is None
    assert taking(company, None).earlier is None


def test_a_tariff_that_is_over_gives_way_to_the_files() -> None:
    company = taking(LINKED, replace(OLD, ends=NEW_YEAR))
    terms = terms_at(POLICY, company, later(20), fleet=True)
    assert terms is not None
    assert terms.tariff == FILE


def test_a_station_that_does_not_know_the_time_takes_the_newest() -> None:
    unsure = Instant(1.0, datetime(1970, 1, 1, tzinfo=UTC), TimeStatus.UNKNOWN)
    assert tariff_at(taking(LINKED, NEW), unsure) == NEW


def test_hourly_terms_are_frozen_with_what_is_known_and_pushed_prices_win() -> None:
    pushed = PriceBlock(NOW.wall, 60, (Decimal(99),))
    policy = replace(POLICY, basis=Basis.HOURLY, hourly=(DAY,))
    company = replace(LINKED, prices=(pushed,))
    terms = terms_at(policy, company, NOW, fleet=True)
    assert terms is not None
    assert (terms.tariff, terms.basis, terms.prices) == (OLD, Basis.HOURLY, (DAY, pushed))
    assert known_prices(terms, policy, replace(company, prices=(replace(pushed, currency="SEK"),))) == (DAY,)
    assert known_prices(None, policy, company) == ()
    unsure = terms_at(policy, company, replace(NOW, status=TimeStatus.UNKNOWN), fleet=True)
    assert unsure is not None
    assert unsure.prices == ()


def test_a_flat_price_takes_the_place_of_any_tariff_and_keeps_its_currency() -> None:
    policy = replace(POLICY, basis=Basis.FLAT, flat=((0, Decimal("0.34")),))
    terms = terms_at(policy, LINKED, NOW, fleet=True)
    assert terms is not None
    assert terms.tariff == flat_tariff("EUR", {0: Decimal("0.34")})
    assert (terms.refund, terms.basis) == (Decimal(80), Basis.FLAT)
    assert terms_at(replace(policy, tariff=None), Company(), NOW, fleet=True) is None


def test_flat_terms_are_settled_by_the_local_year_of_the_end() -> None:
    years = {2026: Decimal("0.34"), 2027: Decimal("0.36"), 0: Decimal("0.30")}
    policy = replace(POLICY, basis=Basis.FLAT, flat=tuple(years.items()))
    terms = terms_at(policy, LINKED, NOW, fleet=True)
    assert terms is not None

    def price(end: datetime) -> list[str]:
        return [str(c.price) for element in settled(terms, end).tariff.elements for c in element.components]

    assert price(NEW_YEAR - timedelta(seconds=1)) == ["0.34"]
    assert price(NEW_YEAR) == ["0.36"]
    assert price(NEW_YEAR + timedelta(days=365)) == ["0.30"]
    only = replace(terms, tariff=flat_tariff("EUR", {2026: Decimal("0.34")}))
    assert settled(only, NEW_YEAR).tariff.elements == ()
    by_tariff = terms_at(POLICY, LINKED, NOW, fleet=True)
    assert by_tariff is not None
    assert settled(by_tariff, NEW_YEAR) is by_tariff
