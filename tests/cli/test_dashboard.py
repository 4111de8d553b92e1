"""The dashboard: what it says, that it fits, and that it looks as it did (golden pictures in tests/golden)."""

from __future__ import annotations

import io
import os
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console, RenderableType

from cli.dashboard import dashboard, peer_view, status_line
from node.config import Config
from node.stats import collect
from tests.fakes import PEER_IDS, sample_stats

GOLDEN = Path(__file__).parents[1] / "golden"
"""`UPDATE_GOLDEN=1 pytest tests/cli/test_dashboard.py` writes them anew; look at the difference before you keep it."""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict:
    return dict(msgspec.to_builtins(sample_stats(tmp_path_factory.mktemp("sample"))))


def drawn(picture: RenderableType, width: int) -> str:
    console = Console(
        width=width, height=500, file=io.StringIO(), highlight=False, color_system=None, legacy_windows=False
    )
    console.print(picture)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines()) + "\n"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "width", "height"),
    [("80", 80, None), ("120", 120, None), ("80x24", 80, 24), ("60", 60, None), ("peer-80", 80, None)],
)
def test_it_looks_as_it_did(told: dict, name: str, width: int, height: int | None) -> None:
    picture = peer_view(told, told["peers"][0], width) if name.startswith("peer") else dashboard(told, width, height)
    shown = drawn(picture, width)
    file = GOLDEN / f"dashboard-{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        file.parent.mkdir(exist_ok=True, parents=True)
        file.write_text(shown, encoding="utf-8")
    assert shown == file.read_text(encoding="utf-8")
    assert max(map(len, shown.splitlines())) <= width


@pytest.mark.parametrize("height", [18, 24, 30, 40, 60])
def test_it_fits_the_terminal(told: dict, height: int) -> None:
    assert len(drawn(dashboard(told, 80, height), 80).splitlines()) <= height


def test_more_room_shows_more(told: dict) -> None:
    lines = [len(drawn(dashboard(told, 80, height), 80).splitlines()) for height in (20, 30, 40, 60)]
    assert lines == sorted(set(lines))


def test_it_says_what_matters(told: dict) -> None:
    shown = drawn(dashboard(told, 80), 80)
    for fact in (
        "kitchen",
        "training, epoch 3 of 5",
        "2.04 dB",
        "Ana's laptop",
        "waits for",
        "rejected: made",
        "talk.mp3",
    ):
        assert fact in shown
    assert "no node runs" not in shown
    assert "1 of 2 peers connected · 1 at the door: node peers list · round 14" in status_line(told, 200)


def test_who_is_not_trusted_is_nobody_that_ought_to_be_connected(told: dict) -> None:
    peers = [peer | {"trust": "blocked", "connected": number == 0} for number, peer in enumerate(told["peers"])]
    assert "0 of 0 peers connected" in status_line(told | {"peers": peers}, 200)
    peers[1] |= {"trust": "trusted", "connected": False}
    assert "0 of 1 peers connected" in status_line(told | {"peers": peers}, 200)
    peers[1]["connected"] = True
    assert "1 of 1 peers connected" in status_line(told | {"peers": peers}, 200)


def test_a_share_of_the_error_says_which_error(told: dict) -> None:
    assert "% less squared error" in drawn(dashboard(told, 80), 80)
    for width in (60, 80, 100, 120):
        shown = " ".join(drawn(dashboard(told, width), width).split())
        assert shown.count("% less") == shown.count("% less squared error")


@pytest.mark.parametrize(
    "facts",
    [{}, {"epoch": {}, "phase": "waiting", "next_round_at": 1_800_000_590.0}, {"epoch": {}, "phase": "exchanging"}],
)
def test_a_narrow_line_keeps_what_matters_and_drops_bytes_first(told: dict, facts: dict) -> None:
    told = told | facts
    best = f"{told['quality']['rmse_best']:.3f} dB"
    for width in range(80, 201):
        line = status_line(told, width)
        assert len(line) < width
        for part in (told["phase"], "peers", best, "1 at the door: node peers list"):
            assert part in line
    assert "kB in" in status_line(told, 200)
    without = len(status_line(told, 200).rpartition(" · ")[0]) + 1
    assert status_line(told, without) == status_line(told, 200).rpartition(" · ")[0]


def test_an_empty_home_says_what_to_do(tmp_path: Path) -> None:
    empty = dict(msgspec.to_builtins(collect(None, Config(tmp_path, tmp_path), None, 0.0)))
    shown = drawn(dashboard(empty, 80), 80)
    for fact in ("No round of training", "node peers pair", "node start", "stopped"):
        assert fact in shown
    assert "0 of 0 peers connected" in status_line(empty, 80)


@settings(max_examples=8, deadline=None)
@given(name=st.text(max_size=64), reason=st.text(max_size=200), width=st.integers(60, 200))
def test_what_peers_write_is_text_and_never_markup(told: dict, name: str, reason: str, width: int) -> None:
    peer = told["peers"][0] | {"name": name, "strike_reason": reason, "last_reason": reason}
    update = told["updates"][0] | {"reason": reason}
    hostile = told | {"peers": [peer, *told["peers"][1:]], "updates": [update]}
    for picture in (dashboard(hostile, width), peer_view(hostile, peer, width)):
        shown = drawn(picture, width)
        assert shown.strip()
        assert "\x1b" not in shown


def test_markup_in_a_name_is_shown_as_it_is(told: dict) -> None:
    hostile = told | {"peers": [told["peers"][0] | {"name": "[red]x[/red]"}]}
    assert "[red]x[/red]" in drawn(dashboard(hostile, 120), 120)


def test_one_peer_has_only_its_own_updates(told: dict) -> None:
    shown = drawn(peer_view(told, told["peers"][1], 80), 80)
    assert PEER_IDS[2] in shown
    assert "studio" in shown
    assert "Ana" not in shown


def test_what_protects_the_owner_is_said_when_something_does(told: dict) -> None:
    assert "privacy" not in drawn(dashboard(told, 80), 80)
    for privacy in ({"epsilon": 8.0}, {"shared": "only the decoder"}):
        protected = {
            **told,
            "privacy": {**told["privacy"], **privacy, "sentence": "Peers get little.", "state": "spent"},
        }
        for width in (60, 120):
            assert "privacy  Peers get little." in drawn(dashboard(protected, width), width)


def test_without_anything_of_peers_nothing_looks_like_theirs(told: dict) -> None:
    alone = told | {
        "quality": told["quality"] | {"merged": 0},
        "rounds": [row | {"merged": 0, "rmse_adopted": 1.2345} for row in told["rounds"]],
    }
    for width in (80, 120):
        shown = drawn(dashboard(alone, width), width)
        assert "\ntraining alone" not in shown
        assert "1.234 dB" not in shown
        assert "1.235 dB" not in shown
    assert "\ntraining alone" in drawn(dashboard(told, 80), 80)


def test_a_small_gain_is_the_same_figure_everywhere(told: dict) -> None:
    small = told | {"quality": told["quality"] | {"gain": 0.0031}}
    assert "dB, 0.3% less squared error" in drawn(dashboard(small, 120), 120)
