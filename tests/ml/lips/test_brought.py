"""Networks whose weights a user brings: where they are published, and what an entry of a catalogue must say of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from ml.lips.brought import BROUGHT, SYNCNET, WAV2LIP
from ml.models.catalogue import Catalogue
from ml.models.entry import ModelFile
from tests.ml.engines.published import facts
from tests.ml.lips.entries import entry


def test_sizes_and_hashes_are_the_published_ones() -> None:
    told = facts("wav2lip")["files"]
    assert {name: (one["sha256"], one["bytes"]) for name, one in told.items()} == dict(WAV2LIP.files)
    told = facts("syncnet-v2")
    assert dict(SYNCNET.files) == {told["file"]: (told["sha256"], told["bytes"])}
    assert all(kind.engine == name for name, kind in BROUGHT.items())


def test_who_has_none_hears_where_it_is_published_and_under_which_terms() -> None:
    error = WAV2LIP.lacking()
    for part in ("github.com/Rudrabha/Wav2Lip", "435801865", "ca9ab7b7b812c0e8", "non-commercial", "--wav2lip FILE"):
        assert part in error.remedy
    assert "robots.ox.ac.uk" in SYNCNET.lacking().remedy
    assert "non-commercial" not in SYNCNET.lacking().remedy


def test_bytes_are_told_by_their_hash() -> None:
    assert WAV2LIP.published("ca9ab7b7b812c0e80a6e70a5977c545a1e8a365a6c49d5e533023c034d7ac3d8")
    assert not WAV2LIP.published("0" * 64)
    assert not SYNCNET.published(WAV2LIP.files["wav2lip.pth"][0])


@pytest.mark.parametrize(
    ("wrong", "reason", "remedy"),
    [
        ({"task": "tts"}, "for the task lips, not 'tts'", "task = 'lips'"),
        ({"files": tuple(ModelFile(f"{name}.pth") for name in "abc")}, "names 3", "wav2lip_gan.pth"),
        ({"files": (ModelFile("a.pth"), ModelFile("b.pth"))}, "names 2", "files = "),
        ({"use": "any", "terms": ""}, "not for any use", 'use = "non-commercial"'),
        (
            {"use": "any", "terms": "", "files": (ModelFile("x.pth", sha256=WAV2LIP.files["wav2lip.pth"][0]),)},
            "not for any use",
            "terms",
        ),
    ],
)
def test_wrong_entries_are_told_and_mended(wrong: dict[str, object], reason: str, remedy: str) -> None:
    fault = WAV2LIP.fault(entry(**wrong))
    assert fault is not None
    assert reason in fault.reason
    assert "entry mine" in fault.remedy
    assert remedy in fault.remedy


def test_the_page_of_models_shows_right_entries_with_the_published_bytes(repository: Path, tmp_path: Path) -> None:
    page = (repository / "docs" / "models.md").read_text(encoding="utf-8").partition("### Lips\n")[2]
    (tmp_path / "catalogue.toml").write_text(page.partition("```toml\n")[2].partition("```")[0])
    entries = Catalogue.read(tmp_path / "catalogue.toml").model
    assert [one.engine for one in entries] == list(BROUGHT)
    for one in entries:
        kind = BROUGHT[one.engine]
        assert kind.fault(one) is None
        (file,) = one.files
        assert kind.files[file.path] == (file.sha256, file.bytes)
        assert all(name in page and str(size) in page for name, (_, size) in kind.files.items())
    assert entries[0].use == "non-commercial"


def test_right_entries_have_no_fault() -> None:
    assert WAV2LIP.fault(entry()) is None
    own = entry(use="any", terms="", files=(ModelFile("trained-by-me.safetensors"),))
    assert WAV2LIP.fault(own) is None
    assert SYNCNET.fault(entry(engine="syncnet", use="any", terms="", files=(ModelFile("syncnet_v2.model"),))) is None
