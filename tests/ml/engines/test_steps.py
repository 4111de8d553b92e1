"""Compiled steps: what they say is what the network says, nothing is compiled during a job, and what cannot be compiled
goes on without."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator

import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch._dynamo.utils import counters

from ml.device import Hardware, Placement
from ml.engines import generation
from ml.engines.generation import Draft, Frame, Search, generate, rehearse
from ml.engines.loading import load_network
from ml.engines.protocols import AsrOptions, EngineHome, Mt, Rehearsing
from ml.engines.residency import Residency
from ml.engines.resident import Resident
from ml.engines.steps import Size, Steps
from ml.engines.whisper import WhisperEar
from ml.engines.whisper_decoding import DecodingOptions
from tests.conftest import ROOT
from tests.ml.engines.tiny import checkpoint, tiny_specs

QUICK = "eager"
"""The backend that captures graphs, with all guards on sizes, and runs them as they are: no C++ compiler, no wait."""
COMPILED = Placement("cpu", "float32", compiled=True)
SENTENCES = ([0], [9, 7, 5, 0], [4, 4, 9, 3, 8, 0], [5, 8, 5, 8, 0], [*range(3, 30), 0])
KINDS = {
    "tiny-marian": "MarianMTModel",
    "tiny-nllb": "M2M100ForConditionalGeneration",
    "tiny-madlad": "T5ForConditionalGeneration",
}


def network_of(name: str):
    absent = {
        "tiny-marian": ("model.encoder.embed_positions.", "model.decoder.embed_positions."),
        "tiny-nllb": ("model.encoder.embed_positions.", "model.decoder.embed_positions."),
    }
    return load_network(KINDS[name], checkpoint(name), Placement(), absent=absent.get(name, ()))


def frame_of(network) -> Frame:
    config = network.config
    start = config.decoder_start_token_id
    return Frame(config.pad_token_id if start is None else start, config.eos_token_id, config.pad_token_id)


def graphs() -> int:
    return counters["stats"]["unique_graphs"]


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    torch._dynamo.reset()
    counters.clear()
    yield
    torch._dynamo.reset()


def same(one: list[list[Draft]], two: list[list[Draft]]) -> None:
    assert [[(d.tokens, d.ended) for d in several] for several in one] == [
        [(d.tokens, d.ended) for d in several] for several in two
    ]
    for ours, theirs in zip(one, two, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            assert a.confidence == pytest.approx(b.confidence, rel=1e-4)


@pytest.mark.parametrize(
    "name",
    ["tiny-marian", *(pytest.param(name, marks=pytest.mark.slow) for name in ("tiny-nllb", "tiny-madlad"))],
)
def test_translations_are_those_of_the_bare_network_and_no_job_compiles(name: str) -> None:
    network = network_of(name)
    frame, steps = frame_of(network), Steps(network, COMPILED, QUICK)
    assert rehearse(network, frame, 3, steps) == ""
    made = graphs()
    assert made == len(generation.REHEARSED)
    batches = [[SENTENCES[0]], [SENTENCES[4]], list(SENTENCES)]
    for rows in batches:
        limits = [min(12, 2 * len(row) + 4) for row in rows]
        for search in (Search(3), Search(3, no_repeat=3, best=3)):
            same(
                generate(network, rows, limits, frame, search, steps),
                generate(network, rows, limits, frame, search),
            )
    assert steps.fitting(Size(3, 8, 20)) is not None
    assert graphs() == made, "a job compiled"
    assert not counters["graph_break"]
    steps.close()


def test_what_fits_no_compiled_size_is_computed_as_before() -> None:
    network = network_of("tiny-marian")
    frame, steps = frame_of(network), Steps(network, COMPILED, QUICK)
    assert rehearse(network, frame, 2, steps) == ""
    made = graphs()
    for rows, beams in (([[5, 4, 0]] * 9, 2), ([[5, 4, 0]] * 3, 6), ([[5] * 70 + [0]], 2)):
        limits = [12] * len(rows)
        assert steps.fitting(Size(len(rows) * beams, max(map(len, rows)), 15)) is None
        same(
            generate(network, rows, limits, frame, Search(beams), steps),
            generate(network, rows, limits, frame, Search(beams)),
        )
    assert graphs() == made


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.builds(Size, st.integers(1, 9), st.integers(1, 9), st.integers(1, 9)), max_size=5),
    st.builds(Size, st.integers(1, 9), st.integers(1, 9), st.integers(1, 9)),
)
def test_the_smallest_size_that_holds_a_job_is_taken(sizes: list[Size], wanted: Size) -> None:
    class Network:
        _can_compile_fullgraph = True

        def forward(self) -> None: ...

    steps = Steps(Network(), COMPILED, QUICK)
    assert steps.rehearse(sizes, lambda size: None) == ""
    found = steps.fitting(wanted)
    assert (found is None) == (not any(size.holds(wanted) for size in sizes))
    if found is not None:
        assert found.holds(wanted)
        assert all(found == size or not found.holds(size) for size in sizes if size.holds(wanted))
    assert (steps.fitting(wanted, exactly=True) == wanted) == (wanted in sizes)
    steps.close()


@pytest.mark.parametrize("beams", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_what_whisper_hears_is_the_same_and_no_window_compiles(beams: int) -> None:
    samples = soundfile.read(ROOT / "examples" / "audio" / "lj.flac", dtype="float32")[0]
    options = DecodingOptions(beams=beams)
    bare = WhisperEar.load(checkpoint("tiny-whisper"), Placement(), options)
    ear = WhisperEar.load(checkpoint("tiny-whisper"), COMPILED, options)
    ear._steps = Steps(ear._network, COMPILED, QUICK)
    assert ear.rehearse() == ""
    assert ear.rehearse() == ""  # nothing is left to do
    made = graphs()
    assert made == len({1, beams})  # sampling is greedy in its sizes
    for seconds, notes in ((9, None), (3, "movable metal")):
        piece, asked = samples[: seconds * 16_000], AsrOptions(language="auto", notes=notes)
        ours, theirs = ear.hear(piece, asked), bare.hear(piece, asked)
        assert [word.text for word in ours.words] == [word.text for word in theirs.words]
        assert [word.start for word in ours.words] == [word.start for word in theirs.words]
        assert len(ours.words) > 2
    assert graphs() == made, "a window compiled"
    bare.close()
    ear.close()
    assert ear.rehearse() == ""


def test_a_compiler_that_fails_is_told_once_and_the_job_is_done_without() -> None:
    def broken(graph, inputs):
        raise RuntimeError("there is no compiler here\nand more of it")

    network = network_of("tiny-marian")
    frame, steps = frame_of(network), Steps(network, COMPILED, broken)  # type: ignore[arg-type]
    told = rehearse(network, frame, 2, steps)
    assert "there is no compiler here" in told
    assert "runs without" in told
    assert "\n" not in told
    assert steps.fitting(Size(1, 1, 1)) is None
    rows = [[9, 7, 5, 0]]
    same(generate(network, rows, [12], frame, Search(2), steps), generate(network, rows, [12], frame, Search(2)))


@pytest.mark.parametrize("share", [0.9, float("nan")])
def test_a_compiler_that_computes_something_else_is_found_out(share: float) -> None:
    def wrong(graph, inputs):
        return lambda *given: [
            made * share if isinstance(made, torch.Tensor) and made.is_floating_point() else made
            for made in graph(*given)
        ]

    network = network_of("tiny-marian")
    frame, steps = frame_of(network), Steps(network, COMPILED, wrong)  # type: ignore[arg-type]
    assert "off by" in rehearse(network, frame, 2, steps)
    assert steps.fitting(Size(1, 1, 1)) is None
    rows = [[9, 7, 5, 0]]
    same(generate(network, rows, [12], frame, Search(2), steps), generate(network, rows, [12], frame, Search(2)))


def test_too_little_memory_while_rehearsing_is_raised_and_leaves_nothing_half_ready() -> None:
    class Network:
        _can_compile_fullgraph = True

        def forward(self) -> None: ...

    def job(size: Size) -> None:
        raise MemoryError("out of memory")

    steps = Steps(Network(), COMPILED, QUICK)
    with pytest.raises(MemoryError):
        steps.rehearse([Size(1, 1, 1)], job)
    assert steps.fitting(Size(1, 1, 1)) is None


@pytest.mark.parametrize(
    ("placement", "able", "told"),
    [
        (Placement(), True, ""),
        (Placement("cpu", "int8", compiled=True), True, "int8"),
        (Placement("mps", "float16", compiled=True), True, "on mps"),
        (Placement("cpu", "float32", compiled=True), False, "Network"),
    ],
)
def test_what_cannot_be_compiled_says_so(placement: Placement, able: bool, told: str) -> None:
    class Network:
        _can_compile_fullgraph = able

        def forward(self) -> None: ...

    steps = Steps(Network(), placement, QUICK)
    assert told in steps.rehearse([Size(1, 1, 1)], lambda size: pytest.fail("it was rehearsed"))
    assert bool(told) == bool(steps.rehearse([Size(1, 1, 1)], lambda size: None))
    assert steps.fitting(Size(1, 1, 1)) is None


def test_all_compiled_work_is_done_by_one_thread_whoever_asks() -> None:
    class Network:
        _can_compile_fullgraph = True

        def forward(self) -> None: ...

    steps = Steps(Network(), COMPILED, QUICK)
    assert steps.run(threading.get_ident) == threading.get_ident()  # nothing is compiled yet
    steps.rehearse([Size(1, 1, 1)], lambda size: None)
    seen = {steps.run(threading.get_ident)}
    other = threading.Thread(target=lambda: seen.add(steps.run(threading.get_ident)))
    other.start()
    other.join()
    assert len(seen) == 1
    assert threading.get_ident() not in seen
    steps.close()
    steps.close()


def test_the_cache_stays_where_it_is_and_is_emptied() -> None:
    network = network_of("tiny-marian")
    steps = Steps(network, COMPILED, QUICK)
    size = Size(2, 4, 6)
    cache = steps.cache(size)
    own = cache.self_attention_cache.layers[0]
    with torch.inference_mode():
        ones = torch.ones(2, 1, 3, 2)
        own.update(ones, ones)
        own.keys[1] *= 5
        place = own.keys.data_ptr()
        cache.reorder_cache(torch.tensor([1, 1]))
        assert own.keys.data_ptr() == place
        assert own.keys[0, 0, :3].unique().tolist() == [5.0]
        assert steps.cache(size) is cache
        assert own.keys.data_ptr() == place
        assert not own.keys.any()
        assert int(cache.get_seq_length()) == 0


@pytest.mark.parametrize("name", ["tiny-marian", "tiny-whisper", "tiny-whisper-translate", "tiny-ct2-marian"])
def test_an_engine_is_rehearsed_through_what_keeps_it_in_memory(name: str) -> None:
    pytest.importorskip("ctranslate2" if "ct2" in name else "torch")
    (spec,) = tiny_specs([name])
    home, load = EngineHome(ROOT), spec.at
    assert load is not None
    kept = Resident(spec, lambda place: load(home, place), Residency(lambda: Hardware(10**12)))
    assert isinstance(kept, Rehearsing)
    assert kept.rehearse() == ""  # nobody asked for it
    kept.close()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's compiler uses what torch gives up
@pytest.mark.parametrize("name", ["tiny-marian", "tiny-whisper"])
def test_the_real_compiler_makes_the_same(name: str) -> None:
    if not (shutil.which("g++") or shutil.which("clang++")):
        pytest.skip("torch.compile needs a C++ compiler on the CPU")
    (plain,), (spec,) = tiny_specs([name]), tiny_specs([name], COMPILED)
    made, compiled = (one.factory(EngineHome(ROOT)) for one in (plain, spec))
    assert isinstance(compiled, Rehearsing)
    assert compiled.rehearse() == ""
    if spec.task == "mt":
        assert isinstance(made, Mt)
        assert isinstance(compiled, Mt)
        text = "Good morning, my friend. The cat drinks water."
        assert compiled.translate(text, "en", "es").text == made.translate(text, "en", "es").text
    else:
        samples = soundfile.read(ROOT / "examples" / "audio" / "lj.flac", dtype="float32")[0]
        texts = []
        for engine in (made, compiled):
            session = engine.listen(AsrOptions())  # type: ignore[attr-defined]
            session.accept(samples)
            texts.append(session.finish().text)
        assert texts[0] == texts[1]
        assert len(texts[0]) > 20
    made.close()
    compiled.close()
