"""Our additions to Apertium's chains, as rewritings of small streams, and where in a chain they go."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ml.engines.apertium_amend import (
    GRAMMAR_FOR,
    Pair,
    Passage,
    address,
    be_somewhere,
    build_pair,
    choose,
    compile_grammar,
    read_lexicon,
    recall,
    remember,
)
from ml.engines.apertium_pipe import Chain
from ml.errors import Unavailable
from tests.conftest import ROOT


def test_a_preferred_translation_is_chosen_where_it_is_offered() -> None:
    stream = "^Car<n><sg>/Carro<n><m><sg>/Cotxe<n><m><sg>$ ^red<adj>/vermell<adj>$"
    assert choose(stream, {"car<n>": "cotxe"}) == "^Car<n><sg>/Cotxe<n><m><sg>$ ^red<adj>/vermell<adj>$"
    assert choose(stream, {"car<n>": "tren"}) == stream
    assert choose(stream, {"car<vblex>": "cotxe"}) == stream


def test_a_choice_takes_whole_words_and_leaves_blanks_and_unknown_words() -> None:
    stream = "[0]^key<n><pl>/clau# mestra<n><f><pl>/clau<n><f><pl>$ ^*foo/*foo$"
    assert choose(stream, {"key<n>": "clau"}) == "[0]^key<n><pl>/clau<n><f><pl>$ ^*foo/*foo$"


def test_every_preference_names_a_mode_and_a_part_of_speech() -> None:
    lexicon = read_lexicon()
    assert {"eng-cat", "eng-spa"} <= set(lexicon)
    for words in lexicon.values():
        assert all(word.endswith(">") and word.count("<") == 1 and wanted for word, wanted in words.items())


@pytest.mark.parametrize(
    ("meant", "familiar"),
    [
        ("^obrir<vblex><imp><p2><pl>$", "^obrir<vblex><imp><p2><sg>$"),
        ("^el vostre<det><pos><f><sg>$ ^casa<n><f><sg>$", "^el teu<det><pos><f><sg>$ ^casa<n><f><sg>$"),
        ("^El vostre<det><pos><m><sg>$", "^El teu<det><pos><m><sg>$"),
        ("^vuestro<det><pos><f><pl>$", "^tuyo<det><pos><mf><pl>$"),
        ("^No<adv>$ ^obrir<vblex><imp><p2><pl>$", "^No<adv>$ ^obrir<vblex><prs><p2><sg>$"),
        ("^mai<adv>$ ^vendre<vblex><imp><p2><sg>$", "^mai<adv>$ ^vendre<vblex><prs><p2><sg>$"),
        ("^a<pr>$ ^vuit<num><mf><sp>$^.<sent>$", "^a<pr>$ ^el<det><def><f><pl>$ ^vuit<num><mf><sp>$^.<sent>$"),
        ("^a<pr>$ ^vuit<num><mf><sp>$ ^home<n><m><pl>$", "^a<pr>$ ^vuit<num><mf><sp>$ ^home<n><m><pl>$"),
        (
            "^Haver<vbhaver><pri>$ ^ser<vbser><pp><m><sg>$ ^dormir<vblex><ger>$",
            "^Haver<vbhaver><pri>$ ^estar<vblex><pp><m><sg>$ ^dormir<vblex><ger>$",
        ),
        ("^parlar<vblex><pri><p3><sg>$", "^parlar<vblex><pri><p3><sg>$"),
    ],
)
def test_you_becomes_familiar_and_hours_and_orders_take_their_form(meant: str, familiar: str) -> None:
    assert address(meant, Passage()) == familiar


@pytest.mark.parametrize(
    ("ser", "estar"),
    [
        ("^ser<vbser><pri><p3><sg>$ ^en<pr>$", "^estar<vblex><pri><p3><sg>$ ^en<pr>$"),
        (
            "^Ser<vbser><pri><p1><pl>$ ^muy<preadv>$ ^cansar<vblex><pp>$",
            "^Estar<vblex><pri><p1><pl>$ ^muy<preadv>$ ^cansar<vblex><pp>$",
        ),
        ("^Dónde<adv><itg>$ ^ser<vbser><pri><p3><sg>$", "^Dónde<adv><itg>$ ^estar<vblex><pri><p3><sg>$"),
        ("^ser<vbser><pri><p3><sg>$ ^alto<adj>$", "^ser<vbser><pri><p3><sg>$ ^alto<adj>$"),
        ("^ser<vbser><ifi><p3><sg>$ ^abrir<vblex><pp>$", "^ser<vbser><ifi><p3><sg>$ ^abrir<vblex><pp>$"),
    ],
)  # fmt: skip
def test_states_and_places_take_estar(ser: str, estar: str) -> None:
    assert be_somewhere(ser, Passage()) == estar


def test_the_next_pair_recalls_what_this_one_meant() -> None:
    passage = Passage()
    assert remember("^On<adv><itg>$ ^viure<vblex><pri><p2><sg>$", passage).startswith("^On")
    ahead = Passage(expected=passage.meant)
    read = "^On/on<adv>/on<adv><itg>$ ^vius/viu<adj><m><pl>/viure<vblex><pri><p2><sg>$ ^x/a<n>/b<n>$"
    assert recall(read, ahead) == "^On/on<adv><itg>$ ^vius/viure<vblex><pri><p2><sg>$ ^x/a<n>/b<n>$"
    assert recall(read, Passage()) == read


class Recorded(Chain):
    """A chain that starts nothing and notes what it was given."""

    def send(self, stream: str) -> str:
        return stream + "|" + " ".join(stage[0] for stage in self._stages)


def test_amendments_stand_where_they_belong(tmp_path: Path) -> None:
    stages = (
        ("lt-proc", "-z", "-w", "morf"),
        ("cg-proc", "-z", "rlx"),
        ("apertium-tagger", "-z", "prob"),
        ("lt-proc", "-z", "-b", "bil"),
        ("apertium-transfer", "-z", "t1x"),
        ("lt-proc", "-z", "-g", "gen"),
        ("lt-proc", "-z", "-p", "pgen"),
    )
    pair = build_pair("eng-cat_valencia", stages, tmp_path / "own.bin", 1.0)
    parts = pair._parts
    chains = [part._stages for part in parts if isinstance(part, Chain)]
    assert [stage for chain in chains for stage in chain if str(tmp_path / "own.bin") not in stage] == list(stages)
    assert chains[1][0] == ("cg-proc", "-z", "-w", str(tmp_path / "own.bin"))
    names = [getattr(part, "__name__", "chain") for part in parts]
    assert names == ["chain", "recall", "chain", "<lambda>", "chain", "address", "remember", "chain"]
    plain = build_pair("fra-ita", stages, None, 1.0)
    assert [getattr(part, "__name__", "chain") for part in plain._parts] == [
        "chain",
        "recall",
        "chain",
        "remember",
        "chain",
    ]
    assert "be_somewhere" in [getattr(part, "__name__", "") for part in build_pair("cat-spa", stages, None, 1.0)._parts]


def test_a_pair_passes_the_stream_through_its_parts_in_order() -> None:
    pair = Pair([Recorded("x", (("a",),)), lambda stream, passage: stream.upper(), Recorded("x", (("b",),))])
    assert pair.send("text", Passage()) == "TEXT|A|b"
    assert pair.pids == ()
    pair.close()


def test_without_the_compiler_it_is_said_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable) as failure:
        compile_grammar("eng-cat", tmp_path)
    assert "cg3" in failure.value.remedy
    assert compile_grammar("cat-spa", tmp_path) is None


def test_the_grammar_compiles_for_every_mode_it_is_for(tmp_path: Path, apertium_installed: None) -> None:
    for mode in GRAMMAR_FOR:
        compiled = compile_grammar(mode, tmp_path)
        assert compiled is not None
        assert compiled.stat().st_size > 1000
        assert compile_grammar(mode, tmp_path) == compiled
    source = ROOT / "ml" / "engines" / "data" / "eng.cg3"
    done = subprocess.run(["cg-comp", source, tmp_path / "x.bin"], capture_output=True, text=True, check=False)
    assert "Error" not in done.stderr
    assert "Warning" not in done.stderr
