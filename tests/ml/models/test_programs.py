"""A file that is a program is refused by name, whatever it is called and whichever engine it is meant for."""

from __future__ import annotations

import hashlib
import io
import pickle  # noqa: TID251 - what it writes is what must not run
import sys
import zipfile
from pathlib import Path

import msgspec
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ml.errors import Unavailable
from ml.models.catalogue import Catalogue
from ml.models.entry import FolderSource, HubSource, ModelEntry, ModelFile
from ml.models.programs import MADE_UP, calls, is_program
from ml.models.store import ModelStore
from tests.ml.engines.tiny_silero import FILE, archive

OWN = """
[[model]]
name = "silero-es"
task = "tts"
engine = "{engine}"
summary = "a voice"
licence = "CC-BY-NC-4.0"
use = "non-commercial"
terms = "Not for money."
source = {{ at = "folder", path = "voices" }}
files = {files}
languages = ["es"]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "voices").mkdir()
    (tmp_path / "voices" / FILE).write_bytes(archive())
    return tmp_path


def store(folder: Path, engine: str = "silero", files: str = f'[{{ path = "{FILE}" }}]', more: str = "") -> ModelStore:
    own = folder / "mine.toml"
    own.write_text(OWN.format(engine=engine, files=files) + more)
    return ModelStore(folder / "models", Catalogue.load([own]))


@pytest.mark.parametrize("engine", ["silero", "vits", "ecapa", "unheard-of"])
@pytest.mark.parametrize("files", [f'[{{ path = "{FILE}" }}]', f'[{{ path = "a.bin", instead = "{FILE}" }}]'])
def test_a_users_catalogue_that_names_a_torch_package_is_told_what_it_is(folder: Path, engine: str, files: str) -> None:
    before = set(sys.modules)
    with pytest.raises(Unavailable) as failure:
        store(folder, engine, files).open("silero-es")
    assert FILE in failure.value.sentence
    assert "silero-es" in failure.value.sentence
    assert "torch.package" in failure.value.sentence
    assert "runs_code = true" in failure.value.remedy
    assert not any("torch_package" in name for name in set(sys.modules) - before), "nothing of it was imported"


def test_the_users_own_yes_opens_it(folder: Path) -> None:
    sha256 = hashlib.sha256(archive()).hexdigest()
    files = f'[{{ path = "{FILE}", sha256 = "{sha256}" }}]'
    assert store(folder, files=files, more="runs_code = true").open("silero-es").folder == folder / "voices"


def test_what_follows_the_pickles_of_an_old_checkpoint_is_not_read_as_one(tmp_path: Path) -> None:
    """147 numbers: their count begins with the byte that is the instruction STACK_GLOBAL."""
    torch.save({"a": torch.zeros(147)}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert calls(tmp_path / "old.pth") == ()


def test_numbers_are_no_program(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(3)}, tmp_path / "new.pth")
    torch.save({"a": torch.zeros(3)}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    (tmp_path / "empty.pt").write_bytes(b"")
    (tmp_path / "cut.pt").write_bytes(archive()[:-40])
    with zipfile.ZipFile(tmp_path / "plain.zip", "w") as plain:
        plain.writestr("voice/extern_modules", "torch")
    assert not any(is_program(path) for path in [*tmp_path.iterdir(), tmp_path / "nowhere.pt"])
    (tmp_path / "voice.bin").write_bytes(archive())
    assert is_program(tmp_path / "voice.bin")


@pytest.mark.parametrize(
    ("source", "files"),
    [
        (FolderSource("voices"), (ModelFile(FILE),)),
        (FolderSource("voices"), (ModelFile(FILE, sha256="0" * 64, instead="other.pt"),)),
        (HubSource("some/one"), (ModelFile(FILE, sha256="0" * 64),)),
    ],
)
def test_a_yes_is_to_named_bytes_in_a_folder(source: FolderSource | HubSource, files: tuple[ModelFile, ...]) -> None:
    told = {"name": "a", "task": "tts", "engine": "silero", "summary": "a", "licence": "a", "source": source}
    ModelEntry(**told, files=files)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="runs_code is for files in a folder"):
        ModelEntry(**told, files=files, runs_code=True)  # type: ignore[arg-type]


def test_nothing_that_comes_with_babelmesh_runs_code() -> None:
    assert not any(entry.runs_code for entry in Catalogue.load().model)
    assert "runs_code" in {field.name for field in msgspec.structs.fields(ModelEntry)}


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        import os

        return os.system, ("true",)


def zipped(packing: int, *, spoilt: bool, first: bytes = b"") -> bytes:
    """A checkpoint in the zip form that would run a program; with other bytes where its pickle is packed."""
    pickled = pickle.dumps([Evil(), [*range(500)]], 4)
    with zipfile.ZipFile(whole := io.BytesIO(), "w", packing) as archive:
        if first:
            archive.writestr("archive/a.pkl", first)
        archive.writestr("archive/data.pkl", pickled)
    data = bytearray(whole.getvalue())
    if spoilt:
        begin = data.index(b"data.pkl") + 8
        data[begin + 5 : begin + 205] = bytes(200)
    return bytes(data)


PACKINGS = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]


@pytest.mark.parametrize("packing", PACKINGS)
def test_a_packed_checkpoint_that_is_spoilt_is_no_program_and_no_defect(folder: Path, packing: int) -> None:
    path = folder / "voices" / FILE
    path.write_bytes(zipped(packing, spoilt=False))
    assert calls(path) == (f"{Evil().__reduce__()[0].__module__}.system",)
    assert store(folder).state("silero-es") == "refused"
    path.write_bytes(zipped(packing, spoilt=True))
    assert calls(path) == ()
    assert store(folder).state("silero-es") == "present"


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(packing=st.sampled_from(PACKINGS), at=st.integers(0), byte=st.integers(0, 255), cut=st.booleans())
def test_whatever_is_spoilt_is_no_defect(tmp_path: Path, packing: int, at: int, byte: int, cut: bool) -> None:
    data = bytearray(zipped(packing, spoilt=False))
    at %= len(data)
    data[at] = byte
    path = tmp_path / "voice.pt"
    path.write_bytes(data[:at] if cut else data)
    assert isinstance(calls(path), tuple)
    assert not is_program(path)


def test_one_member_that_cannot_be_read_hides_no_other(tmp_path: Path) -> None:
    path = tmp_path / "voice.pt"
    data = bytearray(zipped(zipfile.ZIP_DEFLATED, spoilt=False, first=bytes(range(250))))
    begin = data.index(b"a.pkl") + 5
    data[begin : begin + 20] = b"\xff" * 20
    path.write_bytes(data)
    assert calls(path) == ("posix.system",)


CALL = b"\x8c\x04true\x85R."
"""The end of a pickle that calls what lies on the stack with the text "true"."""


@pytest.mark.parametrize(
    ("pickled", "told"),
    [
        (b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R.", ("os.system",)),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93" + CALL, ("os.system",)),
        (b"\x80\x04\x8c\x02os\x940\x8c\x01x0h\x00\x8c\x06system\x93" + CALL, ("os.system",)),
        (b"\x80\x04\x8c\x02osq\x070\x8c\x06systemr\x08\x00\x00\x000h\x07j\x08\x00\x00\x00\x93" + CALL, ("os.system",)),
        (b"\x80\x04\x8c\x02osp7\n0\x8c\x01xg7\n\x8c\x06system\x93" + CALL, ("os.system",)),
        (b"\x80\x04\x8c\x02os2\x8c\x06system\x93" + CALL, ("os.system",)),
        (b"\x80\x04\x8c\x02os(\x8c\x01x1\x8c\x06system\x93" + CALL, ("os.system",)),
        (b"\x80\x04\x8c\x02os(\x8c\x01xl0\x8c\x06system\x93" + CALL, ("os.system",)),
        (b"\x80\x04\x8c\x08builtins\x8c\x03str\x93\x8c\x02os\x85R\x8c\x06system\x93" + CALL, (MADE_UP,)),
        (b"\x80\x04N\x8c\x06system\x93" + CALL, (MADE_UP,)),
        (b"\x80\x04h\x05\x8c\x06system\x93" + CALL, ()),
        (b"\x80\x04\x93" + CALL, ()),
        (b"\x80\x021\x8c\x02os\x8c\x06system\x93" + CALL, ()),
        (b"\x80\x04\x8c\x0bcollections\x94\x8c\x0bOrderedDict\x94\x93)R.", ()),
        (b"\x80\x04\x8c\x02os\x940\x8c\x0bcollections\x8c\x0bOrderedDict\x93)R.", ()),
    ],
)
def test_what_a_pickle_calls_is_told_however_it_names_it(tmp_path: Path, pickled: bytes, told: tuple[str, ...]) -> None:
    path = tmp_path / "voice.pt"
    path.write_bytes(pickled)
    assert calls(path) == told


names = st.sampled_from(["os", "system", "collections", "OrderedDict", "torch", "x"])


@st.composite
def programs(draw: st.DrawFn) -> tuple[bytes, tuple[str, str]]:
    """A pickle that names something in a roundabout way, and what it names."""
    data, kept, stack = b"\x80\x04", list[str](), list[str]()

    def text(name: str) -> bytes:
        return b"\x8c" + bytes([len(name)]) + name.encode()

    for _ in range(draw(st.integers(2, 12))):
        what = draw(st.sampled_from(["push", "push", "keep", "get", "pop", "twice", "mark"]))
        if what == "keep" and stack:
            kept.append(stack[-1])
            data += b"\x94"
        elif what == "get" and kept:
            number = draw(st.integers(0, len(kept) - 1))
            stack.append(kept[number])
            data += b"h" + bytes([number])
        elif what == "pop" and stack:
            stack.pop()
            data += b"0"
        elif what == "twice" and stack:
            stack.append(stack[-1])
            data += b"2"
        elif what == "mark":
            data += b"(" + text(draw(names)) + b"1"
        else:
            stack.append(draw(names))
            data += text(stack[-1])
    while len(stack) < 2:
        stack.append(draw(names))
        data += text(stack[-1])
    return data + b"\x93.", (stack[-2], stack[-1])


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(programs())
def test_a_name_is_read_as_a_reader_of_pickles_would_find_it(
    tmp_path: Path, program: tuple[bytes, tuple[str, str]]
) -> None:
    data, (module, name) = program
    found: list[tuple[str, str]] = []

    class Reader(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> object:
            found.append((module, name))
            return None

    Reader(io.BytesIO(data)).load()
    assert found == [(module, name)]
    path = tmp_path / "voice.pt"
    path.write_bytes(data)
    assert calls(path) == ((f"{module}.{name}",) if module == "os" else ())


def test_a_name_that_is_made_up_is_refused(folder: Path) -> None:
    (folder / "voices" / FILE).write_bytes(b"\x80\x04N\x8c\x06system\x93" + CALL)
    with pytest.raises(Unavailable, match=f"would run {MADE_UP}: it is a program"):
        store(folder).open("silero-es")
