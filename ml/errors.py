"""What can go wrong in the studio, as sentences a person can act on.

    MlError
    +-- Unavailable          something real is not installed here; `remedy` says how to get it
    +-- BadAudio             a recording cannot be used (corrupt, empty, silent, too short ...)
    +-- BadVideo             a video cannot be used (no pictures, damaged, high dynamic range ...)
    +-- CannotWrite          a result cannot be put where it was asked for (format, folder, rights, full disk)
    +-- BadText              a text, a language code or a notes/grammar file cannot be used
    |   +-- UnsupportedLanguage
    +-- EngineFailed         an engine that was there stopped working; carries what it said
    |   +-- OutOfMemory
    |   +-- EngineCrashed    the process of an engine ended at this request; another one may be begun
    +-- ModelDamaged         a model file does not have the bytes that were published
    +-- BadUpdate            bytes from a peer are not a weight diff that can be used here

Every error is one sentence; `remedy` is what to do next. This module knows nothing of how they are shown.
"""

from __future__ import annotations


class MlError(Exception):
    """Something in the studio could not be done."""

    def __init__(self, sentence: str, remedy: str = "") -> None:
        """`sentence` says what is wrong, `remedy` what to do about it."""
        super().__init__(sentence)
        self.sentence = sentence
        self.remedy = remedy

    @property
    def whole(self) -> str:
        """Sentence and remedy as one line, each with its own end."""
        told = self.sentence.strip()
        if not self.remedy:
            return told
        return f"{told}{'' if told.endswith(('.', '!', '?')) else '.'} To mend: {self.remedy}"


class Unavailable(MlError):
    """A real engine, program, model or device that is not here; it is never imitated."""


class BadAudio(MlError):
    """A recording that cannot be used."""


class BadVideo(MlError):
    """A video that cannot be used."""


class CannotWrite(MlError):
    """A result that cannot be put where it was asked for."""


class BadText(MlError):
    """A text that cannot be used."""


class UnsupportedLanguage(BadText):
    """A language or a pair of languages that nothing installed can serve."""


class EngineFailed(MlError):
    """An engine that was working stopped, or answered something impossible."""


class OutOfMemory(EngineFailed):
    """There was too little memory, main or of an accelerator, to load an engine or to compute with it."""


class EngineCrashed(EngineFailed):
    """The process of an engine ended while it worked on this; the next request starts it anew."""


class ModelDamaged(MlError):
    """A model file whose bytes are not the published ones."""


class BadUpdate(MlError):
    """Bytes from a peer that are not exactly a weight diff of the model at hand."""


def first_line(error: BaseException, most: int = 200) -> str:
    """What another program's error says, as far as it fits a sentence: its first line, or its name for want of one, at
    most so many letters."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:most]
