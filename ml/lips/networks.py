"""Runs a small TFLite network on the CPU, on either of two bodies behind one contract: LiteRT, or OpenCV's dnn.

LiteRT (Google's runtime for this format) is two to three times as fast; OpenCV also runs where there is no LiteRT, such
as on Macs with an Intel processor. Both compute with one thread and give the same numbers to about 1e-5. Knows nothing
of faces, and not where the models come from.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from ml.errors import EngineFailed, Unavailable

Tensor = npt.NDArray[np.float32]
Body = Literal["litert", "cv2"]
_GREETING = b"INFO: Created TensorFlow Lite XNNPACK delegate"
_QUIET = threading.Lock()
"""Standard error is the process's: one at a time turns it away and back."""
_PACKAGES: dict[Body, tuple[str, str]] = {
    "litert": ("ai_edge_litert", "ai-edge-litert"),
    "cv2": ("cv2", "opencv-python-headless"),
}


class Network(Protocol):
    """One network, for one thread at a time."""

    def compute(self, tensor: Tensor) -> tuple[Tensor, ...]:
        """The outputs that were asked for, in that order, of an input `[1, H, W, C]`; pictures among them have their
        channels last. Raises EngineFailed for another shape, and after `close`."""
        ...

    def close(self) -> None:
        """Free it; a second call does nothing."""
        ...


def chosen(body: Body | Literal["auto"]) -> Body:
    """The body to use: LiteRT where it is installed, else OpenCV. Raises Unavailable where the named one, or for
    "auto" either, is not installed."""
    wanted: tuple[Body, ...] = ("litert", "cv2") if body == "auto" else (body,)
    for one in wanted:
        if find_spec(_PACKAGES[one][0]) is not None:
            return one
    package = _PACKAGES[wanted[0]][1]
    raise Unavailable(f"The package {package} is not installed here.", f"pip install {package}")


def network(model: bytes, outputs: Sequence[str], body: Body) -> Network:
    """The network of a TFLite file, whose tensors `outputs` are wanted. Raises EngineFailed where its body refuses."""
    return LiteRtNetwork(model, outputs) if body == "litert" else Cv2Network(model, outputs)


@contextmanager
def _without_its_greeting() -> Iterator[None]:
    """LiteRT greets on standard error, from C, and cannot be told not to. All else that is said there meanwhile is said
    when this is over."""
    with _QUIET, tempfile.TemporaryFile() as said:
        if sys.stderr is not None:
            sys.stderr.flush()
        ours = os.dup(2)
        os.dup2(said.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(ours, 2)
            os.close(ours)
            said.seek(0)
            for line in said:
                if not line.startswith(_GREETING):
                    os.write(2, line)


class LiteRtNetwork:
    """`Network` on LiteRT."""

    def __init__(self, model: bytes, outputs: Sequence[str]) -> None:
        """Raises EngineFailed for a model that LiteRT does not run, or that has no such output."""
        from ai_edge_litert.interpreter import Interpreter  # type: ignore[import-untyped,unused-ignore]

        try:
            with _without_its_greeting():
                self._interpreter: Any = Interpreter(model_content=model, num_threads=1)
                self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise EngineFailed(f"LiteRT cannot run this network: {error}.") from error
        (fed,) = self._interpreter.get_input_details()
        self._input, self._shape = fed["index"], tuple(fed["shape"])
        named = {output["name"]: output["index"] for output in self._interpreter.get_output_details()}
        if missing := [name for name in outputs if name not in named]:
            raise EngineFailed(f"The network has no output {missing[0]}.")
        self._outputs = [named[name] for name in outputs]

    def compute(self, tensor: Tensor) -> tuple[Tensor, ...]:
        """See `Network`."""
        if self._interpreter is None:
            raise EngineFailed("The network was closed.")
        if tensor.shape != self._shape:
            raise EngineFailed(f"The network reads {self._shape}, not {tensor.shape}.")
        self._interpreter.set_tensor(self._input, np.ascontiguousarray(tensor, np.float32))
        self._interpreter.invoke()
        return tuple(self._interpreter.get_tensor(at) for at in self._outputs)

    def close(self) -> None:
        """See `Network`."""
        self._interpreter = None


class Cv2Network:
    """`Network` on OpenCV's dnn (4.12 and later, 5)."""

    def __init__(self, model: bytes, outputs: Sequence[str]) -> None:
        """Raises EngineFailed for a model that OpenCV does not run."""
        import cv2

        # OpenCV 5 has a second engine, which gives one output alone; only a model that is read from a file lets the
        # first one be chosen.
        engine = getattr(cv2.dnn, "ENGINE_CLASSIC", None)
        self._outputs, self._error = list(outputs), cv2.error
        try:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "network.tflite"
                path.write_bytes(model)
                chosen_engine = () if engine is None else (engine,)
                self._network: Any = cv2.dnn.readNetFromTFLite(str(path), *chosen_engine)
        except cv2.error as error:
            raise EngineFailed(f"OpenCV cannot run this network: {error.err or error}.") from error
        self._shape: tuple[int, ...] | None = None

    def compute(self, tensor: Tensor) -> tuple[Tensor, ...]:
        """See `Network`."""
        if self._network is None:
            raise EngineFailed("The network was closed.")
        if self._shape is not None and tensor.shape != self._shape:
            raise EngineFailed(f"The network reads {self._shape}, not {tensor.shape}.")
        try:
            self._network.setInput(np.ascontiguousarray(tensor.transpose(0, 3, 1, 2), np.float32))
            found = self._network.forward(self._outputs)
        except self._error as error:
            raise EngineFailed(f"OpenCV could not compute the network: {error}.") from error
        self._shape = tensor.shape
        return tuple(np.array(one.transpose(0, 2, 3, 1) if one.ndim == 4 else one, np.float32) for one in found)

    def close(self) -> None:
        """See `Network`."""
        self._network = None
