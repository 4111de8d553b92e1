"""The data that engines of this house work with (dictionaries, acoustic models, voices): what is here, how to get it.

Looks at files only and loads nothing. Fetched model files are not here: each engine's spec asks for its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path


@dataclass(frozen=True)
class Pack:
    """One pack: what is in it when present, what its lack means when not."""

    name: str
    present: bool
    detail: str
    remedy: str = ""


def find_packs(modes: Path = Path("/usr/share/apertium/modes")) -> tuple[Pack, ...]:
    """All packs; `modes` is where Debian keeps the mode files of Apertium's language pairs."""
    return (
        apertium_pack(modes),
        espeak_pack(),
        package_pack("English acoustic model", "pocketsphinx", "model/en-us/en-us", "pip install pocketsphinx==5.1.1"),
        package_pack(
            "voice activity model", "silero_vad", "data/silero_vad_16k_sequence.onnx", "pip install silero-vad"
        ),
    )


def apertium_pack(modes: Path) -> Pack:
    """Apertium's language pairs and how far they reach from English and into it."""
    from ml.engines.routes import find_pairs

    pairs = find_pairs(modes)
    everywhere = pairs.all()
    out = [target for source, target in everywhere if source == "en"]
    back = [source for source, target in everywhere if target == "en"]
    if not out:
        detail = f"no language pair with English in {modes}."
        return Pack("Apertium pairs", False, detail, "sudo apt-get install apertium-eng-cat apertium-spa-cat")
    detail = f"{len(everywhere)} directions; en to {', '.join(out)}; {', '.join(back) or 'nothing'} to en"
    return Pack("Apertium pairs", True, detail)


def espeak_pack() -> Pack:
    """The library of espeak-ng and its voices."""
    from ml.engines.espeak import find_library

    files = find_library()
    if files is None:
        return Pack("espeak-ng voices", False, "no library found.", "pip install espeakng-loader")
    return Pack("espeak-ng voices", True, f"{files.library} from {files.origin}")


def package_pack(name: str, package: str, inside: str, remedy: str) -> Pack:
    """A file or folder that an installed Python package brings along."""
    spec = find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (path := Path(folder, inside)).exists():
            return Pack(name, True, str(path))
    lack = f"the package {package} is not installed." if spec is None else f"{package} is here without {inside}."
    return Pack(name, False, lack, remedy)
