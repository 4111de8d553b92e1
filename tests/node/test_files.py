"""Files are whole or not there."""

import os
from pathlib import Path

import pytest

from node.errors import BadRequest, NotFound
from node.files import (
    GUIDE_BYTES,
    LONGEST_TERM,
    MOST_TERMS,
    find_inputs,
    make_folder,
    read_glossary,
    read_guide,
    same_file,
    version_of,
    write_bytes,
    write_text,
)


def test_written_whole_with_its_mode_and_nothing_beside_it(tmp_path: Path):
    path = tmp_path / "deep" / "file"
    write_bytes(path, b"one", 0o600)
    write_bytes(path, b"two", 0o600)
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "file"
    write_text(path, "old")

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_named_file_need_not_look_like_sound_and_counts_once(tmp_path: Path):
    odd = tmp_path / "recording.xyz"
    assert find_inputs([odd, odd]) == [odd]
    (tmp_path / "a.WAV").touch()
    (tmp_path / "a.es.wav").touch()
    (tmp_path / "b.txt").touch()
    assert find_inputs([tmp_path], [".es.wav"]) == [tmp_path / "a.WAV"]
    with pytest.raises(BadRequest):
        find_inputs([tmp_path], [".wav"])


def test_guides(tmp_path: Path):
    assert read_guide(None) is None
    good = tmp_path / "notes.txt"
    good.write_text("señor")
    assert read_guide(good) == "señor"
    with pytest.raises(NotFound):
        read_guide(tmp_path / "none")
    with pytest.raises(BadRequest):
        read_guide(tmp_path)
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadRequest, match="UTF-8"):
        read_guide(tmp_path / "binary")
    (tmp_path / "big").write_bytes(b" " * (GUIDE_BYTES + 1))
    with pytest.raises(BadRequest, match="larger"):
        read_guide(tmp_path / "big")


def test_a_file_is_on_the_disk_before_its_name_and_its_name_before_the_return(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The order of what the disk is told; tests/e2e/test_crashes.py cuts the power in between."""
    told: list[str] = []
    real_sync, real_replace = os.fsync, Path.replace

    def sync(handle: int) -> None:
        told.append("sync " + Path(os.readlink(f"/proc/self/fd/{handle}")).name.split("-")[0])
        real_sync(handle)

    def replace(path: Path, target: Path) -> Path:
        told.append("rename")
        return real_replace(path, target)

    monkeypatch.setattr("os.fsync", sync)
    monkeypatch.setattr(Path, "replace", replace)
    write_bytes(tmp_path / "a" / "b" / "file", b"data")
    assert told == [f"sync {tmp_path.name.split('-')[0]}", "sync a", "sync .new", "rename", "sync b"]


def test_a_folder_that_is_there_is_left_as_it_is(tmp_path: Path):
    folder = tmp_path / "one" / "two"
    make_folder(folder, 0o700)
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o750)
    make_folder(folder, 0o700)
    assert folder.stat().st_mode & 0o777 == 0o750
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        make_folder(tmp_path / "file")


@pytest.mark.parametrize(
    "text",
    [
        "peer\tpar\nlive view\tvista en vivo\n",
        "peer,par\n\nlive view , vista en vivo\npeer,par\n",
        '\ufeff"peer","par"\r\n"live view","vista en vivo"',
    ],
)
def test_a_glossary_has_two_columns(tmp_path: Path, text: str):
    path = tmp_path / "terms"
    path.write_text(text, encoding="utf-8")
    assert read_glossary(path) == {"peer": "par", "live view": "vista en vivo"}
    assert read_glossary(None) is None


def test_with_tabs_commas_are_letters_like_others(tmp_path: Path):
    path = tmp_path / "terms"
    path.write_text("yes, sir\tsí, señor\n")
    assert read_glossary(path) == {"yes, sir": "sí, señor"}


def test_each_line_has_the_separator_that_it_likes(tmp_path: Path):
    path = tmp_path / "terms"
    path.write_text('yes, sir\tsí, señor\npeer,par\n"one, two","uno, dos"\n', encoding="utf-8")
    assert read_glossary(path) == {"yes, sir": "sí, señor", "peer": "par", "one, two": "uno, dos"}


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("a,b\nc\n", "line 2: that is not two terms"),
        ("a,b,c\n", "line 1"),
        ("a,\n", "line 1"),
        (f"a,{'b' * (LONGEST_TERM + 1)}", "line 1"),
        ("a,b\na,c\n", "line 2: 'a' has another"),
        ("\n \n", "has no terms"),
        ("".join(f"{n},b\n" for n in range(MOST_TERMS + 1)), "more than"),
    ],
)
def test_what_is_no_glossary_is_refused_with_its_line(tmp_path: Path, text: str, what: str):
    path = tmp_path / "terms"
    path.write_text(text)
    with pytest.raises(BadRequest, match=what):
        read_glossary(path)


def test_a_file_of_terms_is_as_long_as_translators_take():
    from ml.engines.glossary import MOST, checked

    assert MOST_TERMS == MOST
    assert checked({"a" * LONGEST_TERM: "b" * LONGEST_TERM})


def test_a_file_is_the_same_by_all_its_names_there_or_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    one = tmp_path / "a.wav"
    (tmp_path / "link.wav").symlink_to(one)
    (tmp_path / "folder").symlink_to(tmp_path)
    names = (one, Path("a.wav"), Path("x", "..", "a.wav"), tmp_path / "link.wav", Path("folder", "a.wav"))
    for there in (False, True):
        if there:
            one.touch()
            (tmp_path / "hard.wav").hardlink_to(one)
            (tmp_path / "x").mkdir()
            assert same_file(one, tmp_path / "hard.wav")
        assert all(same_file(one, name) and same_file(name, one) for name in names)
        assert not same_file(one, tmp_path / "b.wav")


def test_links_that_lead_in_a_circle_are_files_like_others(tmp_path: Path):
    (tmp_path / "a.wav").symlink_to(tmp_path / "b.wav")
    (tmp_path / "b.wav").symlink_to(tmp_path / "a.wav")
    assert same_file(tmp_path / "a.wav", tmp_path / "." / "a.wav")
    assert not same_file(tmp_path / "a.wav", tmp_path / "c.wav")


def test_a_version_of_a_file_is_known_again_until_it_is_changed(tmp_path: Path):
    path = tmp_path / "a"
    path.write_bytes(b"one")
    os.utime(path, ns=(7, 7))
    before = version_of(path)
    assert version_of(tmp_path / "." / "a") == before
    path.write_bytes(b"other")
    os.utime(path, ns=(7, 7))
    longer = version_of(path)
    os.utime(path, ns=(8, 8))
    assert len({before, longer, version_of(path)}) == 3
    with pytest.raises(FileNotFoundError):
        version_of(tmp_path / "nowhere")
