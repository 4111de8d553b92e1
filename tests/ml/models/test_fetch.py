"""Models come whole or not at all, from a hub that is well, unwell or lying."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import msgspec
import pytest

from ml.errors import MlError, ModelDamaged, Unavailable
from ml.models import folders
from ml.models import record as records
from ml.models.entry import FolderSource, HubSource, ModelFile
from ml.models.fetch import FetchOptions, fetch, plan
from ml.models.record import RECORD
from ml.models.store import ModelStore
from tests.ml.models.hub_server import COMMIT, Hub, Trouble
from tests.ml.models.published import FILES, REPO, Published, changed, hub_entry, options_for, pack_wheel, store_of

ROOT = Path(__file__).resolve().parents[3]
LARGE = "model.safetensors"


def contents(folder: Path) -> dict[str, bytes]:
    """All files below a folder that are a model's."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != RECORD
    }


WANTED = {path: data for path, data in FILES.items() if path != "README.md"}


def test_the_files_of_the_entry_come_and_no_others(hub: Hub, tmp_path: Path) -> None:
    store, told = store_of(tmp_path / "models"), []
    made = fetch(store, "listener", options_for(hub), lambda *step: told.append(step))
    assert made.revision == COMMIT
    assert made.folder == tmp_path / "models" / "listener" / COMMIT
    assert contents(made.folder) == WANTED
    assert store.present("listener")
    total = sum(map(len, WANTED.values()))
    assert [step for step, *_ in told if step != "downloading"] == ["asking", "checking"]
    assert [step[1:] for step in told if step[0] == "downloading"][-1] == (total, total)
    assert sorted(path.name for path in (tmp_path / "models" / "listener").iterdir()) == [COMMIT, "pin.json"]


def test_what_is_here_is_not_asked_for_again(hub: Hub, tmp_path: Path) -> None:
    store = store_of(tmp_path)
    fetch(store, "listener", options_for(hub))
    asked, told = len(hub.asked), []
    fetch(store, "listener", options_for(hub, offline=True), lambda step, *_: told.append(step))
    assert told == ["present"]
    assert len(hub.asked) == asked


def test_the_first_commit_is_kept_to(hub: Hub, tmp_path: Path) -> None:
    store = store_of(tmp_path)
    folder = fetch(store, "listener", options_for(hub)).folder
    (folder / LARGE).unlink()
    hub.commit, hub.repos[REPO] = "d" * 40, {"config.json": b"{}"}  # somebody pushed something else
    with pytest.raises(Unavailable):
        fetch(store, "listener", options_for(hub))
    hub.repos[REPO] = dict(FILES)
    assert fetch(store, "listener", options_for(hub)).revision == COMMIT


def test_a_cut_connection_is_gone_on_from(hub: Hub, tmp_path: Path) -> None:
    hub.troubles.append(Trouble(LARGE, cut=100_000))
    assert contents(fetch(store_of(tmp_path), "listener", options_for(hub)).folder) == WANTED
    first, second = hub.got(LARGE)
    assert first == ""
    assert 0 < int(second.removeprefix("bytes=").rstrip("-")) <= 100_000


def test_a_hub_that_ignores_ranges_sends_the_whole_again(hub: Hub, tmp_path: Path) -> None:
    hub.troubles += [Trouble(LARGE, cut=100_000), Trouble(LARGE, ranges=False)]
    told: list[int] = []
    made = fetch(store_of(tmp_path), "listener", options_for(hub), lambda step, done=0, total=0: told.append(done))
    assert contents(made.folder) == WANTED
    assert max(told) == sum(map(len, WANTED.values()))


@pytest.mark.parametrize("status", [429, 500, 503])
@pytest.mark.parametrize("path", [REPO, LARGE])
def test_a_hub_that_is_busy_twice_is_asked_a_third_time(hub: Hub, tmp_path: Path, status: int, path: str) -> None:
    hub.troubles.append(Trouble(path, status, {"Retry-After": "0"}, times=2))
    assert contents(fetch(store_of(tmp_path), "listener", options_for(hub)).folder) == WANTED


def test_a_hub_that_stands_still_is_asked_again(hub: Hub, tmp_path: Path) -> None:
    hub.troubles.append(Trouble(LARGE, cut=10, stall=True))
    assert contents(fetch(store_of(tmp_path), "listener", options_for(hub)).folder) == WANTED


@pytest.mark.parametrize(
    ("trouble", "sentence", "remedy"),
    [
        (Trouble(REPO, 404, {"X-Error-Code": "RepoNotFound"}), "repository", "catalogue"),
        (Trouble(REPO, 401), "refuses", "HF_TOKEN"),
        (Trouble(REPO, 403), "403", "token"),
        (Trouble(LARGE, 404, {"X-Error-Code": "EntryNotFound"}), "no file model.safetensors", "files"),
        (Trouble(LARGE, 401, {"X-Error-Code": "GatedRepo"}), "accepted its terms", f"https://huggingface.co/{REPO}"),
        (Trouble(LARGE, 403, {"X-Error-Code": "GatedRepo"}), "accepted its terms", f"https://huggingface.co/{REPO}"),
        (Trouble(LARGE, 429, {"Retry-After": "3600"}), "3600 s", "goes on from here"),
        (Trouble(LARGE, 500, times=99), "not well", "goes on from here"),
        (Trouble(LARGE, 418), "418", ""),
    ],
)
def test_what_a_hub_refuses_is_told_with_its_remedy(
    hub: Hub, tmp_path: Path, trouble: Trouble, sentence: str, remedy: str
) -> None:
    often = trouble.times
    hub.troubles.append(trouble)
    with pytest.raises(Unavailable) as caught:
        fetch(store_of(tmp_path), "listener", options_for(hub))
    assert sentence in caught.value.sentence
    assert remedy in caught.value.remedy
    assert not list(tmp_path.glob(f"listener/{COMMIT}"))
    # What does not pass by itself is asked once, what may pass a few times.
    asked = often - trouble.times
    assert 1 < asked < 10 if often > 1 else asked == 1


def test_other_bytes_than_the_hub_says_are_never_kept(hub: Hub, tmp_path: Path) -> None:
    hub.lies[LARGE] = "0" * 64
    with pytest.raises(ModelDamaged, match=LARGE):
        fetch(store_of(tmp_path), "listener", options_for(hub))
    assert len(hub.got(LARGE)) == 1
    assert not list(tmp_path.rglob(LARGE))
    assert store_of(tmp_path).state("listener") == "missing"


def test_a_small_file_is_compared_too(hub: Hub, tmp_path: Path) -> None:
    store = store_of(tmp_path)
    plan_of = plan(store, "listener", options_for(hub))
    data = hub.repos[REPO]
    real = data["config.json"]

    class Changing(dict[str, bytes]):
        def get(self, path: str, default: object = None) -> bytes:  # type: ignore[override]
            return real[::-1] if path == "config.json" else self[path]

    hub.repos[REPO] = Changing(data)
    with pytest.raises(ModelDamaged, match=r"config\.json"):
        fetch(store, "listener", options_for(hub))
    assert {file.path for file in plan_of} == set(WANTED)


def test_a_published_hash_or_size_holds_against_the_hub(hub: Hub, tmp_path: Path) -> None:
    files = (ModelFile(LARGE, sha256="1" * 64), ModelFile("config.json", bytes=999))
    for file in files:
        with pytest.raises(ModelDamaged, match="another"):
            fetch(store_of(tmp_path, hub_entry(files=(file,))), "listener", options_for(hub))
    assert hub.got(LARGE) == []


def test_a_pinned_commit_that_is_gone_is_told(hub: Hub, tmp_path: Path) -> None:
    entry = hub_entry(source=HubSource(REPO, "e" * 40))
    with pytest.raises(Unavailable, match="no such commit"):
        fetch(store_of(tmp_path, entry), "listener", options_for(hub))


def test_safetensors_are_taken_where_there_are_any(hub: Hub, tmp_path: Path) -> None:
    entry = hub_entry(files=(ModelFile(LARGE, instead="pytorch_model.bin"), ModelFile("extra.json", optional=True)))
    hub.repos[REPO]["pytorch_model.bin"] = b"old"
    assert list(contents(fetch(store_of(tmp_path / "a", entry), "listener", options_for(hub)).folder)) == [LARGE]
    del hub.repos[REPO][LARGE]
    store = store_of(tmp_path / "b", entry)
    assert contents(fetch(store, "listener", options_for(hub)).folder) == {"pytorch_model.bin": b"old"}
    assert store.present("listener")
    del hub.repos[REPO]["pytorch_model.bin"]
    with pytest.raises(Unavailable, match=r"model\.safetensors nor pytorch_model\.bin"):
        fetch(store_of(tmp_path / "c", entry), "listener", options_for(hub))


def test_offline_answers_at_once(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="nothing may be fetched"):
        fetch(store_of(tmp_path), "listener", options_for(hub, offline=True))
    assert hub.asked == []
    assert list(tmp_path.iterdir()) == []


def test_offline_a_damaged_model_is_not_told_to_be_absent(hub: Hub, tmp_path: Path) -> None:
    store = store_of(tmp_path)
    folder = fetch(store, "listener", options_for(hub)).folder
    (folder / "config.json").write_text("{")
    with pytest.raises(ModelDamaged, match=r"is damaged \(config\.json\), and nothing may be fetched") as caught:
        fetch(store, "listener", options_for(hub, offline=True))
    assert caught.value.remedy == "node models pull listener"


def test_a_plan_without_a_network_says_how_to_ask_without_one(hub: Hub, tmp_path: Path) -> None:
    hub.endpoint = "http://127.0.0.1:9"
    with pytest.raises(Unavailable, match="cannot be reached") as caught:
        plan(store_of(tmp_path), "listener", options_for(hub))
    assert "--dry-run --offline" in caught.value.remedy
    assert "kept" not in caught.value.remedy


def test_a_plan_that_is_refused_for_long_keeps_nothing_and_says_so(hub: Hub, tmp_path: Path) -> None:
    hub.troubles.append(Trouble(REPO, 429, {"Retry-After": "600"}))
    with pytest.raises(Unavailable, match="left alone for 600 s") as caught:
        plan(store_of(tmp_path), "listener", options_for(hub))
    assert caught.value.remedy == "To see what is known without asking the hub: --dry-run --offline"


def test_a_machine_without_a_network_is_told_so(hub: Hub, tmp_path: Path) -> None:
    hub.endpoint = "http://127.0.0.1:9"  # discard: nobody listens
    with pytest.raises(Unavailable, match="cannot be reached") as caught:
        fetch(store_of(tmp_path), "listener", options_for(hub))
    assert "HF_ENDPOINT" in caught.value.remedy


def test_a_disk_that_is_too_small_is_told_before_anything_comes(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"needs 0\.07 GB") as caught:
        fetch(store_of(tmp_path), "listener", options_for(hub, free=lambda folder: 60_000_000))
    assert "node models gc" in caught.value.remedy
    assert hub.got(LARGE) == []


def test_a_disk_that_fills_up_is_told_and_what_came_is_kept(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("ml.models.record.sync", full)
        with pytest.raises(Unavailable, match="No space left"):
            fetch(store_of(tmp_path), "listener", options_for(hub))
    assert store_of(tmp_path).state("listener") == "missing"
    assert contents(fetch(store_of(tmp_path), "listener", options_for(hub)).folder) == WANTED


def test_a_folder_that_cannot_be_written_is_said(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file stands where the folder should be")
    with pytest.raises(Unavailable, match="cannot be kept"):
        fetch(store_of(tmp_path / "models"), "listener", options_for(hub))


def test_only_the_damaged_file_is_fetched_again(hub: Hub, tmp_path: Path) -> None:
    store = store_of(tmp_path)
    folder = fetch(store, "listener", options_for(hub)).folder
    (folder / "config.json").write_bytes(b'{"layers": 3}')
    os.utime(folder / "config.json", ns=(1, 1))
    hub.asked.clear()
    with pytest.raises(ModelDamaged, match=r"config\.json"):
        store.open("listener")
    assert contents(fetch(store, "listener", options_for(hub)).folder) == WANTED
    assert len(hub.got("config.json")) == 1
    assert hub.got(LARGE) == []
    assert sorted(path.name for path in (tmp_path / "listener").iterdir()) == [COMMIT, "pin.json"]


def test_a_catalogue_that_asks_for_more_brings_it_from_the_same_commit(hub: Hub, tmp_path: Path) -> None:
    few = store_of(tmp_path, hub_entry(files=(ModelFile(LARGE), ModelFile("config.json"))))
    fetch(few, "listener", options_for(hub))
    hub.asked.clear()
    more = store_of(tmp_path, hub_entry(files=(ModelFile(LARGE), ModelFile("README.md"))))
    assert more.state("listener") == "missing"
    assert {file.path for file in plan(more, "listener", options_for(hub))} == {LARGE, "README.md"}
    made = fetch(more, "listener", options_for(hub))
    assert made.revision == COMMIT
    assert set(contents(made.folder)) == {LARGE, "README.md"}
    assert hub.got(LARGE) == []


def test_a_token_goes_to_the_hub(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_mine")
    fetch(store_of(tmp_path), "listener", options_for(hub))
    assert set(hub.tokens) == {"Bearer hf_mine"}


PROGRAM = """
import json, pathlib, sys, msgspec
from ml.models.catalogue import Catalogue
from ml.models.entry import ModelEntry
from ml.models.fetch import FetchOptions, fetch
from ml.models.hub import HubOptions
from ml.models.store import ModelStore
entry = msgspec.json.decode(sys.argv[1].encode(), type=ModelEntry)
store = ModelStore(pathlib.Path(sys.argv[2]), Catalogue((entry,)))
steps = []
fetch(store, entry.name, FetchOptions(hub=HubOptions(sys.argv[3], timeout=30.0)), lambda step, *_: steps.append(step))
print(json.dumps(sorted(set(steps))))
"""


def start(hub: Hub, folder: Path) -> subprocess.Popen[str]:
    """A process that fetches."""
    told = msgspec.json.encode(hub_entry()).decode()
    command = [sys.executable, "-c", PROGRAM, told, str(folder), hub.endpoint]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_a_killed_fetch_goes_on_where_it_stopped(hub: Hub, tmp_path: Path) -> None:
    hub.gate = threading.Event()
    process = start(hub, tmp_path)
    assert hub.waiting.wait(30)
    part = tmp_path / "listener" / ".partial" / COMMIT / ".parts" / LARGE
    while not (part.is_file() and part.stat().st_size):
        assert process.poll() is None
    process.kill()
    process.communicate()
    hub.gate.set()
    hub.gate = None
    assert store_of(tmp_path).state("listener") == "missing"
    hub.asked.clear()
    assert contents(fetch(store_of(tmp_path), "listener", options_for(hub)).folder) == WANTED
    assert hub.got(LARGE) == ["bytes=1024-"]


def test_processes_that_want_the_same_model_do_the_work_once(hub: Hub, tmp_path: Path) -> None:
    running = [start(hub, tmp_path) for _ in range(2)]
    said = [json.loads(process.communicate(timeout=60)[0]) for process in running]
    assert [process.returncode for process in running] == [0, 0]
    assert sum("downloading" in steps for steps in said) == 1
    assert len(hub.got(LARGE)) == 1
    assert contents(tmp_path / "listener" / COMMIT) == WANTED


def test_while_somebody_else_holds_the_lock_nothing_happens(hub: Hub, tmp_path: Path) -> None:
    steps: list[str] = []
    waiting = threading.Event()

    def progress(step: str, done: int = 0, total: int = 0) -> None:
        steps.append(step)
        waiting.set()

    with (tmp_path / ".listener.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        arguments = (store_of(tmp_path), "listener", options_for(hub), progress)
        thread = threading.Thread(target=fetch, args=arguments)
        thread.start()
        assert waiting.wait(10)
        assert steps == ["waiting"]
        assert hub.asked == []
    thread.join(10)
    assert steps[-1] == "checking"


def test_a_local_folder_is_used_where_it_lies(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    entry = hub_entry(source=FolderSource(str(tmp_path / "mine")), files=(ModelFile("config.json"),))
    with pytest.raises(Unavailable, match="not whole"):
        fetch(store_of(tmp_path / "models", entry), "listener")
    (tmp_path / "mine" / "config.json").write_text("{}")
    assert fetch(store_of(tmp_path / "models", entry), "listener").folder == tmp_path / "mine"


def test_what_is_here_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "weights").write_bytes(b"1")
    sha256 = hashlib.sha256(b"1").hexdigest()
    entry = hub_entry(source=FolderSource(str(tmp_path / "mine")), files=(ModelFile("weights", sha256=sha256),))
    hashed, steps = list[str](), list[str]()
    describe = records.describe
    monkeypatch.setattr(folders, "_SMALL", 0)
    monkeypatch.setattr(records, "describe", lambda place, path: hashed.append(path) or describe(place, path))
    fetch(store_of(tmp_path / "models", entry), "listener", progress=lambda step, *_: steps.append(step))
    assert hashed == ["weights"]
    assert steps == ["present"]


# Wheels


@pytest.fixture
def only_this_index(published: Published, monkeypatch: pytest.MonkeyPatch) -> None:
    """The person's pip is configured to know one local folder and no network."""
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(published.wheel.parent))


@pytest.mark.usefixtures("only_this_index")
def test_a_wheel_is_fetched_by_pip_and_converted(published: Published, tmp_path: Path) -> None:
    steps: list[str] = []
    store = store_of(tmp_path / "new", published.entry)
    made = fetch(store, "tiny", FetchOptions(), lambda step, *_: steps.append(step))
    assert steps == ["downloading", "checking", "converting"]
    assert made.revision == "1.0"
    assert list(contents(made.folder)) == ["tiny.safetensors"]
    assert store.verify("tiny") == ()


def test_a_wheel_at_hand_needs_no_network(published: Published, tmp_path: Path) -> None:
    store = store_of(tmp_path, published.entry)
    fetch(store, "tiny", FetchOptions(offline=True, wheel=published.wheel))
    assert store.present("tiny")


def test_another_wheel_is_refused(published: Published, tmp_path: Path) -> None:
    evil = pack_wheel(tmp_path, "tiny/pretrained.pt", published.checkpoint + b"\0")
    with pytest.raises(ModelDamaged, match="not the published wheel"):
        fetch(store_of(tmp_path / "models", published.entry), "tiny", FetchOptions(wheel=evil))


def test_files_of_a_wheel_are_kept_as_they_are(published: Published, tmp_path: Path) -> None:
    store = store_of(tmp_path, changed(published.entry, convert=None))
    made = fetch(store, "tiny", FetchOptions(wheel=published.wheel))
    assert contents(made.folder) == {"tiny/pretrained.pt": published.checkpoint}


@pytest.mark.usefixtures("only_this_index")
def test_the_file_of_older_versions_is_read_and_replaced_when_damaged(published: Published, tmp_path: Path) -> None:
    store = store_of(tmp_path / "models", published.entry)
    made = fetch(store_of(tmp_path / "old", published.entry), "tiny").folder / "tiny.safetensors"
    (tmp_path / "models").mkdir()
    flat = tmp_path / "models" / "tiny.safetensors"
    made.rename(flat)
    assert store.open("tiny").file("tiny.safetensors") == flat
    flat.write_bytes(b"nothing")
    with pytest.raises(ModelDamaged, match=r"tiny\.safetensors"):
        store.open("tiny")
    assert fetch(store, "tiny").folder == tmp_path / "models" / "tiny" / "1.0"
    assert not flat.exists()


def test_a_plan_says_what_would_come(hub: Hub, published: Published, tmp_path: Path) -> None:
    store = store_of(tmp_path, hub_entry(), published.entry)
    assert {file.path: file.bytes for file in plan(store, "listener", options_for(hub))} == {
        path: len(data) for path, data in WANTED.items()
    }
    assert plan(store, "tiny")[0].bytes == published.wheel.stat().st_size
    with pytest.raises(Unavailable, match="sizes"):
        plan(store, "listener", options_for(hub, offline=True))
    fetch(store, "listener", options_for(hub))
    assert plan(store, "listener") == ()


def test_no_error_is_silent_about_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(MlError) as caught:
        fetch(ModelStore(tmp_path, store_of(tmp_path).catalogue), "listner")
    assert "listener" in caught.value.remedy
