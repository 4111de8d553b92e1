"""Text to speech by a Silero voice that the user has put into a folder (Silero Team, 2021-2026; v3 and later).

The published file, such as v4_ru.pt, is a torch.package archive: a program with its weights. It runs only where the
user's own catalogue says `runs_code = true` and names the file's SHA-256, and `node` runs it in a process of its own;
the bytes that are checked are those that run (docs/decisions/0010-programs.md). What is known of the program is its
published interface: `speakers`, and `apply_tts(text, speaker, sample_rate)`, which gives samples `[N]`. Knows nothing
of who asks.
"""

from __future__ import annotations

import hashlib
import io
import threading
import warnings
from typing import Any, Self

import numpy as np

from ml.device import Placement
from ml.engines.protocols import Capabilities, EngineSpec
from ml.engines.speaking import LONGEST, checked, finished, joined, spoken_pieces
from ml.errors import BadText, EngineFailed, ModelDamaged, Unavailable
from ml.models.checkpoint import Checkpoint
from ml.models.programs import refuse_programs
from ml.types import SAMPLE_RATE, Audio, Delivery, Speech

RATE = 24_000
"""Hz; the voices also know 8000 and 48,000."""
PIECE = 500
"""Characters that are spoken at once."""
LARGEST = 2_000_000_000
"""Bytes of a file; it is held in memory while it is opened."""
SEED = 0


class SileroVoice:
    """A `Tts`. One text is spoken at a time; the others wait."""

    def __init__(
        self,
        spec: EngineSpec,
        version: str,
        model: Any,  # noqa: ANN401
        voices: tuple[str, ...],
        placement: Placement,
    ) -> None:
        """`model` is what the archive made, `voices` are the names that it knows."""
        self.spec = spec
        self._version, self._model, self._voices, self._placement = version, model, voices, placement
        self._lock = threading.Lock()

    @classmethod
    def load(cls, spec: EngineSpec, checkpoint: Checkpoint, placement: Placement) -> Self:
        """Run the program of the checkpoint's one file. Raises Unavailable where its entry does not say so,
        ModelDamaged where it is not the file of the catalogue or does not open."""
        from torch.package.package_importer import PackageImporter

        entry = checkpoint.entry
        refuse_programs(entry, checkpoint.folder)
        if not entry.runs_code or len(entry.files) != 1:
            raise Unavailable(f"{entry.name} names no one file that shall run.", "docs/decisions/0010-programs.md")
        (file,) = entry.files
        path = checkpoint.file(file.path)
        if path.stat().st_size > LARGEST:
            raise ModelDamaged(f"{file.path} of {entry.name} is too large for a voice.", "Put the published file back.")
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() != file.sha256:
            raise ModelDamaged(f"{file.path} of {entry.name} is not the file that you named.", "Put it back.")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch's own about its storages
                model = PackageImporter(io.BytesIO(data)).load_pickle("tts_models", "model")
            voices = tuple(str(name) for name in model.speakers)
            if placement.device != "cpu":
                model.to(placement.device)
        except Exception as error:  # it is a program: anything
            told = f"{type(error).__name__}: {str(error)[:200]}"
            raise ModelDamaged(f"{file.path} of {entry.name} does not open: {told}", "Is it a Silero voice?") from error
        if not voices or not callable(getattr(model, "apply_tts", None)):
            raise ModelDamaged(
                f"{file.path} of {entry.name} is no Silero voice of version 3 or later.", "Take another."
            )
        return cls(spec, f"{entry.name} {file.sha256[:12]}", model, voices, placement)

    def capabilities(self) -> Capabilities:
        """The languages that the catalogue names; the program does not tell them."""
        return Capabilities(
            version=f"{self._version}, {self._placement.device} float32",
            languages=self.spec.languages,
            formats=(f"float32 mono {SAMPLE_RATE} Hz",),
            longest=LONGEST,
            times=False,
        )

    def speak(self, text: str, language: str, delivery: Delivery) -> Speech:
        """Speak, in the voice asked for or the first. Raises UnsupportedLanguage, BadText, EngineFailed."""
        cleaned = checked(text, language, delivery, self.spec.languages, self.spec.name)
        voice = delivery.voice or self._voices[0]
        if voice not in self._voices:
            has = ", ".join(self._voices[:8])
            raise BadText(f"{self.spec.name} has no voice {voice[:40]!r}.", f"It has {has}.")
        said = [self._said(piece, voice, delivery.speed) for piece in spoken_pieces(cleaned, _fits)]
        return Speech(joined(said), text, language, self.spec.name)

    def close(self) -> None:
        """Let the program and its weights go; a second call does nothing."""
        with self._lock:
            self._model = None

    def _said(self, piece: str, voice: str, speed: float) -> Audio:
        import torch

        with self._lock, torch.inference_mode(), torch.random.fork_rng(devices=[]):
            if self._model is None:
                raise EngineFailed("The voice is closed.", "Open a new session.")
            torch.manual_seed(SEED)
            try:
                made = self._model.apply_tts(text=piece, speaker=voice, sample_rate=RATE)
                samples = np.asarray(torch.as_tensor(made).float().cpu().numpy(), np.float32).reshape(-1)
            except Exception as error:  # it is a program: anything
                told = f"{type(error).__name__}: {str(error)[:200]}"
                raise EngineFailed(f"{self.spec.name} could not say that: {told}", "Say it in other words.") from error
        return finished(samples, RATE, speed)


def _fits(piece: str) -> bool:
    return len(piece) <= PIECE
