"""Errors in the words of the command line: the option that was given, not its setting; the command's own help.

Knows what settings and options are called, nothing of what they do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from node.complaints import MEND

OPTIONS = {
    "node.peers": "--peer",
    "node.listen": "--listen",
    "node.name": "--name",
    "node.open": "--open",
    "node.discover": "--discover",
    "node.api": "--port",
    "train.rounds": "--rounds",
    "train.interval": "--interval",
    "train.method": "--method",
    "train.model": "--model",
    "train.alpha": "--alpha",
    "train.peers_per_round": "--peers-per-round",
    "train.epochs": "--epochs",
    "train.batch": "--batch",
}
"""The options of `node start` and `node train` for settings, where they are called otherwise or not in a file."""


def in_options(sentence: str, remedy: str, arguments: Sequence[str]) -> tuple[str, str]:
    """What is wrong with a setting, and what to do: by the option when it was said here, and by what is allowed.

    A setting that was read from a file has the file before it, and stays what it is called there.
    """
    key, _, rest = sentence.partition(": ")
    option = OPTIONS.get(key, "")
    said = bool(option) and any(word == option or word.startswith(option + "=") for word in arguments)
    if said:
        sentence = f"{option}: {rest}"
    if expected := re.search(r"expected (.+?)(?:, got .+)?\.$", rest):
        if said:
            remedy = f"Give {option} {expected[1]}."
        elif remedy == MEND:
            remedy = f"Write {expected[1]} there."
    return sentence, remedy


def instead(name: str, known: Sequence[str], otherwise: str = "") -> str:
    """What may have been meant: `Did you mean whisper-small?`; where nothing known is near the name `otherwise`, or all
    that is known."""
    import difflib

    near = difflib.get_close_matches(name, known, 3, 0.5)
    return f"Did you mean {' or '.join(near)}?" if near else otherwise or f"Those are: {', '.join(known)}."


def help_of(commands: Iterable[str], arguments: Sequence[str]) -> str:
    """Where a command is explained: `See: node peers trust --help`. `commands` are all words that commands are called.

    The command is the words at the beginning of the arguments that are commands, two at most.
    """
    known = set(commands)
    words: list[str] = []
    for word in arguments[:2]:
        if " ".join((*words, word)) not in known:
            break
        words.append(word)
    return " ".join(("See: node", *words, "--help"))
