"""Cases 158 to 161 and 197 to 200, without what is about security events: firmware, diagnostics, logs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agent.core.settings import Settings
from tests.conformance.csms import Csms, Payload
from tests.conformance.files import Files, serving
from tests.conformance.firmware import BROKEN, GOOD, MUTE, Maker, TestInstaller
from tests.conformance.leaps import Leaps
from tests.conformance.rig import Rig

ACCEPTED = {"status": "Accepted"}
PLAIN, SIGNED = "FirmwareStatusNotification", "SignedFirmwareStatusNotification"
DIAGNOSTICS, LOG = "DiagnosticsStatusNotification", "LogStatusNotification"


@pytest.fixture
def leaps(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Leaps:
    return Leaps(rig, monkeypatch)


@pytest.fixture
def files() -> Iterator[Files]:
    with serving() as found:
        found.there |= {"/good": GOOD, "/broken": BROKEN, "/mute": MUTE, "/nonsense": b"<html>"}
        yield found


@pytest.fixture
def installer(rig: Rig) -> TestInstaller:
    rig.installer = TestInstaller()
    return rig.installer


@pytest.fixture(scope="module")
def maker(tmp_path_factory: pytest.TempPathFactory) -> Maker:
    return Maker(tmp_path_factory.mktemp("maker"))


def soon(seconds: float = -1) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


async def update(csms: Csms, location: str, *, at: str | None = None, retries: int = 0, interval: int = 0) -> None:
    answer = await csms.call(
        "UpdateFirmware", location=location, retrieveDate=at or soon(), retries=retries, retryInterval=interval
    )
    assert answer == {}


async def update_signed(csms: Csms, location: str, maker: Maker, request: int = 7, **more: Any) -> Payload:  # noqa: ANN401
    firmware = {
        "location": location,
        "retrieveDateTime": soon(),
        "signingCertificate": maker.certificate,
        "signature": maker.sign(GOOD),
    }
    return await csms.call(
        "SignedUpdateFirmware", requestId=request, retries=0, retryInterval=0, firmware=firmware | more
    )


def told(csms: Csms, action: str) -> list[str]:
    return [call["status"] for call in csms.of(action)]


async def steps(csms: Csms, action: str, *statuses: str, **fields: Any) -> None:  # noqa: ANN401  # JSON
    for status in statuses:
        await csms.expect(action, status=status, **fields)


async def test_case_158_update_firmware(rig: Rig, files: Files, installer: TestInstaller) -> None:
    csms = await rig.ready()
    await update(csms, f"{files.url}/good")
    await steps(csms, PLAIN, "Downloading", "Downloaded", "Installing")
    boot = await csms.expect("BootNotification", firmwareVersion="2.0.0")
    installed = await csms.expect(PLAIN, status="Installed")
    assert boot.index < installed.index
    assert told(csms, PLAIN) == ["Downloading", "Downloaded", "Installing", "Installed"]
    await rig.until(lambda: installer.trial() is None, "firmware that is kept")
    assert installer.installed == [GOOD]


async def test_case_158_a_second_start_tells_nothing_again(rig: Rig, files: Files, installer: TestInstaller) -> None:
    csms = await rig.ready()
    await update(csms, f"{files.url}/good")
    await csms.expect(PLAIN, status="Installed")
    await rig.until(lambda: installer.trial() is None, "firmware that is kept")
    csms.mark()
    await csms.call("Reset", type="Soft")
    await csms.expect("BootNotification", firmwareVersion="2.0.0")
    await rig.quiet(PLAIN)


async def test_case_159_bad_url(rig: Rig, files: Files, installer: TestInstaller) -> None:
    csms = await rig.ready()
    await update(csms, f"{files.url}/absent", retries=2)
    await steps(csms, PLAIN, "Downloading", "DownloadFailed")
    assert [path for _, path, *_ in files.came] == ["/absent"] * 3
    assert installer.installed == []


@pytest.mark.parametrize("image", ["/broken", "/nonsense"])
async def test_case_159_bad_image(rig: Rig, files: Files, installer: TestInstaller, image: str) -> None:
    csms = await rig.ready()
    await update(csms, f"{files.url}{image}")
    await steps(csms, PLAIN, "Downloaded", "Installing", "InstallationFailed")
    await csms.status(1, "Available")
    await csms.call("Reset", type="Soft")
    await csms.expect("BootNotification", firmwareVersion="1.2.3")
    assert installer.trial() is None


async def test_case_159_an_image_that_never_gets_accepted_is_rolled_back(
    rig: Rig, files: Files, installer: TestInstaller, leaps: Leaps
) -> None:
    csms = await rig.ready()
    await update(csms, f"{files.url}/mute")
    csms.on("BootNotification", lambda boot: pending(csms) if boot["firmwareVersion"] == "3.0.0" else None)
    await csms.expect("BootNotification", firmwareVersion="3.0.0")
    await leaps.ahead(930)
    await csms.expect("BootNotification", firmwareVersion="1.2.3")
    await csms.expect(PLAIN, status="InstallationFailed")
    assert "Installed" not in told(csms, PLAIN)
    assert installer.version == "1.2.3"


def pending(csms: Csms) -> Payload:
    now = datetime.now(UTC) + csms.offset
    return {"status": "Pending", "currentTime": now.isoformat().replace("+00:00", "Z"), "interval": 3000}


async def test_case_160_retries_are_so_far_apart(
    rig: Rig, files: Files, installer: TestInstaller, leaps: Leaps
) -> None:
    files.statuses[:] = [503, 503]
    csms = await rig.ready()
    await update(csms, f"{files.url}/good", retries=2, interval=5)
    await rig.until(lambda: len(files.came) == 1, "a first attempt")
    await rig.settle()
    await leaps.ahead(4)
    assert len(files.came) == 1
    await leaps.ahead(2)
    await rig.until(lambda: len(files.came) == 2, "a second attempt")
    await rig.settle()
    await leaps.ahead(6)
    await csms.expect(PLAIN, status="Installed")
    assert len(files.came) == 3
    assert installer.installed == [GOOD]


async def test_case_160_a_time_to_come_is_waited_for(
    rig: Rig, files: Files, installer: TestInstaller, leaps: Leaps
) -> None:
    csms = await rig.ready()
    await update(csms, f"{files.url}/good", at=soon(60))
    await leaps.ahead(50)
    assert files.came == []
    await rig.quiet(PLAIN)
    await leaps.ahead(15)
    await csms.expect(PLAIN, status="Installed")
    assert installer.installed


async def test_case_160_a_transaction_delays_the_install(rig: Rig, files: Files, installer: TestInstaller) -> None:
    rig.connectors = 2
    csms = await rig.ready()
    await rig.charging("CARD1", 1)
    await update(csms, f"{files.url}/good")
    await csms.expect(PLAIN, status="Downloaded")
    await csms.status(2, "Unavailable")
    await rig.quiet("BootNotification")
    rig.plug(2)
    rig.tap("CARD2")
    await rig.settle()
    assert rig.evse(2).session is None
    assert told(csms, PLAIN) == ["Downloading", "Downloaded"]
    rig.unplug(2)
    rig.tap("CARD1")
    await csms.expect("StopTransaction")
    await csms.expect(PLAIN, status="Installing")
    await csms.expect(PLAIN, status="Installed")
    assert installer.version == "2.0.0"


async def test_case_160_a_second_request_replaces_the_first(rig: Rig, files: Files, installer: TestInstaller) -> None:
    files.gate.clear()
    csms = await rig.ready()
    await update(csms, f"{files.url}/broken")
    await rig.until(lambda: files.came, "a download that hangs")
    await update(csms, f"{files.url}/good")
    files.gate.set()
    await csms.expect(PLAIN, status="Installed")
    assert installer.installed == [GOOD]


async def test_case_160_an_update_survives_a_crash(rig: Rig, files: Files, installer: TestInstaller) -> None:
    files.gate.clear()
    csms = await rig.ready()
    await update(csms, f"{files.url}/good")
    await csms.expect(PLAIN, status="Downloading")
    await rig.crash()
    files.gate.set()
    await rig.start()
    await csms.expect(PLAIN, status="Installed")
    assert told(csms, PLAIN) == ["Downloading", "Downloaded", "Installing", "Installed"]
    assert installer.installed == [GOOD]


async def test_case_161_get_diagnostics(rig: Rig, files: Files) -> None:
    csms = await rig.ready()
    answer = await csms.call("GetDiagnostics", location=f"{files.url}/in")
    await steps(csms, DIAGNOSTICS, "Uploading", "Uploaded")
    ((method, path, _, body),) = files.came
    assert (method, path) == ("PUT", f"/in/{answer['fileName']}")
    assert body.startswith(b"the diagnostics log")


async def test_case_161_unreachable(rig: Rig, files: Files) -> None:
    files.statuses[:] = [500] * 9
    csms = await rig.ready()
    answer = await csms.call("GetDiagnostics", location=f"{files.url}/in", retries=2, retryInterval=0)
    assert answer["fileName"]
    await steps(csms, DIAGNOSTICS, "Uploading", "UploadFailed")
    assert len(files.came) == 3
    assert told(csms, DIAGNOSTICS) == ["Uploading", "UploadFailed"]


async def test_case_161_nothing_to_upload(rig: Rig, files: Files) -> None:
    csms = await rig.ready()
    assert await csms.call("GetDiagnostics", location=f"{files.url}/in", startTime=soon(3600)) == {}
    assert await csms.call("GetDiagnostics", location="gopher://127.0.0.1/in") == {}
    await rig.quiet(DIAGNOSTICS)
    assert files.came == []


async def test_case_197_get_log(rig: Rig, files: Files) -> None:
    csms = await rig.ready()
    where = {"remoteLocation": f"{files.url}/in/", "oldestTimestamp": soon(-60)}
    answer = await csms.call("GetLog", logType="SecurityLog", requestId=12, log=where)
    assert answer["status"] == "Accepted"
    await steps(csms, LOG, "Uploading", "Uploaded", requestId=12)
    ((_, path, _, body),) = files.came
    assert path == f"/in/{answer['filename']}"
    assert body.startswith(b"the security log")


async def test_case_197_a_second_one_while_busy(rig: Rig, files: Files) -> None:
    files.gate.clear()
    csms = await rig.ready()
    log = {"remoteLocation": f"{files.url}/in"}
    assert (await csms.call("GetLog", logType="SecurityLog", requestId=1, log=log))["status"] == "Accepted"
    await rig.until(lambda: files.came, "an upload that hangs")
    second = await csms.call("GetLog", logType="DiagnosticsLog", requestId=2, log=log)
    assert second["status"] == "AcceptedCanceled"
    files.gate.set()
    await csms.expect(LOG, status="Uploaded", requestId=2)
    mine = [(call["status"], call["requestId"]) for call in csms.of(LOG)]
    assert mine == [("Uploading", 1), ("UploadFailure", 1), ("Uploading", 2), ("Uploaded", 2)]


@pytest.mark.parametrize(
    ("status", "word"),
    [(500, "UploadFailure"), (401, "PermissionDenied"), (400, "BadMessage"), (501, "NotSupportedOperation")],
)
async def test_case_197_retries_and_what_was_wrong(rig: Rig, files: Files, status: int, word: str) -> None:
    files.statuses[:] = [status] * 9
    csms = await rig.ready()
    log = {"remoteLocation": f"{files.url}/in?key=signed"}
    await csms.call("GetLog", logType="SecurityLog", requestId=3, log=log, retries=1, retryInterval=0)
    await csms.expect(LOG, status=word, requestId=3)
    assert told(csms, LOG) == ["Uploading", word]
    assert {path for _, path, *_ in files.came} == {"/in?key=signed"}
    assert files.methods().count("PUT") == 2


async def test_case_197_a_log_that_cannot_be_sent_there(rig: Rig) -> None:
    csms = await rig.ready()
    log = {"remoteLocation": "sftp://127.0.0.1/in"}
    assert await csms.call("GetLog", logType="SecurityLog", requestId=3, log=log) == {"status": "Rejected"}
    await rig.quiet(LOG)


async def test_case_199_signed_update(rig: Rig, files: Files, installer: TestInstaller, maker: Maker) -> None:
    rig.roots.append(maker.root)
    csms = await rig.ready()
    assert await update_signed(csms, f"{files.url}/good", maker) == ACCEPTED
    await csms.expect(SIGNED, status="Installed", requestId=7)
    expected = ["Downloading", "Downloaded", "SignatureVerified", "Installing", "InstallRebooting", "Installed"]
    assert told(csms, SIGNED) == expected
    assert {call["requestId"] for call in csms.of(SIGNED)} == {7}
    assert installer.version == "2.0.0"


async def test_case_199_invalid_signature(rig: Rig, files: Files, installer: TestInstaller, maker: Maker) -> None:
    rig.roots.append(maker.root)
    csms = await rig.ready()
    assert await update_signed(csms, f"{files.url}/good", maker, signature=maker.sign(BROKEN)) == ACCEPTED
    await steps(csms, SIGNED, "Downloading", "Downloaded", "InvalidSignature", requestId=7)
    await rig.quiet("BootNotification")
    assert installer.installed == []


async def test_case_200_untrusted_certificate(rig: Rig, files: Files, installer: TestInstaller, maker: Maker) -> None:
    rig.roots.append(Maker(rig.folder / "other").root)
    csms = await rig.ready()
    assert await update_signed(csms, f"{files.url}/good", maker) == {"status": "InvalidCertificate"}
    wrong = await update_signed(csms, f"{files.url}/good", maker, signingCertificate="garbage")
    assert wrong == {"status": "InvalidCertificate"}
    await rig.quiet(SIGNED)
    assert (files.came, installer.installed) == ([], [])


async def test_case_200_plain_update_with_a_security_profile(rig: Rig, files: Files) -> None:
    rig.installer = TestInstaller()
    rig.settings = Settings(security_profile=1)
    csms = await rig.ready()
    order = {"location": f"{files.url}/good", "retrieveDate": soon()}
    assert await csms.refused("UpdateFirmware", order) == "NotSupported"
    await rig.quiet(PLAIN)
    assert files.came == []


async def test_case_200_scheduled(rig: Rig, files: Files, maker: Maker, leaps: Leaps) -> None:
    rig.roots.append(maker.root)
    rig.installer = TestInstaller()
    csms = await rig.ready()
    times = {"retrieveDateTime": soon(60), "installDateTime": soon(120)}
    assert await update_signed(csms, f"{files.url}/good", maker, 7, **times) == ACCEPTED
    await csms.expect(SIGNED, status="DownloadScheduled", requestId=7)
    await leaps.ahead(65)
    await steps(csms, SIGNED, "Downloaded", "SignatureVerified", "InstallScheduled")
    await rig.quiet("BootNotification")
    await leaps.ahead(70)
    await csms.expect(SIGNED, status="Installed")
    assert rig.installer.version == "2.0.0"


async def test_case_200_a_second_one_cancels(rig: Rig, files: Files, installer: TestInstaller, maker: Maker) -> None:
    rig.roots.append(maker.root)
    csms = await rig.ready()
    await update_signed(csms, f"{files.url}/good", maker, request=1, retrieveDateTime=soon(600))
    second = await update_signed(csms, f"{files.url}/good", maker, request=2)
    assert second == {"status": "AcceptedCanceled"}
    await csms.expect(SIGNED, status="Installed", requestId=2)
    assert [c["status"] for c in csms.of(SIGNED, requestId=1)] == ["DownloadScheduled"]
    assert installer.installed == [GOOD]


async def test_case_200_not_set_up_for_it(rig: Rig) -> None:
    csms = await rig.ready()
    order = {"location": "http://127.0.0.1/x", "retrieveDate": soon()}
    assert await csms.refused("UpdateFirmware", order) == "NotSupported"
    firmware = {
        "location": "http://127.0.0.1/x", "retrieveDateTime": soon(), "signingCertificate": "x", "signature": "x"
    }  # fmt: skip
    assert await csms.refused("SignedUpdateFirmware", {"requestId": 1, "firmware": firmware}) == "NotSupported"
