#!/usr/bin/env python3
"""Make the lock files and the record of their wheels from pyproject.toml (needs `uv`; see CONTRIBUTING.md)."""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from packaging.markers import Marker
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import parse_wheel_filename

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT: Final = Path(__file__).resolve().parent.parent
RUNTIME_LOCK: Final = ROOT / "requirements.lock"
DEVELOPMENT_LOCK: Final = ROOT / "requirements-dev.lock"
RECORD: Final = ROOT / "wheels.lock.json"

PYTHONS: Final = ((3, 11), (3, 12), (3, 13), (3, 14))
#: Machine -> oldest glibc 2.x that a wheel for it may be built for.
MACHINES: Final[Mapping[str, int]] = {"x86_64": 5, "aarch64": 17, "armv7l": 17}
#: The development tools run where the code is written, which is not the wallbox.
DEVELOPMENT_MACHINES: Final = ("x86_64", "aarch64")
#: Minor versions of glibc: Debian 12 (what every locked package must run on) and Debian 13 (what may be locked beside).
OLDEST_GLIBC: Final = 36
NEWEST_GLIBC: Final = 41
#: Names of manylinux platforms before they were numbered by glibc version: glibc minor -> name.
LEGACY_PLATFORMS: Final[Mapping[int, str]] = {5: "manylinux1", 12: "manylinux2010", 17: "manylinux2014"}


@dataclass(frozen=True, slots=True)
class Target:
    """A Python (major, minor) on a machine, named as `platform.machine` names it."""

    python: tuple[int, int]
    machine: str

    def __str__(self) -> str:
        return f"CPython {self.python[0]}.{self.python[1]} on {self.machine}"

    def tags(self, glibc: int) -> frozenset[Tag]:
        """Return the wheel tags that pip accepts here with glibc 2.``glibc``."""
        platforms = list(_platforms(self.machine, glibc))
        major, minor = self.python
        abi = f"cp{major}{minor}"
        own = cpython_tags(self.python, abis=[abi], platforms=platforms)
        pure = compatible_tags(self.python, interpreter=abi, platforms=platforms)
        return frozenset([*own, *pure])

    def environment(self) -> dict[str, str]:
        """Return the values of the environment markers here."""
        version = f"{self.python[0]}.{self.python[1]}"
        return {
            "python_version": version,
            "python_full_version": f"{version}.0",
            "implementation_name": "cpython",
            "implementation_version": f"{version}.0",
            "platform_python_implementation": "CPython",
            "platform_machine": self.machine,
            "platform_system": "Linux",
            "sys_platform": "linux",
            "os_name": "posix",
            "extra": "",
        }


def _platforms(machine: str, glibc: int) -> Iterator[str]:
    for minor in range(glibc, MACHINES[machine] - 1, -1):
        yield f"manylinux_2_{minor}_{machine}"
        if minor in LEGACY_PLATFORMS:
            yield f"{LEGACY_PLATFORMS[minor]}_{machine}"
    yield f"linux_{machine}"


TARGETS: Final = tuple(Target(python, machine) for python, machine in product(PYTHONS, MACHINES))


@dataclass(frozen=True, slots=True)
class Package:
    """A locked package.

    marker: where it is needed, None for everywhere.
    wheels: file name -> sha256 in hex, those that one of the targets accepts; sorted by name.
    """

    name: str
    version: str
    marker: str | None
    wheels: Mapping[str, str]

    def is_needed(self, target: Target) -> bool:
        """Whether the package is installed on this target."""
        return self.marker is None or Marker(self.marker).evaluate(target.environment())

    def has_wheel(self, target: Target) -> bool:
        """Whether one of the wheels runs on this target with the oldest glibc supported."""
        tags = target.tags(OLDEST_GLIBC)
        return any(tags & parse_wheel_filename(name)[3] for name in self.wheels)

    def requirement(self) -> str:
        """Return the lines of this package in a requirements file, with hashes."""
        marker = f" ; {self.marker}" if self.marker else ""
        hashes = "".join(f" \\\n    --hash=sha256:{digest}" for digest in sorted(set(self.wheels.values())))
        return f"{self.name}=={self.version}{marker}{hashes}\n"


def usable_wheels(files: Mapping[str, str]) -> dict[str, str]:
    """Return those of the wheels (name -> sha256) that one of the targets accepts, sorted by name."""
    tags = frozenset[Tag]().union(*(target.tags(NEWEST_GLIBC) for target in TARGETS))
    return {name: files[name] for name in sorted(files) if tags & parse_wheel_filename(name)[3]}


def _package(entry: Mapping[str, object]) -> Package:
    wheels = entry.get("wheels", [])
    assert isinstance(wheels, list), f"{entry['name']} has no list of wheels"  # noqa: S101  uv's own promise
    files = {_file_name(wheel): str(wheel["hashes"]["sha256"]) for wheel in wheels}
    marker = entry.get("marker")
    return Package(str(entry["name"]), str(entry["version"]), str(marker) if marker else None, usable_wheels(files))


def _file_name(wheel: Mapping[str, object]) -> str:
    return str(wheel.get("name") or unquote(urlsplit(str(wheel["url"])).path.rpartition("/")[2]))


def resolve(*groups: str, pins: Path | None, extras: tuple[str, ...] = ()) -> tuple[Package, ...]:
    """Resolve the dependencies of the project, of these groups and of its extras; sorted by name.

    pins: a requirements file whose versions are kept, None for the newest of everything.
    Only what is needed on a target is returned. Raises: CalledProcessError after uv has said why.
    """
    uv = shutil.which("uv")
    if uv is None:
        sys.exit("error: uv is needed to make the lock files: pip install uv")
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "pylock.toml")
        command = [uv, "pip", "compile", "--quiet", "--universal", "--no-build", "--format", "pylock.toml"]
        command += ["--output-file", str(output), *(f"--group={group}" for group in groups)]
        command += [f"--extra={extra}" for extra in extras]
        command += ["--constraints", str(pins)] if pins else []
        subprocess.run([*command, "pyproject.toml"], cwd=ROOT, check=True)
        entries = tomllib.loads(output.read_text())["packages"]
    packages = (_package(entry) for entry in entries)
    return tuple(package for package in packages if any(map(package.is_needed, TARGETS)))


def missing_wheels(packages: tuple[Package, ...], machines: tuple[str, ...]) -> list[str]:
    """Return a line for each package and target without a wheel."""
    targets = [target for target in TARGETS if target.machine in machines]
    return [
        f"{package.name} {package.version} has no wheel for {target}"
        for package, target in product(packages, targets)
        if package.is_needed(target) and not package.has_wheel(target)
    ]


def write_requirements(path: Path, packages: tuple[Package, ...], title: str) -> None:
    """Write a requirements file with hashes."""
    heading = f"# {title}\n# Made by `make lock` from pyproject.toml; not to be edited by hand.\n"
    path.write_text(heading + "".join(package.requirement() for package in packages))


def write_record(runtime: tuple[Package, ...], development: tuple[Package, ...]) -> None:
    """Write the record: per package its version, marker and wheels (file name -> sha256)."""

    def entries(packages: tuple[Package, ...]) -> dict[str, object]:
        return {p.name: {"version": p.version, "marker": p.marker, "wheels": p.wheels} for p in packages}

    names = {package.name for package in runtime}
    tools = tuple(package for package in development if package.name not in names)
    record = {"runtime": entries(runtime), "development": entries(tools)}
    RECORD.write_text(json.dumps(record, indent=1) + "\n")


def _pins(path: Path, folder: str) -> Path:
    """Write the versions of a lock file, without hashes, where uv can take them as constraints."""
    pins = Path(folder, "pins.txt")
    lines = re.findall(r"^[^\s#].*?(?= \\$|$)", path.read_text(), re.MULTILINE)
    pins.write_text("\n".join(lines) + "\n")
    return pins


def main() -> int:
    """Make the three files; exit status 1 where a package lacks a wheel."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions, not those locked now")
    upgrade = parser.parse_args().upgrade
    with tempfile.TemporaryDirectory() as folder:
        kept = None if upgrade or not DEVELOPMENT_LOCK.exists() else _pins(DEVELOPMENT_LOCK, folder)
        development = resolve("build", "dev", pins=kept, extras=("panel",))
        write_requirements(DEVELOPMENT_LOCK, development, "What the agent needs, and the tools to develop it.")
        runtime = resolve("build", pins=_pins(DEVELOPMENT_LOCK, folder))
    write_requirements(RUNTIME_LOCK, runtime, "What the agent needs, and the build backend that installs it.")
    write_record(runtime, development)
    missing = missing_wheels(runtime, tuple(MACHINES)) + missing_wheels(development, DEVELOPMENT_MACHINES)
    print("\n".join(missing) or f"{len(runtime)} packages at run time, {len(development)} with the tools")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
