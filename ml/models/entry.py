"""What the catalogue says of one model: where it was published, under which licence, what it needs and can do.

Only definitions, read from TOML by `catalogue.py`. Knows nothing of how models are fetched, kept or run.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

import msgspec

Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9.-]{0,60}\Z")]
Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
Commit = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{40}\Z")]
Bytes = Annotated[int, msgspec.Meta(gt=0, le=10**12)]
Use = Literal["any", "non-commercial", "ask"]
"""What the licence lets a user do: anything; nothing that earns money; or only what its own terms say, which are asked
for once. Only models for any use are ever chosen without being named."""
DTYPES = ("float32", "bfloat16", "float16", "int8")
Dtype = Annotated[str, msgspec.Meta(pattern=rf"^({'|'.join(DTYPES)})\Z")]
_PART = re.compile(r"[A-Za-z0-9_+@=-][A-Za-z0-9._+@=-]*")


class HubSource(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="at", tag="hub"):
    """A repository of a model hub, at a commit.

    Without `revision` the first fetch takes the newest commit and keeps to it from then on (trust on first use).
    """

    repo: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*/[A-Za-z0-9_][A-Za-z0-9._-]*\Z")]
    revision: Commit | None = None


class WheelSource(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="at", tag="pypi"):
    """Files inside a published wheel, pinned as a whole.

    `tag` names one wheel of several of a version, by Python, ABI and platform: it is fetched as it is whatever runs
    here, because it is data. Without one it is the wheel for any platform.
    """

    project: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*\Z")]
    version: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9.!+]*\Z")]
    sha256: Sha256
    bytes: Bytes
    tag: Annotated[str, msgspec.Meta(pattern=r"^([a-z]{2}[0-9]+-[a-z0-9_]+-[a-z0-9_]+)?\Z")] = ""

    @property
    def requirement(self) -> str:
        """What pip is asked for, `NAME==VERSION`."""
        return f"{self.project}=={self.version}"


class FolderSource(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="at", tag="folder"):
    """A folder on this machine, in the publisher's layout; used where it lies, never copied or changed."""

    path: str

    @property
    def remedy(self) -> str:
        """What helps where it lacks something: nothing fetches a user's own files."""
        return f"Put its published files into {self.path}, or mend the catalogue's `path`."


Source = HubSource | WheelSource | FolderSource


def _is_plain(path: str) -> bool:
    return len(path) <= 200 and all(_PART.fullmatch(part) for part in path.split("/"))


class ModelFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of a model, by its path within it; size and hash where published facts are at hand.

    `instead` is taken where the publisher has no `path` (an old repository without safetensors, say); an `optional`
    file may be lacking.
    """

    path: str
    bytes: Bytes | None = None
    sha256: Sha256 | None = None
    instead: str = ""
    optional: bool = False

    def __post_init__(self) -> None:
        """Raises ValueError for a path that could lead out of the model's folder."""
        for path in (self.path, *([self.instead] if self.instead else [])):
            if not _is_plain(path):
                raise ValueError(f"{path!r} is not a plain relative path")


class LegacyTensors(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How an old PyTorch checkpoint among the files becomes safetensors, so that reading it runs no code.

    Of the checkpoint `file`, the tensors in its dictionary `branch` whose names begin with one of `keep` are kept in
    the file `to`; `tensors_sha256` is their digest (`ml/models/tensors.py`).
    """

    file: str
    to: str
    branch: str
    keep: tuple[str, ...]
    tensors_sha256: Sha256

    def __post_init__(self) -> None:
        """Raises ValueError for a name that could be anything else in the folder of models, or beyond it."""
        if not _is_plain(self.to) or "/" in self.to or not self.to.endswith(".safetensors"):
            raise ValueError(f"{self.to!r} is not the plain name of a .safetensors file")


class Figure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A published or measured figure, e.g. what = "WER, LibriSpeech test-clean, %", value = 3.33, and who says so."""

    what: str
    value: float
    source: str


class ModelEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One model that can be fetched and run.

    `engine` names the kind of engine that runs it (`ml/engines/checkpoints.py`). `languages` are BCP 47 codes it reads
    or speaks, none for any; `pairs` are "en-es" for translators of fixed directions. `memory` is what it takes when
    loaded, in bytes by dtype ("float32", "bfloat16", "float16", "int8"). `sets` name it to `node models pull SET`.
    """

    name: Name
    task: str
    engine: str
    summary: str
    licence: str
    source: Source
    use: Use = "any"
    terms: str = ""
    """What the licence asks of a user, in plain words; never empty where `use` is not "any"."""
    doubt: str = ""
    """What of this entry is not certain: its licence, its list of files."""
    files: tuple[ModelFile, ...] = ()
    languages: tuple[str, ...] = ()
    pairs: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()
    memory: dict[Dtype, Bytes] = {}
    figures: tuple[Figure, ...] = ()
    rank: int = 0
    """Among models of one task that fit, the highest is chosen."""
    convert: LegacyTensors | None = None
    parts: dict[str, Name] = {}
    """Models that this one computes with, by what they are to it: vocoder = "speecht5-hifigan"."""
    cpu_rank: int | None = None
    """The same where there is no accelerator; None: as `rank`. A model that is too slow there ranks low."""
    runs_code: bool = False
    """Its files are a program, which is run, in a process of its own. Only for a folder whose files are each named with
    their SHA-256: the yes is to these bytes and no others."""

    def __post_init__(self) -> None:
        """Raises ValueError for an entry that contradicts itself."""
        if self.use != "any" and not self.terms:
            raise ValueError("say in `terms` what its licence asks")
        if not self.files:
            raise ValueError("name its `files`; without them nobody can tell whether it is whole")
        named = all(file.sha256 and not file.instead for file in self.files)
        if self.runs_code and not (isinstance(self.source, FolderSource) and named):
            raise ValueError("runs_code is for files in a folder, each with its sha256")
        if self.convert and self.convert.file not in {file.path for file in self.files}:
            raise ValueError(f"{self.convert.file} is none of its files")
        if self.convert and isinstance(self.source, HubSource):
            raise ValueError("only what comes in a wheel is converted")

    @property
    def remedy(self) -> str:
        """What mends the model itself where it lacks something: a fetch, but for a user's own folder."""
        return self.source.remedy if isinstance(self.source, FolderSource) else f"node models pull {self.name}"

    @property
    def remedy_with_parts(self) -> str:
        """What mends the model or its parts: those of a user's own folder are fetched too."""
        return f"node models pull {self.name}" if self.parts else self.remedy

    @property
    def bytes(self) -> int | None:
        """Size of all files; None where one is not known."""
        sizes = [file.bytes for file in self.files]
        return None if not sizes or None in sizes else sum(size for size in sizes if size is not None)
