"""Files by HTTP: resumed, redirected, refused, cut off."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.core.locations import parse
from agent.maintenance import image as images
from agent.maintenance.http import Web
from agent.maintenance.image import Image
from agent.maintenance.line import Line, TransferFailed, Trouble, apart
from agent.maintenance.transfer import fetch, send
from agent.ocpp.security import Credentials, tls_context
from simulators.csms.certificates import in_folder
from tests.conformance.files import Files, serving

CONTENT = bytes(range(256)) * 2000


def trust() -> ssl.SSLContext:
    return tls_context(Credentials())


WEB = Web("station", trust)


@pytest.fixture
def files() -> Iterator[Files]:
    with serving() as found:
        found.there["/f"] = CONTENT
        yield found


def get(folder: Path, url: str, job: int = 1, web: Web = WEB) -> bytes:
    image = Image(folder / "firmware", job)
    fetch(url, image, web, Line())
    return image.path.read_bytes()


def test_a_download_goes_on_where_it_was_cut(tmp_path: Path, files: Files) -> None:
    files.cut[:] = [70_000, 200_000]
    for _ in range(2):
        with pytest.raises(TransferFailed, match="hung up"):
            get(tmp_path, f"{files.url}/f")
    assert get(tmp_path, f"{files.url}/f") == CONTENT
    ranges = [headers.get("Range") for _, _, headers, _ in files.came]
    assert ranges[0] is None
    assert all(asked and asked.startswith("bytes=") for asked in ranges[1:])


def test_what_is_there_already_is_not_fetched_again(tmp_path: Path, files: Files) -> None:
    get(tmp_path, f"{files.url}/f")
    assert get(tmp_path, f"{files.url}/f") == CONTENT


def test_a_file_that_has_changed_is_fetched_from_its_beginning(tmp_path: Path, files: Files) -> None:
    files.cut[:] = [70_000]
    with pytest.raises(TransferFailed):
        get(tmp_path, f"{files.url}/f")
    files.there["/f"], files.etag = CONTENT[::-1], '"two"'
    assert get(tmp_path, f"{files.url}/f") == CONTENT[::-1]


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_without_a_strong_mark_nothing_is_resumed(tmp_path: Path, files: Files, etag: str | None) -> None:
    files.etag, files.cut[:] = etag, [70_000]
    with pytest.raises(TransferFailed):
        get(tmp_path, f"{files.url}/f")
    assert get(tmp_path, f"{files.url}/f") == CONTENT
    assert "Range" not in files.came[-1][2]


def test_another_update_takes_nothing_of_the_one_before(tmp_path: Path, files: Files) -> None:
    files.cut[:] = [70_000]
    with pytest.raises(TransferFailed):
        get(tmp_path, f"{files.url}/f", job=1)
    assert get(tmp_path, f"{files.url}/f", job=2) == CONTENT
    assert "Range" not in files.came[-1][2]


def test_redirects_are_followed_and_only_the_first_server_gets_the_password(tmp_path: Path, files: Files) -> None:
    with serving() as other:
        other.there["/there"] = b"it"
        files.redirect |= {"/a": "/b", "/b": f"{other.url}/there"}
        url = f"http://user:word@127.0.0.1:{files.port}/a"
        assert get(tmp_path, url) == b"it"
        assert all("Authorization" in headers for _, _, headers, _ in files.came)
        assert "Authorization" not in other.came[0][2]


def test_redirects_in_a_circle_end(tmp_path: Path, files: Files) -> None:
    files.redirect["/a"] = "/a"
    with pytest.raises(TransferFailed, match="redirects more than 5 times"):
        get(tmp_path, f"{files.url}/a")


def test_a_redirect_away_from_https_is_refused(tmp_path: Path, files: Files) -> None:
    made = in_folder(tmp_path / "tls", ("localhost", "127.0.0.1"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.certificate, made.key)
    web = Web("station", lambda: tls_context(Credentials(ca_file=made.authority)))
    with serving(context) as secure:
        secure.there["/f"] = b"secure"
        secure.redirect["/a"] = f"{files.url}/f"
        assert get(tmp_path, f"{secure.url}/f", web=web) == b"secure"
        with pytest.raises(TransferFailed, match="away from https"):
            get(tmp_path, f"{secure.url}/a", web=web)
        with pytest.raises(TransferFailed, match="unknown CA"):
            get(tmp_path, f"{secure.url}/f")
    assert files.came == []


def test_an_image_that_is_too_large_is_not_begun(tmp_path: Path, files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "LARGEST", 1000)
    with pytest.raises(TransferFailed, match="at most 1000 are taken"):
        get(tmp_path, f"{files.url}/f")


def test_an_image_for_which_the_disk_has_no_room_is_not_begun(
    tmp_path: Path, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "RESERVE", 1 << 60)
    with pytest.raises(TransferFailed, match="free some space"):
        get(tmp_path, f"{files.url}/f")


def test_a_file_is_put_into_a_directory_and_posted_where_that_is_not_allowed(tmp_path: Path, files: Files) -> None:
    file = tmp_path / "log"
    file.write_bytes(CONTENT)
    send(f"http://u:p@127.0.0.1:{files.port}/in/", (file, "name.zip"), WEB, Line())
    method, path, headers, body = files.came[0]
    assert (method, path, body) == ("PUT", "/in/name.zip", CONTENT)
    assert headers["Authorization"].startswith("Basic ")
    files.no_put = True
    send(f"{files.url}/in", (file, "name.zip"), WEB, Line())
    method, path, headers, body = files.came[-1]
    assert (method, path) == ("POST", "/in")
    assert 'filename="name.zip"' in body[:300].decode("latin-1")
    assert CONTENT in body


@pytest.mark.parametrize(
    ("status", "trouble"), [(403, Trouble.FORBIDDEN), (404, Trouble.REFUSED), (503, Trouble.FAILED)]
)
def test_what_a_server_answers_is_told_apart(tmp_path: Path, files: Files, status: int, trouble: Trouble) -> None:
    files.statuses.append(status)
    with pytest.raises(TransferFailed) as caught:
        get(tmp_path, f"{files.url}/f")
    assert caught.value.trouble is trouble


async def test_a_transfer_that_hangs_can_be_cut_off(tmp_path: Path, files: Files) -> None:
    files.gate.clear()
    line = Line()
    threading.Timer(0.2, line.cut).start()
    with pytest.raises(TransferFailed, match="called off"):
        await apart(lambda line: WEB.fetch(parse(f"{files.url}/f"), Image(tmp_path, 1), line), 5.0, line)
    files.gate.set()


async def test_a_transfer_has_its_time(tmp_path: Path, files: Files) -> None:
    files.gate.clear()
    with pytest.raises(TransferFailed, match=r"not done within 0\.2 s"):
        await apart(lambda line: WEB.fetch(parse(f"{files.url}/f"), Image(tmp_path, 1), line), 0.2)
    files.gate.set()


async def test_a_defect_is_no_more_than_a_transfer_that_failed() -> None:
    def broken(_line: Line) -> None:
        raise KeyError("x")

    with pytest.raises(TransferFailed, match="report it with the log"):
        await apart(broken, 5.0)
