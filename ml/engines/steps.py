"""The steps of a decoder in tensors whose sizes and places never change, so that they can be compiled: a static cache,
and torch.compile over the step that makes one token.

On a GPU such a step is small, and most of its time goes into starting its kernels; compiled and recorded as a CUDA
graph they start at once. Compiling takes long and is done again for each size, so it is done for few sizes, when the
engine is rehearsed, and never during a job: a job of another size is computed as if nothing were compiled. Knows no
tokenizer, no search and no engine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, wraps
from itertools import count
from typing import Any, TypeVar

from ml.device import Placement, compile_options, ran_out

Made = TypeVar("Made")
APART = 0.05
"""Share of the largest logit by which a compiled step may differ from the same one uncompiled: bfloat16 has 8 bits."""


@dataclass(frozen=True)
class Size:
    """What a compiled step is made for: `rows` at once (each beam of each text is one), `source` tokens or frames that
    the encoder made of each, and the tokens of the longest row, prompt included."""

    rows: int
    source: int
    length: int

    def holds(self, other: Size) -> bool:
        """Whether a job of another size fits into this one."""
        return self.rows >= other.rows and self.source >= other.source and self.length >= other.length


class Differs(Exception):
    """What was compiled does not compute what it should."""


class Steps:
    """The steps of one encoder-decoder network of transformers. Not thread-safe, but for `close`."""

    def __init__(self, network: Any, placement: Placement, backend: str = "inductor") -> None:  # noqa: ANN401
        """Nothing is compiled before `rehearse`; `backend` is one of torch.compile's."""
        self._network: Any = network
        self._forward: Any = network.forward
        self._placement, self._backend = placement, backend
        self._compiled: Any = None
        self._caches: dict[Size, Any] = {}
        self._ready: tuple[Size, ...] = ()
        self._trouble = ""
        self._comparing = False
        self._thread: ThreadPoolExecutor | None = None

    def rehearse(self, sizes: Iterable[Size], job: Callable[[Size], object]) -> str:
        """Compile the steps of these sizes: `job` makes some tokens in one, by `cache` and `step` or in `leading`.

        It is done twice, as a CUDA graph is recorded after a first run, and the second time each step is held against
        the same one uncompiled.

        Says in a sentence why nothing is compiled, and nothing where it is, or where nobody asked for it. Raises what
        `job` raises for want of memory.
        """
        if not self._placement.compiled or self._ready:
            return ""
        self._trouble = self._trouble or self._unable()
        if self._trouble:
            return self._trouble
        self._ready = tuple(sizes)
        try:
            for size in self._ready:
                for self._comparing in (False, True):
                    self.run(lambda: job(size))  # noqa: B023 - run at once
        except Exception as error:
            self._forget()
            if ran_out(error):
                raise
            self._trouble = self._told(error)
        finally:
            self._comparing = False
        return self._trouble

    def fitting(self, wanted: Size, *, exactly: bool = False) -> Size | None:
        """The smallest compiled size that a job of the wanted one fits into; or that size alone."""
        fit = [size for size in self._ready if (size == wanted if exactly else size.holds(wanted))]
        return min(fit, key=lambda size: size.rows * (size.source + size.length), default=None)

    def run(self, work: Callable[[], Made]) -> Made:
        """What `work` gives. All that uses compiled steps goes through here: a CUDA graph belongs to its thread."""
        if not self._ready:
            return work()
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "decoder-steps")
        return self._thread.submit(work).result()

    def cache(self, size: Size) -> Any:  # noqa: ANN401
        """The cache of a size, emptied: an `EncoderDecoderCache` that stays where it is."""
        import torch

        if size not in self._caches:
            self._caches[size] = _fixed_cache(_layers(self._network), size)
        with torch.inference_mode():  # in which its tensors were made
            self._caches[size].reset()
        return self._caches[size]

    def step(self, **given: Any) -> Any:  # noqa: ANN401
        """What the network makes of one more token; compiled. Where that fails, computed without, from now on."""
        import torch

        if self._compiled is None:
            forward = self._forward

            def step(**given: Any) -> Any:  # noqa: ANN401
                return forward(**given)

            compiling: Any = torch.compile  # its types lack some of what it takes
            self._compiled = compiling(
                step,
                backend=self._backend,
                fullgraph=True,  # whole or not at all: what fails to compile has computed nothing yet
                dynamic=False,
                isolate_recompiles=True,
                **(compile_options(self._placement.device) or {}),
            )
        if not self._trouble:
            try:
                return self._compared(given) if self._comparing else self._compiled(**given)
            except Exception as error:
                if not _of_the_compiler(error):
                    raise
                self._trouble = self._told(error)
                self._ready = ()
        return self._forward(**given)

    @contextmanager
    def leading(self) -> Iterator[None]:
        """Within this block, one `generate` of transformers takes its steps here, all but the first, which reads the
        prompt. transformers itself compiles those of a greedy search only, and not those of beams."""
        network, forward = self._network, self._forward
        calls = count()

        @wraps(forward)
        def led(**given: Any) -> Any:  # noqa: ANN401
            return self.step(**given) if next(calls) else forward(**given)

        network.forward = led
        try:
            yield
        finally:
            del network.forward

    def close(self) -> None:
        """Let network, caches and thread go; a second call does nothing."""
        self._forget()
        self._network = self._forward = None

    def _compared(self, given: dict[str, Any]) -> Any:  # noqa: ANN401
        """A compiled step that was done uncompiled before, on the same cache. Raises Differs."""
        lengths = [layer.cumulative_length for layer in given["past_key_values"].self_attention_cache.layers]
        before = [length.clone() for length in lengths]
        wanted = self._forward(**given).logits.float().clone()
        for length, was in zip(lengths, before, strict=True):
            length.copy_(was)
        made = self._compiled(**given)
        apart = float((made.logits.float() - wanted).abs().max())
        if not apart <= APART * float(wanted.abs().max()):
            raise Differs(f"its logits are off by {apart:.2g}, of at most {float(wanted.abs().max()):.2g}")
        return made

    def _forget(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.shutdown(wait=False)
        self._ready, self._compiled = (), None
        self._caches.clear()

    def _unable(self) -> str:
        if compile_options(self._placement.device) is None:
            return f"It is not compiled: torch.compile is of no use on {self._placement.device}."
        if self._placement.dtype == "int8":
            return "It is not compiled: its layers are in int8."
        if not getattr(self._network, "_can_compile_fullgraph", False):
            return f"It is not compiled: {type(self._network).__name__} cannot be."
        return ""

    def _told(self, error: Exception) -> str:
        lines = (str(error).strip() or type(error).__name__).splitlines()
        return f"It could not be compiled, and runs without: {' '.join(lines[:2])[:300]}"


def _of_the_compiler(error: Exception) -> bool:
    from torch._dynamo.exc import TorchDynamoException

    return isinstance(error, TorchDynamoException) and not ran_out(error)


def _layers(network: Any) -> int:  # noqa: ANN401
    config = network.config
    return int(getattr(config, "decoder_layers", None) or config.num_decoder_layers)


def _fixed_cache(layers: int, size: Size) -> Any:  # noqa: ANN401
    from transformers.cache_utils import Cache, EncoderDecoderCache

    own, others = _layer_classes()
    return EncoderDecoderCache(
        Cache(layers=[own(max_cache_len=size.length) for _ in range(layers)]),
        Cache(layers=[others(max_cache_len=size.source) for _ in range(layers)]),
    )


@cache
def _layer_classes() -> tuple[Any, Any]:
    """Layers of a cache for a decoder's own tokens, and for what the encoder made; made here as the import is late."""
    from transformers.cache_utils import StaticLayer

    layer: Any = StaticLayer

    class OwnLayer(layer):  # type: ignore[misc]
        """Beams change places within the tensors that a compiled step knows."""

        def reorder_cache(self, beam_idx: Any) -> None:  # noqa: ANN401
            self.keys.copy_(self.keys.index_select(0, beam_idx))
            self.values.copy_(self.values.index_select(0, beam_idx))

    class SourceLayer(layer):  # type: ignore[misc]
        """The beams of a text share its source, so nothing changes when they change places."""

        def reorder_cache(self, beam_idx: Any) -> None:  # noqa: ANN401
            pass

    return OwnLayer, SourceLayer
