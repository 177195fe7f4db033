"""Cases 32 and 188 to 198: passwords, profiles, TLS, certificates and security events."""

from __future__ import annotations

import hashlib
import ssl
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent.ocpp.security import Credentials
from agent.trust.request import requested
from simulators.csms.certificates import Authority
from tests.conformance.authority import ACCEPTED, KEY, PASSWORD, REJECTED, Bench, change, install, modes, sent_password
from tests.conformance.csms import Csms, Refuse
from tests.conformance.rig import Rig
from tests.conformance.steps import offline, online

EVENT = "SecurityEventNotification"
DECODED = bytes.fromhex(KEY)


@pytest.fixture
def bench(rig: Rig) -> Bench:
    return Bench(rig, known={"password": PASSWORD})


async def upgraded(bench: Bench, profile: int, tls: ssl.SSLContext) -> Csms:
    """Upgrade, while the central system comes back as the profile wants it."""
    csms, number = bench.rig.csms, len(bench.rig.csms.connections) + 1
    assert await change(csms, "SecurityProfile", profile) == "Accepted"
    await bench.moved(tls)
    await csms.connection(number + (len(csms.connections) >= number), 10.0)
    return csms


async def test_case_032_a_password_that_is_changed_while_pending(bench: Bench) -> None:
    csms = bench.rig.csms
    bench.rig.settings = type(bench.rig.settings)(security_profile=1)
    bench.rig.plan.wallet = bench.setup
    csms.on("BootNotification", {"status": "Pending", "currentTime": csms.now(), "interval": 60})
    await csms.up()
    await bench.rig.start()
    first = await csms.expect("BootNotification")
    await csms.until(lambda: first.answered_at, "the answer")
    assert await change(csms, "AuthorizationKey", KEY) == "Accepted"
    csms.on("BootNotification", None)
    await csms.connection(2)
    assert sent_password(csms) == DECODED
    await csms.expect("BootNotification")


async def test_case_188_basic_credentials_on_every_handshake(bench: Bench) -> None:
    csms = await bench.ready(1)
    for number in (2, 3):
        await csms.close()
        await csms.connection(number)
    assert len(csms.handshakes) == 3
    for handshake in csms.handshakes:
        assert handshake.headers["authorization"].startswith("Basic ")
        assert handshake.path.endswith("/NL-TEST-1")
    assert sent_password(csms) == PASSWORD


async def test_case_188_tls_and_its_suites(bench: Bench) -> None:
    bench.rig.csms._tls = bench.tls()
    bench.rig.credentials = Credentials(ca_file=_file(bench, bench.authority))
    csms = await bench.ready(2)
    secure = csms.newest.ear.transport.get_extra_info("ssl_object")
    assert secure.version() in {"TLSv1.2", "TLSv1.3"}
    assert sent_password(csms) == PASSWORD


async def test_case_188_a_client_certificate_is_presented(bench: Bench) -> None:
    bench.rig.credentials = Credentials(ca_file=_file(bench, bench.authority))
    bench.rig.csms._tls = bench.tls(demands=bench.authority)
    key, chain = bench.rig.folder / "client.key", bench.rig.folder / "client.pem"
    made = _client(bench.authority)
    chain.write_text(made[0])
    key.write_text(made[1])
    bench.known = {"certificate": chain, "key": key}
    csms = await bench.ready(3)
    secure = csms.newest.ear.transport.get_extra_info("ssl_object")
    assert dict(pair for part in secure.getpeercert()["subject"] for pair in part)["commonName"] == "WB-0001"
    assert sent_password(csms) is None


async def test_case_189_the_password_is_changed_and_used_decoded_twice(bench: Bench) -> None:
    csms = await bench.ready(1)
    for number, (text, decoded) in enumerate(((KEY, DECODED), ("00FF80" * 6, bytes.fromhex("00FF80" * 6))), 2):
        csms.mark()
        assert await change(csms, "AuthorizationKey", text) == "Accepted"
        await csms.connection(number)
        assert sent_password(csms) == decoded
        await csms.expect(EVENT, type="ReconfigurationOfSecurityParameters")
        assert not csms.of("BootNotification")
    assert modes(bench.rig.folder)["authorization_key.json"] == 0o600


@pytest.mark.parametrize("text", ["sixteen-chars-16", "twenty characters 20", "1234567890abcdef", "pässwörter-sind-ok"])
async def test_case_189_a_plain_password_is_used_as_it_stands(bench: Bench, text: str) -> None:
    csms = await bench.ready(1)
    assert await change(csms, "AuthorizationKey", text) == "Accepted"
    await csms.connection(2)
    assert sent_password(csms) == text.encode()


async def test_case_189_a_new_password_survives_a_restart(bench: Bench) -> None:
    csms = await bench.ready(1)
    await change(csms, "AuthorizationKey", KEY)
    await csms.connection(2)
    await bench.rig.crash()
    await bench.rig.start()
    await csms.connection(3)
    assert sent_password(csms) == DECODED


async def test_case_189_a_new_password_that_is_refused_gives_way_to_the_old_one(bench: Bench) -> None:
    csms = await bench.ready(1)
    csms.refusals.append(401)
    assert await change(csms, "AuthorizationKey", KEY) == "Accepted"
    await csms.connection(2)
    assert sent_password(csms) == PASSWORD
    await csms.expect(EVENT, type="FailedToAuthenticateAtCentralSystem")
    await csms.close()
    await csms.connection(3)
    assert sent_password(csms) == PASSWORD


@pytest.mark.parametrize("text", ["short", "x" * 15, "x" * 21, "A" * 33, "G" * 32, "A" * 42, ""])
async def test_case_190_a_password_of_another_form_is_rejected(bench: Bench, text: str) -> None:
    csms = await bench.ready(1)
    frame = await csms.ask("ChangeConfiguration", {"key": "AuthorizationKey", "value": text})
    assert frame[0] == 4 or frame[2] == REJECTED
    assert text not in str(frame) or not text
    await csms.close()
    await csms.connection(2)
    assert sent_password(csms) == PASSWORD


async def test_case_190_the_password_is_told_to_nobody(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    csms = await bench.ready(1)
    await change(csms, "AuthorizationKey", KEY)
    await csms.connection(2)
    everything = await csms.call("GetConfiguration")
    assert "AuthorizationKey" not in [entry["key"] for entry in everything["configurationKey"]]
    named = await csms.call("GetConfiguration", key=["AuthorizationKey"])
    assert named["configurationKey"] == [{"key": "AuthorizationKey", "readonly": False}]
    printed = "".join(capsys.readouterr())
    told = printed + str(everything) + bench.rig.now.wallet.log.text()
    told += "".join(path.read_bytes().decode("latin-1") for path in bench.rig.folder.glob("ledger*"))
    assert KEY not in told
    assert DECODED.decode() not in told


async def test_case_191_an_upgrade_from_0_to_1(bench: Bench) -> None:
    csms = await bench.ready(0)
    assert sent_password(csms) is None
    csms.mark()
    assert await change(csms, "SecurityProfile", 1) == "Accepted"
    await csms.connection(2)
    assert sent_password(csms) == PASSWORD
    assert not csms.of("BootNotification")
    assert await csms.value("SecurityProfile") == "1"
    for lower in (0, 1):
        assert await change(csms, "SecurityProfile", lower) == "Rejected"
    for wrong in ("4", "-1", "x", ""):
        assert await change(csms, "SecurityProfile", wrong) == "Rejected"


async def test_case_191_an_upgrade_from_1_to_2_and_from_2_to_3(bench: Bench) -> None:
    csms = await bench.ready(1)
    assert await bench.trusted() == ACCEPTED
    await upgraded(bench, 2, bench.tls())
    assert sent_password(csms) == PASSWORD
    await csms.change("CpoName", "Acme BV")
    assert await bench.certified() == ACCEPTED
    await upgraded(bench, 3, bench.tls(demands=bench.authority))
    assert sent_password(csms) is None
    assert await csms.value("SecurityProfile") == "3"
    await bench.rig.until(lambda: bench.rig.now.loop.state.security.fallback is None, "a proven profile")
    dialled = len(csms.handshakes)
    await offline(bench.rig)
    await online(bench.rig)
    assert all("authorization" not in handshake.headers for handshake in csms.handshakes[dialled:])


async def test_case_192_what_a_profile_needs_has_to_be_there(rig: Rig) -> None:
    bench = Bench(rig)
    csms = await bench.ready(0)
    for profile in (1, 2, 3):
        assert await change(csms, "SecurityProfile", profile) == "Rejected"
    assert await change(csms, "AuthorizationKey", KEY) == "Accepted"
    for profile in (2, 3):
        assert await change(csms, "SecurityProfile", profile) == "Rejected"
    assert await bench.trusted() == ACCEPTED
    assert await change(csms, "SecurityProfile", 3) == "Rejected"
    assert await csms.value("SecurityProfile") == "0"


@pytest.mark.timeout(20)
async def test_case_192_a_profile_that_does_not_connect_gives_way_to_the_old_one(bench: Bench) -> None:
    csms = await bench.ready(1)
    assert await bench.trusted() == ACCEPTED
    assert await change(csms, "SecurityProfile", 2) == "Accepted"
    await csms.connection(2, 15.0)
    assert sent_password(csms) == PASSWORD
    assert await csms.value("SecurityProfile") == "1"
    told = await csms.expect(EVENT, techInfo="security profile 2 does not connect, 1 holds again")
    assert told["type"] == "ReconfigurationOfSecurityParameters"
    assert await change(csms, "SecurityProfile", 2) == "Accepted"


@pytest.mark.timeout(20)
async def test_case_192_a_server_that_refuses_after_the_upgrade(bench: Bench) -> None:
    csms = await bench.ready(0)
    csms.refusals.extend([401] * 3)
    assert await change(csms, "SecurityProfile", 1) == "Accepted"
    await csms.connection(2, 15.0)
    assert sent_password(csms) is None
    assert await csms.value("SecurityProfile") == "0"


async def test_case_192_a_trial_goes_on_over_a_restart(bench: Bench) -> None:
    csms = await bench.ready(1)
    assert await bench.trusted() == ACCEPTED
    assert await change(csms, "SecurityProfile", 2) == "Accepted"
    await bench.rig.crash()
    await bench.moved(bench.tls())
    await bench.rig.start()
    await csms.until(lambda: csms.connected, "a connection")
    await bench.rig.until(lambda: bench.rig.now.loop.state.security.fallback is None, "a proven profile")
    assert await csms.value("SecurityProfile") == "2"


NOW = datetime.now(UTC)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"by": Authority.new("a stranger")}, "unknown CA"),
        ({"life": (NOW - timedelta(days=9), NOW - timedelta(days=1))}, "has expired"),
        ({"life": (NOW + timedelta(days=1), NOW + timedelta(days=9))}, "is not valid yet"),
        ({"names": ["csms.example"]}, "not for this IP address"),
    ],
)
async def test_case_193_a_server_certificate_that_is_wrong(bench: Bench, wrong: dict[str, object], words: str) -> None:
    rig = bench.rig
    rig.credentials = Credentials(ca_file=_file(bench, bench.authority))
    rig.csms._tls = bench.tls()
    csms = await bench.ready(2)
    await bench.moved(bench.tls(**wrong))  # type: ignore[arg-type]  # one keyword each
    await rig.until(lambda: words in str(rig.now.service.status().last_error), "words for the installer")
    assert not csms.connected
    await bench.moved(bench.tls())
    told = await csms.expect(EVENT, type="InvalidCentralSystemCertificate")
    assert words in told["techInfo"]
    await rig.settle()
    assert len(csms.of(EVENT, type="InvalidCentralSystemCertificate")) == 1


async def test_case_193_a_server_that_speaks_only_tls_1_1(bench: Bench) -> None:
    rig = bench.rig
    rig.credentials = Credentials(ca_file=_file(bench, bench.authority))
    rig.csms._tls = bench.tls()
    csms = await bench.ready(2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        old = bench.tls(most=ssl.TLSVersion.TLSv1_1)
    await bench.moved(old)
    await rig.until(lambda: "TLS" in str(rig.now.service.status().last_error), "words for the installer")
    await bench.moved(bench.tls())
    await csms.connection(2)
    assert csms.of(EVENT) or await csms.call("GetConfiguration")


async def test_case_194_a_certificate_is_signed_and_used(bench: Bench) -> None:
    rig = bench.rig
    rig.csms._tls = bench.tls(demands=bench.authority)
    rig.credentials = Credentials(ca_file=_file(bench, bench.authority))
    key, chain = rig.folder / "client.key", rig.folder / "client.pem"
    made = _client(bench.authority)
    chain.write_text(made[0])
    key.write_text(made[1])
    bench.known |= {"certificate": chain, "key": key}
    csms = await bench.ready(3, CpoName="Acme BV")
    before = _serial(csms)
    assert await bench.certified() == ACCEPTED
    await csms.connection(2)
    assert _serial(csms) != before
    secure = csms.newest.ear.transport.get_extra_info("ssl_object")
    subject = dict(pair for part in secure.getpeercert()["subject"] for pair in part)
    assert subject == {"organizationName": "Acme BV", "commonName": "WB-0001"}
    assert {mode for name, mode in modes(rig.folder).items() if name.startswith("station_")} == {0o600}


async def test_case_194_a_certificate_for_later_is_taken_and_waits(bench: Bench) -> None:
    csms = await bench.ready(1, CpoName="Acme BV")
    assert await bench.trusted() == ACCEPTED
    later = (NOW + timedelta(days=2), NOW + timedelta(days=365))
    assert await bench.certified(lambda csr: bench.authority.sign(csr, later)) == ACCEPTED
    assert not bench.rig.now.wallet.view().certificate
    assert await change(csms, "SecurityProfile", 3) == "Rejected"


async def test_case_194_nobody_can_be_asked_without_the_name_of_the_operator(bench: Bench) -> None:
    csms = await bench.ready(1)
    answer = await csms.call("ExtendedTriggerMessage", requestedMessage="SignChargePointCertificate")
    assert answer == REJECTED
    await bench.rig.quiet("SignCertificate")


@pytest.mark.parametrize(
    "wrong",
    ["stranger", "expired", "another key", "another name", "garbage", "none", "for a server"],
)
async def test_case_194_a_bad_chain_is_rejected_and_told(bench: Bench, wrong: str) -> None:
    csms = await bench.ready(1, CpoName="Acme BV")
    assert await bench.trusted() == ACCEPTED
    past = (NOW - timedelta(days=9), NOW - timedelta(days=1))
    other = _request("WB-0001", "Acme BV"), _request("WB-0002", "Acme BV")
    signs = {
        "stranger": Authority.new("a stranger").sign,
        "expired": lambda csr: bench.authority.sign(csr, past),
        "another key": lambda _csr: bench.authority.sign(other[0]),
        "another name": lambda _csr: bench.authority.sign(other[1]),
        "garbage": lambda _csr: "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        "none": lambda _csr: "",
        "for a server": lambda _csr: bench.authority.issue(["WB-0001"])[0],
    }
    assert await bench.certified(signs[wrong]) == REJECTED
    await csms.expect(EVENT, type="InvalidChargePointCertificate")
    assert not list(bench.rig.folder.glob("station_*.pem"))


async def test_case_194_a_request_that_is_rejected_is_forgotten(bench: Bench) -> None:
    csms = await bench.ready(1, CpoName="Acme BV")
    csms.once("SignCertificate", REJECTED)
    await csms.call("ExtendedTriggerMessage", requestedMessage="SignChargePointCertificate")
    request = await csms.expect("SignCertificate")
    await bench.rig.until(lambda: not (bench.rig.folder / "station_request.key").exists(), "a key that is gone")
    answer = await csms.call("CertificateSigned", certificateChain=bench.authority.sign(request["csr"]))
    assert answer == REJECTED


async def test_case_194_a_certificate_is_renewed_a_month_before_it_expires(bench: Bench) -> None:
    csms = await bench.ready(1, CpoName="Acme BV")
    assert await bench.trusted() == ACCEPTED
    soon = (NOW - timedelta(days=1), NOW + timedelta(days=29))
    csms.once("SignCertificate", ACCEPTED)
    assert await bench.certified(lambda csr: bench.authority.sign(csr, soon)) == ACCEPTED
    renewal = await csms.expect("SignCertificate")
    late = (NOW - timedelta(hours=1), NOW + timedelta(days=365))
    answer = await csms.call("CertificateSigned", certificateChain=bench.authority.sign(renewal["csr"], late))
    assert answer == ACCEPTED
    csms.mark()
    await bench.rig.quiet("SignCertificate")


@pytest.mark.parametrize("use", ["ManufacturerRootCertificate", "CentralSystemRootCertificate"])
async def test_case_195_roots_are_installed_listed_and_deleted(bench: Bench, use: str) -> None:
    csms = await bench.ready(1)
    assert await csms.call("GetInstalledCertificateIds", certificateType=use) == {"status": "NotFound"}
    for authority in (bench.authority, Authority.new("another")):
        assert await install(csms, authority.pem, use) == ACCEPTED
    assert await install(csms, bench.authority.pem, use) == ACCEPTED
    listed = await csms.call("GetInstalledCertificateIds", certificateType=use)
    assert len(listed["certificateHashData"]) == 2
    for data in listed["certificateHashData"]:
        assert await csms.call("DeleteCertificate", certificateHashData=data) == ACCEPTED
        assert await csms.call("DeleteCertificate", certificateHashData=data) == {"status": "NotFound"}
    assert await csms.call("GetInstalledCertificateIds", certificateType=use) == {"status": "NotFound"}


@pytest.mark.parametrize("algorithm", ["SHA256", "SHA384", "SHA512"])
async def test_case_195_certificates_are_named_as_in_ocsp(bench: Bench, algorithm: str) -> None:
    csms = await bench.ready(1)
    assert await bench.trusted() == ACCEPTED
    listed = await csms.call("GetInstalledCertificateIds", certificateType="CentralSystemRootCertificate")
    (data,) = listed["certificateHashData"]
    assert data["issuerKeyHash"] == hashlib.sha256(bench.authority.key.public).hexdigest()
    digest = getattr(hashlib, algorithm.lower())
    der = ssl.PEM_cert_to_DER_cert(bench.authority.pem)
    name = b"\x30" + _between(der, bench.authority.name.encode())
    named = {
        "hashAlgorithm": algorithm,
        "issuerNameHash": digest(name).hexdigest().upper(),
        "issuerKeyHash": digest(bench.authority.key.public).hexdigest().upper(),
        "serialNumber": f"00{data['serialNumber'].upper()}",
    }
    assert await csms.call("DeleteCertificate", certificateHashData=named) == ACCEPTED


async def test_case_196_the_root_in_use_and_the_stations_own_certificate_stay(bench: Bench) -> None:
    csms = await bench.ready(1, CpoName="Acme BV")
    assert await bench.trusted() == ACCEPTED
    assert await bench.certified() == ACCEPTED
    await upgraded(bench, 2, bench.tls())
    listed = await csms.call("GetInstalledCertificateIds", certificateType="CentralSystemRootCertificate")
    (data,) = listed["certificateHashData"]
    assert await csms.call("DeleteCertificate", certificateHashData=data) == {"status": "Failed"}
    (own,) = bench.rig.now.wallet._held.own
    named = own.certificate.named("SHA256", bench.authority.key.public)
    mine = {"hashAlgorithm": "SHA256", "issuerNameHash": named.issuer_name, "issuerKeyHash": named.issuer_key}
    answer = await csms.call("DeleteCertificate", certificateHashData=mine | {"serialNumber": named.serial})
    assert answer == {"status": "Failed"}
    assert bench.rig.now.wallet.view().certificate


async def test_case_196_what_is_no_root_and_more_than_there_is_room_for_is_rejected(bench: Bench) -> None:
    csms = await bench.ready(1)
    for text in ("garbage", bench.authority.issue(["h"])[0], bench.authority.pem * 2, bench.authority.pem[:-60]):
        assert await install(csms, text) == REJECTED
    past = Authority.new("of old", NOW - timedelta(days=800))
    assert await install(csms, past.pem) == REJECTED
    for number in range(10):
        assert await install(csms, Authority.new(f"no. {number}").pem) == ACCEPTED
    assert await install(csms, bench.authority.pem) == REJECTED


async def test_case_196_another_root_must_be_signed_by_the_present_one(bench: Bench) -> None:
    bench.known["additional_check"] = True
    rig, next_one = bench.rig, bench.authority.successor()
    csms = await bench.ready(1)
    assert await csms.value("AdditionalRootCertificateCheck") == "true"
    assert await bench.trusted() == ACCEPTED
    assert await bench.trusted(Authority.new("a stranger")) == REJECTED
    assert await bench.trusted(next_one) == ACCEPTED
    await upgraded(bench, 2, bench.tls())  # the old one is kept until the new one has verified a connection
    assert len(rig.now.wallet._held.central) == 2
    await bench.moved(bench.tls(by=next_one))
    await csms.until(lambda: csms.connected, "a connection by the new root")
    await rig.until(lambda: len(rig.now.wallet._held.central) == 1, "an old root that is gone")
    await offline(rig)
    await online(rig)


async def test_case_198_events_that_happen_offline_are_delivered_after_a_restart(bench: Bench) -> None:
    csms = await bench.ready(1)
    await csms.call("Reset", type="Soft")
    await csms.connection(2)
    await csms.expect(EVENT, type="ResetOrReboot")
    await offline(bench.rig)
    await bench.rig.crash()
    await csms.up()
    csms.mark()
    await bench.rig.start()
    boot = await csms.expect("BootNotification")
    startup = await csms.expect(EVENT, type="StartupOfTheDevice")
    assert boot.index < startup.index


async def test_case_198_events_wait_for_the_accepted_boot(bench: Bench) -> None:
    csms = bench.rig.csms
    bench.rig.settings = type(bench.rig.settings)(security_profile=1, message_retry_interval_s=1)
    bench.rig.plan.wallet = bench.setup
    csms.once("BootNotification", {"status": "Pending", "currentTime": csms.now(), "interval": 1})
    await csms.up()
    await bench.rig.start()
    await csms.expect("BootNotification")
    await bench.rig.quiet(EVENT)
    first = await csms.expect(EVENT, type="StartupOfTheDevice")
    assert first.index > csms.of("BootNotification")[-1].index


async def test_case_198_at_profile_0_a_start_is_kept_in_the_log_alone(rig: Rig) -> None:
    await rig.ready()
    await rig.quiet(EVENT)
    assert "\tStartupOfTheDevice\t" in rig.now.wallet.log.text()
    assert modes(rig.folder)["security.log"] == 0o600


def _file(bench: Bench, authority: Authority) -> Path:
    path = bench.rig.folder / "ca.pem"
    path.write_text(authority.pem)
    return path


def _client(authority: Authority) -> tuple[str, str]:
    made = requested("WB-0001", "Acme BV")
    return authority.sign(made.csr), made.key


def _request(common_name: str, organisation: str) -> str:
    return requested(common_name, organisation).csr


def _serial(csms: Csms) -> str:
    secure = csms.newest.ear.transport.get_extra_info("ssl_object")
    return str(secure.getpeercert()["serialNumber"])


def _between(der: bytes, name: bytes) -> bytes:
    """Return length and content of the name that holds this text first: the issuer's."""
    at = der.index(name)
    return der[at - 12 : at + len(name)] if len(name) < 116 else b""


async def test_case_198_an_event_is_tried_until_it_is_taken_and_holds_up_no_session(bench: Bench) -> None:
    csms = bench.rig.csms
    bench.rig.settings = type(bench.rig.settings)(security_profile=1, message_retry_interval_s=1)
    bench.rig.plan.wallet = bench.setup
    csms.once(EVENT, *[Refuse("InternalError")] * 2)
    await csms.up()
    await bench.rig.start()
    await bench.rig.booted()
    first = await csms.expect(EVENT, type="StartupOfTheDevice")
    await bench.rig.charging()
    second = await csms.expect(EVENT, type="StartupOfTheDevice")
    third = await csms.expect(EVENT, type="StartupOfTheDevice")
    assert first.message_id == second.message_id == third.message_id


async def test_case_198_a_central_system_without_security_events_is_not_bothered_again(bench: Bench) -> None:
    csms = bench.rig.csms
    bench.rig.settings = type(bench.rig.settings)(security_profile=1, message_retry_interval_s=1)
    bench.rig.plan.wallet = bench.setup
    csms.on(EVENT, Refuse("NotImplemented"))
    await csms.up()
    await bench.rig.start()
    await bench.rig.booted()
    await csms.expect(EVENT, type="StartupOfTheDevice")
    await bench.rig.until(lambda: bench.rig.now.service.status().queued == 0, "an empty queue")
