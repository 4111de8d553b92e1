"""The child process in which the espeak-ng library lives: `python -m ml.engines.espeak_worker LIBRARY [DATA]`.

espeak-ng is under the GPL, keeps its state in process-wide globals and may end the process it is in, so it gets one
of its own. Only the standard library, ctypes and msgpack are imported, which keeps the start short. Questions come
as frames on stdin, answers leave on stdout, and the end of stdin ends the process. This module speaks what it is
told to speak: it knows nothing of languages, pitch in hertz or anything else of the studio.

Source for the calls, options and events: espeak-ng's speak_lib.h.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any, BinaryIO

from ml.engines import frames

_SYNCHRONOUS = 2
_PHONEME_EVENTS, _PHONEME_IPA, _DONT_EXIT = 1, 2, 0x8000
_UTF8 = 1
_EVENT_END_OF_LIST, _EVENT_WORD, _EVENT_PHONEME = 0, 1, 7
_RATE, _VOLUME, _PITCH, _RANGE = 1, 2, 3, 4
_VOLUME_LEVEL = 60  # 0-200, 100 is the library's own; some voices clip at 100
MAX_SECONDS = 900
_TIME_LIMIT = 20  # seconds of real time for one utterance; 15 minutes of speech take about one


class _EventId(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    )


class _Voice(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("languages", ctypes.POINTER(ctypes.c_char)),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("xx1", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    )


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


class No(Exception):
    """A question that is answered with no: `code` is one word for the asking program."""

    def __init__(self, code: str, sentence: str) -> None:
        """`sentence` is for a person."""
        super().__init__(sentence)
        self.code = code


class Library:
    """The loaded espeak-ng library. One per process, one call at a time."""

    def __init__(self, library: str, data: str | None) -> None:
        """Load and initialise it. Raises No("library") with the reason when that fails."""
        try:
            self._lib = lib = ctypes.CDLL(library)
        except OSError as error:
            raise No("library", f"the library does not load: {error}") from error
        lib.espeak_Initialize.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_int)
        lib.espeak_Synth.argtypes = (
            *(ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int),
            *(ctypes.c_uint, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p),
        )
        lib.espeak_SetVoiceByName.argtypes = (ctypes.c_char_p,)
        lib.espeak_Info.restype = ctypes.c_char_p
        lib.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_Voice))
        lib.espeak_GetCurrentVoice.restype = ctypes.POINTER(_Voice)
        path: bytes | None = None
        if data is not None:
            # The library truncates long paths silently and knows no encoding; a relative path has neither problem.
            os.chdir(data)
            path = b"."
        # Without DONT_EXIT the library ends the process when its data is missing.
        self.rate = lib.espeak_Initialize(_SYNCHRONOUS, 0, path, _PHONEME_EVENTS | _PHONEME_IPA | _DONT_EXIT)
        if self.rate <= 0:
            raise No("library", f"the voice data under {data or 'its own folder'} cannot be read")
        self._callback = _Callback(self._heard)  # kept: the library holds only a pointer
        lib.espeak_SetSynthCallback(self._callback)
        self._pcm: list[bytes] = []
        self._samples = 0
        self._words: list[tuple[int, int, int]] = []
        self._phonemes: list[tuple[int, str]] = []

    def describe(self) -> dict[str, Any]:
        """Version, data folder, sample rate, voices as [identifier, [[priority, language], ...]], variant names."""
        where = ctypes.c_char_p()
        version = self._lib.espeak_Info(ctypes.byref(where)).decode()
        data = (where.value or b"").decode("utf-8", "surrogateescape")
        listed, voices, index = self._lib.espeak_ListVoices(None), [], 0
        while listed[index]:
            voice = listed[index].contents
            identifier = (voice.identifier or b"").decode("utf-8", "replace")
            if not identifier.startswith("mb/"):  # MBROLA voices need a program of their own
                voices.append((identifier, _languages(voice.languages)))
            index += 1
        folder = Path(data) / "voices" / "!v"
        variants = sorted(entry.name for entry in folder.iterdir() if entry.is_file()) if folder.is_dir() else []
        return {"version": version, "data": data, "rate": self.rate, "voices": voices, "variants": variants}

    def choose(self, voice: str) -> None:
        """Speak with this voice from now on. Raises No("voice") when there is none of that name."""
        if self._lib.espeak_SetVoiceByName(voice.encode()) != 0:
            raise No("voice", f"there is no voice {voice!r}")

    def speak(self, text: str, rate: int, pitch: int, spread: int) -> dict[str, Any]:
        """Speak plain text with the chosen voice. Raises No("long") past MAX_SECONDS.

        Returns 16-bit samples, word events (sample, text position in characters from 0, length) and phoneme events
        (sample, IPA as the library writes it, '' for a pause).
        """
        for parameter, value in ((_RATE, rate), (_VOLUME, _VOLUME_LEVEL), (_PITCH, pitch), (_RANGE, spread)):
            self._lib.espeak_SetParameter(parameter, value, 0)
        self._pcm, self._samples, self._words, self._phonemes = [], 0, [], []
        data = text.encode()
        # No SSML and no [[phoneme]] flag: the text is only ever read as text.
        status = self._lib.espeak_Synth(data, len(data) + 1, 0, 1, 0, _UTF8, None, None)
        if self._samples > MAX_SECONDS * self.rate:
            raise No("long", f"the text takes longer than {MAX_SECONDS} s to speak")
        if status != 0:
            raise No("failed", f"the library returned error {status}")
        return {"pcm": b"".join(self._pcm), "words": self._words, "phonemes": self._phonemes}

    def _heard(self, samples: ctypes._Pointer[ctypes.c_short], count: int, events: ctypes._Pointer[_Event]) -> int:
        """The library's callback: a piece of sound and what happens in it. Returning 1 stops the speech."""
        if count > 0:
            self._pcm.append(ctypes.string_at(samples, 2 * count))
            self._samples += count
        index = 0
        while events[index].type != _EVENT_END_OF_LIST:
            event = events[index]
            if event.type == _EVENT_WORD:
                self._words.append((event.sample, event.text_position - 1, event.length))
            elif event.type == _EVENT_PHONEME:
                # Eight bytes, not terminated when full: the last character may be cut in two.
                self._phonemes.append((event.sample, event.id.string.decode("utf-8", "ignore")))
            index += 1
        return 1 if self._samples > MAX_SECONDS * self.rate else 0


def _languages(pointer: ctypes._Pointer[ctypes.c_char]) -> list[tuple[int, str]]:
    """The library's list of languages: a priority byte and a terminated name each, until a zero priority."""
    found, at = [], 0
    while (priority := pointer[at][0]) != 0:
        end = at + 1
        while pointer[end] != b"\0":
            end += 1
        found.append((priority, bytes(pointer[at + 1 : end]).decode("ascii", "replace")))
        at = end + 1
    return found


def answer(library: Library, question: dict[str, Any]) -> dict[str, Any]:
    """The answer to one question, `ok` or `error`."""
    try:
        if question.get("ask") == "describe":
            return {"ok": library.describe()}
        if question.get("ask") == "speak":
            library.choose(str(question.get("voice")))
            return {"ok": library.speak(*(question[key] for key in ("text", "rate", "pitch", "spread")))}
    except No as no:
        return {"error": no.code, "message": str(no)}
    return {"error": "question", "message": f"unknown question {question.get('ask')!r}"}


def answer_in_fork(library: Library, question: dict[str, Any], answers: BinaryIO) -> None:
    """Answer in a copy of this process, which then ends.

    The library carries the phase of its pitch flutter and its random numbers from one utterance to the next, and what
    some voices leave behind from one voice to the next (after `robosoft2`, German has lost a sound); it has no call to
    reset them. A copy of the untouched process makes the same question have the same answer, to the sample, for a
    millisecond. Raises ChildProcessError when the copy crashed.
    """
    copy = os.fork()
    if copy == 0:
        code = 1
        try:
            signal.alarm(_TIME_LIMIT)
            frames.write(answers, {"id": question["id"], **answer(library, question)})
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(copy, 0)
    if status != 0:
        raise ChildProcessError(f"the library crashed while speaking (status {status})")


def serve(questions: BinaryIO, answers: BinaryIO, library: str, data: str | None) -> None:
    """Answer questions until the stream of them ends; a library that does not load is said to every question."""
    loaded: Library | None = None
    trouble: dict[str, Any] = {}
    try:
        loaded = Library(library, data)
    except No as no:
        trouble = {"error": no.code, "message": str(no)}
    while (question := frames.read(questions)) is not None:
        if loaded is not None and question.get("ask") == "speak":
            answer_in_fork(loaded, question, answers)
        else:
            frames.write(answers, {"id": question.get("id"), **(answer(loaded, question) if loaded else trouble)})


def main() -> None:
    """Serve on stdin and stdout."""
    # Nothing here has a reason to write files; 64 KiB leave room for complaints on stderr.
    resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what the library prints must not land between the answers
    library, data = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None
    serve(sys.stdin.buffer, answers, library, data)


if __name__ == "__main__":
    main()
