"""The door: the command tree, and the one place where errors become exit codes.

Each command lives in a module of its own and is imported by name when it is asked for. No torch, no engine, no
network here.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import version
from typing import NoReturn

from cyclopts import App, CycloptsError, UnusedCliTokensError

from cli.common import STDIO
from cli.render import show_error
from cli.wording import help_of, in_options
from node.errors import BadConfig

OK, FAILED, BAD_REQUEST, INTERRUPTED = 0, 1, 2, 130
"""Exit codes: done; a defect of ours; the request cannot be met, with a remedy; stopped by the user."""


ELSEWHERE = "Check that path, its rights and the room on its disk; --home or BABELMESH_HOME names another home."

VOICE = {
    "add": "Make a voice from recordings of one person.",
    "record": "Make a voice, or give it more speech, from the microphone.",
    "list": "List the voices of this node.",
    "show": "Show what is known of a voice.",
    "remove": "Forget a voice.",
    "reconstruct": "Hear what the voice model does to a recording.",
    "convert": "Say a recording again in an enrolled voice.",
    "encode": "Code a recording of speech at 1 to 3 kbit/s.",
    "decode": "Make coded speech sound again.",
}
ALSO = {"remove": "rm", "rm": "remove"}
"""Other words for a verb: whoever knows one list of commands need not look into the other."""
GO_ON = (("translate",), ("models", "pull"))
"""Commands that keep their finished steps. Others begin again, or say themselves what is kept."""
KEPT = "Finished steps are kept: the same command goes on from here."
BEGINS = "What was not finished is lost: the same command begins again."
ROOMS = {"encode": "cli.codec", "decode": "cli.codec", "convert": "cli.conversion"}
"""Where the verbs of voices live that are not in cli.voice."""
PEERS = {
    "list": "List the peers: trusted, waiting at the door, blocked.",
    "add": "Add peers by their addresses, and trust them.",
    "trust": "Trust a peer: exchange with it.",
    "block": "Block a peer: not let in, and not dialled.",
    "remove": "Forget a peer.",
    "pair": "Make two nodes trust each other by a short code.",
}
CONFIG = {
    "show": "Show every setting and where it comes from.",
    "check": "Say whether the settings can be used.",
}
MODELS = {
    "list": "List the models with licence, size and state.",
    "show": "Show all that is known of a model.",
    "pull": "Fetch models, or sets of them, from where they are published.",
    "verify": "Check every byte of the models that are here.",
    "rm": "Remove models from this machine.",
    "gc": "Remove unfinished fetches and old revisions.",
    "path": "Print the folder that a model's files lie in.",
}


def build_app() -> App:
    """The command tree."""
    app = App(
        name="node",
        version=lambda: f"babelmesh {version('babelmesh')}",
        help="Babelmesh: your speech in another language, in a voice tinted with yours, on your own machine.",
        suppress_keyboard_interrupt=False,
        help_epilogue="Also installed as `babelmesh`, for machines where `node` is Node.js.",
    )
    app.command("cli.translate:translate", name="translate", help="Translate recordings, folders, pipes or text.")
    voice = App(name="voice", help="Keep voices: a profile of each, and frames of the owner's speech to learn from.")
    for verb, what in VOICE.items():
        where = f"{ROOMS.get(verb, 'cli.voice')}:{verb if verb != 'list' else 'list_'}"
        voice.command(where, name=_called(verb), help=what)
    app.command(voice)
    app.command("cli.start:start", name="start", help="Run this node: learn from your voice, exchange with peers.")
    app.command("cli.identity:id_", name="id", help="Show this node's id, its addresses and a QR code.")
    peers = App(name="peers", help="Say who this node exchanges with.")
    for verb, what in PEERS.items():
        peers.command(f"cli.peers:{verb if verb != 'list' else 'list_'}", name=_called(verb), help=what)
    app.command(peers)
    app.command("cli.stats:stats", name="stats", help="Show what this node does and has done.")
    app.command("cli.train:train", name="train", help="Learn from the speech of your voice now.")
    app.command("cli.simulate:simulate", name="simulate", help="Run thousands of nodes on this machine, and see.")
    config = App(name="config", help="Show and check the settings of this node.")
    for verb, what in CONFIG.items():
        config.command(f"cli.config:{verb}", name=verb, help=what)
    app.command(config)
    models = App(name="models", help="Fetch and check the model files that engines need.")
    for verb, what in MODELS.items():
        models.command(f"cli.models:{verb if verb != 'list' else 'list_'}", name=_called(verb), help=what)
    app.command(models)
    app.command("cli.detect:detect", name="detect", help="Say whether a recording is marked as synthetic speech.")
    app.command("cli.lipsync:lipsync", name="lipsync", help="Put another sound into a video, and lips that say it.")
    app.command("cli.warm:warm", name="warm", help="Load the engines once, and say what each takes.")
    bench = App(name="bench", help="Measure what this machine can do.")
    bench.command("cli.bench:engines", name="engines", help="Time and memory of engines, cold and warm.")
    app.command(bench)
    app.command("cli.doctor:doctor", name="doctor", help="Say what works on this machine, and what mends the rest.")
    return app


def commands() -> list[str]:
    """What all commands are called: `peers`, `peers trust`."""
    groups = {"voice": VOICE, "peers": PEERS, "config": CONFIG, "models": MODELS, "bench": ("engines",)}
    alone = ("translate", "lipsync", "detect", "start", "id", "stats", "train", "simulate", "doctor", "warm")
    verbs = [(group, name) for group, known in groups.items() for verb in known for name in _called(verb)]
    return [*alone, *groups, *(f"{group} {name}" for group, name in verbs)]


def _called(verb: str) -> tuple[str, ...]:
    """What a verb is called, its usual word first."""
    return (verb, ALSO[verb]) if verb in ALSO else (verb,)


def run(arguments: Sequence[str]) -> int:
    """Run one command line; the exit code. Errors are shown, never raised."""
    as_json, verbose = "--json" in arguments, bool({"-v", "--verbose"} & set(arguments))
    piped = list(arguments[:1]) == ["translate"]
    words = [str(STDIO) if piped and word == "-" else word for word in arguments]
    if "-" in words and words[0] in commands():
        show_error("This command takes no standard input or output.", "Name a file.", as_json=as_json)
        return BAD_REQUEST
    try:
        result = build_app()(words, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        show_error(_wrong(error), help_of(commands(), arguments), as_json=as_json)
        return BAD_REQUEST
    except KeyboardInterrupt as stop:
        goes_on = any(list(words[: len(command)]) == list(command) for command in GO_ON)
        sentence, remedy = getattr(stop, "sentence", "Stopped."), getattr(stop, "remedy", KEPT if goes_on else BEGINS)
        show_error(sentence, remedy, as_json=as_json)
        return INTERRUPTED
    except BrokenPipeError:
        return OK
    except Exception as error:  # noqa: BLE001 - the door is where every error becomes a sentence and a code
        if verbose:
            traceback.print_exc()
        sentence = getattr(error, "sentence", None)
        if sentence is None and not isinstance(error, OSError):
            show_error(
                f"Babelmesh failed: {type(error).__name__}: {error}.",
                "This is a defect of ours: run the command again with -v and report what it prints.",
                as_json=as_json,
            )
            return FAILED
        sentence, remedy = sentence or f"The system says: {error}.", getattr(error, "remedy", ELSEWHERE)
        if isinstance(error, BadConfig):
            sentence, remedy = in_options(sentence, remedy, arguments)
        show_error(sentence, remedy, as_json=as_json)
        return BAD_REQUEST
    return result if isinstance(result, int) else OK


def _wrong(error: CycloptsError) -> str:
    """What is wrong with a command line, in a sentence."""
    if isinstance(error, UnusedCliTokensError) and error.unused_tokens:
        return f"This command has no use for {' '.join(map(repr, error.unused_tokens))}."
    return str(error)


def main() -> None:
    """The console script. Being told to end is like Ctrl-C: what was begun is tidied up, what is done is kept.

    A node is meant to be told: until it runs there is nothing to tidy up, and from then on it has its own way to end.
    """
    starts = sys.argv[1:2] == ["start"]
    for name in ("SIGINT", "SIGTERM", "SIGHUP") if starts else ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _end if starts else _stop)
    code = run(sys.argv[1:])
    if starts:
        _leave(code)
    sys.exit(code)


def _leave(code: int) -> NoReturn:
    """End a node at once: all is closed and on disk, and taking torch apart would take seconds on a busy machine."""
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def _end(number: int, frame: object) -> NoReturn:
    os._exit(OK)


def _stop(number: int, frame: object) -> None:
    raise KeyboardInterrupt
