"""The three ways of delivery against real servers and folders, good and bad ones."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import stat
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.statement.delivery import folder as folders
from agent.statement.delivery.errand import Errands, Line, NotReached
from agent.statement.delivery.folder import Folder
from agent.statement.delivery.https import Https
from agent.statement.delivery.mail import Mail
from agent.statement.delivery.parcel import Paper, Parcel
from tests.unit.statement.receivers import CA, HANG, TLS, MailServer, Payroll

PDF = Paper("id-pdf", "NL-1-2026-11.pdf", "application/pdf", b"%PDF-1.7 " + bytes(range(256)))
CSV = Paper("id-csv", "NL-1-2026-11.csv", "text/csv; charset=utf-8", "a,ü\r\n".encode())
DECEMBER = datetime(2026, 12, 1, tzinfo=UTC)
PARCEL = Parcel("id-all", {"pdf": PDF, "csv": CSV}, "Statement november 2026, NL-1", "kWh: 1,0 €\n", DECEMBER)
BOTH = ("pdf", "csv")
READERS = ("fleet@acme.example", "payroll@acme.example")


@pytest.fixture
def token(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text("t0ken\n")
    return path


def server(payroll: Payroll, token: Path | None, *, url: str | None = None, ca: Path | None = CA) -> Https:
    return Https("payroll", BOTH, url or payroll.url, "wallbox-agent/1", token=token, ca_file=ca)


def unreached(way: Https | Mail | Folder, *parts: str) -> str:
    with pytest.raises(NotReached) as caught:
        way.send(parts or way.parts, PARCEL, Line())
    return str(caught.value)


# ---- HTTPS -----------------------------------------------------------------------------------------------------------


def test_each_format_is_a_post_with_its_type_and_the_token(token: Path) -> None:
    with Payroll().running() as payroll:
        assert server(payroll, token).send(BOTH, PARCEL, Line()) == {}
    assert [(p.path, p.headers["content-type"], p.body) for p in payroll.got] == [
        ("/in?key=1", "application/pdf", PDF.content),
        ("/in?key=1", "text/csv; charset=utf-8", CSV.content),
    ]
    first = payroll.got[0].headers
    assert first["authorization"] == "Bearer t0ken"
    assert first["content-disposition"] == 'attachment; filename="NL-1-2026-11.pdf"'
    assert first["idempotency-key"] == '"id-pdf"'
    assert first["content-length"] == str(len(PDF.content))


def test_a_server_that_wants_no_token_gets_none() -> None:
    with Payroll(token=None).running() as payroll:
        assert server(payroll, None).send(["pdf"], PARCEL, Line()) == {}
    assert "authorization" not in payroll.got[0].headers


def test_http_is_for_this_machine_and_an_address_in_brackets_is_understood(token: Path) -> None:
    with Payroll().running(certificate=None) as payroll:
        way = server(payroll, token, url=f"http://127.0.0.1:{payroll.port}")
        assert way.send(["pdf"], PARCEL, Line()) == {}
    assert payroll.got[0].path == "/"
    assert unreached(server(payroll, token, url="http://[::1]:9/in"))


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_success(token: Path, status: int) -> None:
    with Payroll(answers=[(status, {}, b"")]).running() as payroll:
        assert server(payroll, token).send(["pdf"], PARCEL, Line()) == {}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((500, {}, b"database\r\n is down"), "answers 500 Internal Server Error: database is down (it is tried again)"),
        ((403, {}, b""), "the server answers 403 Forbidden (check delivery.token_file, and what it is allowed)"),
        ((404, {}, b"<!DOCTYPE html><p>"), "the server answers 404 Not Found (check the path in delivery.url)"),
        ((302, {"Location": "http://evil.example/"}, b""), "redirects are not followed"),
        ((415, {}, b'{"error": "pdf"}'), 'Unsupported Media Type: {"error": "pdf"} (it does not take this format'),
        ((422, {}, b"\x1b[2Jno"), "?[2Jno (ask its operator)"),
    ],
)
def test_a_refusal_is_told_in_the_servers_words(
    token: Path, answer: tuple[int, dict[str, str], bytes], words: str
) -> None:
    with Payroll(answers=[answer]).running() as payroll:
        refused = server(payroll, token).send(BOTH, PARCEL, Line())
    assert list(refused) == ["pdf"]
    assert words in refused["pdf"]
    assert len(payroll.got) == 2


def test_a_wrong_token_is_told_and_not_shown(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("s3cret-token")
    with Payroll().running() as payroll:
        refused = server(payroll, wrong).send(["pdf"], PARCEL, Line())
    assert refused["pdf"] == (
        "the server answers 401 Unauthorized: no such token: Bearer *** (check delivery.token_file)"
    )


@pytest.mark.parametrize(
    ("certificate", "ca", "words"),
    [
        ("good", None, "unknown CA, or its chain is incomplete: give the CA's certificate as delivery.ca_file"),
        ("other_ca", CA, "give the CA's certificate as delivery.ca_file"),
        ("expired", CA, "its certificate has expired"),
        ("other_name", CA, "for another host name: check the host in delivery.url"),
        ("self_signed", CA, "self-signed: give it as delivery.ca_file"),
    ],
)
def test_a_server_that_cannot_be_verified_gets_nothing(
    token: Path, certificate: str, ca: Path | None, words: str
) -> None:
    with Payroll().running(certificate) as payroll:
        assert words in unreached(server(payroll, token, ca=ca))
    assert payroll.got == []


def test_a_server_without_tls_gets_nothing(token: Path) -> None:
    with Payroll().running(certificate=None) as payroll:
        assert "does not speak TLS" in unreached(server(payroll, token))
    assert payroll.got == []


def test_what_cannot_be_reached_is_named(token: Path) -> None:
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    nobody = server(Payroll(port=port), token)
    words = "nothing listens there: check host and port in delivery.url, and whether the server runs"
    assert words in unreached(nobody)
    unknown = server(Payroll(), token, url="https://no-such-host.invalid/")
    assert "the host name cannot be resolved" in unreached(unknown)


def test_what_is_no_web_server_is_named(token: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:

        def talk() -> None:
            peer, _ = listening.accept()
            with peer:
                peer.sendall(b"SSH-2.0-OpenSSH\r\n")
                while peer.recv(1000):
                    pass

        thread = threading.Thread(target=talk)
        thread.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        assert "no web server" in unreached(server(Payroll(), token, url=url))
        thread.join()


@pytest.mark.parametrize(("content", "words"), [(None, "cannot be read"), ("", "the secret"), ("a\nb", "the secret")])
def test_a_token_that_went_is_told_with_its_file(tmp_path: Path, content: str | None, words: str) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_text(content)
    told = unreached(server(Payroll(), path))
    assert told.startswith(f"delivery.token_file: {path} ")
    assert words in told


async def test_a_server_that_hangs_is_cut_off_and_does_not_stand_in_the_way_of_the_next_try(token: Path) -> None:
    errands = Errands()
    with Payroll(answers=[(HANG, {}, b"")]).running() as payroll:
        way = server(payroll, token)
        with pytest.raises(NotReached, match=r"not delivered within 0\.5 s"):
            await errands.run(lambda line: way.send(["pdf"], PARCEL, line), 0.5)
        await _free(errands)
        assert await errands.run(lambda line: way.send(["pdf"], PARCEL, line), 5) == {}


async def _free(errands: Errands) -> None:
    """Wait until the errand that was cut off has come back."""
    async with asyncio.timeout(5):
        while not errands._last.done():
            await asyncio.sleep(0.01)


async def test_an_errand_that_cannot_be_cut_off_is_not_begun_twice() -> None:
    errands, release = Errands(), threading.Event()
    with pytest.raises(NotReached, match="not delivered within"):
        await errands.run(lambda _: release.wait(5), 0.05)
    with pytest.raises(NotReached, match="the attempt before still hangs"):
        await errands.run(lambda _: None, 5)
    release.set()
    await _free(errands)
    assert await errands.run(lambda _: 7, 5) == 7


async def test_a_defect_of_a_delivery_costs_the_delivery_alone() -> None:
    with pytest.raises(NotReached, match="failed at it \\(ZeroDivisionError\\)"):
        await Errands().run(lambda _: 1 // 0, 5)


# ---- mail ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def password(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text("s3cret\n")
    return path


def office(mail: MailServer, password: Path | None, *, ca: Path | None = CA) -> Mail:
    user = None if password is None else "wallbox@acme.example"
    sender = "wallbox@acme.example"
    return Mail(
        "fleet", BOTH, "localhost", mail.port, mail.implicit, sender, READERS, user=user, password=password, ca_file=ca
    )


@pytest.fixture(params=[False, True], ids=["starttls", "implicit"])
def mail(request: pytest.FixtureRequest) -> Iterator[MailServer]:
    with MailServer(implicit=request.param).running() as server:
        yield server


def test_a_letter_has_all_files_and_reaches_all_readers(mail: MailServer, password: Path) -> None:
    assert office(mail, password).send(READERS, PARCEL, Line()) == {}
    (letter,) = mail.letters
    assert (letter.sender, letter.to) == ("wallbox@acme.example", list(READERS))
    assert letter.message["Subject"] == PARCEL.subject
    assert letter.message["Message-ID"] == "<id-all@acme.example>"
    assert letter.message["To"] == ", ".join(READERS)
    assert letter.files["NL-1-2026-11.pdf"] == PDF.content
    assert letter.files["NL-1-2026-11.csv"] == CSV.content
    assert [part.get_content_charset() for part in letter.message.iter_attachments()] == [None, "utf-8"]
    body = letter.message.get_body()
    assert body is not None
    assert body.get_content().replace("\r\n", "\n") == PARCEL.text
    assert {line.split()[0].upper() for line in mail.in_clear} <= {"EHLO", "STARTTLS"}


def test_a_server_without_users_is_asked_to_nothing(mail: MailServer) -> None:
    assert office(mail, None).send(READERS, PARCEL, Line()) == {}
    assert len(mail.letters) == 1


def test_a_reader_who_is_refused_does_not_cost_the_others_their_letter(mail: MailServer, password: Path) -> None:
    mail.refused = {READERS[0]}
    refused = office(mail, password).send(READERS, PARCEL, Line())
    assert refused == {READERS[0]: "the mail server answers 550 5.1.1 no such user"}
    assert mail.letters[0].to == [READERS[1]]


def test_a_letter_that_nobody_gets_is_told_for_each(mail: MailServer, password: Path) -> None:
    mail.refused = set(READERS)
    assert set(office(mail, password).send(READERS, PARCEL, Line())) == set(READERS)
    assert mail.letters == []


def test_a_wrong_password_is_told_and_not_shown(mail: MailServer, password: Path) -> None:
    password.write_text("hunter2hunter2")
    told = unreached(office(mail, password))
    assert told == (
        "the mail server refuses user or password (535 5.7.8 wrong user or password):"
        " check delivery.user and its password"
    )


def test_without_tls_nothing_is_sent_to_a_mail_server(password: Path) -> None:
    with MailServer(offers_tls=False).running() as mail:
        assert "offers no TLS" in unreached(office(mail, password))
    assert [line.split()[0].upper() for line in mail.in_clear] == ["EHLO"]
    assert mail.letters == []


def test_a_server_that_takes_starttls_back_gets_nothing(password: Path) -> None:
    with MailServer(says={"STARTTLS": "454 not today"}).running() as mail:
        assert "454 not today" in unreached(office(mail, password))
    assert [line.split()[0].upper() for line in mail.in_clear] == ["EHLO", "STARTTLS"]


def test_a_mail_server_that_cannot_be_verified_gets_nothing(mail: MailServer, password: Path) -> None:
    assert "give the CA's certificate as delivery.ca_file" in unreached(office(mail, password, ca=None))
    assert "delivery.ca_file" in unreached(office(mail, password, ca=TLS / "other_ca.pem"))
    assert mail.letters == []


@pytest.mark.parametrize(
    ("word", "says", "words"),
    [
        ("CONNECT", "554 go away", "the mail server answers 554 go away: ask its operator"),
        ("MAIL", "451 4.7.1 greylisted", "the mail server answers 451 4.7.1 greylisted"),
        ("DATA", "552 5.3.4 too large", "the mail server answers 552 5.3.4 too large"),
    ],
)
def test_what_a_mail_server_refuses_is_told(password: Path, word: str, says: str, words: str) -> None:
    with MailServer(says={word: says}).running() as mail:
        assert words in unreached(office(mail, password))
    assert mail.letters == []


def test_a_mail_server_that_is_not_there_is_named_by_the_keys_of_mail(password: Path) -> None:
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        told = unreached(office(MailServer(port=free.getsockname()[1]), password))
    assert "nothing listens there: check delivery.host and delivery.port" in told


# ---- folders ---------------------------------------------------------------------------------------------------------


def test_a_folder_gets_a_file_per_format_whole_and_for_its_group(tmp_path: Path) -> None:
    (tmp_path / f".{PDF.name}.left").write_text("half")
    assert Folder("archive", BOTH, tmp_path).send(BOTH, PARCEL, Line()) == {}
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        PDF.name: PDF.content,
        CSV.name: CSV.content,
    }
    assert stat.S_IMODE((tmp_path / PDF.name).stat().st_mode) == 0o640


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    told = unreached(Folder("archive", BOTH, tmp_path / "usb"))
    assert told == f"{tmp_path / 'usb'} cannot be written to: there is no such folder: create it, or mount its disk"
    assert not (tmp_path / "usb").exists()


def test_what_is_no_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "it is no folder" in unreached(Folder("archive", BOTH, tmp_path / "file"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_may_not_be_written_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert "may not write there: give that user the folder" in unreached(Folder("archive", BOTH, tmp_path))


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "its disk is full: free"), (errno.EROFS, "ReadWritePaths="), (errno.EIO, "check the folder")],
)
def test_a_disk_that_fails_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    (tmp_path / PDF.name).write_bytes(b"older")

    def full(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(folders, "put_whole", full)
    assert words in unreached(Folder("archive", BOTH, tmp_path))
    assert (tmp_path / PDF.name).read_bytes() == b"older"
