"""A hub or a mirror that lies, babbles or never ends: nothing of it leaves the model's folder, and it is told."""

from __future__ import annotations

import gzip
import json
import re
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.errors import MlError, ModelDamaged, Unavailable
from ml.models import hub as hub_module
from ml.models.entry import HubSource
from ml.models.fetch import fetch
from ml.models.hub import HubOptions, download, look
from ml.models.record import PIN, Pin, PinnedFile, write
from ml.models.stop import Stop
from tests.ml.models.hub_server import COMMIT, Hub, Trouble, describe_repository, serving
from tests.ml.models.published import FILES, REPO, hub_entry, options_for, store_of

LARGE = "model.safetensors"
SOURCE = HubSource(REPO)


def described(hub: Hub, **changes: Any) -> None:
    """The next description of the repository says this."""
    told: dict[str, Any] = describe_repository(hub, REPO, FILES) | changes
    hub.troubles.append(Trouble(REPO, 200, body=json.dumps(told).encode()))


@pytest.mark.parametrize("sha", ["../../../precious", "/x", "main", "", COMMIT + "\n", COMMIT.upper(), None, 7])
def test_a_commit_is_nothing_but_a_commit(hub: Hub, tmp_path: Path, sha: object) -> None:
    """It names a folder, which is replaced if it is there."""
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "letter").write_text("dear")
    described(hub, sha=sha)
    with pytest.raises(Unavailable, match="did not answer as a hub"):
        fetch(store_of(tmp_path / "a" / "models"), "listener", options_for(hub))
    assert (tmp_path / "precious" / "letter").read_text() == "dear"
    assert not list(tmp_path.rglob(PIN))


@pytest.mark.parametrize(
    "file",
    [
        {"size": "3", "blobId": "a" * 40},
        {"size": -3, "blobId": "a" * 40},
        {"size": 10**15, "blobId": "a" * 40},
        {"size": 3, "blobId": "a"},
        {"size": 3},
        {"blobId": "a" * 40},
        {"size": 3, "lfs": {"sha256": "no", "size": 3, "pointerSize": 130}},
    ],
)
def test_a_file_has_a_size_and_a_hash(hub: Hub, file: dict[str, object]) -> None:
    described(hub, siblings=[{"rfilename": LARGE, **file}])
    with pytest.raises(Unavailable, match="hub") as caught:
        look(SOURCE, None, HubOptions(hub.endpoint))
    assert "HF_ENDPOINT" in caught.value.remedy


def test_files_that_nobody_wants_may_be_as_they_like(hub: Hub) -> None:
    described(hub, siblings=[{"rfilename": "a"}, {"rfilename": LARGE, "size": 3, "blobId": "a" * 40}])
    assert set(look(SOURCE, None, HubOptions(hub.endpoint), {LARGE}).files) == {LARGE}


def test_another_commit_than_was_asked_for_is_refused(hub: Hub, tmp_path: Path) -> None:
    described(hub, sha="d" * 40)
    hub.troubles[-1].path = COMMIT
    with pytest.raises(ModelDamaged, match="another commit"):
        fetch(store_of(tmp_path, hub_entry(source=HubSource(REPO, COMMIT))), "listener", options_for(hub))
    assert not list(tmp_path.rglob(PIN))


def test_a_description_that_does_not_end_is_cut_off(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "LONGEST_ANSWER", 1 << 20)
    hub.troubles.append(Trouble(REPO, 200, body=b" " * (3 << 20)))
    with pytest.raises(Unavailable, match="longer than 1 MB"):
        look(SOURCE, None, HubOptions(hub.endpoint))


@pytest.mark.parametrize("path", [REPO, LARGE])
@pytest.mark.parametrize("body", [b"[]", b'{"errors": 3}', b'"no"', b"\xff\xfe", b"x" * 1_000_000])
def test_the_words_of_a_refusal_are_not_read(hub: Hub, tmp_path: Path, path: str, body: bytes) -> None:
    hub.troubles.append(Trouble(path, 418, body=body))
    with pytest.raises(Unavailable, match="418"):
        fetch(store_of(tmp_path), "listener", options_for(hub))


@pytest.mark.parametrize("asked", ["\xb2", "9" * 400, "-1", "nan", ""])
def test_no_retry_after_is_too_odd(hub: Hub, tmp_path: Path, asked: str) -> None:
    hub.troubles.append(Trouble(LARGE, 429, {"Retry-After": asked}))
    if asked == "9" * 400:
        with pytest.raises(Unavailable, match="left alone"):
            fetch(store_of(tmp_path), "listener", options_for(hub))
    else:
        fetch(store_of(tmp_path), "listener", options_for(hub))


def test_a_packed_file_is_not_unpacked(hub: Hub, tmp_path: Path) -> None:
    hub.packed = gzip.compress(bytes(10_000_000))
    with pytest.raises(Unavailable, match="gzip"):
        fetch(store_of(tmp_path), "listener", options_for(hub))


def test_a_hub_that_starts_over_and_over_is_given_up(hub: Hub, tmp_path: Path) -> None:
    """Each connection brings much, and none of it is new."""
    hub.troubles += [Trouble(LARGE, cut=cut, ranges=False) for cut in (100_000, 250_000) * 20]
    with pytest.raises(Unavailable, match="was cut"):
        fetch(store_of(tmp_path), "listener", options_for(hub))
    assert len(hub.got(LARGE)) < 10


def test_a_token_does_not_go_on_to_another_address(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_mine")
    with serving({REPO: dict(FILES)}) as other:
        hub.store_at = other.endpoint
        fetch(store_of(tmp_path), "listener", options_for(hub))
        assert other.got(LARGE) == [""]
        assert set(other.tokens) == {""}
    assert set(hub.tokens) == {"Bearer hf_mine"}


@pytest.mark.parametrize("token", ["hf_mine\xe9", "hf_mine\u20ac"])
def test_a_token_that_cannot_be_sent_is_not_told(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(MlError) as caught:
        fetch(store_of(tmp_path), "listener", options_for(hub))
    assert "mine" not in caught.value.sentence + caught.value.remedy
    assert "HF_TOKEN" in caught.value.remedy


def test_a_wait_is_ended_when_the_fetch_is(hub: Hub, tmp_path: Path) -> None:
    hub.troubles.append(Trouble(LARGE, 429, {"Retry-After": "100"}, times=9))
    stopped, told = Stop(), []

    def bring() -> None:
        try:
            download(SOURCE, COMMIT, file, tmp_path / "part", HubOptions(hub.endpoint), stopped=stopped)
        except Unavailable as error:
            told.append(error.sentence)

    file = look(SOURCE, None, HubOptions(hub.endpoint)).files[LARGE]
    thread = threading.Thread(target=bring, daemon=True)
    thread.start()
    while not any(path.endswith(LARGE) for _, path, _ in hub.asked):
        assert thread.is_alive()
    stopped.set()
    thread.join(30)
    assert told == ["The fetch was ended."]


def test_a_file_that_is_not_there_is_told_before_the_large_ones_came(hub: Hub, tmp_path: Path) -> None:
    hub.gate = threading.Event()
    hub.troubles.append(Trouble("config.json", 404, {"X-Error-Code": "EntryNotFound"}))
    opened = threading.Timer(20.0, hub.gate.set)  # so that a failure of this test ends
    opened.start()
    with pytest.raises(Unavailable, match=r"no file config\.json"):
        fetch(store_of(tmp_path), "listener", options_for(hub))
    opened.cancel()
    assert not hub.gate.is_set()


def test_what_an_earlier_fetch_left_is_compared_before_it_is_kept(hub: Hub, tmp_path: Path) -> None:
    partial = tmp_path / "listener" / ".partial" / COMMIT
    partial.mkdir(parents=True)
    (tmp_path / "secret").write_text("mine")
    (partial / "config.json").write_bytes(b'{"layers": 3}')
    (partial / "modelling.py").write_text("print()")
    (partial / "tokenizer").mkdir()
    (partial / "tokenizer" / "vocab.txt").symlink_to(tmp_path / "secret")
    made = fetch(store_of(tmp_path), "listener", options_for(hub))
    assert (made.folder / "config.json").read_bytes() == FILES["config.json"]
    assert (made.folder / "tokenizer" / "vocab.txt").read_bytes() == FILES["tokenizer/vocab.txt"]
    assert not (made.folder / "modelling.py").exists()
    assert (tmp_path / "secret").read_text() == "mine"


@pytest.mark.parametrize(
    ("revision", "path"), [("../../x", "config.json"), (COMMIT, "../../../x"), (COMMIT, "/etc/x"), (COMMIT, "other")]
)
def test_a_pin_of_another_machine_leads_nowhere_else(hub: Hub, tmp_path: Path, revision: str, path: str) -> None:
    (tmp_path / "models" / "listener").mkdir(parents=True)
    files = tuple(PinnedFile(name, len(data)) for name, data in {path: b"123", **FILES}.items())
    write(tmp_path / "models" / "listener" / PIN, Pin(REPO, revision, files))
    made = fetch(store_of(tmp_path / "models"), "listener", options_for(hub))
    assert made.folder == tmp_path / "models" / "listener" / COMMIT
    assert {name.name for name in tmp_path.iterdir()} == {"models"}
    assert hub.got(path) == [""] if path == "config.json" else hub.got(path) == []


PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=50)
JSON = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner), max_leaves=8
)
FILE = st.fixed_dictionaries(
    {"rfilename": st.just(LARGE) | st.text(max_size=20)},
    optional={"size": JSON, "blobId": JSON, "lfs": JSON | st.fixed_dictionaries({"sha256": JSON, "size": JSON})},
)
REPOSITORY = st.fixed_dictionaries(
    {"sha": st.just(COMMIT) | JSON}, optional={"siblings": st.lists(FILE, max_size=3) | JSON}
)


@settings(deadline=None, max_examples=150)
@given((REPOSITORY | JSON).map(lambda value: json.dumps(value).encode()) | st.binary(max_size=60))
def test_whatever_a_hub_says_is_understood_or_refused(said: bytes) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hub_module, "_answer", lambda address, options: said)
        try:
            offer = look(SOURCE, None, HubOptions("http://hub.invalid"))
        except MlError:
            return
    assert re.fullmatch("[0-9a-f]{40}", offer.commit)
    assert all(0 <= file.bytes <= 10**12 and (file.sha256 or file.git) for file in offer.files.values())
