"""The configuration of one node: where its files lie, and what its owner prefers.

Built once at the door from the command line, the environment and `babelmesh.toml`, then passed on as a frozen value.
A key that means nothing is an error that names it. Creates no folder and knows nothing of engines or commands.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
import platformdirs

from node.complaints import complaint, remedy
from node.errors import BadConfig, HomeUnusable
from p2p.errors import BadAddress

FILE_NAME = "babelmesh.toml"
NO_USER = "nobody here has that home folder"
"""What is wrong with a path such as ~nobody/models."""
LISTEN_LIKE = "/ip4/0.0.0.0/tcp/4710 or /ip6/::/tcp/4710"

Language = Annotated[str, msgspec.Meta(pattern="^[a-z]{2,3}$")]
"""An ISO 639 code in lower case."""


class TranslateSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"target": "to"}):
    """`[translate]`: what `node translate` does when the command line does not say; `to` is the target language."""

    target: Language | None = None
    keep_background: bool = False
    srt: bool = False
    vtt: bool = False


class VoiceSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[voice]`: the voice profile that dubs are tinted with; without one the input itself is the reference."""

    profile: str | None = None


class EngineSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[engines]`: the engine of each task, by name; without a name the best that is present."""

    asr: str | None = None
    mt: str | None = None
    tts: str | None = None
    speaker: str | None = None
    ast: str | None = None
    """Straight from speech to text of the other language, in place of `asr` and `mt`; only ever used by name."""
    memory: Annotated[str, msgspec.Meta(pattern="^[1-9][0-9]{0,5}( ?)[MG]B$")] | None = None
    """The most that engines take of the main memory, and of an accelerator's; unset, four fifths of what is free."""
    warm: bool = False
    """Load the engines when the node starts."""
    compile: Annotated[str, msgspec.Meta(pattern="^(auto|off|on)$")] = "auto"
    """Whether warming compiles the engines that can be: "auto" is on CUDA, "on" also on the CPU."""
    isolation: tuple[str, ...] = ()
    """Fetched engines that run in a process of their own."""


Share = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
"""A part of a whole."""

Mixture = Share | Annotated[str, msgspec.Meta(pattern="^auto$")]
"""The weight of one's own model in a mixture; "auto" lets the node learn it."""


class NodeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[node]`: how this node meets others. Sizes in bytes, times in seconds."""

    name: Annotated[str, msgspec.Meta(max_length=64)] = ""
    listen: tuple[str, ...] = ("/ip4/127.0.0.1/tcp/4710", "/ip6/::1/tcp/4710")
    """Multiaddrs to listen on. The default is this machine alone; `/ip4/0.0.0.0/tcp/4710` is every network."""
    peers: tuple[str, ...] = ()
    """Multiaddrs of peers to keep in touch with, and to trust."""
    open: bool = False
    """Exchange with whoever comes, instead of holding unknown peers at the door."""
    discover: bool = False
    """Find and announce nodes on the local network by mDNS."""
    api: Annotated[int, msgspec.Meta(ge=0, le=65_535)] = 0
    """Port of the control API on loopback; 0 takes a free one."""
    connections: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 100
    bytes_per_hour: Annotated[int, msgspec.Meta(ge=100_000)] = 20_000_000
    """What one peer may send within an hour."""


MODELS = ("res64", "b4h80")
"""The shipped models that can learn: of single frames, and of blocks of four."""
USUAL = {"shared-prior": (1, 1.0), "mix": (5, 25.0)}
"""Epochs and pull of each method, as they were measured."""


class TrainSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[train]`: rounds of learning. `alpha` is the weight of one's own model in a merge of the method `mix`; with
    "auto" it begins at 0.7 and is learnt slowly from the owner's held-out speech, within 0.5 and 0.9."""

    method: Annotated[str, msgspec.Meta(pattern="^(shared-prior|mix)$")] = "shared-prior"
    """How to learn with others: a prior that peers share and a personal model near it, or mixing with their models."""

    model: Annotated[str, msgspec.Meta(pattern="^(res64|b4h80)$")] = "res64"
    """Which shipped model learns: res64, frame by frame, or b4h80, blocks of 64 ms. Each keeps a line of its own."""

    voice: str | None = None
    """The owner's voice; needed only when several voices have speech."""
    epochs: Annotated[int, msgspec.Meta(ge=1, le=1_000)] | None = None
    """Times that the speech is gone through in a round; as the method wants it when nothing is said."""
    pull: Annotated[float, msgspec.Meta(ge=0.0, le=1_000_000.0)] | None = None
    """How strongly training holds to its centre; as the method wants it when nothing is said."""
    batch: Annotated[int, msgspec.Meta(ge=1, le=65_536)] = 64
    alpha: Mixture = 0.7
    interval: Annotated[float, msgspec.Meta(ge=0.1, le=31_536_000.0)] = 600.0
    """Seconds between the starts of two rounds."""
    rounds: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Stop learning after so many rounds; 0 never stops."""
    peers_per_round: Annotated[int, msgspec.Meta(ge=1, le=64)] = 3
    encoding: Annotated[str, msgspec.Meta(pattern="^(fp32|fp16|int8|int4|ternary)$")] = "int4"
    """How updates are quantised."""
    control: bool = True
    """Also train a model that is never merged, to tell what the peers add and to fall back on."""
    codebook: bool = True
    """Tell peers what the owner's voice says of the codec's classes, unless [privacy] asks for less than all of it."""

    @property
    def epochs_in_force(self) -> int:
        """As set, or the method's: shared-prior was measured with 1, mixing with 5."""
        return self.epochs if self.epochs is not None else USUAL[self.method][0]

    @property
    def pull_in_force(self) -> float:
        """As set, or the method's."""
        return self.pull if self.pull is not None else USUAL[self.method][1]


class PrivacySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[privacy]`: what of the learned model leaves this node, and under how much noise. See docs/privacy.md."""

    share: Annotated[str, msgspec.Meta(pattern="^(all|part|subspace)$")] = "all"
    """The whole model, a part of it, or its shadow on a public random plane."""
    part: Annotated[str, msgspec.Meta(pattern="^(encoder|decoder|biases)$")] = "decoder"
    dimensions: Annotated[int, msgspec.Meta(ge=1, le=4_096)] = 64
    """Of the plane."""
    epsilon: Annotated[float, msgspec.Meta(ge=0.0, le=1_000_000.0)] = 0.0
    """How much all shares together may tell of the owner's whole speech; 0 adds no noise and promises nothing."""
    delta: Annotated[float, msgspec.Meta(gt=0.0, lt=0.5)] = 1e-5
    shares: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 20
    """Publications that the budget is divided among."""
    every: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 6
    """Rounds from one share to the next."""
    clip: Annotated[float, msgspec.Meta(gt=0.0, le=50.0)] = 0.1
    """The longest difference from the shared start that is published; longer ones are shortened before the noise."""
    budget: Annotated[str, msgspec.Meta(pattern="^[a-z0-9-]{1,40}$")] = "first"
    """The budget's name: a new one declares a new budget."""


class ConfigFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that `babelmesh.toml` may say. `models` is the folder of fetched model files, `catalogues` are files with
    models of one's own, both relative to the home."""

    models: str | None = None
    catalogues: tuple[str, ...] = ()
    translate: TranslateSettings = TranslateSettings()
    voice: VoiceSettings = VoiceSettings()
    engines: EngineSettings = EngineSettings()
    node: NodeSettings = NodeSettings()
    train: TrainSettings = TrainSettings()
    privacy: PrivacySettings = PrivacySettings()


@dataclass(frozen=True)
class Config:
    """Where this node's files lie and what its owner prefers. All paths are absolute; none need exist."""

    home: Path
    models: Path
    translate: TranslateSettings = field(default_factory=TranslateSettings)
    voice: VoiceSettings = field(default_factory=VoiceSettings)
    engines: EngineSettings = field(default_factory=EngineSettings)
    node: NodeSettings = field(default_factory=NodeSettings)
    train: TrainSettings = field(default_factory=TrainSettings)
    privacy: PrivacySettings = field(default_factory=PrivacySettings)
    catalogues: tuple[Path, ...] = ()

    def with_(self, **sections: Mapping[str, Any]) -> Config:
        """This configuration with some settings replaced: `with_(train={"alpha": 0.9})`.

        A value of None leaves the setting as it is. Raises BadConfig, as if the file had said so.
        """
        changed = {}
        for section, values in sections.items():
            said = {key: value for key, value in values.items() if value is not None}
            told = msgspec.to_builtins(getattr(self, section)) | said
            changed[section] = _convert(section, told, type(getattr(self, section)))
        return replace(self, **changed)

    @property
    def file(self) -> Path:
        """The owner's preferences."""
        return self.home / FILE_NAME

    @property
    def voices(self) -> Path:
        """Voice profiles."""
        return self.home / "voices"

    @property
    def jobs(self) -> Path:
        """What unfinished jobs have done so far."""
        return self.home / "jobs"

    @property
    def identity(self) -> Path:
        """The key that this node proves itself with."""
        return self.home / "identity.pem"

    @property
    def store(self) -> Path:
        """The household's memory."""
        return self.home / "node.db"

    @property
    def weights(self) -> Path:
        """Models, by content."""
        return self.home / "weights"

    @property
    def codebooks(self) -> Path:
        """What peers stated of their voices, and the codebooks that were made of it."""
        return self.home / "codebooks"

    @property
    def quarantine(self) -> Path:
        """What peers sent and nobody has judged yet."""
        return self.home / "quarantine"

    @property
    def lock(self) -> Path:
        """Held by the node that runs in this home."""
        return self.home / "lock"

    @property
    def control(self) -> Path:
        """Where the running node's API is, and the token for it; for the owner's eyes."""
        return self.home / "control.json"


def load(home: Path | None, environment: Mapping[str, str]) -> Config:
    """The configuration of the node that lives in `home`.

    Without `home`, `BABELMESH_HOME` says where; without that, the platform's data folder (XDG_DATA_HOME on Linux).
    Model files are shared between homes in the platform's cache folder, unless `BABELMESH_MODELS` or the key `models`
    says otherwise. Raises BadConfig.
    """
    if home is None:
        named = environment.get("BABELMESH_HOME")
        home = Path(named) if named else Path(platformdirs.user_data_dir("babelmesh", appauthor=False))
    try:
        home = home.expanduser().absolute()
    except RuntimeError as error:
        raise HomeUnusable(f"{home}: {NO_USER}.", "Name a folder with --home or BABELMESH_HOME.") from error
    if home.exists() and not home.is_dir():
        raise HomeUnusable(f"{home} is a file, not a folder.", "Name a folder with --home or BABELMESH_HOME.")
    said = read(home / FILE_NAME)
    if environment.get("BABELMESH_MODELS"):
        models = _expanded("BABELMESH_MODELS", environment["BABELMESH_MODELS"]).absolute()
    elif said.models:
        models = home / _expanded("models", said.models)
    else:
        models = Path(platformdirs.user_cache_dir("babelmesh", appauthor=False)) / "models"
    own = tuple(home / _expanded("catalogues", path) for path in said.catalogues)
    return Config(home, models, said.translate, said.voice, said.engines, said.node, said.train, said.privacy, own)


def read(path: Path) -> ConfigFile:
    """What the file at `path` says; a file that is not there says nothing. Raises BadConfig."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return ConfigFile()
    except UnicodeDecodeError as error:
        raise BadConfig(f"{path} is not UTF-8 text: byte {error.start} is wrong.", "Save it as UTF-8.") from error
    except OSError as error:
        raise BadConfig(
            f"{path} cannot be read: {error.strerror}.", f"Make it readable: chmod u+r '{path}', or move it away."
        ) from error
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadConfig(f"{path} is not TOML: {error}.", "Mend that line; the format is told at toml.io.") from error
    _refuse_unknown(tree, ConfigFile, path, text, ())
    try:
        said = msgspec.convert(tree, ConfigFile)
    except msgspec.ValidationError as error:
        key, what = complaint(error)
        raise BadConfig(f"{path}{line_of(text, key)}: {key}: {what}.", remedy(key)) from error
    if wrong := _bad_address(said.node):
        key, what, instead = wrong
        raise BadConfig(f"{path}{line_of(text, key)}: {key}: {what}.", instead)
    for key, named in (("models", said.models), *(("catalogues", one) for one in said.catalogues)):
        if named:
            _expanded(key, named, f"{path}{line_of(text, key)}: ")
    return said


def _expanded(key: str, named: str, where: str = "") -> Path:
    """A path with the home of a user in place of its `~`. Raises BadConfig for a user who has none."""
    try:
        return Path(named).expanduser()
    except RuntimeError as error:
        raise BadConfig(f"{where}{key}: {named}: {NO_USER}.", "Write the folder out, from / on.") from error


def _refuse_unknown(
    tree: Mapping[str, Any], kind: type[msgspec.Struct], path: Path, text: str, above: tuple[str, ...]
) -> None:
    """Raise BadConfig for the first key that means nothing, with the nearest one that does."""
    fields = {known.encode_name: known.type for known in msgspec.structs.fields(kind)}
    for key, value in tree.items():
        if key not in fields:
            near = difflib.get_close_matches(key, fields, 1)
            instead = f"Did you mean {near[0]}?" if near else f"Known here: {', '.join(fields)}."
            name = ".".join((*above, key))
            raise BadConfig(f"{path}{line_of(text, name)}: {name} is not a setting of Babelmesh.", instead)
        inner = fields[key]
        if isinstance(value, Mapping) and isinstance(inner, type) and issubclass(inner, msgspec.Struct):
            _refuse_unknown(value, inner, path, text, (*above, key))


Section = TypeVar("Section", bound=msgspec.Struct)


def _convert(section: str, told: Mapping[str, Any], kind: type[Section]) -> Section:
    """Settings of one section that did not come from the file. Raises BadConfig."""
    try:
        made = msgspec.convert(told, kind)
    except msgspec.ValidationError as error:
        key, what = complaint(error)
        raise BadConfig(f"{section}.{key}: {what}.", remedy(f"{section}.{key}")) from error
    if isinstance(made, NodeSettings) and (wrong := _bad_address(made)):
        raise BadConfig(f"{wrong[0]}: {wrong[1]}.", wrong[2])
    return made


def _bad_address(settings: NodeSettings) -> tuple[str, str, str] | None:
    """The first address that cannot be meant: its key, what is wrong with it, what to write instead."""
    from p2p.addresses import parse

    for key, addresses in (("node.listen", settings.listen), ("node.peers", settings.peers)):
        for text in addresses:
            try:
                address = parse(text)
            except BadAddress as error:
                return key, error.sentence.rstrip("."), error.remedy
            if key == "node.listen" and (address.peer or not address.kind.startswith("ip")):
                return key, f"{text!r} is no address to listen on", f"Write it like {LISTEN_LIKE}."
            if key == "node.peers" and not address.peer:
                return key, f"{text!r} does not say which peer", "Put /p2p/ID at its end: node id shows it there."
    return None


def line_of(text: str, key: str) -> str:
    """`:LINE` of a key like `node.listen`, written in the usual way (a section, then `key = value`), else nothing."""
    keys = tuple(key.split("."))
    section: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[\s*([\w.\s-]+?)\s*\]", line):
            section = tuple(part.strip() for part in header[1].split("."))
            if section == keys:
                return f":{number}"
        elif (entry := re.match(r"\s*([\w.-]+)\s*=", line)) and (*section, *entry[1].split(".")) == keys:
            return f":{number}"
    return ""
