"""What the catalogue may say of a model, and what it may not."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.models.entry import HubSource, ModelEntry, ModelFile

ENTRY = """
name = "whisper-nano"
task = "asr"
engine = "whisper"
summary = "hears"
licence = "MIT"
source = { at = "hub", repo = "someone/whisper-nano", revision = "%s" }
files = [{ path = "model.safetensors", bytes = 7, sha256 = "%s" }, { path = "config.json", bytes = 3 }]
"""


def read(text: str) -> ModelEntry:
    return msgspec.toml.decode(text, type=ModelEntry)


def test_an_entry_reads_from_toml() -> None:
    made = read(ENTRY % ("a" * 40, "b" * 64))
    assert made.source == HubSource("someone/whisper-nano", "a" * 40)
    assert made.bytes == 10
    assert made.use == "any"


def test_a_branch_is_no_revision() -> None:
    with pytest.raises(msgspec.ValidationError, match="revision"):
        read(ENTRY % ("main", "b" * 64))


def test_a_licence_with_terms_says_them() -> None:
    text = ENTRY % ("a" * 40, "b" * 64)
    with pytest.raises(msgspec.ValidationError, match="terms"):
        read(text + 'use = "non-commercial"')
    assert read(text + 'use = "non-commercial"\nterms = "Not for money."').terms


def test_a_size_that_is_not_known_is_not_guessed() -> None:
    assert read((ENTRY % ("a" * 40, "b" * 64)).replace(", bytes = 7", "")).bytes is None


def test_what_is_fetched_names_its_files() -> None:
    text = "\n".join(line for line in (ENTRY % ("a" * 40, "b" * 64)).splitlines() if not line.startswith("files"))
    with pytest.raises(msgspec.ValidationError, match="files"):
        read(text)


@pytest.mark.parametrize("path", ["", "/etc/passwd", "../x", "a/../b", "a//b", "a/", ".hidden", "a\\b", "a\0", "C:/x"])
def test_a_path_never_leads_out_of_its_folder(path: str) -> None:
    with pytest.raises(ValueError, match="relative path"):
        ModelFile(path)


@given(st.lists(st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,8}", fullmatch=True), min_size=1, max_size=5))
def test_plain_paths_are_taken(parts: list[str]) -> None:
    assert ModelFile("/".join(parts)).path == "/".join(parts)


def test_what_is_taken_instead_stays_in_the_folder_too() -> None:
    assert ModelFile("model.safetensors", instead="pytorch_model.bin").instead
    with pytest.raises(ValueError, match="relative path"):
        ModelFile("model.safetensors", instead="../pytorch_model.bin")


CONVERT = """
convert = { file = "%s", to = "%s", branch = "b", keep = ["a"], tensors_sha256 = "{0}" }
source = { at = "pypi", project = "tiny", version = "1.0", sha256 = "{0}", bytes = 3 }
""".replace("{0}", "0" * 64)


def converting(file: str, to: str) -> str:
    told = ENTRY % ("a" * 40, "b" * 64) + CONVERT % (file, to)
    return "\n".join(line for line in told.splitlines() if "hub" not in line)


def test_what_is_converted_is_one_of_the_files_of_a_wheel() -> None:
    assert read(converting("config.json", "x.safetensors")).convert
    with pytest.raises(msgspec.ValidationError, match="none of its files"):
        read(converting("other.pt", "x.safetensors"))
    hub = "\n".join(
        line for line in (ENTRY + CONVERT % ("config.json", "x.safetensors")).splitlines() if "pypi" not in line
    )
    with pytest.raises(msgspec.ValidationError, match="only what comes in a wheel"):
        read(hub % ("a" * 40, "b" * 64))


@pytest.mark.parametrize(
    "to", ["../x.safetensors", "/x.safetensors", "a/x.safetensors", "accepted.json", ".safetensors", "", "x y"]
)
def test_what_is_converted_is_named_as_nothing_else_in_the_folder_of_models(to: str) -> None:
    """`node models rm` removes it, and a catalogue may be somebody else's."""
    with pytest.raises(msgspec.ValidationError, match="plain name"):
        read(converting("config.json", to))


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ('name = "whisper-nano"', 'name = "whisper-nano\\n"', "name"),
        ("someone/whisper-nano", "../..", "repo"),
        ('licence = "MIT"', 'licence = "MIT"\nmemory = { fp16 = 5 }', "memory"),
    ],
)
def test_names_are_only_what_they_look_like(old: str, new: str, field: str) -> None:
    told = ENTRY % ("a" * 40, "b" * 64)
    assert old in told
    with pytest.raises(msgspec.ValidationError, match=field):
        read(told.replace(old, new))
