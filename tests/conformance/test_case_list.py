"""No case that is owed a test is without one."""

from __future__ import annotations

from tests.conformance.cases import OWED, written


def test_every_case_that_is_owed_has_a_test() -> None:
    missing = sorted(OWED - set(written()))
    assert not missing, f"cases without a test: {missing}"
