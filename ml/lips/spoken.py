"""The door: speech in, curves of its mouth out, by the best way there is.

Sounds that the voice itself told come first; then the text laid along the speech, by an aligner or by another voice;
last the sound alone. `Curves.source` says which it was. Knows no picture.
"""

from __future__ import annotations

from collections.abc import Iterator

from ml.engines.protocols import Aligner, Tts
from ml.errors import BadAudio, BadText
from ml.lips.curves import curves
from ml.lips.heard import heard
from ml.lips.laid import laid, told, within_words
from ml.lips.types import Curves
from ml.types import Phoneme, Speech


def curves_of(speech: Speech, aligner: Aligner | None = None, voice: Tts | None = None) -> Curves:
    """The curves of a speech at 16 kHz.

    Times of phonemes must be those of the audio as it is: whoever stretches or cuts speech moves them along. `aligner`
    lays the text of a speech that comes without; `voice` says the text unheard, where that is missing or tells words
    only (espeak-ng does). What neither can use, a language, a text that is not said, is left to the next way; where a
    text is missing or none of them can, the sound alone decides. Raises BadAudio for another rate, and what an engine
    raises that stopped working.
    """
    if any(phoneme.symbol for phoneme in speech.phonemes):
        return curves(speech)
    for phonemes in _alignments(speech, aligner, voice):
        if phonemes:
            return curves(_with(speech, phonemes), "alignment")
    return heard(speech.audio)


def _alignments(speech: Speech, aligner: Aligner | None, voice: Tts | None) -> Iterator[tuple[Phoneme, ...]]:
    if not any(map(str.isalnum, speech.text)):
        return
    if aligner is not None:
        try:
            alignment = aligner.align(speech.audio, speech.text, speech.language)
            if alignment.phonemes:
                yield told(alignment)
            elif voice is not None:
                yield within_words(speech, alignment.words, voice)
        except (BadText, BadAudio):
            yield ()
    if voice is not None:
        try:
            yield laid(speech, voice)
        except (BadText, BadAudio):
            yield ()


def _with(speech: Speech, phonemes: tuple[Phoneme, ...]) -> Speech:
    return Speech(speech.audio, speech.text, speech.language, speech.engine, speech.words, phonemes)
