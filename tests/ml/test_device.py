from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from ml.device import Compiling, Gpu, Hardware, best_device, describe, hardware, least, placements


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


GB = 10**9
SIZES = {"float32": 4 * GB, "float16": 2 * GB, "bfloat16": 2 * GB, "int8": GB}


@pytest.mark.parametrize(
    ("machine", "wanted"),
    [
        (Hardware(16 * GB), ["cpu int8", "cpu float32", "cpu bfloat16"]),
        (Hardware(3 * GB), ["cpu int8", "cpu bfloat16"]),
        (Hardware(GB), []),
        (Hardware(GB, Gpu("cuda", "Card", 8 * GB, (8, 0))), ["cuda bfloat16", "cuda float16", "cuda float32"]),
        (Hardware(2 * GB, Gpu("cuda", "Card", 3 * GB, (7, 5))), ["cuda float16", "cpu int8"]),
        (Hardware(2 * GB, Gpu("cuda", "Card", 3 * GB, (6, 1))), ["cpu int8"]),
        (Hardware(2 * GB, Gpu("mps", "Apple GPU", 3 * GB)), ["mps float16", "cpu int8"]),
    ],
)
def test_a_model_goes_where_it_fits(machine: Hardware, wanted: list[str]) -> None:
    assert [f"{place.device} {place.dtype}" for place in placements(SIZES, machine)] == wanted


@pytest.mark.parametrize(
    ("compiling", "wanted"),
    [
        ("auto", {"cuda bfloat16", "cuda float16", "cuda float32"}),
        ("off", set()),
        ("on", {"cuda bfloat16", "cuda float16", "cuda float32", "cpu float32", "cpu bfloat16"}),
    ],
)
def test_compiling_is_for_cuda_unless_it_is_asked_for_and_never_in_int8(compiling: Compiling, wanted: set[str]) -> None:
    machine = Hardware(16 * GB, Gpu("cuda", "Card", 8 * GB, (8, 0)), compiling)
    places = placements(SIZES, machine)
    assert {f"{place.device} {place.dtype}" for place in places if place.compiled} == wanted
    assert any(place.dtype == "int8" for place in places)


def test_a_model_of_unknown_size_is_tried() -> None:
    assert [place.device for place in placements({}, Hardware(0))] == ["cpu"]
    assert placements({}, Hardware(0, Gpu("cuda", "Card", 0, (9, 0))))[0].dtype == "bfloat16"


def test_this_machine_is_described(torch) -> None:
    found = hardware(123)
    assert found.memory == 123
    assert (found.gpu is None) == (best_device() == "cpu")


class Full:
    """What a card says on which there is not even room to begin."""

    def __init__(self) -> None:
        self.cuda = self

    def __getattr__(self, name: str) -> Any:
        def fail(*given: object) -> Any:
            raise RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported")

        return {"is_available": lambda: True, "__version__": "9"}.get(name, fail)


def test_a_card_that_is_full_is_no_reason_not_to_use_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ml.device._torch", Full)
    machine = hardware(16 * GB)
    assert (machine.memory, machine.gpu) == (16 * GB, None)
    (first, *_) = placements(SIZES, machine)
    assert (first.device, first.why) == ("cpu", "the NVIDIA GPU cannot be used (CUDA error: out of memory)")
    assert describe() == "the NVIDIA GPU cannot be used (CUDA error: out of memory), torch 9"


@pytest.mark.parametrize(
    ("memory", "machine", "wanted"),
    [
        (SIZES, Hardware(0), ("int8", 12 * GB // 10)),
        ({"float32": 3 * GB, "float16": GB}, Hardware(0), ("float32", 36 * GB // 10)),
        ({"float32": 3 * GB, "float16": GB}, Hardware(0, Gpu("mps", "Apple GPU", 0)), ("float16", 12 * GB // 10)),
        ({"float16": GB}, Hardware(64 * GB), None),
        ({}, Hardware(0), ("float32", 0)),
    ],
)
def test_the_smallest_size_is_in_numbers_that_something_here_computes_in(
    memory: dict[str, int], machine: Hardware, wanted: tuple[str, int] | None
) -> None:
    assert least(memory, machine) == wanted
    assert bool(placements(memory, machine)) == (wanted is not None and wanted[1] <= machine.most)


def test_the_roomiest_memory_counts() -> None:
    assert Hardware(3).most == 3
    assert Hardware(3, Gpu("cuda", "Card", 5)).most == 5
    assert Hardware(7, Gpu("cuda", "Card", 5)).most == 7
