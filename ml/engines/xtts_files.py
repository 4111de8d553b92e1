"""The files of an XTTS checkpoint as its publisher lays them out, read as data: nothing that they may hold is run.

    config.json         sizes, languages and how to draw; may hold Infinity
    model.pth           a pickle {"config": an object of the package's own, "model": tensors by name}
    vocab.json          the tokenizer
    speakers_xtts.pth   voices by name, each {"gpt_cond_latent": [1, T, D], "speaker_embedding": [1, E, 1]}; optional

The package's own loader makes the pickled settings object, and on its first run writes model.pth anew, after which its
hash is another. Here the object's names are given to a class that keeps nothing, the settings come from config.json,
and no file is written. Knows nothing of who speaks or asks.
"""

from __future__ import annotations

import json
import zipfile
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from ml.device import Placement
from ml.engines.loading import placed, silently
from ml.errors import ModelDamaged, Unavailable
from ml.models.checkpoint import Checkpoint

if TYPE_CHECKING:
    from torch import Tensor

INSTALL = "pip install -c constraints.txt coqui-tts torchaudio torchcodec"
"""Of torchaudio it must be the build that fits the installed torch: for the CPU, or for the same CUDA."""
SETTINGS_OBJECTS = (
    "TTS.tts.configs.xtts_config.XttsConfig",
    "TTS.tts.configs.xtts_config.XttsArgs",
    "TTS.tts.configs.xtts_config.XttsAudioConfig",
    "TTS.tts.models.xtts.XttsArgs",
    "TTS.tts.models.xtts.XttsAudioConfig",
    "TTS.config.shared_configs.BaseDatasetConfig",
)
"""What the published pickle names (coqui-tts 0.28.0, `_legacy_safe_globals`), and one that the package saves today."""
_ALIASES = ("gpt.gpt_inference.", "gpt.gpt.wte.", "torch_mel_spectrogram", "dvae.")
"""Second names of tensors, and what only training needs."""
_UNREADABLE = (RuntimeError, ValueError, KeyError, TypeError, EOFError, OSError, AttributeError)

Count = Annotated[int, msgspec.Meta(gt=0, le=100_000)]
Share = Annotated[float, msgspec.Meta(gt=0, le=100)]


class Sizes(msgspec.Struct, frozen=True):
    """`model_args` of config.json, as far as the network is made of them; the defaults are the package's."""

    gpt_max_audio_tokens: Annotated[int, msgspec.Meta(ge=8, le=5000)] = 605
    gpt_max_text_tokens: Annotated[int, msgspec.Meta(ge=8, le=5000)] = 402
    gpt_max_prompt_tokens: Count = 70
    gpt_layers: Annotated[int, msgspec.Meta(gt=0, le=200)] = 30
    gpt_n_model_channels: Annotated[int, msgspec.Meta(gt=0, le=8192)] = 1024
    gpt_n_heads: Annotated[int, msgspec.Meta(gt=0, le=256)] = 16
    gpt_num_audio_tokens: Count = 8194
    gpt_start_audio_token: Count = 8192
    gpt_stop_audio_token: Count = 8193
    gpt_code_stride_len: Count = 1024
    gpt_use_perceiver_resampler: bool = False
    input_sample_rate: Count = 22050
    output_sample_rate: Count = 24000
    output_hop_length: Count = 256
    decoder_input_dim: Annotated[int, msgspec.Meta(gt=0, le=8192)] = 1024
    d_vector_dim: Annotated[int, msgspec.Meta(gt=0, le=8192)] = 512
    cond_d_vector_in_each_upsampling_layer: bool = True


class Settings(msgspec.Struct, frozen=True):
    """What config.json says: sizes, languages, how sounds are drawn, and how long a voice is listened to (seconds)."""

    model_args: Sizes = Sizes()
    languages: tuple[str, ...] = ()
    temperature: Share = 0.85
    length_penalty: float = 1.0
    repetition_penalty: Share = 2.0
    top_k: Count = 50
    top_p: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.85
    gpt_cond_len: Annotated[int, msgspec.Meta(gt=0, le=600)] = 12
    gpt_cond_chunk_len: Annotated[int, msgspec.Meta(gt=0, le=600)] = 4
    max_ref_len: Annotated[int, msgspec.Meta(gt=0, le=600)] = 10


Voice = tuple["Tensor", "Tensor"]
"""Latents `[1, T, D]` that the text is continued from, and the embedding `[1, E, 1]` of the decoder."""


class Forgotten:
    """Stands for an object in a pickle and keeps nothing of it."""

    def __setstate__(self, state: object) -> None:
        """Forget it."""


def settings_of(checkpoint: Checkpoint) -> Settings:
    """What config.json says. Raises ModelDamaged."""
    path = checkpoint.file("config.json")
    try:
        if path.stat().st_size > 1_000_000:
            raise ModelDamaged(f"config.json of {checkpoint.name} is no settings file.", _remedy(checkpoint))
        found = msgspec.convert(json.loads(path.read_bytes()), Settings)
    except (OSError, ValueError, RecursionError) as error:
        raise ModelDamaged(f"config.json of {checkpoint.name} cannot be read: {error}", _remedy(checkpoint)) from error
    sizes = found.model_args
    if sizes.gpt_n_model_channels % sizes.gpt_n_heads or not found.languages:
        raise ModelDamaged(f"config.json of {checkpoint.name} describes no XTTS network.", _remedy(checkpoint))
    return found


def network_of(checkpoint: Checkpoint, settings: Settings, placement: Placement) -> Any:  # noqa: ANN401
    """The package's `Xtts` with the checkpoint's weights, ready to speak. Raises ModelDamaged, Unavailable,
    OutOfMemory."""
    config, kind, tokenizer = _package()
    import transformers

    with silently(transformers):
        return placed(_filled(checkpoint, settings, config, kind, tokenizer), placement)


def tensors_of(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """The tensors of model.pth by the names that the network has. Raises ModelDamaged."""
    found = _pickled(checkpoint, "model.pth")
    model = found.get("model") if isinstance(found, dict) else None
    if not isinstance(model, dict) or not _are_tensors(model):
        raise ModelDamaged(f"model.pth of {checkpoint.name} has no tensors by name.", _remedy(checkpoint))
    named = {key.removeprefix("xtts."): value for key, value in model.items()}
    return {key: value for key, value in named.items() if not key.startswith(_ALIASES)}


def voices_of(checkpoint: Checkpoint, settings: Settings) -> dict[str, Voice]:
    """The voices that came with the checkpoint, by name; none where it has no such file. Raises ModelDamaged."""
    if not (checkpoint.folder / "speakers_xtts.pth").is_file():
        return {}
    found = _pickled(checkpoint, "speakers_xtts.pth")
    wide, deep = settings.model_args.gpt_n_model_channels, settings.model_args.d_vector_dim
    voices = {}
    for name, parts in found.items() if isinstance(found, dict) else ():
        ours = ("gpt_cond_latent", "speaker_embedding")
        if (
            not isinstance(name, str)
            or not isinstance(parts, dict)
            or not _are_tensors({k: parts.get(k) for k in ours})
        ):
            raise ModelDamaged(f"speakers_xtts.pth of {checkpoint.name} holds something else.", _remedy(checkpoint))
        latents, embedding = (parts[key].float() for key in ours)
        if latents.ndim != 3 or latents.shape[::2] != (1, wide) or embedding.shape != (1, deep, 1):
            raise ModelDamaged(f"The voice {name[:40]} of {checkpoint.name} has an odd shape.", _remedy(checkpoint))
        voices[name] = (latents, embedding)
    return voices


def _filled(checkpoint: Checkpoint, settings: Settings, config: Any, kind: Any, tokenizer: Any) -> Any:  # noqa: ANN401
    network = kind(config.XttsConfig(model_args=config.XttsArgs(**msgspec.structs.asdict(settings.model_args))))
    path = checkpoint.file("vocab.json")
    try:
        network.tokenizer = tokenizer(vocab_file=path)
    except Exception as error:  # the tokenizers library raises nothing narrower
        if type(error) is not Exception and not isinstance(error, _UNREADABLE):
            raise
        raise ModelDamaged(f"vocab.json of {checkpoint.name} cannot be read: {error}", _remedy(checkpoint)) from error
    words = network.tokenizer.tokenizer
    if any(words.token_to_id(mark) is None for mark in ("[START]", "[STOP]", "[SPACE]")):
        raise ModelDamaged(f"vocab.json of {checkpoint.name} lacks [START], [STOP] or [SPACE].", _remedy(checkpoint))
    network.init_models()
    try:
        missed = network.load_state_dict(tensors_of(checkpoint), strict=False)
    except RuntimeError as error:  # of another shape; the first line says only that there is one
        first = str(error).strip().splitlines()[1:2] or [str(error)]
        raise ModelDamaged(f"In the {checkpoint.name} model: {first[0].strip()[:300]}", _remedy(checkpoint)) from error
    for what, names in (("lacks", missed.missing_keys), ("has too many:", missed.unexpected_keys)):
        if names:
            few = ", ".join(sorted(names)[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
            raise ModelDamaged(f"The {checkpoint.name} model {what} {few}.", _remedy(checkpoint))
    network.gpt.init_gpt_for_inference(kv_cache=True)
    network.eval()
    return network


def _package() -> tuple[Any, Any, Any]:
    """The package's settings, network and tokenizer. Raises Unavailable."""
    try:
        config = import_module("TTS.tts.configs.xtts_config")
        tokenizer = import_module("TTS.tts.layers.xtts.tokenizer").VoiceBpeTokenizer
        network = import_module("TTS.tts.models.xtts").Xtts
    except (ImportError, OSError, AttributeError, RuntimeError) as error:
        first = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise Unavailable(f"The package coqui-tts does not load: {first[:200]}", INSTALL) from error
    return config, network, tokenizer


def _pickled(checkpoint: Checkpoint, name: str) -> Any:  # noqa: ANN401
    import torch

    path = checkpoint.file(name)
    try:
        with torch.serialization.safe_globals([(Forgotten, dotted) for dotted in SETTINGS_OBJECTS]):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=_is_zip(path))  # noqa: TID251
    except Exception as error:
        if not isinstance(error, _UNREADABLE) and type(error).__name__ != "UnpicklingError":
            raise
        first = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise ModelDamaged(f"{name} of {checkpoint.name} cannot be read: {first}", _remedy(checkpoint)) from error


def _is_zip(path: Path) -> bool:
    return zipfile.is_zipfile(path)


def _are_tensors(named: dict[Any, Any]) -> bool:
    import torch

    return all(isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in named.items())


def _remedy(checkpoint: Checkpoint) -> str:
    return f"node models verify {checkpoint.name}"
