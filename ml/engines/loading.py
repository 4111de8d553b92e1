"""Makes a network of transformers from a checkpoint on this machine: nothing fetched, no code of the checkpoint run,
no tensor invented.

transformers draws weights that a file lacks at random and says so in a log. Here that is an error: a model is loaded
whole or not at all. Knows no single model.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from ml.device import Placement, ran_out
from ml.engines.int8 import in_int8
from ml.errors import ModelDamaged, OutOfMemory, Unavailable
from ml.models.checkpoint import Checkpoint

if TYPE_CHECKING:
    from torch import nn

Loaded = TypeVar("Loaded")

_UNREADABLE = (OSError, ValueError, KeyError, TypeError, RuntimeError, MemoryError)
HUB_ADVICE = " If you were trying to load it from"
"""With this begins what transformers advises on its hub, which is not asked here."""
ABSENT = re.compile(r"containing an? (?:file named )?([\w.-]+\.\w+)(?: file)?")
"""How transformers names the file that it looked for."""
SMALLER = "Choose a smaller one: node models list"
MISSING = "pip install -c constraints.txt transformers"


def load_network(
    kind: str, checkpoint: Checkpoint, placement: Placement, *, absent: Collection[str] = (), **options: object
) -> Any:  # noqa: ANN401
    """The network of class `kind` of transformers, ready to compute: evaluating, on its device, in its dtype.

    Tensors that the file lacks or has too many are refused by name, but for those in `absent` (by their beginnings),
    which the class makes itself or leaves unused. "int8" quantises the linear layers dynamically, on the CPU. Raises
    ModelDamaged, Unavailable, OutOfMemory.
    """
    import torch

    quantised = placement.dtype == "int8"
    dtype = torch.float32 if quantised else getattr(torch, placement.dtype)
    found, told = _quietly(
        checkpoint,
        lambda module: getattr(module, kind).from_pretrained(
            checkpoint.folder,
            local_files_only=True,
            dtype=dtype,
            output_loading_info=True,
            weights_only=True,
            ignore_mismatched_sizes=True,  # so that all of them are told, and refused below
            **options,
        ),
    )
    lacks = _others(told["missing_keys"], absent)
    extra = _others(told["unexpected_keys"], absent)
    wrong = sorted(str(key[0] if isinstance(key, tuple) else key) for key in told["mismatched_keys"])
    for what, names in (("lacks", lacks), ("has another shape for", wrong), ("has too many:", extra)):
        if names:
            raise ModelDamaged(
                f"The {checkpoint.name} model {what} {_some(names)}.",
                f"It is not what {kind} reads: node models verify {checkpoint.name}",
            )
    return placed(found.eval(), placement)


def placed(network: nn.Module, placement: Placement) -> Any:  # noqa: ANN401
    """A network on its device, its linear layers in int8 where that is asked for, its weights fixed. Raises
    OutOfMemory."""
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    try:
        return in_int8(network) if placement.dtype == "int8" else network.to(placement.device)
    except (RuntimeError, MemoryError) as error:
        if not ran_out(error):
            raise
        raise OutOfMemory(f"There is too little memory on {placement.where}.", SMALLER) from error


def load_part(kind: str, checkpoint: Checkpoint, **options: object) -> Any:  # noqa: ANN401
    """A tokenizer, processor, feature extractor or configuration. Raises ModelDamaged, Unavailable."""
    return _quietly(
        checkpoint,
        lambda module: getattr(module, kind).from_pretrained(checkpoint.folder, local_files_only=True, **options),
    )


def _quietly(checkpoint: Checkpoint, load: Callable[[Any], Loaded]) -> Loaded:
    """Load without a word on the terminal. What transformers raises for bad files becomes one sentence."""
    try:
        import transformers
    except ImportError as error:
        raise Unavailable("transformers is not installed.", MISSING) from error
    if not checkpoint.folder.is_dir():
        raise Unavailable(f"The {checkpoint.name} model is not here.", checkpoint.entry.remedy)
    try:
        with silently(transformers):
            return load(transformers)
    except ImportError as error:  # a tokenizer's own library
        first = str(error).strip().splitlines()[0]
        raise Unavailable(f"The {checkpoint.name} model needs more than is installed: {first}", MISSING) from error
    except Exception as error:
        if not isinstance(error, _UNREADABLE) and type(error).__name__ not in {"SafetensorError", "UnpicklingError"}:
            raise
        if ran_out(error):
            sentence = f"There is too little memory for the {checkpoint.name} model."
            raise OutOfMemory(sentence, SMALLER) from error
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        absent = ABSENT.search(first)
        if absent and not (checkpoint.folder / absent[1]).exists():
            sentence = f"The {checkpoint.name} model has no {absent[1]}."
            raise ModelDamaged(sentence, checkpoint.entry.remedy) from error
        told = shortened(first.partition(HUB_ADVICE)[0])
        sentence = f"The {checkpoint.name} model cannot be read: {told}{'' if told.endswith('.') else '.'}"
        raise ModelDamaged(sentence, f"node models verify {checkpoint.name}") from error


def shortened(text: str, letters: int = 300) -> str:
    """The beginning of a long text, cut between words."""
    return text if len(text) <= letters else text[:letters].rpartition(" ")[0] + " ..."


@contextlib.contextmanager
def silently(transformers: Any) -> Iterator[None]:  # noqa: ANN401
    """Nothing that transformers does within this block is told on the terminal."""
    log = transformers.utils.logging
    before, bars = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(before)
        if bars:
            log.enable_progress_bar()


def _others(names: Collection[str], known: Collection[str]) -> list[str]:
    return sorted(name for name in names if not name.startswith(tuple(known)))


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
