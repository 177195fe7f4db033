"""Security profiles on trial, security events, certificates that are asked for: as the core decides them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from agent.core.commands import CallRef, ChangeSetting, Outcome, ResetSetting, Result
from agent.core.effects import Answer, ClearRequest, Entrust, KeepSecurityEvent, MakeRequest, Reconnect, SendRequest
from agent.core.events import ClockStepped, CloudChanged, CommandReceived, Event, Ticked
from agent.core.facts import SecurityEventRaised
from agent.core.instant import Instant, TimeStatus
from agent.core.model import EvseId
from agent.core.policy import EvsePolicy, Policy
from agent.core.security_commands import ChangePassword, RequestCertificate
from agent.core.security_events import (
    CertificateBegins,
    CertificateExpires,
    ConnectFailed,
    Entrusted,
    RequestAnswered,
    RequestMade,
    SecurityNoticed,
)
from agent.core.security_model import Security, SecurityEventKind
from agent.core.settings import Settings
from agent.core.state import EvseState, StationState
from agent.core.station import step
from agent.core.turn import Step

ONE = EvseId(1)
CALL = CallRef("cloud", "1")
KIND = SecurityEventKind


class Core:
    """A station whose steps are taken one after the other."""

    def __init__(self, profile: int = 1, **settings: object) -> None:
        self.policy = Policy((EvsePolicy(ONE),), settings=replace(Settings(security_profile=profile), **settings))  # type: ignore[arg-type]  # fields of Settings
        self.state = StationState((EvseState(ONE),))
        self.at = Instant(100.0, datetime(2026, 11, 24, 12, tzinfo=UTC), TimeStatus.SYNCHRONISED, 1)
        self.do(Ticked())

    def do(self, event: Event) -> Step:
        self.at = replace(self.at, mono=self.at.mono + 1)
        result = step(self.state, event, self.at, self.policy)
        self.state = result.state
        return result

    def ask(self, profile: int) -> Step:
        return self.do(CommandReceived(CALL, ChangeSetting("security_profile", profile)))

    @property
    def profile(self) -> int:
        return self.state.overrides.over(self.policy.settings).security_profile


def kinds(result: Step) -> list[SecurityEventKind]:
    return [fact.kind for fact in result.facts if isinstance(fact, SecurityEventRaised)]


def reconnects(result: Step) -> bool:
    return any(isinstance(effect, Reconnect) for effect in result.effects)


def failed(core: Core, times: int, kind: SecurityEventKind | None = None) -> list[Step]:
    return [core.do(ConnectFailed(core.profile, kind, "why")) for _ in range(times)]


def test_a_new_profile_is_used_at_once_after_the_answer() -> None:
    core = Core(1)
    result = core.ask(2)
    assert isinstance(result.effects[0], Answer)
    assert reconnects(result)
    assert kinds(result) == [KIND.RECONFIGURATION]
    assert (core.profile, core.state.security) == (2, Security(1))


def test_a_profile_that_connects_once_is_proven_and_no_failure_takes_it_back() -> None:
    core = Core(1)
    core.ask(2)
    core.do(CloudChanged(True, None, 1))  # the old connection, which is still there
    assert core.state.security == Security(1)
    core.do(CloudChanged(True, None, 2))
    assert core.state.security == Security()
    assert not any(map(reconnects, failed(core, 50)))
    assert core.profile == 2


def test_a_profile_that_fails_three_times_gives_way_to_the_one_before() -> None:
    core = Core(1)
    core.ask(2)
    core.do(CloudChanged(False, None))
    first, second, third = failed(core, 3)
    assert not reconnects(first)
    assert not reconnects(second)
    assert reconnects(third)
    assert kinds(third) == [KIND.RECONFIGURATION]
    assert (core.profile, core.state.security) == (1, Security())
    assert core.state.overrides.values == ()  # the file's own profile is no change of it


def test_failures_of_the_old_profile_do_not_count_against_the_new_one() -> None:
    core = Core(1)
    core.ask(2)
    for _ in range(9):
        core.do(ConnectFailed(1, None, "why"))
    assert core.profile == 2


def test_an_upgrade_during_a_trial_falls_back_to_what_was_proven() -> None:
    core = Core(0)
    core.ask(1)
    core.ask(2)
    assert core.state.security == Security(0)
    failed(core, 3)
    assert core.profile == 0


def test_the_installer_takes_a_change_back_for_good() -> None:
    core = Core(1)
    core.ask(2)
    core.do(CloudChanged(True, None, 2))
    result = core.do(CommandReceived(CallRef("control", "1"), ResetSetting("security_profile")))
    assert reconnects(result)
    assert (core.profile, core.state.security) == (1, Security())


def test_one_cause_is_told_once_until_a_connection_was_good() -> None:
    core = Core(2)
    results = failed(core, 5, KIND.INVALID_CENTRAL_SYSTEM_CERTIFICATE)
    assert [len(kinds(result)) for result in results] == [1, 0, 0, 0, 0]
    assert kinds(failed(core, 1, KIND.FAILED_TO_AUTHENTICATE)[0]) == [KIND.FAILED_TO_AUTHENTICATE]
    core.do(CloudChanged(True, None, 2))
    assert kinds(failed(core, 1, KIND.INVALID_CENTRAL_SYSTEM_CERTIFICATE)[0])


def test_at_profile_0_daily_events_stay_in_the_log() -> None:
    for profile, sent in ((0, []), (1, [KIND.STARTUP])):
        result = Core(profile).do(SecurityNoticed(KIND.STARTUP))
        assert kinds(result) == sent
        assert [e.kind for e in result.effects if isinstance(e, KeepSecurityEvent)] == [KIND.STARTUP]
    assert kinds(Core(0).do(SecurityNoticed(KIND.INVALID_CHARGE_POINT_CERTIFICATE)))


def test_a_clock_that_is_set_by_much_is_told() -> None:
    assert kinds(Core().do(ClockStepped(-19.0))) == []
    (fact,) = Core().do(ClockStepped(-90.0)).facts
    assert isinstance(fact, SecurityEventRaised)
    assert (fact.kind, fact.info) == (KIND.SETTING_SYSTEM_TIME, "the clock was set by -90 s")


def test_what_is_on_disk_is_answered_by_who_keeps_it() -> None:
    core, command = Core(1), ChangePassword(b"secret")
    asked = core.do(CommandReceived(CALL, command))
    assert asked.effects == (Entrust(CALL, command),)
    done = core.do(Entrusted(CALL, Outcome(command, Result.ACCEPTED), KIND.RECONFIGURATION, "changed", reconnect=True))
    assert isinstance(done.effects[0], Answer)
    assert reconnects(done)
    assert "secret" not in repr(asked) + repr(done)


def test_a_password_that_is_not_in_use_ends_no_connection() -> None:
    for profile in (0, 3):
        done = Entrusted(CALL, Outcome(ChangePassword(b"x"), Result.ACCEPTED), reconnect=True)
        assert not reconnects(Core(profile).do(done))


def test_a_certificate_is_asked_for_in_the_operators_name() -> None:
    core = Core(3, cpo_name="Acme BV")
    asked = core.do(CommandReceived(CALL, RequestCertificate()))
    assert asked.effects == (Answer(CALL, Outcome(RequestCertificate(), Result.ACCEPTED)), MakeRequest("Acme BV"))
    assert core.do(RequestMade("csr")).effects == (SendRequest("csr"),)
    assert core.do(RequestAnswered(accepted=True)).effects == ()
    assert core.do(RequestAnswered(accepted=False)).effects == (ClearRequest(),)
    assert core.do(CertificateExpires()).effects == (MakeRequest("Acme BV"),)
    assert Core(3).do(CertificateExpires()).effects == ()
    refused = Core(3).do(CommandReceived(CALL, RequestCertificate()))
    assert refused.effects == (Answer(CALL, Outcome(RequestCertificate(), Result.REJECTED)),)


def test_a_certificate_that_begins_is_used_at_once_where_certificates_are() -> None:
    assert reconnects(Core(3).do(CertificateBegins()))
    assert not reconnects(Core(2).do(CertificateBegins()))
