"""The default installer: new firmware goes into the slot that does not run, and is started from there on trial.

An image is a wheel of the agent, a zip of wheels (the agent's and those that it needs newer), or a Debian package that
holds a virtual environment with the agent. Nothing is fetched from anywhere, and nothing of an image is run before its
environment is complete; then it has to import all of itself, and to accept the configuration that is in force.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
import venv
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryFile
from typing import Final

import structlog

from agent import launch
from agent.core.errors import InstallFailed
from agent.maintenance.wheel import MOST_BYTES, Wheel, normal, requirements, wheel
from agent.ports import Interruptible

log = structlog.get_logger(__name__)

AGENT: Final = "wallbox-agent"
DEB: Final = b"!<arch>\n"
ZIP: Final = b"PK\x03\x04"
RUN_S: Final = 180.0
"""A small computer takes its time to import everything for the first time."""
LOOK_S: Final = 0.2
MOST_WHEELS: Final = 200
COPY: Final = 1 << 20
EVERYTHING: Final = (
    "import importlib, pkgutil, agent\n"
    "for found in pkgutil.walk_packages(agent.__path__, 'agent.'):\n"
    "    if not found.name.endswith('__main__'): importlib.import_module(found.name)\n"
)


@dataclass(frozen=True, slots=True)
class Slots:
    """The slots of a station; config: the file that new firmware has to accept. Implements ``ports.Installer``."""

    folder: Path
    running: str | None
    config: Path

    def install(self, image: Path, job: int, line: Interruptible) -> str:
        """Put an image into the other slot, to be started next on trial; return its version.

        Raises: InstallFailed, also where it does not work; TransferFailed where it was called off.
        """
        slot = next(name for name in launch.SLOTS if name != (self.running or launch.read(self.folder).active))
        new = self.folder / f"{slot}.new"
        try:
            shutil.rmtree(new, ignore_errors=True)
            _build(image, new, line)
            version = self._tried(new, line)
            line.check()
            old = self.folder / slot
            shutil.rmtree(old, ignore_errors=True)
            new.replace(old)
            os.sync()
            choice = launch.Choice(self.running, launch.Trial(slot, job))
            launch.write(self.folder, choice)
        except (OSError, zipfile.BadZipFile, subprocess.SubprocessError) as error:
            raise InstallFailed(f"the image cannot be put in place: {error}") from error
        finally:
            shutil.rmtree(new, ignore_errors=True)
        return version

    def trial(self) -> int | None:
        """Return the number of the update that runs here and has still to prove itself."""
        trial = launch.read(self.folder).trial
        return trial.job if trial is not None and trial.slot == self.running else None

    def keep(self) -> None:
        """Take what runs into force. Raises: OSError."""
        if self.trial() is not None:
            launch.write(self.folder, launch.Choice(self.running))

    def revert(self) -> None:
        """Let the next start take what was in force before. Raises: OSError."""
        launch.write(self.folder, replace(launch.read(self.folder), trial=None))

    def _tried(self, slot: Path, line: Interruptible) -> str:
        """Return the version of what is in a slot, after it has been seen to work."""
        _run(slot, ["-c", EVERYTHING], "it does not import all of itself", line)
        command = ["-m", "agent", "--config", str(self.config), "config", "check"]
        _run(slot, command, "it does not accept the configuration", line)
        said = _run(slot, ["-m", "agent", "--version"], "it does not tell its version", line)
        version = said.split()[-1] if said.split() else ""
        if not version or len(version) > 50:  # noqa: PLR2004  # firmwareVersion of BootNotification
            raise InstallFailed("it does not tell its version", faulty=True)
        return version


def slots(environ: dict[str, str], config: Path) -> Slots | None:
    """Return the installer, None where the agent was not started by the launcher."""
    folder = environ.get(launch.FOLDER)
    if not folder or launch.LAUNCHER not in environ:
        return None
    return Slots(Path(folder), environ.get(launch.SLOT) or None, config)


def _build(image: Path, slot: Path, line: Interruptible) -> None:
    with image.open("rb") as file:
        magic = file.read(len(DEB))
    if magic == DEB:
        _unpack_package(image, slot, line)
    elif magic.startswith(ZIP):
        _unpack_wheels(image, slot, line)
    else:
        raise InstallFailed("the image is neither a wheel, nor a zip of wheels, nor a Debian package")


def _unpack_wheels(image: Path, slot: Path, line: Interruptible) -> None:
    """Make an environment of the wheels in an image, and of what the running one has that they need."""
    with ExitStack() as stack:
        found = {one.name: one for one in _wheels(image, stack)}
        if AGENT not in found:
            raise InstallFailed(f"the image has no {AGENT} in it")
        venv.EnvBuilder(symlinks=True, with_pip=False).create(slot)
        site = Path(sysconfig.get_path("purelib", "venv", vars={"base": str(slot), "platbase": str(slot)}))
        for distribution in _needed(found):
            line.check()
            _copy(distribution, site)
        for one in found.values():
            line.check()
            one.unpack(site)


def _wheels(image: Path, stack: ExitStack) -> Iterator[Wheel]:
    with zipfile.ZipFile(image) as archive:
        members = [info for info in archive.infolist() if info.filename.endswith(".whl")]
        if not members:
            one = wheel(image)
            stack.callback(one.archive.close)
            yield one
            return
        if len(members) > MOST_WHEELS or sum(info.file_size for info in members) > MOST_BYTES:
            raise InstallFailed("the image has too many wheels, or too large ones")
        for info in members:
            own = stack.enter_context(TemporaryFile(dir=image.parent))  # noqa: SIM115  # a small computer has no memory for it
            with archive.open(info) as member:
                shutil.copyfileobj(member, own, COPY)
            one = wheel(own)
            stack.callback(one.archive.close)
            yield one


def _needed(found: dict[str, Wheel]) -> list[metadata.Distribution]:
    """Return what the running environment has to lend. Raises: InstallFailed for what it lacks."""
    here = {normal(each.name): each for each in metadata.distributions() if each.metadata["Name"]}
    taken: dict[str, metadata.Distribution] = {}
    wanted: list[tuple[str, bool]] = [need for one in found.values() for need in one.requires]
    while wanted:
        name, conditional = wanted.pop()
        if name in found or name in taken:
            continue
        distribution = here.get(name)
        if distribution is not None:
            taken[name] = distribution
            wanted += requirements(distribution.requires or ())
        elif not conditional:
            raise InstallFailed(f"it needs {name}, which is not here: send a zip that has its wheel, too")
    return list(taken.values())


def _copy(distribution: metadata.Distribution, site: Path) -> None:
    """Copy the files of a distribution that are beside each other in ``site-packages``."""
    for file in distribution.files or ():
        source = Path(str(distribution.locate_file(file)))
        if ".." in file.parts or file.suffix == ".pyc" or not source.is_file():
            continue
        target = site.joinpath(*file.parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


def _unpack_package(image: Path, slot: Path, line: Interruptible) -> None:
    """Take the virtual environment out of a Debian package; its scripts are not run."""
    whole = slot.with_name(f"{slot.name}.deb")
    try:
        said = _ended(["dpkg-deb", "--field", str(image), "Installed-Size"], line)
        if int(said.strip() or 0) * 1024 > MOST_BYTES:
            raise InstallFailed("the package is too large once it is unpacked")
        _ended(["dpkg-deb", "--extract", str(image), str(whole)], line)
        found = [path.parent for path in whole.rglob("pyvenv.cfg") if launch.usable(path.parent)]
        if len(found) != 1:
            raise InstallFailed("the package has no virtual environment with the agent in it")
        found[0].replace(slot)
    except ValueError as error:
        raise InstallFailed("the package does not tell its size") from error
    finally:
        shutil.rmtree(whole, ignore_errors=True)


def _run(slot: Path, arguments: Sequence[str], fault: str, line: Interruptible) -> str:
    """Run the Python of a slot. Raises: InstallFailed where it fails."""
    try:
        return _ended([str(slot / "bin" / "python"), "-P", *arguments], line)
    except (subprocess.SubprocessError, OSError) as error:
        log.warning("new firmware does not work", cause=fault, said=_said(error))
        raise InstallFailed(f"{fault}: {_said(error)}", faulty=True) from error


def _ended(command: Sequence[str], line: Interruptible) -> str:
    """Return what a program printed. Raises: SubprocessError, OSError, TransferFailed where it was called off."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "NOTIFY_"))}
    with TemporaryFile() as out:
        process = subprocess.Popen(  # noqa: S603  # the slot's own Python, or dpkg-deb
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, cwd="/", env=clean
        )
        try:
            _wait(process, line)
        finally:
            process.kill()
            process.wait()
        out.seek(0)
        said = out.read(4096).decode("utf-8", "replace")
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, said)
    return said


def _wait(process: subprocess.Popen[bytes], line: Interruptible) -> None:
    for _ in range(int(RUN_S / LOOK_S)):
        try:
            process.wait(LOOK_S)
        except subprocess.TimeoutExpired:
            line.check()
        else:
            return
    raise subprocess.TimeoutExpired(process.args, RUN_S)


def _said(error: Exception) -> str:
    lines = str(getattr(error, "output", None) or error).strip().splitlines()
    return lines[-1][:200] if lines else type(error).__name__
