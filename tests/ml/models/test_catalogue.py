from __future__ import annotations

from importlib.resources import files

import msgspec
import pytest

from ml.engines import resemblyzer
from ml.errors import Unavailable
from ml.models.catalogue import Catalogue


def toml() -> str:
    return files("ml.models").joinpath("catalogue.toml").read_text()


def test_every_entry_is_pinned_licensed_and_named_once() -> None:
    catalogue = Catalogue.load()
    assert catalogue.model
    for entry in catalogue.model:
        assert entry.licence
        assert len({entry.archive_sha256, entry.member_sha256, entry.tensors_sha256}) == 3
        assert entry.bytes < entry.member_bytes
        assert entry.requirement in entry.source
        assert not entry.member.startswith("/")
        assert catalogue.find(entry.name) is entry


def test_the_engines_model_is_in_the_catalogue() -> None:
    entry = Catalogue.load().find(resemblyzer.MODEL)
    assert (entry.requirement, entry.member) == ("resemblyzer==0.1.4", "resemblyzer/pretrained.pt")
    assert entry.file_name == "resemblyzer.safetensors"
    assert entry.licence == "Apache-2.0"


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(Unavailable, match="'nonesuch'") as failure:
        Catalogue.load().find("nonesuch")
    assert "resemblyzer" in failure.value.remedy


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ('name = "resemblyzer"', 'name = "../evil"', "name"),
        ('licence = "Apache-2.0"', "", "licence"),
        ('licence = "Apache-2.0"', 'licence = "Apache-2.0"\nurl = "x"', "url"),
        ('source = "pypi:', 'source = "https:', "source|pypi"),
        ("archive_bytes = 15747704", "archive_bytes = -1", "archive_bytes"),
        ("member_bytes = 17090379", 'member_bytes = "many"', "member_bytes"),
        ('archive_sha256 = "8f12', 'archive_sha256 = "8F12', "archive_sha256"),
        ('format = "torch-legacy"', 'format = "pickle"', "format"),
    ],
)
def test_a_wrong_entry_is_refused_by_the_name_of_its_field(old: str, new: str, field: str) -> None:
    assert old in toml()
    with pytest.raises(msgspec.ValidationError, match=field):
        Catalogue.parse(toml().replace(old, new).encode())


def test_two_models_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="same name"):
        Catalogue.parse((toml() + toml()[toml().index("[[model]]") :]).encode())
