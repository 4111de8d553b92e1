"""The child process of an isolated engine: `python -m ml.engines.isolated_worker`.

The first frame on stdin says which engine; it is loaded, and then calls come as frames and answers leave on stdout. One
thread reads and answers pings at once, another does the work, one call after the other. The end of stdin ends the
process. What an engine prints goes to stderr. Knows no engine by name.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import queue
import sys
import threading
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from ml import errors
from ml.device import Placement, give_back, ran_out
from ml.engines import frames
from ml.engines.isolated_calls import call, pack, unpack
from ml.engines.protocols import Engine, EngineHome, EngineSpec
from ml.errors import EngineFailed, MlError
from ml.models.checkpoint import Checkpoint
from ml.models.entry import ModelEntry

UNEXPECTED = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    BufferError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,
    NameError,
    OSError,
    RuntimeError,
    StopIteration,
    TypeError,
    ValueError,
)
"""What engines raise that should have been one of ml.errors. Anything else ends the process, which says so."""
ASKED = {"many": "translate_many", "streams": "stream", "rehearses": "rehearse"}
"""What an engine may have, by the call that asks for it."""
HUNG = 120.0
"""Seconds for which native code may keep all of Python from running; then the process ends and says where it was.
Whoever asks ends it sooner, but may be gone."""
BROKEN = 70
"""The exit code when the work itself broke (EX_SOFTWARE of sysexits.h)."""


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """How to get the engine: a spec by "module:attribute", or the entry of a checkpoint and where its files are."""

    models: str
    spec: str = ""
    entry: ModelEntry | None = None
    folder: str = ""
    revision: str = ""
    beside: dict[str, str] = {}
    made: str = ""
    placement: Placement | None = None
    """Where it shall compute; None: where the engine chooses."""


def recipe_of(checkpoint: Checkpoint, models: Path) -> Recipe:
    """How a child gets the engine of a checkpoint that is here; `models` is the folder of fetched models."""
    beside = {part: str(folder) for part, folder in checkpoint.beside.items()}
    return Recipe(
        models=str(models),
        entry=checkpoint.entry,
        folder=str(checkpoint.folder),
        revision=checkpoint.revision,
        beside=beside,
        made=str(checkpoint.made) if checkpoint.made else "",
    )


def spec_of(recipe: Recipe) -> EngineSpec:
    """The spec that a recipe names."""
    if recipe.entry is None:
        module, _, name = recipe.spec.partition(":")
        found: EngineSpec = getattr(import_module(module), name)
        return found
    from ml.engines.checkpoints import specs

    beside = {part: Path(folder) for part, folder in recipe.beside.items()}
    workplace = Path(recipe.made) if recipe.made else None
    checkpoint = Checkpoint(recipe.entry, Path(recipe.folder), recipe.revision, beside, workplace)
    (made,) = specs(
        [recipe.entry],
        lambda entry, home: checkpoint,
        lambda entry, home: True,
        lambda entry: recipe.placement or Placement(),
    )
    return made


def engine_of(recipe: Recipe) -> Engine:
    """The engine that a recipe names, where it says. Raises what building raises."""
    spec, home = spec_of(recipe), EngineHome(Path(recipe.models))
    if spec.at is None or recipe.placement is None:
        return spec.factory(home)
    return spec.at(home, recipe.placement)


class Room:
    """An engine, the utterances that it is hearing and the speech that it is giving out in pieces."""

    def __init__(self, engine: Engine) -> None:
        """`engine` is loaded."""
        self._engine: Any = engine
        self._open: dict[int, Any] = {}
        self._opened = 0

    def do(self, name: str, given: bytes) -> bytes:
        """One call. Raises what the engine raises."""
        types = call(self._engine.spec.task, name)
        result = self._called(name, unpack(given, types.given))
        return pack(result)

    def _called(self, name: str, given: tuple[Any, ...]) -> object:
        kind, _, method = name.partition(".")
        if method:
            number, *rest = given
            if number not in self._open:
                if method in {"abandon", "close"}:
                    return None
                raise EngineFailed("This utterance was ended.", "Begin another one.")
            thing = self._open[number]
            if method == "abandon":  # also when that fails it is over
                del self._open[number]
            result = next(thing, None) if (kind, method) == ("stream", "next") else getattr(thing, method)(*rest)
            if method in {"close", "finish"} or (method, result) == ("next", None):
                del self._open[number]
            return result
        if name in {"listen", "stream"}:
            self._opened += 1
            self._open[self._opened] = getattr(self._engine, name)(*given)
            return self._opened
        if name == "rate":
            return self._engine.rate
        if name in ASKED:
            return hasattr(self._engine, ASKED[name])
        return getattr(self._engine, name)(*given)

    def close(self) -> None:
        """Let the engine go."""
        self._engine.close()


def main(source: BinaryIO, sink: BinaryIO) -> None:
    """Serve until `source` ends."""
    writing = threading.Lock()
    work: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()

    def answer(message: dict[str, Any]) -> None:
        with writing:
            frames.write(sink, message)

    def labour() -> None:
        ended = False
        try:
            serve(work, answer)
            ended = True
        finally:
            if not ended:  # one that answers pings and nothing else is of no use
                traceback.print_exc()
                os._exit(BROKEN)

    faulthandler.dump_traceback_later(HUNG, exit=True)
    threading.Thread(target=_put_off_the_end, daemon=True).start()
    worker = threading.Thread(target=labour, daemon=True)
    worker.start()
    with contextlib.suppress(frames.BrokenFrame):  # whoever asks fell while it wrote
        while (message := frames.read(source)) is not None:
            if message.get("call") == "ping":
                answer({"id": 0})
            else:
                work.put(message)
    work.put(None)
    worker.join(1.0)  # what takes longer is not waited for
    os._exit(0)


def _put_off_the_end() -> None:
    """Again and again, which takes Python that runs."""
    never = threading.Event()
    while not never.wait(HUNG / 4):
        faulthandler.dump_traceback_later(HUNG, exit=True)


def serve(work: queue.SimpleQueue[dict[str, Any] | None], answer: Callable[[dict[str, Any]], None]) -> None:
    """Do what comes, one after the other, and say of each when it begins; until None comes."""
    room: Room | None = None
    while (message := work.get()) is not None:
        number, name = message["id"], message["call"]
        answer({"id": number, "begun": True})
        short = False
        try:
            if name == "load":
                recipe = msgspec.convert(message["recipe"], Recipe)
                room = Room(engine_of(recipe))
                said: dict[str, Any] = {"ok": b""}
            elif room is None:
                raise EngineFailed("The engine is not loaded.", "Open a new session.")
            else:
                said = {"ok": room.do(name, message.get("given", b""))}
        except (MlError, *UNEXPECTED) as error:
            short = ran_out(error)
            said = _told(error, short)
        try:
            answer({"id": number, **said})
        except frames.BrokenFrame as error:
            sentence = f"The engine's answer is too much at once: {error}."
            answer({"id": number, "error": "EngineFailed", "sentence": sentence, "remedy": "Give it shorter pieces."})
        if short:
            give_back()
    if room is not None:
        room.close()


def _told(error: BaseException, short: bool) -> dict[str, Any]:
    """An error as it travels: the nearest class of ml.errors, for causes stay here."""
    if not isinstance(error, MlError):
        kind = "OutOfMemory" if short else "EngineFailed"
        sentence = f"The engine failed: {type(error).__name__}: {str(error)[:300]}"
        return {"error": kind, "sentence": sentence, "remedy": "Report it."}
    known = next(kind.__name__ for kind in type(error).__mro__ if getattr(errors, kind.__name__, None) is kind)
    return {"error": "OutOfMemory" if short else known, "sentence": error.sentence, "remedy": error.remedy}


if __name__ == "__main__":
    questions, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints, prints to stderr: stdout is the pipe
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)  # and whatever reads finds nothing: stdin is the other one
    sys.stdout = sys.stderr
    main(questions, answers)
