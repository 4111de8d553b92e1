"""Networks with random weights whose normalisations have seen something, and files of them in all forms."""

from __future__ import annotations

import warnings
from functools import cache
from pathlib import Path
from typing import Literal, get_args

import safetensors.torch
import torch
from torch import nn

from ml.lips.syncnet_network import SyncNet
from ml.lips.wav2lip_network import Generator

Form = Literal["training", "tensors", "old tensors", "safetensors", "traced"]
_GAIN = 2.0
FORMS: tuple[Form, ...] = get_args(Form)


def lively(network: nn.Module, seed: int = 0) -> nn.Module:
    """The network, evaluating, its normalisations as if trained."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if name.endswith("running_mean"):
                value.normal_(0, 0.1, generator=generator)
            elif name.endswith("running_var"):
                value.uniform_(0.5, 2.0, generator=generator)
            elif value.ndim > 1:  # so that what goes in at one end still tells at the other
                value.mul_(_GAIN)
    return network.eval()


def written(network: nn.Module, form: Form, path: Path, *inputs: torch.Tensor) -> Path:
    """A file of the network's weights; "traced" needs what the network computes on."""
    state = network.state_dict()
    if form == "training":
        first = next(iter(state.values()))
        adam = {"step": 7, "exp_avg": torch.zeros_like(first), "exp_avg_sq": torch.zeros_like(first)}
        optimiser = {"state": {0: adam}, "param_groups": [{"lr": 1e-4, "betas": (0.5, 0.999), "params": [0]}]}
        whole = {"state_dict": {f"module.{key}": value for key, value in state.items()}, "global_step": 7}
        torch.save(whole | {"optimizer": optimiser}, path, _use_new_zipfile_serialization=False)
    elif form == "tensors":
        torch.save(state, path)
    elif form == "old tensors":
        torch.save(state, path, _use_new_zipfile_serialization=False)
    elif form == "safetensors":
        safetensors.torch.save_file(state, path)
    else:
        with warnings.catch_warnings():  # TorchScript is no longer developed, and its archives are still about
            warnings.simplefilter("ignore")
            torch.jit.trace(network, inputs, check_trace=False).save(str(path))
    return path


@cache
def syncnet() -> SyncNet:
    """SyncNet, of the published shapes; the same one to all who ask."""
    torch.manual_seed(0)
    made = lively(SyncNet(), 2)
    assert isinstance(made, SyncNet)
    return made


@cache
def wav2lip_network() -> Generator:
    """What draws for Wav2Lip, of the published shapes; the same one to all who ask."""
    torch.manual_seed(0)
    made = lively(Generator(), 1)
    assert isinstance(made, Generator)
    return made
