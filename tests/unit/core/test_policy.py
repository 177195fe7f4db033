"""What the installation decides, looked up by connector."""

from __future__ import annotations

from agent.core.policy import EvsePolicy, Policy
from tests.unit.core.charger import ONE, TWO


def test_each_connector_has_its_policy_and_one_that_is_gone_the_defaults() -> None:
    two = EvsePolicy(TWO, meter_grace_s=5.0)
    policy = Policy(evses=(EvsePolicy(ONE), two))
    assert policy.evse(TWO) is two
    assert Policy(evses=(two,)).evse(ONE) == EvsePolicy(ONE)
