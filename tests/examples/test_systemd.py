"""The systemd unit: what systemd itself says of it, and that its command is one of ours."""

from __future__ import annotations

import configparser
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cli.app import build_app

UNIT = Path("examples/systemd/babelmesh.service")


@pytest.fixture
def unit(repository: Path) -> str:
    return (repository / UNIT).read_text()


def verify(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    tool = shutil.which("systemd-analyze")
    if tool is None:
        pytest.skip("needs systemd-analyze")
    file = folder / "babelmesh.service"
    file.write_text(text.replace("%h/.local/bin/babelmesh", sys.executable))
    command = [tool, "verify", "--man=no", "--recursive-errors=no", str(file)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_systemd_takes_the_unit(unit: str, tmp_path: Path) -> None:
    said = verify(unit, tmp_path)
    assert (said.returncode, said.stderr) == (0, "")


def test_systemd_would_tell_of_a_slip(unit: str, tmp_path: Path) -> None:
    said = verify(unit.replace("ProtectSystem=strict", "ProtectSystem=very"), tmp_path)
    assert "Failed to parse protect system value" in said.stderr


def test_the_command_is_one_of_ours(unit: str) -> None:
    read = configparser.ConfigParser(strict=False, interpolation=None)
    read.optionxform = str  # type: ignore[assignment,method-assign]
    read.read_string(unit)
    words = shlex.split(read["Service"]["ExecStart"])
    assert words[0].endswith("/babelmesh")
    _, bound, _ = build_app().parse_args([*words[1:2], "--home", "/somewhere"], exit_on_error=False, print_error=False)
    assert bound is not None
    assert read["Service"]["RestartPreventExitStatus"] == "2"
