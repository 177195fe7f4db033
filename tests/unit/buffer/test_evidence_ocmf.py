"""OCMF texts, read by a reader of this test's own and verified with ``ecdsa`` and ``openssl``; examples as files."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import xml.etree.ElementTree as ET
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from ecdsa import NIST256p, SigningKey, VerifyingKey  # type: ignore[import-untyped]  # the library ships no types
from ecdsa.util import sigdecode_der  # type: ignore[import-untyped]  # as above

from agent.buffer.ocmf import Receipt, container, keep, lines, receipts
from agent.buffer.reader import open_reader
from agent.buffer.signing import KEY, PRIVATE, Signer, found, pem, public_pem
from agent.core.facts import StartTrigger
from agent.core.instant import TimeStatus
from agent.core.model import IdToken, Quality, StopReason, Wh
from tests.unit.buffer.evidence_rig import SLICES, STATION, charge, knife, private, sealing
from tests.unit.buffer.scripted import at

VECTORS = Path(__file__).parents[2] / "vectors" / "ocmf"
UNKNOWN = TimeStatus.UNKNOWN


def example_key(state_dir: Path) -> None:
    """Write a key that opens nothing, so that examples can be compared byte for byte."""
    state_dir.mkdir(exist_ok=True)
    key = SigningKey.from_string(sha256(b"a key for examples").digest(), curve=NIST256p)
    (state_dir / KEY).write_text(pem(key.to_der(), PRIVATE))


async def made(state_dir: Path, *facts: Any, station: Any = STATION) -> None:  # noqa: ANN401  # facts of any kind
    example_key(state_dir)
    async with sealing(state_dir, station) as ledger:
        await ledger.commit(*facts)


def texts(state_dir: Path, **options: Any) -> list[Receipt]:  # noqa: ANN401  # options of the function
    with open_reader(state_dir) as connection:
        return receipts(connection, signer(state_dir), **options)


def signer(state_dir: Path) -> Signer:
    key = found(state_dir)
    assert key is not None
    return key


def taken_apart(text: bytes) -> tuple[dict[str, Any], dict[str, Any], bytes]:
    """Return payload, signature section and the signed bytes of an OCMF text; numbers as they are written."""
    head, payload, signature = text.decode("ascii").split("|")
    assert head == "OCMF"
    return json.loads(payload, parse_float=str, parse_int=str), json.loads(signature), payload.encode("ascii")


def payload_of(state_dir: Path) -> dict[str, Any]:
    (one,) = texts(state_dir)
    return taken_apart(one.text)[0]


def verifies(text: bytes, public: str) -> bool:
    _, signature, payload = taken_apart(text)
    assert {name: signature[name] for name in ("SA", "SE", "SM")} == {
        "SA": "ECDSA-secp256r1-SHA256",
        "SE": "hex",
        "SM": "application/x-der",
    }
    key, found_signature = VerifyingKey.from_pem(public), bytes.fromhex(signature["SD"])
    return bool(key.verify(found_signature, payload, hashfunc=sha256, sigdecode=sigdecode_der))


def test_a_session_has_its_first_and_its_last_reading(tmp_path: Path) -> None:
    asyncio.run(made(tmp_path, *charge("s1")))
    reading = {"RI": "01-00:01.08.00*FF", "RU": "kWh", "RT": "AC", "EF": "", "ST": "G"}
    assert payload_of(tmp_path) == {
        "FV": "1.0",
        "GI": "wallbox-agent",
        "GS": "NL-ACME-000123",
        "GV": "1.0.0",
        "PG": "T1",
        "MM": "SDM630-Modbus V2",
        "MS": "23004711",
        "IS": True,
        "IL": "HEARSAY",
        "IF": ["RFID_PLAIN", "ISO15118_NONE", "PLMN_NONE"],
        "IT": "ISO14443",
        "ID": "04A1B2C3D4E5F6",
        "CT": "EVSEID",
        "CI": "NL*ACM*E000123*1",
        "RD": [
            {"TM": "2026-01-01T00:01:40,000+0000 S", "TX": "B", "RV": "1234.5670", **reading},
            {"TM": "2026-01-01T01:01:40,000+0000 S", "TX": "E", "RV": "1242.0894", **reading},
        ],
        "UN": "2",
    }


@pytest.mark.parametrize("name", ["plain", "private-with-gap", "remote-unknown-clock"])
def test_the_texts_are_those_of_the_examples(tmp_path: Path, name: str) -> None:
    asyncio.run(made(tmp_path, *EXAMPLES[name]))
    (one,) = texts(tmp_path, private=True)
    assert one.text + b"\n" == (VECTORS / f"{name}.ocmf").read_bytes()
    assert public_pem(signer(tmp_path).public) == (VECTORS / "public.pem").read_text()


@pytest.mark.parametrize("path", sorted(VECTORS.glob("*.ocmf")), ids=lambda path: path.stem)
def test_the_examples_are_verified_by_others(tmp_path: Path, path: Path) -> None:
    text = path.read_bytes().removesuffix(b"\n")
    assert verifies(text, (VECTORS / "public.pem").read_text())
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    _, signature, payload = taken_apart(text)
    (tmp_path / "sig.der").write_bytes(bytes.fromhex(signature["SD"]))
    for content, words in ((payload, "Verified OK"), (payload.replace(b"1234", b"1235"), "Verification failure")):
        (tmp_path / "payload.json").write_bytes(content)
        command = [
            "openssl",
            "dgst",
            "-sha256",
            "-verify",
            str(VECTORS / "public.pem"),
            "-signature",
            "sig.der",
            "payload.json",
        ]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.stdout.strip() == words


def test_pages_are_counted_over_all_sessions_and_private_ones_stay(tmp_path: Path) -> None:
    asyncio.run(made(tmp_path, *charge("s1"), *private("s2", 9_000), *charge("s3", 20_000)))
    assert [(r.session, taken_apart(r.text)[0]["PG"]) for r in texts(tmp_path)] == [("s1", "T1"), ("s3", "T3")]
    assert [r.session for r in texts(tmp_path, private=True)] == ["s1", "s2", "s3"]
    assert [r.session for r in texts(tmp_path, only=frozenset({"s3", "s2"}))] == ["s3"]
    assert lines(texts(tmp_path)).count(b"\n") == 2


@pytest.mark.parametrize(
    ("register", "step", "shown"),
    [
        ("1234567.0", "1", "1234.567"),
        ("1234567", "10", "1234.567"),
        ("1234560", "10", "1234.56"),
        ("1234560", "1", "1234.560"),
        ("1234000", "1000", "1234.00"),
        ("1234567.125", "0.1", "1234.5671"),
        ("1234567.0166015625", "0.1220703125", "1234.5670"),  # a float of 32 bits
        ("1234567.9", "1", "1234.567"),
        ("1234567.0", "0.01", "1234.56700"),
        ("0", "1", "0.000"),
    ],
)
def test_a_value_has_the_places_that_the_meter_resolves(tmp_path: Path, register: str, step: str, shown: str) -> None:
    begin, end = charge("s1")
    reading = replace(begin.reading, register=Wh(Decimal(register)), step=Wh(Decimal(step)))
    asyncio.run(made(tmp_path, replace(begin, reading=reading), replace(end, register=Wh(Decimal(9_999_999)))))
    assert payload_of(tmp_path)["RD"][0]["RV"] == shown


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        (StopReason.LOCAL, "L"),
        (StopReason.REMOTE, "R"),
        (StopReason.DE_AUTHORIZED, "R"),
        (StopReason.EMERGENCY_STOP, "A"),
        (StopReason.POWER_LOSS, "P"),
        (StopReason.EV_DISCONNECTED, "E"),
        (StopReason.OTHER, "E"),
    ],
)
def test_the_last_reading_says_why_the_session_ended(tmp_path: Path, reason: StopReason, code: str) -> None:
    begin, end = charge("s1")
    asyncio.run(made(tmp_path, begin, replace(end, reason=reason)))
    assert [reading["TX"] for reading in payload_of(tmp_path)["RD"]] == ["B", code]


@pytest.mark.parametrize(
    ("marks", "state", "unusable"),
    [
        ((Quality.MEASURED,), "G", ""),
        ((Quality.RECONSTRUCTED,), "S", "t"),
        ((Quality.METER_GAP,), "T", "E"),
        ((Quality.METER_CHANGED,), "X", "E"),
        ((Quality.IMPLAUSIBLE,), "O", "E"),
        ((Quality.RECONSTRUCTED, Quality.METER_CHANGED), "X", "E"),
    ],
)
def test_the_last_reading_says_what_is_doubtful(
    tmp_path: Path, marks: tuple[Quality, ...], state: str, unusable: str
) -> None:
    begin, end = charge("s1")
    asyncio.run(made(tmp_path, begin, replace(end, quality=marks)))
    first, last = payload_of(tmp_path)["RD"]
    assert (first["ST"], first["EF"]) == ("G", "")
    assert (last["ST"], last["EF"]) == (state, unusable)


def test_times_are_those_of_the_latest_correction_with_their_state(tmp_path: Path) -> None:
    begin, end = charge("s1")
    begin, end = replace(begin, at=at(100, UNKNOWN)), replace(end, at=at(3700, UNKNOWN), periods=())

    async def corrected() -> None:
        example_key(tmp_path)
        async with sealing(tmp_path) as ledger:
            await ledger.journal.commit(SLICES, [begin, end], at(3700, UNKNOWN))
            before = payload_of(tmp_path)["RD"]
            assert [(r["TM"], r["EF"]) for r in before] == [
                ("2026-01-01T00:01:40,000+0000 U", "t"),
                ("2026-01-01T01:01:40,000+0000 U", "t"),
            ]
            await ledger.journal.anchor(replace(at(4000), wall=datetime(2026, 6, 1, 12, tzinfo=UTC)))
            assert await ledger.journal._seal_some(at(4001))

    asyncio.run(corrected())
    assert [(r["TM"], r["EF"]) for r in payload_of(tmp_path)["RD"]] == [
        ("2026-06-01T10:55:00,000+0000 I", ""),  # the state of relative time is for what follows a first reading
        ("2026-06-01T11:55:00,000+0000 R", ""),
    ]


@pytest.mark.parametrize(
    ("id_tag", "trigger", "told"),
    [
        ("04A1B2C3", StartTrigger.CARD, ("ISO14443", "HEARSAY", "RFID_PLAIN")),
        ("04a1b2c3d4e5f6", StartTrigger.CARD, ("ISO14443", "HEARSAY", "RFID_PLAIN")),
        ("E007000012345678", StartTrigger.CARD, ("ISO15693", "HEARSAY", "RFID_PLAIN")),
        ("0F00A1B2C3", StartTrigger.CARD, ("UNDEFINED", "HEARSAY", "RFID_PLAIN")),
        ("04A1B2C3", StartTrigger.REMOTE, ("CENTRAL", "TRUSTED", "RFID_NONE", "OCPP_RS")),
        ("installer", StartTrigger.INSTALLER, ("LOCAL", "HEARSAY", "RFID_NONE", "OCPP_NONE")),
    ],
)
def test_the_user_is_told_with_how_sure_it_is(
    tmp_path: Path, id_tag: str, trigger: StartTrigger, told: tuple[str, ...]
) -> None:
    begin, end = charge("s1")
    asyncio.run(made(tmp_path, replace(begin, id_token=IdToken(id_tag), trigger=trigger), end))
    payload = payload_of(tmp_path)
    kind, level, *flags = told
    assert (payload["ID"], payload["IT"], payload["IL"]) == (id_tag, kind, level)
    assert payload["IF"] == [*flags, "ISO15118_NONE", "PLMN_NONE"]


def test_nothing_inside_looks_like_the_end_of_a_section(tmp_path: Path) -> None:
    begin, end = charge("s1")
    station = replace(STATION, id="A|B é", evse_ids={}, meters={})
    begin = replace(begin, reading=replace(begin.reading, serial=None))
    asyncio.run(made(tmp_path, begin, end, station=station))
    (one,) = texts(tmp_path)
    payload = taken_apart(one.text)[0]
    assert (payload["GS"], payload["CT"], payload["CI"]) == ("A|B é", "CBIDC", "A|B é 1")
    assert (payload["MS"], "MM" in payload) == ("", False)
    assert verifies(one.text, public_pem(signer(tmp_path).public))


def test_what_a_meter_signed_is_passed_on_as_it_is(tmp_path: Path) -> None:
    begin, end = charge("s1")
    first, last = b'OCMF|{"PG": "T7" }|{"SD":"00"}', b"OCMF|\xff\n|{}"

    async def with_a_meter_that_signs() -> None:
        example_key(tmp_path)
        async with sealing(tmp_path) as ledger:
            await ledger.commit(begin)
            with knife(tmp_path) as connection:
                connection.execute(*keep("s1", 0, "OCMF", first))
                connection.execute(*keep("s1", 1, "OCMF", last))
            await ledger.commit(end)

    asyncio.run(with_a_meter_that_signs())
    assert texts(tmp_path) == [Receipt("s1", first, own=False), Receipt("s1", last, own=False)]
    assert lines(texts(tmp_path)) == first + b"\n" + last + b"\n"


def test_the_container_is_what_transparency_software_opens(tmp_path: Path) -> None:
    asyncio.run(made(tmp_path, *charge("s1"), *charge("s2", 9_000)))
    own, public = texts(tmp_path), signer(tmp_path).public
    document = container([*own, Receipt("s3", b"OCMF|<&>|", own=False)], public)
    values = ET.fromstring(document)  # noqa: S314  # written just now
    assert values.tag == "values"
    signed = [value.find("signedData") for value in values]
    assert [one.text for one in signed if one is not None] == [*(one.text.decode() for one in own), "OCMF|<&>|"]
    assert [one.attrib for one in signed if one is not None] == [{"format": "OCMF", "encoding": "plain"}] * 3
    assert [value.findtext("publicKey") for value in values] == [public.hex().upper()] * 2 + [None]
    assert [value.get("transactionId") for value in values] == ["1", "2", "3"]


def examples() -> dict[str, tuple[Any, ...]]:
    """Return the facts of the examples by the names of their files."""
    begin, end = private("s1")
    far_begin, far_end = charge("s1", trigger=StartTrigger.REMOTE, id_token=IdToken("VIRTUAL-0001"))
    return {
        "plain": charge("s1"),
        "private-with-gap": (begin, replace(end, quality=(Quality.METER_GAP,), reason=StopReason.POWER_LOSS)),
        "remote-unknown-clock": (
            replace(far_begin, at=at(100, UNKNOWN, 7)),
            replace(far_end, at=at(3700, UNKNOWN, 7), periods=(), reason=StopReason.REMOTE),
        ),
    }


EXAMPLES = examples()
