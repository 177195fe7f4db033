"""Firmware in slots: real virtual environments, wheels made here, and the launcher as systemd runs it."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from agent import launch
from agent.core.errors import InstallFailed
from agent.launch import Choice, Trial
from agent.maintenance.line import Line, TransferFailed
from agent.maintenance.slots import Slots, slots

MAIN = """
import os, sys
if "--version" in sys.argv:
    print("wallbox-agent", {version!r})
elif "check" in sys.argv:
    sys.exit({check})
else:
    print("running", {version!r}, os.environ["FIRMWARE_SLOT"], *sys.argv[1:])
    sys.exit({status})
"""


def wheel(version: str = "9.9.9", *, check: int = 0, status: int = 0, more: str | None = None) -> bytes:
    """Return a tiny wheel of the agent; check, status: how its commands end; more: path of a file that fails."""
    main = MAIN.format(version=version, check=check, status=status)
    folder = f"wallbox_agent-{version}.dist-info"
    files = {
        "agent/__init__.py": f"__version__ = {version!r}\n",
        "agent/__main__.py": main,
        f"{folder}/METADATA": f"Metadata-Version: 2.1\nName: wallbox-agent\nVersion: {version}\n",
        f"{folder}/WHEEL": "Wheel-Version: 1.0\n",
    }
    files |= {} if more is None else {more: "import nowhere_to_be_found\n"}
    return packed(folder, files)


def packed(folder: str, files: dict[str, str], record: str | None = None) -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
        hashes = (base64.urlsafe_b64encode(hashlib.sha256(t.encode()).digest()).rstrip(b"=") for t in files.values())
        lines = (f"{name},sha256={digest.decode()},\n" for name, digest in zip(files, hashes, strict=True))
        archive.writestr(f"{folder}/RECORD", "".join(lines) if record is None else record)
    return whole.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "firmware"
    made.mkdir()
    return made


def install(folder: Path, image: bytes, running: str | None = None, job: int = 1) -> str:
    path = folder / "image"
    path.write_bytes(image)
    return Slots(folder, running, folder / "agent.toml").install(path, job, Line())


def start(folder: Path, *arguments: str) -> tuple[int, str]:
    """Run the launcher, and what it starts, to the end."""
    environ = {**os.environ, launch.FOLDER: str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "agent.launch", *arguments]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=20)
    return done.returncode, done.stdout.strip()


@pytest.mark.timeout(60)
def test_a_wheel_is_installed_started_on_trial_and_kept(folder: Path) -> None:
    assert install(folder, wheel("9.9.9"), job=5) == "9.9.9"
    assert launch.read(folder) == Choice(None, Trial("a", 5))
    assert start(folder, "run", "--config", "x") == (0, "running 9.9.9 a run --config x")
    running = Slots(folder, "a", folder / "agent.toml")
    assert running.trial() == 5
    running.keep()
    assert launch.read(folder) == Choice("a")
    assert running.trial() is None
    assert install(folder, wheel("9.9.10"), "a", job=6) == "9.9.10"
    assert launch.read(folder) == Choice("a", Trial("b", 6))


@pytest.mark.timeout(60)
def test_firmware_that_never_proves_itself_is_started_three_times(folder: Path) -> None:
    install(folder, wheel("1.0"))
    Slots(folder, "a", folder / "agent.toml").keep()
    install(folder, wheel("2.0", status=3), "a")
    assert [start(folder, "run") for _ in range(4)] == [(3, "running 2.0 b run")] * 3 + [(0, "running 1.0 a run")]
    assert launch.read(folder) == Choice("a")


@pytest.mark.timeout(60)
def test_a_command_beside_the_daemon_is_no_start(folder: Path) -> None:
    install(folder, wheel("2.0"))
    for _ in range(5):
        assert start(folder, "status")[1] == "running 2.0 a status"
    assert launch.read(folder) == Choice(None, Trial("a", 1))


@pytest.mark.timeout(60)
def test_firmware_that_reverts_itself_is_not_started_again(folder: Path) -> None:
    install(folder, wheel("2.0"))
    Slots(folder, "a", folder / "agent.toml").revert()
    assert start(folder, "--version")[1].startswith("wallbox-agent ")
    assert start(folder, "--version")[1] != "wallbox-agent 2.0"


OTHER = packed("x-1.dist-info", {"x-1.dist-info/METADATA": "Name: x\nVersion: 1\n", "x-1.dist-info/WHEEL": ""})


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("image", "words", "faulty"),
    [
        (wheel(check=2), "does not accept the configuration", True),
        (wheel(more="agent/broken.py"), "nowhere_to_be_found", True),
        (b"MZ not for here", "neither a wheel", False),
        (b"PK\x03\x04 torn", "cannot be put in place|no wheel", False),
        (b"!<arch>\n torn", "cannot be put in place", False),
        (OTHER, "has no wallbox-agent", False),
        (wheel(more="../evil.py"), "outside of its place", False),
    ],
)
def test_what_cannot_be_installed_leaves_all_as_it_was(folder: Path, image: bytes, words: str, *, faulty: bool) -> None:
    before = Choice("b")
    launch.write(folder, before)
    with pytest.raises(InstallFailed, match=words) as caught:
        install(folder, image, "b")
    assert caught.value.faulty is faulty
    assert launch.read(folder) == before
    assert not (folder / "a").exists()
    assert not (folder / "a.new").exists()


@pytest.mark.timeout(60)
def test_a_file_that_is_not_what_the_record_says_is_refused(folder: Path) -> None:
    files = {"agent/__init__.py": "", "w-1.dist-info/WHEEL": ""}
    files["w-1.dist-info/METADATA"] = "Name: wallbox.agent\nVersion: 1\n"
    with pytest.raises(InstallFailed, match="not what its RECORD says"):
        install(folder, packed("w-1.dist-info", files, "agent/__init__.py,sha256=AAAA,\n"))


@pytest.mark.timeout(60)
def test_what_a_wheel_needs_is_copied_or_comes_along(folder: Path) -> None:
    metadata = "Name: wallbox-agent\nVersion: 1\nRequires-Dist: ecdsa>=0.1\nRequires-Dist: wanted\n"
    files = {
        "agent/__init__.py": "import ecdsa, wanted\n",
        "agent/__main__.py": MAIN.format(version="1", check=0, status=0),
    }
    agent = packed("w-1.dist-info", {**files, "w-1.dist-info/METADATA": metadata, "w-1.dist-info/WHEEL": ""})
    with pytest.raises(InstallFailed, match="it needs wanted"):
        install(folder, agent)
    wanted = {
        "wanted.py": "",
        "wanted-1.dist-info/METADATA": "Name: Wanted\nVersion: 1\n",
        "wanted-1.dist-info/WHEEL": "",
    }
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr("agent.whl", agent)
        archive.writestr("wanted.whl", packed("wanted-1.dist-info", wanted))
    assert install(folder, whole.getvalue()) == "1"


@pytest.mark.timeout(60)
def test_a_debian_package_brings_its_own_environment(folder: Path, tmp_path: Path) -> None:
    install(folder, wheel("3.0"))
    tree = tmp_path / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN" / "control").write_text(
        "Package: wallbox-agent\nVersion: 3.0\nArchitecture: all\nMaintainer: x <x@example.com>\n"
        "Installed-Size: 100\nDescription: agent\n"
    )
    (tree / "opt" / "wallbox-agent").mkdir(parents=True)
    (folder / "a").rename(tree / "opt" / "wallbox-agent" / ".venv")
    package = tmp_path / "p.deb"
    subprocess.run(["dpkg-deb", "--build", str(tree), str(package)], check=True, capture_output=True)  # noqa: S607
    assert install(folder, package.read_bytes()) == "3.0"
    assert start(folder, "run")[1] == "running 3.0 a run"


def test_an_installation_can_be_called_off(folder: Path) -> None:
    image = folder / "image"
    image.write_bytes(wheel())
    line = Line()
    line.cut()
    with pytest.raises(TransferFailed):
        Slots(folder, None, folder / "agent.toml").install(image, 1, line)
    assert launch.read(folder) == Choice()


@pytest.mark.parametrize(
    "text", ["", "[]", '{"version": 2}', '{"version": 1, "active": "../x"}', '{"trial": 3}', "\xff"]
)
def test_a_choice_that_cannot_be_read_is_the_base(folder: Path, text: str) -> None:
    (folder / launch.CHOICE).write_text(text, encoding="latin-1")
    assert launch.read(folder) == Choice()
    assert launch.pick(folder) is None


def test_a_slot_whose_python_is_gone_is_not_started(folder: Path) -> None:
    site = folder / "a" / "lib" / "python3.9" / "site-packages" / "agent"
    site.mkdir(parents=True)
    (site / "__init__.py").touch()
    (folder / "a" / "bin").mkdir()
    launch.write(folder, Choice("a", Trial("a", 1)))
    assert launch.pick(folder) is None
    (folder / "a" / "bin" / "python").symlink_to(Path(sys.executable).resolve())
    assert launch.pick(folder) is None, "another version of Python, which does not find the agent"
    assert launch.read(folder) == Choice("a")


def test_a_start_that_cannot_be_counted_does_not_happen(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    launch.write(folder, Choice(None, Trial("b", 1)))
    monkeypatch.setattr(launch, "usable", lambda _slot: True)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(launch, "write", full)
    assert launch.pick(folder) is None


def test_without_the_launcher_nothing_is_installed(tmp_path: Path) -> None:
    assert slots({}, tmp_path) is None
    assert slots({launch.FOLDER: str(tmp_path)}, tmp_path) is None
    found = slots({launch.FOLDER: str(tmp_path), launch.LAUNCHER: sys.executable, launch.SLOT: ""}, tmp_path)
    assert found == Slots(tmp_path, None, tmp_path)


def test_the_folder_is_named_or_in_the_state_directory() -> None:
    assert launch.folder_of({launch.FOLDER: "/x"}) == Path("/x")
    assert launch.folder_of({"STATE_DIRECTORY": "/s:/t"}) == Path("/s/firmware")
    assert launch.folder_of({}) is None
