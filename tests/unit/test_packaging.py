"""Packaging: lock files and their wheels, what an installation contains, and what `make setup` says where it can't."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from dataclasses import dataclass
from importlib import metadata
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version

import agent

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT: Final = Path(__file__).resolve().parents[2]
PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text())
RECORD: Final = json.loads((ROOT / "wheels.lock.json").read_text())
PYTHONS: Final = ((3, 11), (3, 12), (3, 13), (3, 14))
MACHINES: Final = ("x86_64", "aarch64", "armv7l")
OLDEST_GLIBC: Final = 36  # Debian 12
PLATFORMS: Final = tuple(product(PYTHONS, MACHINES))


@dataclass(frozen=True, slots=True)
class Locked:
    """A package of a lock file: version, marker or None, and the hashes."""

    version: str
    marker: str | None
    hashes: frozenset[str]


def locked(file: str) -> Mapping[str, Locked]:
    """Read a lock file; fails on anything but pinned requirements with hashes."""
    text = re.sub(r"#.*\n", "", (ROOT / file).read_text()).replace("\\\n", " ")
    return dict(_locked(line) for line in text.splitlines())


def _locked(line: str) -> tuple[str, Locked]:
    match = re.fullmatch(r"([a-z0-9-]+)==(\S+)(?: ; (.*?))?((?:\s+--hash=sha256:[0-9a-f]{64})+)", line)
    assert match, f"not a pinned requirement with hashes: {line}"
    name, version, marker, hashes = match.groups()
    return name, Locked(version, marker, frozenset(re.findall(r"[0-9a-f]{64}", hashes)))


RUNTIME: Final = locked("requirements.lock")
DEVELOPMENT: Final = locked("requirements-dev.lock")


def environment(python: tuple[int, int], machine: str) -> dict[str, str]:
    version = f"{python[0]}.{python[1]}"
    return {
        "python_version": version,
        "python_full_version": f"{version}.0",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "platform_machine": machine,
        "platform_system": "Linux",
        "sys_platform": "linux",
        "os_name": "posix",
        "extra": "",
    }


def applies(marker: str | None, python: tuple[int, int], machine: str) -> bool:
    return marker is None or Marker(marker).evaluate(environment(python, machine))


def accepted_tags(python: tuple[int, int], machine: str) -> frozenset[Tag]:
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in range(OLDEST_GLIBC, 4, -1)]
    platforms += [f"manylinux2014_{machine}"]
    abi = f"cp{python[0]}{python[1]}"
    own = cpython_tags(python, abis=[abi], platforms=platforms)
    return frozenset([*own, *compatible_tags(python, interpreter=abi, platforms=platforms)])


def without_wheel(packages: Mapping[str, Locked], group: str, python: tuple[int, int], machine: str) -> list[str]:
    """Return the packages needed there that have no recorded wheel whose hash is locked."""
    tags = accepted_tags(python, machine)
    lacking = []
    for name in RECORD[group]:
        wheels: Mapping[str, str] = RECORD[group][name]["wheels"]
        usable = {digest for file, digest in wheels.items() if tags & parse_wheel_filename(file)[3]}
        if applies(packages[name].marker, python, machine) and not usable & packages[name].hashes:
            lacking.append(name)
    return lacking


@pytest.mark.parametrize(("python", "machine"), PLATFORMS)
def test_every_runtime_dependency_has_a_wheel_for_every_supported_machine(
    python: tuple[int, int], machine: str
) -> None:
    assert without_wheel(RUNTIME, "runtime", python, machine) == []


@pytest.mark.parametrize(("python", "machine"), tuple(product(PYTHONS, ("x86_64", "aarch64"))))
def test_every_tool_has_a_wheel_where_the_code_is_written(python: tuple[int, int], machine: str) -> None:
    assert without_wheel(DEVELOPMENT, "development", python, machine) == []


def test_the_record_holds_the_locked_versions_and_hashes() -> None:
    recorded = {
        name: Locked(entry["version"], entry["marker"], frozenset(entry["wheels"].values()))
        for group in ("runtime", "development")
        for name, entry in RECORD[group].items()
    }
    assert recorded == DEVELOPMENT
    assert RECORD["runtime"].keys() == RUNTIME.keys()


def test_the_recorded_wheels_are_of_the_recorded_packages() -> None:
    for name, entry in (RECORD["runtime"] | RECORD["development"]).items():
        for file in entry["wheels"]:
            distribution, version, _, _ = parse_wheel_filename(file)
            assert (distribution, version) == (name, Version(entry["version"])), file


def test_the_runtime_lock_is_the_part_of_the_development_lock_that_the_agent_needs() -> None:
    assert {name: DEVELOPMENT[name] for name in RUNTIME} == RUNTIME


@pytest.mark.parametrize("file", ["requirements.lock", "requirements-dev.lock", "wheels.lock.json", "pyproject.toml"])
def test_no_package_index_is_named(file: str) -> None:
    assert re.findall(r"://|index-url|find-links", (ROOT / file).read_text()) == []


def requirements(*groups: str) -> list[Requirement]:
    declared = [*PROJECT["project"]["dependencies"]]
    declared += [line for group in groups for line in PROJECT["dependency-groups"][group]]
    return [Requirement(line) for line in declared]


def test_what_the_project_asks_for_is_locked() -> None:
    for requirement in requirements("build"):
        assert requirement.specifier.contains(RUNTIME[canonicalize_name(requirement.name)].version), requirement
    extras = map(Requirement, PROJECT["project"]["optional-dependencies"]["panel"])
    for requirement in (*requirements("build", "dev"), *extras):
        assert requirement.specifier.contains(DEVELOPMENT[canonicalize_name(requirement.name)].version), requirement


def test_what_the_locked_packages_ask_for_is_locked_too() -> None:
    lacking = {
        f"{name}: {wanted}"
        for name in RUNTIME
        for wanted in map(Requirement, metadata.requires(name) or ())
        for python, machine in PLATFORMS
        if applies(str(wanted.marker) if wanted.marker else None, python, machine)
        if (found := RUNTIME.get(canonicalize_name(wanted.name))) is None
        or not wanted.specifier.contains(found.version)
    }
    assert lacking == set()


def test_the_tests_run_with_the_locked_versions() -> None:
    here = {name: metadata.version(name) for name, package in DEVELOPMENT.items() if _is_for_this_python(package)}
    assert here == {name: package.version for name, package in DEVELOPMENT.items() if name in here}


def _is_for_this_python(package: Locked) -> bool:
    return package.marker is None or Marker(package.marker).evaluate()


def test_the_version_installed_is_the_one_in_the_code() -> None:
    assert metadata.version("wallbox-agent") == agent.__version__


def test_the_commands_are_installed() -> None:
    commands = metadata.distribution("wallbox-agent").entry_points.select(group="console_scripts")
    assert {command.name: command.value for command in commands} == {
        "wallbox-agent": "agent.__main__:main",
        "wallbox-launch": "agent.launch:main",
        "wallbox-sim": "simulators.__main__:main",
    }
    assert all(callable(command.load()) for command in commands)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> frozenset[str]:
    """Build a wheel from a copy of the checkout and return the names of its files."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("agent", "simulators", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in filter(Path.is_file, ROOT.iterdir()):
        shutil.copy(path, folder)
    build = "import setuptools.build_meta as backend; print(backend.build_wheel('dist'))"
    subprocess.run([sys.executable, "-c", build], cwd=folder, check=True, capture_output=True, timeout=60)
    (built,) = (folder / "dist").glob("*.whl")
    assert built.name == f"wallbox_agent-{agent.__version__}-py3-none-any.whl"
    return frozenset(zipfile.ZipFile(built).namelist())


def source_files() -> Iterator[str]:
    for package in ("agent", "simulators"):
        for path in (ROOT / package).rglob("*"):
            if path.suffix in {".py", ".toml", ".sql", ".ttf", ".css"} or path.name == "py.typed":
                yield path.relative_to(ROOT).as_posix()


@pytest.mark.timeout(60)
def test_a_wheel_contains_every_module_and_data_file_and_no_test(wheel: frozenset[str]) -> None:
    packed = {name for name in wheel if ".dist-info/" not in name}
    assert packed == set(source_files())


@pytest.mark.timeout(60)
def test_a_wheel_carries_the_licence(wheel: frozenset[str]) -> None:
    assert any(name.endswith("/licenses/LICENSE") for name in wheel)


#: What the set-up script calls before it has found a Python.
SHELL_TOOLS: Final = ("sh", "cat", "cksum", "dirname", "head", "git")


@dataclass(frozen=True, slots=True)
class BareMachine:
    """A checkout on a machine with a shell and little else: `programs` is its only PATH."""

    checkout: Path
    programs: Path

    def has(self, name: str, script: str) -> None:
        """Put a shell script on the PATH under this name."""
        program = self.programs / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)

    def set_up(self, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run the set-up script there."""
        script = self.checkout / "scripts" / "setup.sh"
        surroundings = {"PATH": str(self.programs), **variables}
        return subprocess.run(
            [script],
            check=False,
            env=surroundings,
            capture_output=True,
            text=True,
            timeout=10,
            stdin=subprocess.DEVNULL,
        )


@pytest.fixture
def bare_machine(tmp_path: Path) -> BareMachine:
    checkout, programs = tmp_path / "checkout", tmp_path / "bin"
    programs.mkdir()
    for file in ("scripts/setup.sh", "pyproject.toml", "requirements-dev.lock", "agent/__init__.py"):
        (checkout / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, checkout / file)
    for name in SHELL_TOOLS:
        found = shutil.which(name)
        assert found, f"{name} is not on this machine"
        (programs / name).symlink_to(found)
    return BareMachine(checkout, programs)


def refused(outcome: subprocess.CompletedProcess[str]) -> str:
    """Return the one line that the script refused with."""
    (line,) = outcome.stderr.splitlines()
    assert (outcome.returncode, outcome.stdout) == (1, "")
    return line


def test_without_python_one_line_says_what_to_install(bare_machine: BareMachine) -> None:
    line = refused(bare_machine.set_up())
    assert line == "error: Python 3.11 or newer is needed, up to 3.14: sudo apt install python3 python3-venv"


def test_a_python_that_is_too_old_counts_as_none(bare_machine: BareMachine) -> None:
    bare_machine.has("python3", "exit 1")
    assert "Python 3.11 or newer is needed" in refused(bare_machine.set_up())


def test_a_python_without_venv_is_named_with_the_package_that_it_lacks(bare_machine: BareMachine) -> None:
    script = f'case "$*" in *ensurepip*) exit 1 ;; *) exec {sys.executable} "$@" ;; esac'
    bare_machine.has("python3.13", script)
    package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    line = refused(bare_machine.set_up())
    assert line == f"error: python3.13 cannot make virtual environments: sudo apt install {package}"


def test_without_git_one_line_says_what_to_install(bare_machine: BareMachine) -> None:
    (bare_machine.programs / "git").unlink()
    assert refused(bare_machine.set_up()) == "error: git is needed: sudo apt install git"


def test_a_python_asked_for_by_name_is_not_replaced_by_another(bare_machine: BareMachine) -> None:
    bare_machine.has("python3", f'exec {sys.executable} "$@"')
    assert "PYTHON=python2" in refused(bare_machine.set_up(PYTHON="python2"))


def test_a_set_up_that_failed_is_told_and_leaves_no_stamp(bare_machine: BareMachine) -> None:
    bare_machine.has(
        "python3", f'case "$*" in *"-m venv"*) echo disk full; exit 3 ;; *) exec {sys.executable} "$@" ;; esac'
    )
    for name in ("rm", "mkdir"):
        (bare_machine.programs / name).symlink_to(os.fspath(Path(shutil.which(name) or "")))
    outcome = bare_machine.set_up()
    assert outcome.returncode == 1
    assert outcome.stderr.splitlines() == ["disk full", "error: could not set up .venv: the output above says why"]
    assert not (bare_machine.checkout / ".venv" / ".complete").exists()
