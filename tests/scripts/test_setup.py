"""The scripts that set up a machine, run against programs that only write down how they were called."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
CONSTRAINTS = SCRIPTS.parent / "constraints.txt"
TOOLS = ("bash", "cat", "dirname", "env", "grep", "mkdir", "touch")


class Machine:
    """A PATH that holds only what a test puts there; every program writes its call to a log."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "log"
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.log.write_text("")
        for tool in TOOLS:
            found = shutil.which(tool)
            assert found is not None
            (self.bin / tool).symlink_to(found)

    def program(self, name: str, text: str) -> None:
        path = self.bin / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >> "{self.log}"\n{text}\n')
        path.chmod(0o755)

    def debian(self, *, root: bool, installed: tuple[str, ...] = (), lists: bool = True, mends: int = 0) -> None:
        """Debian's programs. apt-get install succeeds from the call number `mends` on."""
        state = self.folder / "installed"
        state.mkdir()
        for name in installed:
            (state / name).touch()
        calls = self.folder / "calls"
        calls.write_text("")
        self.program("id", f"echo {0 if root else 1000}")
        self.program("dpkg-query", f'for last; do :; done; [ -e "{state}/$last" ] && printf installed')
        self.program("apt-cache", "exit 0" if lists else f'[ -e "{self.folder}/updated" ]')
        self.program(
            "apt-get",
            f'case "$1" in update) touch "{self.folder}/updated"; exit 0;; esac\n'
            f'echo x >> "{calls}"\n'
            f'[ "$(grep -c x "{calls}")" -gt {mends} ] || exit 100\n'
            f'for name; do case "$name" in -*|install) ;; *) touch "{state}/$name";; esac; done',
        )

    def run(self, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", SCRIPTS / script, *arguments],
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": str(self.bin), "HOME": str(self.folder)},
        )

    @property
    def calls(self) -> list[str]:
        return [line for line in self.log.read_text().splitlines() if line.startswith(("apt-get", "sudo"))]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


INSTALL = "apt-get install --yes --quiet --no-install-recommends"


def test_packages_that_are_there_are_left_alone(machine: Machine) -> None:
    machine.debian(root=False, installed=("a", "b"))
    assert machine.run("debian-packages", "a", "b").returncode == 0
    assert machine.calls == []


def test_root_installs_only_what_is_missing(machine: Machine) -> None:
    machine.debian(root=True, installed=("a",))
    assert machine.run("debian-packages", "a", "b", "c").returncode == 0
    assert machine.calls == [f"{INSTALL} b c"]


def test_empty_package_lists_are_fetched_first(machine: Machine) -> None:
    machine.debian(root=True, lists=False)
    assert machine.run("debian-packages", "a").returncode == 0
    assert machine.calls == ["apt-get update --quiet", f"{INSTALL} a"]


def test_old_package_lists_are_fetched_again_once(machine: Machine) -> None:
    machine.debian(root=True, mends=1)
    assert machine.run("debian-packages", "a").returncode == 0
    assert machine.calls == [f"{INSTALL} a", "apt-get update --quiet", f"{INSTALL} a"]


def test_a_package_that_cannot_be_had_ends_the_run(machine: Machine) -> None:
    machine.debian(root=True, mends=9)
    assert machine.run("debian-packages", "a").returncode != 0


def test_sudo_is_used_when_it_asks_nothing(machine: Machine) -> None:
    machine.debian(root=False)
    machine.program("sudo", '[ "$1" = -n ] && shift; exec "$@"')
    (machine.bin / "true").symlink_to(shutil.which("true"))
    assert machine.run("debian-packages", "a").returncode == 0
    assert f"{INSTALL} a" in machine.calls


@pytest.mark.parametrize("sudo", [False, True])
def test_without_root_the_one_line_is_printed(machine: Machine, sudo: bool) -> None:
    machine.debian(root=False, installed=("a",))
    if sudo:
        machine.program("sudo", "exit 1")
    done = machine.run("debian-packages", "a", "b", "c")
    assert done.returncode == 2
    assert "    sudo apt-get install --yes b c\n" in done.stderr
    assert not [call for call in machine.calls if call.startswith("apt-get")]


def test_another_system_is_told_what_it_needs(machine: Machine) -> None:
    done = machine.run("debian-packages", "a")
    assert done.returncode == 2
    assert "by hand: a" in done.stderr
    assert "DEBIAN_PACKAGES=" in done.stderr


def test_an_old_python_is_refused_by_name(machine: Machine, tmp_path: Path) -> None:
    machine.program("python3", 'case "$*" in --version) echo Python 3.9.2;; *) exit 1;; esac')
    done = machine.run("make-venv", str(tmp_path / "venv"))
    assert done.returncode == 2
    assert "needs Python 3.11, 3.12 or 3.13, and this machine has Python 3.9.2" in done.stderr
    assert not (tmp_path / "venv").exists()


def test_no_python_is_refused(machine: Machine, tmp_path: Path) -> None:
    done = machine.run("make-venv", str(tmp_path / "venv"))
    assert done.returncode == 2
    assert "no python3 that runs" in done.stderr


def test_a_python_that_was_named_is_not_replaced_by_another(machine: Machine, tmp_path: Path) -> None:
    (machine.bin / "python3.11").symlink_to(sys.executable)
    done = machine.run("make-venv", str(tmp_path / "venv"), "/no/such/python")
    assert done.returncode == 2
    assert "no /no/such/python that runs" in done.stderr


def test_a_python_without_venv_gets_debians_package(machine: Machine, tmp_path: Path) -> None:
    machine.debian(root=False)
    machine.program(
        "python3.11", 'case "$*" in *"import venv"*) exit 1;; *python%d*) echo python3.11;; *) exit 0;; esac'
    )
    done = machine.run("make-venv", str(tmp_path / "venv"))
    assert done.returncode == 2
    assert "sudo apt-get install --yes python3.11-venv" in done.stderr


def test_the_environment_is_made_and_then_left_alone(machine: Machine, tmp_path: Path) -> None:
    """Only pip's own upgrade is kept out: it needs the network."""
    venv = tmp_path / "venv"
    (machine.bin / "python3.12").symlink_to("/nowhere")
    machine.program(
        "python3.11",
        f'case "$*" in\n  *"-m venv"*) mkdir -p "{venv}/bin"; cp "$0" "{venv}/bin/python";;\nesac\nexit 0',
    )
    (machine.bin / "cp").symlink_to(shutil.which("cp"))
    first = machine.run("make-venv", str(venv))
    assert first.returncode == 0, first.stderr
    assert f"python3.11 -m venv --clear {venv}" in machine.log.read_text()
    machine.log.write_text("")
    second = machine.run("make-venv", str(venv))
    assert "is there already" in second.stdout
    assert "-m venv" not in machine.log.read_text()
    assert "--upgrade -c" in machine.log.read_text()


@pytest.mark.parametrize(
    "script", sorted(path.name for path in SCRIPTS.iterdir() if path.suffix == "" and path.is_file())
)
def test_every_script_is_executable_and_parses(script: str) -> None:
    path = SCRIPTS / script
    assert os.access(path, os.X_OK)
    assert subprocess.run(["bash", "-n", path], check=False).returncode == 0
