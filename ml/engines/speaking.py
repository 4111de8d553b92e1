"""What every network that speaks does with a text before it is spoken and with the sound after: refusing what cannot be
said, cutting long texts at sentence ends, drawing the same noise every time, and handing out 16 kHz sound at the pace
that was asked for. Knows no network.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ml.audio.stretch import QUICKEST, SLOWEST, stretch
from ml.engines.espeak_text import LONGEST, clean
from ml.engines.sentences import cut
from ml.errors import BadAudio, BadText, EngineFailed, UnsupportedLanguage
from ml.languages import known
from ml.types import SAMPLE_RATE, Audio, Delivery, Samples

if TYPE_CHECKING:
    from torch.overrides import TorchFunctionMode

__all__ = ["LONGEST", "PAUSE", "checked", "finished", "heard", "joined", "seeded", "spoken_pieces"]

PAUSE = 0.15
"""Seconds of silence between sentences that were spoken one by one."""
PEAK = 0.99
"""Full scale that louder sound is brought down to."""


def checked(text: str, language: str, delivery: Delivery, languages: Sequence[str], name: str) -> str:
    """The text, cleaned of what nobody says aloud. Raises UnsupportedLanguage; BadText for an empty or too long text,
    one without a letter or digit, or an impossible pace."""
    wanted = language.replace("_", "-").partition("-")[0].lower()
    if not known(language) or wanted not in {code.partition("-")[0] for code in languages}:
        raise UnsupportedLanguage(f"{name} does not speak {language!r}.", f"It speaks {', '.join(languages)}.")
    if not (math.isfinite(delivery.speed) and SLOWEST <= delivery.speed <= QUICKEST):
        raise BadText(
            f"{delivery.speed} is no pace that can be spoken at.", f"Choose a speed from {SLOWEST} to {QUICKEST}."
        )
    return " ".join(clean(text).split())


def spoken_pieces(text: str, fits: Callable[[str], bool]) -> tuple[str, ...]:
    """Sentences of a cleaned text, those too long cut after a comma or between words; pieces that hold no letter and no
    digit are left out."""
    return tuple(piece.text for piece in cut(text, fits) if any(c.isalnum() for c in piece.text))


def seeded(seed: int) -> TorchFunctionMode:
    """A context in which torch draws from a generator of its own, on the CPU, so that a network that draws noise sounds
    the same each time, on each device, whatever other threads draw meanwhile."""
    import torch
    from torch.overrides import TorchFunctionMode

    generator = torch.Generator().manual_seed(seed)

    class Seeded(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ANN401
            kwargs = dict(kwargs or {})
            if func is torch.randn_like:
                like = args[0]
                made = torch.randn(like.shape, generator=generator)
                return made.to(kwargs.get("device") or like.device, kwargs.get("dtype") or like.dtype)
            if func is torch.randn:
                device, dtype = kwargs.pop("device", None), kwargs.pop("dtype", None)
                return func(*args, generator=generator, **kwargs).to(device=device, dtype=dtype or torch.float32)
            if func is torch.bernoulli:
                chance = args[0]
                if "p" in kwargs or len(args) > 1:
                    chance = torch.full(chance.shape, kwargs.get("p", args[1] if len(args) > 1 else None))
                return func(chance.cpu().float(), generator=generator).to(args[0].device, args[0].dtype)
            if func is torch.multinomial:
                return func(args[0].cpu(), *args[1:], generator=generator, **kwargs).to(args[0].device)
            return func(*args, **kwargs)

    return Seeded()


def finished(samples: Samples, rate: int, speed: float = 1.0) -> Audio:
    """Sound of any rate as 16 kHz mono float32 within full scale, said `speed` times as fast. Raises EngineFailed for
    numbers that are no sound."""
    import soxr

    sound = np.asarray(samples, np.float32)
    if not np.isfinite(sound).all():
        raise EngineFailed("The network made numbers that are no sound.", "Run it in float32, or verify the model.")
    if rate != SAMPLE_RATE and len(sound):
        sound = np.asarray(soxr.resample(sound, rate, SAMPLE_RATE), np.float32)
    if speed != 1.0 and len(sound):
        sound = stretch(sound, speed)
    peak = float(np.abs(sound).max(initial=0.0))
    return Audio(sound * np.float32(PEAK / peak) if peak > 1.0 else sound)


def joined(parts: Sequence[Audio]) -> Audio:
    """Sentences one after the other with a pause between them."""
    rest = np.zeros(round(PAUSE * SAMPLE_RATE), np.float32)
    spaced = [sound for part in parts for sound in (rest, part.samples)][1:]
    return Audio(np.concatenate(spaced) if spaced else np.zeros(0, np.float32))


def heard(audio: Audio, shortest: float, name: str) -> Samples:
    """Samples of a recording that a network can listen to. Raises BadAudio."""
    if audio.rate != SAMPLE_RATE:
        raise BadAudio(f"{name} hears {SAMPLE_RATE} Hz, not {audio.rate}.", "Resample the recording.")
    if audio.seconds < shortest:
        raise BadAudio(f"{audio.seconds:.2f} s are too short for {name}.", f"Give {shortest:g} s or more.")
    if not np.isfinite(audio.samples).all():
        raise BadAudio("The recording holds numbers that are no sound.", "Record it again.")
    if not np.any(audio.samples):
        raise BadAudio("The recording is silent.", "Check the microphone.")
    return np.asarray(audio.samples, np.float32)
