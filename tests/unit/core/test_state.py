"""What a restart finds again, what costs a commit, and that all of it can be stored as JSON."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from pydantic import TypeAdapter

from agent.core.asking import Asking
from agent.core.commands import BlockCard, ChangeAvailability, ChangeSetting, LinkCompany, PushCompanySettings
from agent.core.company import CompanySettings, LinkAnswer, LinkState
from agent.core.events import LinkAnswered
from agent.core.facts import Fact
from agent.core.model import STATION
from agent.core.state import (
    Availability,
    Cloud,
    Durable,
    EvseState,
    IdSource,
    Left,
    Session,
    StationState,
    Tokens,
    durable,
    restored,
    same_slices,
)
from tests.unit.core.charger import ALICE, ONE, PRIVATE, TWO, Charger, a_charger, cached, charging, fleet
from tests.unit.core.test_sampling import DAY_AND_NIGHT, at


def a_full_charger() -> Charger:
    """Return a charger of which everything durable is in use."""
    c = cached(a_charger(tariff=DAY_AND_NIGHT), ALICE)
    c.online()
    c.command(LinkCompany("ACME"), "control")
    c.do(LinkAnswered("ACME", LinkAnswer(LinkState.LINKED, None, "Acme BV", CompanySettings(1))))
    c.command(PushCompanySettings(CompanySettings(2, tariff=DAY_AND_NIGHT, refund_percentage=Decimal("66.6"))))
    c.command(ChangeSetting("sampled_measurands", ("Voltage.L1",)))
    c.command(BlockCard(PRIVATE, "lost"), "control")
    fleet(at("22:59:00", c))
    c.run(90)
    c.command(ChangeAvailability(STATION, operative=False))
    c.card(ALICE)
    return c


def test_a_restart_finds_again_what_is_durable_and_nothing_else() -> None:
    c = a_full_charger()
    slices = durable(c.state)
    found = restored(slices, (ONE, TWO))
    assert durable(found).sessions == slices.sessions
    assert found.evse(ONE).session == c.session
    assert found.evse(ONE).availability == Availability(operative=True, scheduled=False)
    assert (found.tokens, found.overrides, found.company) == (c.state.tokens, c.state.overrides, c.state.company)
    assert (found.ids, found.station) == (c.state.ids, Availability(operative=False))
    assert found.cloud == Cloud()
    assert found.evse(ONE).meter.reading is None
    assert found.evse(TWO) == EvseState(TWO)


def test_slices_are_the_same_exactly_when_they_are_the_same_objects() -> None:
    c = charging()
    before = durable(c.state)
    c.run(5)
    assert same_slices(before, durable(c.state))
    changes = [
        replace(before, sessions={}),
        replace(before, sessions={ONE: replace(before.sessions[ONE])}),
        replace(before, availability={ONE: Availability(operative=False)}),
        replace(before, tokens=Tokens()),
        replace(before, overrides=replace(before.overrides)),
        replace(before, company=replace(before.company)),
        replace(before, ids=IdSource()),
        replace(before, station=Availability(operative=True)),
    ]
    assert not any(same_slices(before, other) for other in changes)


def test_an_idle_station_writes_nothing() -> None:
    c = a_charger()
    before = durable(c.state)
    c.run(300)
    assert same_slices(before, durable(c.state))
    assert not c.facts


def test_a_charging_station_writes_once_a_minute() -> None:
    c = charging()
    commits, before = 0, durable(c.state)
    for _ in range(600):
        c.run(1)
        now = durable(c.state)
        commits += not same_slices(before, now)
        before = now
    assert commits == 10


@pytest.mark.parametrize("kind", [Session, Availability, Tokens, IdSource])
def test_every_slice_survives_being_stored(kind: type[Any]) -> None:
    slices = durable(a_full_charger().state)
    values = [*slices.sessions.values(), *slices.availability.values(), slices.tokens, slices.ids, slices.station]
    for value in (v for v in values if isinstance(v, kind)):
        adapter = TypeAdapter(kind)
        assert adapter.validate_json(adapter.dump_json(value)) == value


def test_all_slices_together_survive_being_stored() -> None:
    adapter = TypeAdapter(Durable)
    slices = durable(a_full_charger().state)
    assert adapter.validate_json(adapter.dump_json(slices)) == slices


def test_every_fact_survives_being_stored() -> None:
    c = a_full_charger()
    c.run(4)
    assert len({type(f) for f in c.facts}) == 4
    for fact in c.facts:
        adapter = TypeAdapter[Fact](type(fact))
        assert adapter.validate_json(adapter.dump_json(fact)) == fact


def test_an_evse_is_found_and_replaced_by_its_id() -> None:
    state = StationState((EvseState(ONE), EvseState(TWO)))
    changed = state.evse(TWO).leave(Left(finishing=True))
    assert state.put(changed).evses == (EvseState(ONE), changed)
    assert state.has(TWO)
    assert not StationState((EvseState(ONE),)).has(TWO)


@pytest.mark.parametrize(
    ("refused", "taken", "pending"), [(False, False, True), (True, False, False), (False, True, False)]
)
def test_a_question_is_pending_until_somebody_decides(refused: bool, taken: bool, pending: bool) -> None:
    c = charging()
    asking = Asking(1, ONE, ALICE, c.session.trigger, 0.0, 0.0, refused=refused, taken=taken)
    assert asking.pending is pending
