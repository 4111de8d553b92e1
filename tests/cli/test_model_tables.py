"""How models are told on the terminal."""

from __future__ import annotations

import pytest

from cli.model_tables import show_groups, tell_licence, tell_size, tell_state
from node.model_lines import ModelLine


def line(**more: object) -> ModelLine:
    told = {"name": "one", "task": "asr", "licence": "MIT", "use": "any", "state": "present", "bytes": 1}
    told |= {"languages": (), "sets": (), "source": "here", "summary": "One", **more}
    return ModelLine(**told)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("amount", "told"),
    [
        (None, "?"),
        (0, "0 bytes"),
        (17, "17 bytes"),
        (21_400, "21.4 kB"),
        (222_028, "0.2 MB"),
        (34_600_000, "34.6 MB"),
        (1_620_000_000, "1.62 GB"),
    ],
)
def test_small_models_have_a_size_too(amount: int | None, told: str) -> None:
    assert tell_size(amount) == told


def test_a_state_says_what_a_person_would_ask_next() -> None:
    assert tell_state(line()) == "here"
    assert tell_state(line(state="missing")) == "-"
    assert tell_state(line(state="missing", begun=34_600_000)) == "begun: 34.6 MB"
    assert tell_state(line(state="refused")) == "refused"
    assert tell_state(line(fault="there is no kind of engine 'wisper'")) == "wrong: there is no kind of engine 'wisper'"
    assert tell_state(line(lacks=("part",))) == "here, lacks part"


def test_a_licence_is_its_name_and_what_it_limits() -> None:
    assert tell_licence(line(licence="CC-BY-SA-3.0 (the repository that its page names)")) == "CC-BY-SA-3.0"
    assert tell_licence(line(licence="CC-BY-NC-4.0", use="non-commercial")) == "CC-BY-NC-4.0 (non-commercial)"


def test_no_word_of_a_licence_is_cut_in_two(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    rows = [
        ("moonshine-streaming-medium", "202", "CC-BY-NC-4.0 (non-commercial)", "> 962.4 MB", "begun: 34.6 MB"),
        ("one", "en", "MIT", "?", "wrong: there is no kind of engine 'wisper'"),
        ("two", "en", "MIT", "?", "damaged"),
    ]
    show_groups(("name", "languages", "licence", "size", "state"), {"mt": rows})
    shown = capsys.readouterr().out
    assert "(non-commercial)" in shown
    for word in ("moonshine-streaming-medium", "begun:", "34.6 MB", "> 962.4 MB", "damaged", "engine"):
        assert word in shown
    assert max(map(len, shown.splitlines())) <= 80
