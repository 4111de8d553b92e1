from __future__ import annotations

import subprocess
import sys

import pytest

from ml.device import best_device, describe


@pytest.fixture(scope="module")
def torch() -> object:
    return pytest.importorskip("torch")


def test_the_device_computes(torch) -> None:
    device = best_device()
    assert device in {"cuda", "mps", "cpu"}
    assert torch.ones(3, device=device).sum().item() == 3.0


def test_the_description_names_the_build_of_torch(torch) -> None:
    assert describe().endswith(f"torch {torch.__version__}")


@pytest.mark.gpu
def test_an_nvidia_gpu_is_used_where_there_is_one(torch) -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs an NVIDIA GPU")
    assert best_device() == "cuda"
    assert torch.cuda.get_device_name(0) in describe()


def test_without_torch_the_remedy_is_told() -> None:
    script = (
        "import sys; sys.modules['torch'] = None\n"
        "from ml.device import best_device\nfrom ml.errors import Unavailable\n"
        "try: best_device()\nexcept Unavailable as error: print(error.sentence, error.remedy)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.startswith("torch does not load: ")
    assert "pip install -c constraints.txt torch" in done.stdout
