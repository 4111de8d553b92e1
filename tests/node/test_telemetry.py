"""Logs tell what happened and never what was said; figures name no peer."""

import io
import json
import logging
import math
from logging.handlers import RotatingFileHandler
from pathlib import Path

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from node import telemetry
from node.config import Config
from node.stats import Live, collect
from node.store import Store
from node.store.rows import JobRow
from node.telemetry import HIDDEN, LONGEST, Telemetry, hide, notes, set_up_logs
from p2p.peers import PeerRecord, Trust


@pytest.fixture(autouse=True)
def quiet_afterwards():
    root, ours = logging.getLogger(), logging.getLogger(telemetry.OURS)
    levels = root.level, ours.level
    yield
    structlog.reset_defaults()
    for handler in [handler for handler in root.handlers if getattr(handler, "of_babelmesh", False)]:
        root.removeHandler(handler)
        handler.close()
    root.setLevel(levels[0])
    ours.setLevel(levels[1])


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_goes_to_the_stream_and_as_json_to_the_file(tmp_path: Path, out: io.StringIO):
    file = tmp_path / "log" / "node.jsonl"
    set_up_logs(file, stream=out)
    structlog.get_logger("gate").info("hello", peer="12D3", frames=12, share=0.5, trusted=True, addresses=("a", "b"))
    (line,) = lines(file)
    assert line.pop("timestamp").endswith("Z")
    facts = {"peer": "12D3", "frames": 12, "share": 0.5, "trusted": True, "addresses": ["a", "b"]}
    assert line == {"event": "hello", "level": "info", **facts}
    assert "hello" in out.getvalue()
    assert "peer=12D3" in out.getvalue()
    assert file.stat().st_mode & 0o777 == 0o600


def test_json_for_programs(out: io.StringIO):
    set_up_logs(stream=out, as_json=True)
    structlog.get_logger().warning("round", number=3)
    assert json.loads(out.getvalue())["number"] == 3


def test_levels_and_libraries(out: io.StringIO):
    set_up_logs(stream=out, level="warning", as_json=True)
    structlog.get_logger("a").info("not this")
    logging.getLogger("some.library").info("nor this")
    logging.getLogger("some.library").warning("but %s", "this")
    structlog.get_logger("a").error("and this")
    assert [json.loads(line)["event"] for line in out.getvalue().splitlines()] == ["but this", "and this"]


def test_setting_up_twice_writes_once(out: io.StringIO):
    set_up_logs(stream=io.StringIO())
    set_up_logs(stream=out, as_json=True)
    structlog.get_logger().info("once")
    assert len(out.getvalue().splitlines()) == 1


SECRETS = ("token", "api_token", "passphrase", "private_bytes", "pairing_code", "link", "session-key", "Passphrase")
SPEECH = ("text", "source_text", "transcript", "words", "samples", "body", "data")


@pytest.mark.parametrize("name", [*(name for name in SECRETS if name != "private_bytes"), *SPEECH])
def test_secrets_and_speech_are_taken_out_at_any_depth(name: str):
    event = hide(None, "info", {"event": "e", name: "precious", "inside": {name: ["precious"], "peer": "p"}})
    assert event == {"event": "e", name: HIDDEN, "inside": {name: HIDDEN, "peer": "p"}}


def test_bytes_are_told_by_their_number():
    assert hide(None, "info", {"event": "e", "private_bytes": b"12345", "list": [b"1"]}) == {
        "event": "e",
        "private_bytes": "5 bytes",
        "list": ["1 bytes"],
    }


def test_the_code_of_a_refusal_is_no_secret():
    assert hide(None, "info", {"event": "refused", "code": "stale"})["code"] == "stale"


@given(st.text(max_size=2 * LONGEST))
def test_no_word_of_a_peer_steers_the_terminal_or_fills_the_disk(text: str):
    event = hide(None, "info", {"event": text, "name": text, "names": [text], "exception": text})
    for shown in (event["event"], event["name"], *event["names"], *event["exception"].split("\n")):
        assert shown.isprintable()
        assert len(shown) <= 10 * LONGEST + 3


def test_a_trace_keeps_its_lines(out: io.StringIO):
    set_up_logs(stream=out, as_json=True)
    try:
        math.sqrt(-1)
    except ValueError:
        structlog.get_logger().exception("failed")
    told = json.loads(out.getvalue())
    assert told["exception"].startswith("Traceback")
    assert told["exception"].splitlines()[-1].startswith("ValueError")


def test_a_file_that_cannot_be_opened_is_said_and_the_node_goes_on(tmp_path: Path, out: io.StringIO):
    (tmp_path / "log").write_text("a file where a folder should be")
    set_up_logs(tmp_path / "log" / "node.jsonl", stream=out, as_json=True)
    structlog.get_logger().info("running")
    told = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [line["event"] for line in told] == ["the log file cannot be written", "running"]
    assert str(tmp_path) in told[0]["file"]


def test_the_file_is_turned_over_and_stays_its_owner_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(telemetry, "LOG_BYTES", 2000)
    set_up_logs(tmp_path / "node.jsonl", stream=io.StringIO())
    for number in range(100):
        structlog.get_logger().info("line", number=number)
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["node.jsonl", "node.jsonl.1", "node.jsonl.2", "node.jsonl.3"]
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert all(file.stat().st_size <= 2000 for file in files)


def test_a_full_disk_is_said_once(tmp_path: Path, out: io.StringIO):
    set_up_logs(tmp_path / "node.jsonl", stream=out, as_json=True)
    (handler,) = [handler for handler in logging.getLogger().handlers if isinstance(handler, RotatingFileHandler)]

    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    handler.stream.close()
    handler.stream = Full()
    for number in range(3):
        structlog.get_logger().info("line", number=number)
    told = [json.loads(line)["event"] for line in out.getvalue().splitlines()]
    assert sorted(told) == ["line", "line", "line", "lines are missing in the log file"]


def figures(text: bytes) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_figures_of_a_node(tmp_path: Path):
    config = Config(tmp_path, tmp_path)
    live = Live(
        peer_id="me",
        started_at=100.0,
        connected=("anna-id",),
        counters={
            "answered_offer_want": 3.0,
            "asked_pair-start_unreachable": 2.0,
            "strikes_bad-hash": 1.0,
            "faults": 0.0,
            "bytes_in": 7.0,
        },
    )
    counted = Telemetry()
    counted.sample(live)
    with Store.open(config.store) as store:
        store.save_peer(PeerRecord(peer="anna-id", name="Anna", trust=Trust.TRUSTED, bytes_in=10, strikes=0.5))
        store.save_peer(PeerRecord(peer="ben-id", name="Ben", bytes_out=20))
        store.add_job(JobRow(at=1.0, source="secret.wav", language="es", seconds_in=4, seconds=1, utterances=1))
        text = counted.text(collect(store, config, live, now=160.0))
    found = figures(text)
    assert found["babelmesh_up",] == 1
    assert found["babelmesh_uptime_seconds",] == 60
    assert found["babelmesh_peers", "trusted"] == 1
    assert found["babelmesh_peers", "waiting"] == 1
    assert found["babelmesh_peers_connected",] == 1
    assert found["babelmesh_peer_strikes",] == 0.5
    assert found["babelmesh_received_bytes_total",] == 10
    assert found["babelmesh_sent_bytes_total",] == 20
    assert found["babelmesh_requests_total", "offer", "want", "answered"] == 3
    assert found["babelmesh_requests_total", "pair-start", "unreachable", "asked"] == 2
    assert found["babelmesh_strikes_total", "bad-hash"] == 1
    assert found["babelmesh_gate_bytes_in_total",] == 7
    assert found["babelmesh_translation_pace",] == 0.25
    assert found["babelmesh_resident_bytes",] > 10_000_000
    for private in (b"anna", b"Anna", b"ben", b"secret"):
        assert private not in text


def test_two_nodes_in_one_process_do_not_share_figures(tmp_path: Path):
    config = Config(tmp_path, tmp_path)
    one, other = Telemetry(), Telemetry()
    assert figures(one.text(collect(None, config, Live())))["babelmesh_up",] == 1
    assert figures(other.text(collect(None, config)))["babelmesh_up",] == 0


def test_notes_are_sentences_without_secrets_or_long_hashes_and_end_with_the_block(out: io.StringIO):
    before = structlog.get_config()
    with notes(out):
        log = structlog.get_logger("learning")
        log.debug("nothing for people")
        log.info("a model changed", model="b4h80", base="ab" * 32, api_link="hush")
        log.warning("The memory was mended.")
        for number in range(3):
            log.warning("update lost", number=number)
    assert out.getvalue().splitlines() == [
        f"Note: A model changed (model: b4h80, base: abababab…, api_link: {HIDDEN}).",
        "Note: The memory was mended.",
        "Note: Update lost (number: 0).",
        "Note: Update lost: 2 more times.",
    ]
    assert structlog.get_config() == before
