"""Both bodies compute the same network, and say what is wrong in the same way."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import threading
from collections.abc import Callable

import numpy as np
import pytest

from ml.engines.protocols import EngineHome
from ml.errors import EngineFailed, Unavailable
from ml.lips import networks
from ml.lips.networks import Body, Network, chosen, network
from tests.conftest import ROOT
from tests.ml.lips.tiny_network import convolution

BODIES: tuple[Body, ...] = ("litert", "cv2")
KERNEL = np.random.default_rng(5).normal(size=(2, 1, 1, 3)).astype(np.float32)
PICTURE = np.random.default_rng(6).normal(size=(1, 4, 5, 3)).astype(np.float32)


@pytest.fixture(params=BODIES)
def made(request: pytest.FixtureRequest) -> Callable[[bytes, list[str]], Network]:
    body = request.param
    pytest.importorskip({"litert": "ai_edge_litert", "cv2": "cv2"}[body], reason=f"needs {body}")
    return lambda model, outputs: network(model, outputs, body)


def test_a_convolution_has_its_channels_last(made: Callable[[bytes, list[str]], Network]) -> None:
    running = made(convolution(KERNEL, (1, 4, 5, 3)), ["y"])
    for picture in (PICTURE, -PICTURE):
        (found,) = running.compute(picture)
        np.testing.assert_allclose(found, picture @ KERNEL[:, 0, 0].T, rtol=1e-4, atol=1e-5)
    running.close()


def test_an_answer_stays_when_another_is_computed(made: Callable[[bytes, list[str]], Network]) -> None:
    running = made(convolution(KERNEL, (1, 4, 5, 3)), ["y"])
    (first,) = running.compute(PICTURE)
    before = first.copy()
    running.compute(2 * PICTURE)
    np.testing.assert_array_equal(first, before)


def test_a_closed_one_says_so(made: Callable[[bytes, list[str]], Network]) -> None:
    running = made(convolution(KERNEL, (1, 4, 5, 3)), ["y"])
    running.close()
    running.close()
    with pytest.raises(EngineFailed, match="closed"):
        running.compute(PICTURE)


def test_another_shape_is_refused(made: Callable[[bytes, list[str]], Network]) -> None:
    running = made(convolution(KERNEL, (1, 4, 5, 3)), ["y"])
    running.compute(PICTURE)
    with pytest.raises(EngineFailed, match="reads"):
        running.compute(PICTURE[:, :2])


def test_what_is_no_network_is_refused(made: Callable[[bytes, list[str]], Network]) -> None:
    with pytest.raises(EngineFailed, match="cannot run"):
        made(b"\0\0\0\0TFL3 and no more", ["y"])


def test_litert_is_first_and_opencv_second(monkeypatch: pytest.MonkeyPatch) -> None:
    here = {"ai_edge_litert", "cv2"}
    monkeypatch.setattr(networks, "find_spec", lambda name: name if name in here else None)
    assert chosen("auto") == "litert"
    assert chosen("cv2") == "cv2"
    here.remove("ai_edge_litert")
    assert chosen("auto") == "cv2"
    with pytest.raises(Unavailable, match="ai-edge-litert") as missing:
        chosen("litert")
    assert missing.value.remedy == "pip install ai-edge-litert"
    here.clear()
    with pytest.raises(Unavailable):
        chosen("auto")


def test_the_packages_are_those_that_are_looked_for() -> None:
    assert all(importlib.util.find_spec(name) for name in ("ai_edge_litert", "cv2"))


def test_litert_greets_nobody_and_what_else_is_said_is_heard(face_home: EngineHome) -> None:
    program = (
        "import os, sys\nfrom pathlib import Path\nfrom ml.engines.protocols import EngineHome\n"
        "from ml.lips import networks\nfrom ml.lips.tracker import tracker_at\n"
        "with networks._without_its_greeting():\n    os.write(2, b'this is heard\\n')\n"
        f"tracker_at(EngineHome(Path({str(face_home.models)!r})), 'litert').close()"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr == "this is heard\n"


def test_standard_error_is_what_it_was_after_two_are_opened_at_once() -> None:
    inside, over = threading.Event(), threading.Event()

    def other() -> None:
        with networks._without_its_greeting():
            inside.set()
            over.wait(5)

    saved, before = os.dup(2), os.fstat(2)
    thread = threading.Thread(target=other)
    try:
        with networks._without_its_greeting():
            thread.start()
            inside.wait(0.3)
        over.set()
        thread.join()
        after = os.fstat(2)
    finally:
        os.dup2(saved, 2)
        os.close(saved)
    assert (after.st_dev, after.st_ino) == (before.st_dev, before.st_ino)
