from __future__ import annotations

from pathlib import Path

from node.packs import apertium_pack, find_packs, package_pack


def test_apertium_pairs_tell_how_far_they_reach(tmp_path: Path) -> None:
    for name in ("eng-cat", "cat-spa", "spa-cat"):
        (tmp_path / f"{name}.mode").write_text("")
    pack = apertium_pack(tmp_path)
    assert pack.present
    assert "en to ca, es" in pack.detail
    assert "nothing to en" in pack.detail


def test_pairs_without_english_are_not_enough(tmp_path: Path) -> None:
    (tmp_path / "cat-spa.mode").write_text("")
    pack = apertium_pack(tmp_path)
    assert not pack.present
    assert "apt-get install apertium-eng-cat" in pack.remedy


def test_no_folder_is_no_pair(tmp_path: Path) -> None:
    assert not apertium_pack(tmp_path / "none").present


def test_a_package_without_its_data_differs_from_no_package() -> None:
    assert package_pack("numbers", "numpy", "no/such/file", "mend").detail == "numpy is here without no/such/file."
    assert (
        package_pack("numbers", "no_such_package", "x", "mend").detail
        == "the package no_such_package is not installed."
    )
    assert package_pack("numbers", "numpy", "__init__.py", "mend").present


def test_what_comes_with_the_python_packages_is_here() -> None:
    here = {pack.name: pack.present for pack in find_packs()}
    assert here["espeak-ng voices"]
    assert here["English acoustic model"]
    assert here["voice activity model"]
