from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from node.machine import Machine, look_around, look_at


def program(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the whole PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def look(tmp_path: Path) -> Machine:
    return look_around(tmp_path / "home", tmp_path / "home" / "voices", tmp_path / "models")


def test_this_machine_has_what_every_machine_has(tmp_path: Path) -> None:
    machine = look(tmp_path)
    assert machine.python >= (3, 11, 0)
    assert machine.cores >= 1
    assert 0 < machine.memory_free <= machine.memory
    assert machine.system
    assert machine.architecture == os.uname().machine
    assert not (tmp_path / "home").exists()


def test_programs_are_found_on_the_path(path: Path, tmp_path: Path) -> None:
    program(path, "ffmpeg", "exit 0")
    machine = look(tmp_path)
    assert machine.programs["ffmpeg"] == path / "ffmpeg"
    assert machine.programs["espeak-ng"] is None


def test_gpus_are_listed_by_their_own_program(path: Path, tmp_path: Path) -> None:
    program(path, "nvidia-smi", "echo 'Card A, 8 GiB, 550.1'; echo 'Card B, 16 GiB, 550.1'")
    assert look(tmp_path).gpus == ("Card A, 8 GiB, 550.1", "Card B, 16 GiB, 550.1")


def test_a_failing_driver_is_told(path: Path, tmp_path: Path) -> None:
    program(path, "nvidia-smi", "echo 'no devices were found'; exit 6")
    machine = look(tmp_path)
    assert (machine.gpus, machine.gpu_trouble) == ((), "no devices were found")


def test_no_driver_is_no_trouble(path: Path, tmp_path: Path) -> None:
    machine = look(tmp_path)
    assert (machine.gpus, machine.gpu_trouble) == ((), "")


def test_a_refused_socket_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise OSError(99, "Cannot assign requested address")

    assert look(tmp_path).loopback_trouble == ""
    monkeypatch.setattr(socket, "create_server", refuse)
    assert "Cannot assign requested address" in look(tmp_path).loopback_trouble


def test_a_folder_that_is_not_there_is_judged_by_the_nearest_that_is(tmp_path: Path) -> None:
    folder = look_at(tmp_path / "a" / "b")
    assert folder.mode is None
    assert folder.writable
    assert folder.free > 0


def test_a_folder_tells_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o750)
    assert look_at(tmp_path).mode == 0o750


def test_a_file_in_a_folders_place_is_not_writable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    folder = look_at(tmp_path / "file")
    assert not folder.writable
    assert folder.mode is None


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_locked_folder_is_not_writable(tmp_path: Path) -> None:
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    assert not look_at(tmp_path / "home").writable
    tmp_path.chmod(0o700)
