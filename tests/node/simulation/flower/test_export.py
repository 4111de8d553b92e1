"""The exported app is whole, says what was asked for, and runs in Flower's own simulation where Flower is."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from node.errors import BadRequest
from node.simulation.flower.export import FILES, export
from node.simulation.wish import Wish

SMALL = Wish(peers=3, rounds=2, seconds=6, algorithm="mix90", rate=1e-5)


def test_the_app_is_whole_and_says_what_was_asked_for(tmp_path: Path) -> None:
    written = export(SMALL, tmp_path / "app")
    assert [path.relative_to(tmp_path / "app").as_posix() for path in written] == list(FILES)
    for path in written:
        assert "{{" not in path.read_text()
        assert path.read_text().count("\n") < 120
    project = tomllib.loads(written[0].read_text())
    app = project["tool"]["flwr"]["app"]
    assert app["config"] == {
        "num-server-rounds": 2,
        "least-clients": 3,
        "alpha": 0.9,
        "epochs": 1,
        "batch": 64,
        "rate": 1e-5,
        "voice": "",
        "seconds": 6.0,
        "seed": 0,
    }
    for component in app["components"].values():
        module, name = component.split(":")
        tree = ast.parse((tmp_path / "app" / (module.replace(".", "/") + ".py")).read_text())
        assert name in {
            target.id for one in tree.body if isinstance(one, ast.Assign) for target in one.targets if _named(target)
        }


def _named(target: ast.expr) -> bool:
    return isinstance(target, ast.Name)


@pytest.mark.parametrize(
    "change", [{"algorithm": "ditto"}, {"topology": "ring"}, {"hostile": "0.2:alie"}, {"churn": 0.5}, {"rounds": 0}]
)
def test_what_flower_cannot_do_is_refused(change: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(BadRequest):
        export(replace(SMALL, **change), tmp_path / "app")
    assert not (tmp_path / "app").exists()


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(BadRequest, match="not empty"):
        export(SMALL, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.fixture
def flower(tmp_path: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    """Flower's command, and an environment with a home of its own; the SuperLink that it starts is ended."""
    python = os.environ.get("BABELMESH_FLOWER")
    if not python:
        pytest.skip("BABELMESH_FLOWER names no interpreter with flwr and babelmesh")
    environment = {
        **os.environ,
        "FLWR_HOME": str(tmp_path / "flwr"),
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
        "PATH": f"{Path(python).parent}{os.pathsep}{os.environ['PATH']}",
    }
    environment.pop("BABELMESH_HOME", None)
    yield Path(python).parent / "flwr", environment
    started = [
        one
        for one in psutil.process_iter(["cmdline"])
        if any(str(tmp_path / "flwr") in word for word in one.info["cmdline"] or ())
    ]
    for one in started:
        one.terminate()
    psutil.wait_procs(started, timeout=20)


@pytest.mark.slow
def test_it_runs_in_flowers_own_simulation(flower: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    command, environment = flower
    export(replace(SMALL, algorithm="mix70", rate=3e-4), tmp_path / "app")
    words = [str(command), "run", str(tmp_path / "app"), "local", "--federation-config", "num-supernodes=3", "--stream"]
    ran = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=300, check=False)
    said = re.sub(r"\x1b\[\d+m", "", ran.stdout + ran.stderr)
    assert said.count("aggregate_train: Received 3 results and 0 failures") == 2, said
    own = [float(one) for one in re.findall(r"Aggregated MetricRecord: .*'error-own': ([\d.]+)", said)]
    shared = [float(one) for one in re.findall(r"Aggregated MetricRecord: .*'error-shared': ([\d.]+)", said)]
    assert len(own) == len(shared) == 4
    assert own[-1] < own[0], "people keep what they learnt"
    assert own[-1] < shared[-1] < shared[0]
