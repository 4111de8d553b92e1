"""What every engine must do, run over every engine that is installed here, ours and anybody's.

The engines come through `ml.engines.registry.discover`, so an engine from another package is held to the same
promises as soon as it is installed. An engine whose needs are not met is skipped with what is missing.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest
import soundfile

from ml.audio.logmel import HOP, log_mel
from ml.engines.isolated import isolate
from ml.engines.isolated_worker import Recipe
from ml.engines.protocols import (
    MORE_TASKS,
    TASKS,
    Aligner,
    Asr,
    AsrOptions,
    Ast,
    Engine,
    EngineHome,
    EngineSpec,
    FeatureExtractor,
    Mt,
    Need,
    SpeakerEncoder,
    Tts,
    Vocoder,
    VoiceConverter,
)
from ml.engines.registry import discover
from ml.errors import BadAudio, BadText, EngineFailed, Unavailable, UnsupportedLanguage
from ml.types import SAMPLE_RATE, Audio, Delivery, Samples, Transcript
from tests.conftest import ROOT, USER_MODELS
from tests.ml.engines.tiny import isolated_specs, tinies, tiny_specs

FOUND = {spec.name: spec for spec in discover()}
ISOLATED = {spec.name: spec for spec in isolated_specs()}
"""Each starts a process that loads torch: `make test-all` runs them."""
ALONE = isolate(
    replace(FOUND["resemblyzer"], name="resemblyzer-process"),
    lambda home: Recipe(models=str(home.models), spec="ml.engines.resemblyzer:SPEC"),
)
SPECS = FOUND | {spec.name: spec for spec in tiny_specs()} | ISOLATED | {ALONE.name: ALONE}
HOME = EngineHome(USER_MODELS)
PROTOCOLS: dict[str, type] = {"asr": Asr, "mt": Mt, "tts": Tts, "speaker": SpeakerEncoder}
PROTOCOLS |= {"align": Aligner, "features": FeatureExtractor, "ast": Ast}
PROTOCOLS |= {"vocoder": Vocoder, "conversion": VoiceConverter}
HELLO = {"en": "Good morning, my friend.", "es": "Buenos días, amigo mío.", "fr": "Bonjour, mon ami."}
HELLO |= {"ca": "Bon dia, amic meu.", "it": "Buongiorno, amico mio.", "pt": "Bom dia, meu amigo."}


def of_task(task: str | None) -> list[Any]:
    """The names of the installed engines of a task, as parameters that skip where something is missing."""
    return [
        pytest.param(
            spec.name,
            marks=[
                pytest.mark.skipif(
                    bool(missing := spec.missing(HOME)),
                    reason="; ".join(f"{spec.name} needs {need.name}: {need.remedy}" for need in missing),
                ),
                *([pytest.mark.slow] if spec.name in ISOLATED else []),
            ],
        )
        for spec in SPECS.values()
        if task is None or spec.task == task
    ]


@pytest.fixture(scope="module")
def engines() -> Iterator[Callable[[str], Engine]]:
    """Builds each engine once for the whole file."""
    built: dict[str, Engine] = {}

    def get(name: str) -> Engine:
        if name not in built:
            built[name] = SPECS[name].factory(HOME)
        return built[name]

    yield get
    for engine in built.values():
        engine.close()


def knowing(name: str) -> None:
    """Skips for an engine whose tiny checkpoint knows nothing of the world."""
    plain = name.removesuffix("-process")
    if plain in tinies() and not tinies()[plain].knows:
        pytest.skip("its tiny checkpoint has random weights")


def flac(name: str) -> Samples:
    """A recording that ships with the project, 16 kHz."""
    samples, rate = soundfile.read(ROOT / "examples" / "audio" / name, dtype="float32")
    assert rate == SAMPLE_RATE
    return samples


def use(engine: Engine) -> object:
    """One ordinary call of the engine's task."""
    if isinstance(engine, Asr):
        session = engine.listen(AsrOptions())
        session.accept(flac("lj.flac")[: 2 * SAMPLE_RATE])
        return session.finish()
    if isinstance(engine, Ast):
        return engine.translate_speech(Audio(flac("lj.flac")[: 2 * SAMPLE_RATE]), *engine.capabilities().pairs[0])
    if isinstance(engine, Mt):
        source, target = engine.capabilities().pairs[0]
        return engine.translate(HELLO.get(source, "a"), source, target)
    if isinstance(engine, Tts):
        return engine.speak("one two three", engine.capabilities().languages[0], Delivery())
    if isinstance(engine, Aligner):
        return engine.align(Audio(flac("lj.flac")[: 2 * SAMPLE_RATE]), "The invention", "en")
    if isinstance(engine, FeatureExtractor):
        return engine.features(Audio(flac("lj.flac")[: 2 * SAMPLE_RATE]))
    if isinstance(engine, Vocoder):
        return engine.sound(log_mel(flac("lj.flac")[:SAMPLE_RATE]))
    if isinstance(engine, VoiceConverter):
        return engine.convert(Audio(flac("lj.flac")[:SAMPLE_RATE]), Audio(flac("demo.flac")[: 2 * SAMPLE_RATE]))
    assert isinstance(engine, SpeakerEncoder)
    return engine.embed(Audio(flac("lj.flac")[: 2 * SAMPLE_RATE]))


# ---- every engine


def test_each_task_has_an_engine() -> None:
    assert {spec.task for spec in FOUND.values()} >= set(TASKS)


@pytest.mark.parametrize("spec", SPECS.values(), ids=lambda spec: spec.name)
def test_the_spec_says_who_it_is(spec: EngineSpec) -> None:
    assert spec.task in (*TASKS, *MORE_TASKS)
    assert spec.name == spec.name.strip().lower()
    assert spec.summary
    assert spec.licence
    if "GPL" in spec.licence.replace("LGPL", ""):
        assert spec.isolation == "process", "GPL code runs outside this process"
    for need in spec.needs:
        assert need.name
        assert need.remedy
        assert need.kind in get_args(get_type_hints(Need)["kind"])


@pytest.mark.parametrize("spec", FOUND.values(), ids=lambda spec: spec.name)
def test_what_is_missing_on_an_empty_machine_is_asked_quietly(spec: EngineSpec, tmp_path: Path) -> None:
    home = EngineHome(tmp_path / "nowhere")
    missing = spec.missing(home)
    assert not (tmp_path / "nowhere").exists(), "asking creates nothing"
    if any(need.kind == "model" for need in missing):
        with pytest.raises(Unavailable) as failure:
            spec.factory(home)
        assert failure.value.remedy


def test_meeting_the_engines_imports_nothing_heavy() -> None:
    program = "import sys; from ml.engines.registry import discover; discover(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"torch", "onnxruntime", "pocketsphinx", "transformers", "scipy", "av"} & set(done.stdout.split())


@pytest.mark.parametrize("name", of_task(None))
def test_it_keeps_the_protocol_of_its_task_and_tells_what_it_can(engines: Callable[[str], Engine], name: str) -> None:
    engine = engines(name)
    assert isinstance(engine, PROTOCOLS[SPECS[name].task])
    assert engine.spec is SPECS[name]
    able = engine.capabilities()
    assert any(character.isdigit() for character in able.version), "a version has a number"
    assert all(code == code.lower() or "-" in code or "_" in code for code in able.languages)
    assert len(set(able.languages)) == len(able.languages)
    assert len(set(able.pairs)) == len(able.pairs)
    assert all(source != target for source, target in able.pairs)
    assert able.longest is None or able.longest > 0
    assert all(0 < seconds < 60 for seconds in (able.latency or {}).values())
    assert set(engine.spec.languages) <= {code.partition("-")[0] for code in able.languages} or not able.languages


@pytest.mark.parametrize("name", of_task(None))
def test_a_closed_engine_refuses_to_work(name: str) -> None:
    engine = SPECS[name].factory(HOME)
    use(engine)
    engine.close()
    engine.close()
    with pytest.raises(EngineFailed) as failure:
        use(engine)
    assert failure.value.remedy


@pytest.mark.parametrize("name", of_task(None))
def test_an_engine_that_was_never_used_closes(name: str) -> None:
    engine = SPECS[name].factory(HOME)
    engine.close()
    with pytest.raises(EngineFailed):
        use(engine)


@pytest.mark.parametrize("name", of_task(None))
def test_closing_leaves_no_process_and_no_thread_behind(name: str) -> None:
    import psutil

    def alive() -> set[int]:
        return {child.pid for child in psutil.Process().children(recursive=True) if child.status() != "zombie"}

    before, threads = alive(), threading.active_count()
    engine = SPECS[name].factory(HOME)
    use(engine)
    engine.close()
    assert not psutil.wait_procs([psutil.Process(pid) for pid in alive() - before], timeout=5)[1]
    assert threading.active_count() <= threads


@pytest.mark.parametrize("name", of_task(None))
def test_threads_get_what_one_gets_alone(engines: Callable[[str], Engine], name: str) -> None:
    engine = engines(name)
    alone = told(use(engine))
    results: list[object] = []
    threads = [threading.Thread(target=lambda: results.append(told(use(engine)))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [alone] * 4


def told(result: Any) -> object:
    """What an engine said, in a form that compares."""
    if isinstance(result, np.ndarray):
        return result.tobytes()
    if isinstance(result, Audio):
        return result.samples.tobytes()
    if hasattr(result, "audio"):
        return result.audio.samples.tobytes(), result.words, result.phonemes
    return result


# ---- asr


@pytest.mark.parametrize("live", [False, True], ids=["whole", "live"])
@pytest.mark.parametrize("name", of_task("asr"))
class TestAsr:
    def test_speech_becomes_words_in_order(self, engines: Callable[[str], Engine], name: str, live: bool) -> None:
        heard, samples = self.hear(engines(name), live, 1600), flac("lj.flac")
        assert {"invention", "letters"} <= set(heard.text.lower().split())
        assert (heard.final, heard.engine, heard.language) == (True, name, "en")
        assert 0 <= heard.confidence <= 1
        assert 0 <= heard.start < heard.end <= len(samples) / SAMPLE_RATE + 0.1
        assert all(0 <= word.confidence <= 1 for word in heard.words)
        assert all(word.start < word.end for word in heard.words)
        assert all(a.end <= b.start + 0.02 for a, b in pairwise(heard.words))

    def test_the_size_of_the_pieces_does_not_matter(
        self, engines: Callable[[str], Engine], name: str, live: bool
    ) -> None:
        engine = engines(name)
        texts = {self.hear(engine, live, size, seconds=2.0).text for size in (37, 1600, 48_000)}
        assert len(texts) == 1

    def test_nothing_heard_is_an_empty_text(self, engines: Callable[[str], Engine], name: str, live: bool) -> None:
        session = engines(name).listen(AsrOptions(live=live))
        session.accept(np.zeros(0, np.float32))
        assert session.partial() is None
        assert session.finish().text == ""
        with pytest.raises(EngineFailed, match="ended"):
            session.accept(np.zeros(160, np.float32))
        session = engines(name).listen(AsrOptions(live=live))
        session.accept(np.zeros(SAMPLE_RATE, np.float32))
        assert session.finish().text == ""

    def test_an_abandoned_utterance_disturbs_no_other(
        self, engines: Callable[[str], Engine], name: str, live: bool
    ) -> None:
        engine = engines(name)
        expected = self.hear(engine, live, 1600, seconds=2.0)
        session = engine.listen(AsrOptions(live=live))
        session.accept(flac("demo.flac")[: 2 * SAMPLE_RATE])
        session.abandon()
        session.abandon()
        assert self.hear(engine, live, 1600, seconds=2.0) == expected

    def test_partials_are_not_final(self, engines: Callable[[str], Engine], name: str, live: bool) -> None:
        session, partials = engines(name).listen(AsrOptions(live=live)), []
        for piece in np.array_split(flac("lj.flac")[: 4 * SAMPLE_RATE], 40):
            session.accept(piece)
            partials.append(session.partial())
        final = session.finish()
        said = [partial for partial in partials if partial is not None]
        assert bool(said) == live
        assert not any(partial.final for partial in said)
        assert final.final

    def test_bad_options_are_refused(self, engines: Callable[[str], Engine], name: str, live: bool) -> None:
        engine = engines(name)
        with pytest.raises(UnsupportedLanguage):
            engine.listen(AsrOptions(language="xx", live=live))
        with pytest.raises(BadText):
            engine.listen(AsrOptions(notes="hello", grammar="#JSGF V1.0; grammar g; public <a> = b;", live=live))
        with pytest.raises(BadText):
            engine.listen(AsrOptions(grammar="this is no grammar", live=live))

    @staticmethod
    def hear(engine: Any, live: bool, size: int, seconds: float = 60.0) -> Transcript:
        session, samples = engine.listen(AsrOptions(live=live)), flac("lj.flac")[: round(seconds * SAMPLE_RATE)]
        for first in range(0, len(samples), size):
            session.accept(samples[first : first + size])
        heard: Transcript = session.finish()
        return heard


# ---- mt


@pytest.mark.parametrize("name", of_task("mt"))
class TestMt:
    def test_every_offered_pair_translates(self, engines: Callable[[str], Engine], name: str) -> None:
        engine = engines(name)
        pairs = [(s, t) for s, t in engine.capabilities().pairs if "en" in (s, t) and s in HELLO and t in HELLO]
        assert pairs
        for source, target in pairs:
            route = engine.prepare(source, target)
            done = engine.translate(HELLO[source], source, target)
            assert done.text.strip()
            assert done.text != HELLO[source]
            assert (done.source, done.target, done.source_text) == (source, target, HELLO[source])
            assert (done.route[0], done.route[-1]) == (route[0], route[-1]) == (source, target)
            assert 0 <= done.confidence <= 1
            assert all(word in HELLO[source] for word in done.unknown)

    def test_unknown_pairs_are_unsupported(self, engines: Callable[[str], Engine], name: str) -> None:
        engine = engines(name)
        for pair in (("en", "xx"), ("xx", "es")):
            with pytest.raises(UnsupportedLanguage):
                engine.prepare(*pair)
            with pytest.raises(UnsupportedLanguage):
                engine.translate("hello", *pair)

    @pytest.mark.parametrize("text", ["", " \n\t"])
    def test_no_text_is_refused(self, engines: Callable[[str], Engine], name: str, text: str) -> None:
        engine = engines(name)
        with pytest.raises(BadText):
            engine.translate(text, *engine.capabilities().pairs[0])

    @pytest.mark.parametrize(
        "text", ["a\0b", "^[]{}$@*#/\\<>", "😀 hello", "\ud800", "HELLO", "...", "x" * 2000, "1 + 1 = 2", "a\nb\r\nc"]
    )
    def test_odd_text_breaks_nothing(self, engines: Callable[[str], Engine], name: str, text: str) -> None:
        engine = engines(name)
        pair = next(pair for pair in engine.capabilities().pairs if pair[0] == "en")
        before = engine.translate(HELLO["en"], *pair)
        try:
            assert isinstance(engine.translate(text, *pair).text, str)
        except BadText as refusal:
            assert refusal.remedy  # noqa: PT017 - refusing is one of two right answers
        assert engine.translate(HELLO["en"], *pair) == before, "nothing of the odd text is left behind"


# ---- tts


@pytest.mark.parametrize("name", of_task("tts"))
class TestTts:
    @pytest.mark.parametrize("language", HELLO)
    def test_text_becomes_sound_with_times(self, engines: Callable[[str], Engine], name: str, language: str) -> None:
        able = engines(name).capabilities()
        if language not in able.languages:
            pytest.skip(f"it does not speak {language}")
        speech = engines(name).speak(HELLO[language], language, Delivery())
        samples = speech.audio.samples
        assert (speech.audio.rate, samples.dtype, samples.ndim) == (SAMPLE_RATE, np.float32, 1)
        assert (speech.text, speech.language, speech.engine) == (HELLO[language], language, name)
        assert np.isfinite(samples).all()
        assert 0 < np.abs(samples).max() <= 1.0
        assert [word.text for word in speech.words] == (HELLO[language].split() if able.times else [])
        for marks in (speech.words, speech.phonemes):
            assert all(0 <= mark.start < mark.end <= speech.audio.seconds for mark in marks)
            assert all(a.end <= b.start + 1e-6 for a, b in pairwise(marks))
        spoken = sum(p.end - p.start for p in speech.phonemes if p.symbol)
        assert not speech.phonemes or spoken > 0.6 * speech.audio.seconds
        assert not any(set(p.symbol) & set("\u02c8\u02cc()[]") for p in speech.phonemes)
        knowing(name)
        assert np.abs(samples).max() > 0.05
        assert 0.5 < speech.audio.seconds < 6.0

    @staticmethod
    def spoken(engine: Engine) -> str:
        """A language that the engine speaks and this suite can greet in."""
        return next(language for language in ("es", *HELLO) if language in engine.capabilities().languages)

    def test_the_same_words_sound_the_same(self, engines: Callable[[str], Engine], name: str) -> None:
        engine = engines(name)
        language = self.spoken(engine)
        first = engine.speak(HELLO[language], language, Delivery(f0_hz=120.0))
        engine.speak("others", language, Delivery(speed=1.4))
        again = engine.speak(HELLO[language], language, Delivery(f0_hz=120.0))
        np.testing.assert_array_equal(first.audio.samples, again.audio.samples)

    def test_faster_is_shorter(self, engines: Callable[[str], Engine], name: str) -> None:
        language = self.spoken(engines(name))
        slow, normal, fast = (
            engines(name).speak(HELLO[language], language, Delivery(speed=speed)).audio.seconds
            for speed in (0.8, 1.0, 1.25)
        )
        assert slow > normal > fast

    @pytest.mark.parametrize("text", ["", "  \n", "?!...", "\0"])
    def test_nothing_to_say_is_refused(self, engines: Callable[[str], Engine], name: str, text: str) -> None:
        with pytest.raises(BadText) as failure:
            engines(name).speak(text, self.spoken(engines(name)), Delivery())
        assert failure.value.remedy

    def test_bad_requests_are_refused(self, engines: Callable[[str], Engine], name: str) -> None:
        engine = engines(name)
        language = self.spoken(engine)
        with pytest.raises(UnsupportedLanguage):
            engine.speak("hola", "xx", Delivery())
        with pytest.raises(BadText):
            engine.speak("hola", language, Delivery(voice="nonesuch"))
        with pytest.raises(BadText):
            engine.speak("hola", language, Delivery(speed=float("nan")))
        longest = engine.capabilities().longest
        if longest is not None:
            with pytest.raises(BadText):
                engine.speak("a" * (int(longest) + 1), language, Delivery())


# ---- speaker


@pytest.mark.parametrize("name", of_task("speaker"))
class TestSpeaker:
    def test_an_embedding_is_a_direction(self, engines: Callable[[str], Engine], name: str) -> None:
        engine = engines(name)
        one, same = (engine.embed(Audio(flac("lj.flac"))) for _ in range(2))
        assert (one.dtype, one.ndim) == (np.float32, 1)
        assert np.linalg.norm(one) == pytest.approx(1.0, abs=1e-5)
        np.testing.assert_array_equal(one, same)

    def test_a_speaker_is_nearest_to_herself(self, engines: Callable[[str], Engine], name: str) -> None:
        knowing(name)
        engine = engines(name)
        lj, other = flac("lj.flac"), flac("demo.flac")
        a, b, c = (engine.embed(Audio(x)) for x in (lj[: 4 * SAMPLE_RATE], lj[4 * SAMPLE_RATE :], other))
        assert a @ b > max(a @ c, b @ c) + 0.1

    def test_unusable_audio_is_refused(self, engines: Callable[[str], Engine], name: str) -> None:
        for samples, rate in ((np.zeros(16, np.float32), SAMPLE_RATE), (flac("lj.flac"), 8000)):
            with pytest.raises(BadAudio) as failure:
                engines(name).embed(Audio(samples, rate))
            assert failure.value.remedy


# ---- align


@pytest.mark.parametrize("name", of_task("align"))
class TestAlign:
    TEXT = "The invention of movable metal letters, in the middle"

    def test_every_word_has_its_place_in_order(self, engines: Callable[[str], Engine], name: str) -> None:
        audio = Audio(flac("lj.flac"))
        found = engines(name).align(audio, self.TEXT, "en")
        assert [word.text for word in found.words] == self.TEXT.split()
        for marks in (found.words, found.phonemes):
            assert all(0 <= mark.start < mark.end <= audio.seconds + 0.03 for mark in marks)
            assert all(a.end <= b.start + 1e-6 for a, b in pairwise(marks))
        assert all(0 <= word.confidence <= 1 for word in found.words)
        assert found == engines(name).align(audio, self.TEXT, "en")

    def test_what_cannot_be_aligned_is_refused(self, engines: Callable[[str], Engine], name: str) -> None:
        engine, audio = engines(name), Audio(flac("lj.flac"))
        with pytest.raises(UnsupportedLanguage):
            engine.align(audio, self.TEXT, "xx")
        for text in ("", " ?! ", "far too many words for it " * 20):
            with pytest.raises(BadText) as failure:
                engine.align(audio.cut(0.0, 1.0), text, "en")
            assert failure.value.remedy
        for spoilt in (Audio(audio.samples, 8000), Audio(np.zeros(0, np.float32)), Audio(audio.samples * np.nan)):
            with pytest.raises(BadAudio):
                engine.align(spoilt, self.TEXT, "en")


# ---- features


@pytest.mark.parametrize("name", of_task("features"))
class TestFeatures:
    def test_there_is_a_row_of_numbers_for_each_moment(self, engines: Callable[[str], Engine], name: str) -> None:
        engine, audio = engines(name), Audio(flac("lj.flac"))
        found = engine.features(audio)
        assert (found.dtype, found.ndim) == (np.float32, 2)
        assert np.isfinite(found).all()
        assert abs(len(found) - audio.seconds * engine.rate) < 2
        np.testing.assert_array_equal(found, engine.features(audio))

    def test_unusable_audio_is_refused(self, engines: Callable[[str], Engine], name: str) -> None:
        for samples, rate in ((np.zeros(16, np.float32), SAMPLE_RATE), (flac("lj.flac"), 8000)):
            with pytest.raises(BadAudio) as failure:
                engines(name).features(Audio(samples, rate))
            assert failure.value.remedy


# ---- vocoder


@pytest.mark.parametrize("name", of_task("vocoder"))
class TestVocoder:
    def test_a_spectrum_becomes_the_sound_that_has_it(self, engines: Callable[[str], Engine], name: str) -> None:
        mel = log_mel(flac("lj.flac")[: 4 * SAMPLE_RATE])
        made = engines(name).sound(mel)
        assert (made.rate, made.samples.dtype, made.samples.shape) == (SAMPLE_RATE, np.float32, (len(mel) * HOP,))
        assert np.isfinite(made.samples).all()
        assert np.abs(made.samples).max() <= 1.0
        np.testing.assert_array_equal(made.samples, engines(name).sound(mel).samples)
        knowing(name)
        again = log_mel(made.samples)
        assert np.corrcoef(again.ravel(), mel.ravel())[0, 1] > 0.7
        assert np.sqrt(np.mean((again - mel) ** 2)) < 1.5, "nepers"

    def test_what_is_no_spectrum_is_refused(self, engines: Callable[[str], Engine], name: str) -> None:
        for mel in (np.zeros((0, 80), np.float32), np.zeros((4, 79), np.float32), np.full((4, 80), np.nan, np.float32)):
            with pytest.raises(BadAudio) as failure:
                engines(name).sound(mel)
            assert failure.value.remedy


# ---- conversion


@pytest.mark.parametrize("name", of_task("conversion"))
class TestConversion:
    def test_speech_stays_speech(self, engines: Callable[[str], Engine], name: str) -> None:
        engine, said, voice = engines(name), Audio(flac("lj.flac")[: 2 * SAMPLE_RATE]), Audio(flac("demo.flac"))
        made = engine.convert(said, voice)
        assert (made.rate, made.samples.dtype, made.samples.ndim) == (SAMPLE_RATE, np.float32, 1)
        assert np.isfinite(made.samples).all()
        assert np.abs(made.samples).max() <= 1.0
        assert made.seconds > 0
        np.testing.assert_array_equal(made.samples, engine.convert(said, voice).samples)
        knowing(name)
        assert 0.6 * said.seconds < made.seconds < 1.7 * said.seconds

    def test_unusable_audio_is_refused(self, engines: Callable[[str], Engine], name: str) -> None:
        good = Audio(flac("lj.flac")[: 2 * SAMPLE_RATE])
        for bad in (Audio(np.zeros(16, np.float32)), Audio(good.samples, 8000), Audio(good.samples * np.nan)):
            for pair in ((good, bad), (bad, good)):
                with pytest.raises(BadAudio) as failure:
                    engines(name).convert(*pair)
                assert failure.value.remedy


# ---- ast


@pytest.mark.parametrize("name", of_task("ast"))
class TestAst:
    def test_speech_becomes_text_of_another_language(self, engines: Callable[[str], Engine], name: str) -> None:
        knowing(name)
        engine, audio = engines(name), Audio(flac("lj.flac"))
        source, target = next(pair for pair in engine.capabilities().pairs if "en" in pair)
        done = engine.translate_speech(audio, source, target)
        assert done.text == done.text.strip() != ""
        assert (done.source, done.target, done.route, done.engine) == (source, target, (source, target), name)
        assert 0 < done.confidence <= 1
        assert engine.translate_speech(audio, source, target) == done

    def test_speech_of_any_length_is_translated(self, engines: Callable[[str], Engine], name: str) -> None:
        engine, lj = engines(name), flac("lj.flac")
        pair = engine.capabilities().pairs[0]
        pause = np.zeros(SAMPLE_RATE, np.float32)
        long = np.concatenate([lj, pause] * 5)
        done = engine.translate_speech(Audio(long), *pair)
        assert (done.source, done.target) == pair
        knowing(name)
        assert len(done.text) > 2 * len(engine.translate_speech(Audio(lj), *pair).text)

    def test_silence_is_no_text(self, engines: Callable[[str], Engine], name: str) -> None:
        engine = engines(name)
        done = engine.translate_speech(Audio(np.zeros(SAMPLE_RATE, np.float32)), *engine.capabilities().pairs[0])
        assert (done.text, done.confidence) == ("", 0.0)

    def test_the_language_need_not_be_told_where_the_engine_says_so(
        self, engines: Callable[[str], Engine], name: str
    ) -> None:
        engine, audio = engines(name), Audio(flac("lj.flac"))
        target = engine.capabilities().pairs[0][1]
        if engine.capabilities().detects:
            done = engine.translate_speech(audio, None, target)
            assert done.source in {"und", *engine.capabilities().languages}
        else:
            with pytest.raises(UnsupportedLanguage) as failure:
                engine.translate_speech(audio, None, target)
            assert failure.value.remedy

    def test_unknown_pairs_are_unsupported(self, engines: Callable[[str], Engine], name: str) -> None:
        engine, audio = engines(name), Audio(flac("lj.flac"))
        source, target = engine.capabilities().pairs[0]
        for pair in ((source, "xx"), ("xx", target), (source, source), (None, "xx")):
            with pytest.raises(UnsupportedLanguage):
                engine.translate_speech(audio, *pair)

    def test_unusable_audio_is_refused(self, engines: Callable[[str], Engine], name: str) -> None:
        engine, lj = engines(name), flac("lj.flac")
        for spoilt in (Audio(lj, 8000), Audio(np.zeros(0, np.float32)), Audio(lj * np.nan)):
            with pytest.raises(BadAudio) as failure:
                engine.translate_speech(spoilt, *engine.capabilities().pairs[0])
            assert failure.value.remedy
