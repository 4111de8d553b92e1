from __future__ import annotations

import io
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ml.engines import frames
from ml.engines.espeak import LibraryFiles, find_library, worker_command

SPEAK = {"ask": "speak", "text": "uno dos tres", "voice": "roa/es", "rate": 165, "pitch": 50, "spread": 50}


def conversation(questions: list[dict[str, object]], files: LibraryFiles | None = None) -> list[dict[str, object]]:
    """What a fresh worker answers; it must end by itself when the questions end."""
    files = files or find_library()
    assert files is not None
    argv, env = worker_command(files)
    asked = b"".join(frames.pack({"id": number, **question}) for number, question in enumerate(questions))
    done = subprocess.run(argv, env=env, input=asked, capture_output=True, timeout=30, check=True)
    stream, answers = io.BytesIO(done.stdout), []
    while (answer := frames.read(stream)) is not None:
        answers.append(answer)
    return answers


def test_it_describes_itself_and_speaks_with_events() -> None:
    description, speech = conversation([{"ask": "describe"}, SPEAK])
    assert description["ok"]["version"].startswith("1.5")
    assert description["ok"]["rate"] == 22050
    assert len(description["ok"]["variants"]) > 90
    assert ["roa/es", [[5, "es"]]] in description["ok"]["voices"]
    samples = len(speech["ok"]["pcm"]) // 2
    assert 0.5 < samples / 22050 < 3.0
    assert [(position, length) for _, position, length in speech["ok"]["words"]] == [(0, 3), (4, 3), (8, 4)]
    assert [symbol.strip("\u02c8") for _, symbol in speech["ok"]["phonemes"]][:3] == ["u", "n", "o"]
    times = [at for at, *_ in speech["ok"]["phonemes"]]
    assert times == sorted(times)
    assert times[-1] <= samples


def test_text_is_only_ever_text() -> None:
    plain = "hola <break time='3s'/> [[a:a:a:]] &amp; <voice name='en'>x</voice>"
    short, long = conversation([{**SPEAK, "text": "hola"}, {**SPEAK, "text": plain}])
    words = [plain[at : at + length] for _, at, length in long["ok"]["words"]]
    assert "break" in words, "a tag is read out, not obeyed"
    assert "voice" in words
    assert len(long["ok"]["pcm"]) > 3 * len(short["ok"]["pcm"])


def test_a_voice_that_is_not_there_is_a_no_and_the_next_question_works() -> None:
    no, yes, odd = conversation([{**SPEAK, "voice": "nonesuch"}, SPEAK, {"ask": "sing"}])
    assert (no["error"], odd["error"]) == ("voice", "question")
    assert yes["ok"]["pcm"]


def test_the_same_question_has_the_same_answer_whatever_was_asked_before() -> None:
    other = {**SPEAK, "voice": "gmw/en+klatt4", "text": "something else entirely", "rate": 220, "pitch": 80}
    breathy = {**SPEAK, "voice": "roa/es+whisper"}
    answers = conversation([SPEAK, breathy, other, SPEAK, SPEAK, breathy])
    assert answers[0]["ok"] == answers[3]["ok"] == answers[4]["ok"] == conversation([SPEAK])[0]["ok"]
    assert answers[1]["ok"] == answers[5]["ok"]


def test_a_crash_of_the_library_ends_the_worker_and_is_not_passed_over() -> None:
    files = find_library()
    assert files is not None
    argv, env = worker_command(files)
    # A question that the copy cannot even understand stands for a crash: the copy ends without an answer.
    asked = frames.pack({"id": 1, **{k: v for k, v in SPEAK.items() if k != "text"}}) + frames.pack({"id": 2, **SPEAK})
    done = subprocess.run(argv, env=env, input=asked, capture_output=True, timeout=30, check=False)
    assert done.returncode == 1
    assert done.stdout == b""
    assert b"crashed while speaking" in done.stderr


def test_endless_speech_is_stopped() -> None:
    (answer,) = conversation([{**SPEAK, "text": "9 " * 2500, "rate": 80}])
    assert answer["error"] == "long"


def test_a_broken_library_is_an_answer_not_a_crash(tmp_path: Path) -> None:
    files = find_library()
    assert files is not None
    text = tmp_path / "libespeak-ng.so"
    text.write_text("this is no library")
    (answer,) = conversation([SPEAK], LibraryFiles(text, None, "test"))
    assert answer["error"] == "library"
    assert "does not load" in answer["message"]
    (answer,) = conversation([SPEAK], LibraryFiles(files.library, tmp_path, "test"))
    assert answer["error"] == "library"
    assert "voice data" in answer["message"]


def test_long_and_accented_folders_work(tmp_path: Path) -> None:
    files = find_library()
    assert files is not None
    if files.data is None:
        pytest.skip("needs the voice data of espeakng-loader")
    deep = tmp_path / ("ñandú-" * 20) / ("ö" * 60)
    deep.mkdir(parents=True)
    shutil.copytree(files.data / "espeak-ng-data", deep / "espeak-ng-data")
    (answer,) = conversation([SPEAK], LibraryFiles(files.library, deep, "test"))
    assert answer["ok"]["pcm"]


def test_the_start_imports_neither_numpy_nor_the_rest() -> None:
    files = find_library()
    assert files is not None
    argv, env = worker_command(files)
    flags = argv[1 : argv.index("-m")]
    program = "import ml.engines.espeak_worker, sys; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, *flags, "-c", program], env=env, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not loaded & {"numpy", "soxr", "subprocess", "ml.types", "ml.errors", "site"}
    assert {"msgpack", "ctypes"} <= loaded
