"""The child process of an isolated engine: `python -m ml.engines.isolated_worker`.

The first frame on stdin says which engine; it is loaded, and then calls come as frames and answers leave on stdout. One
thread reads and answers pings at once, another does the work, one call after the other. The end of stdin ends the
process. What an engine prints goes to stderr. Knows no engine by name.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from ml.device import Placement, ran_out
from ml.engines import frames
from ml.engines.isolated_calls import call, pack, unpack
from ml.engines.protocols import Engine, EngineHome, EngineSpec
from ml.errors import EngineFailed, MlError
from ml.models.checkpoint import Checkpoint
from ml.models.entry import ModelEntry

UNEXPECTED = (ValueError, KeyError, TypeError, AttributeError, ImportError, OSError, RuntimeError, MemoryError)
"""What engines raise that should have been one of ml.errors."""


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """How to get the engine: a spec by "module:attribute", or the entry of a checkpoint and where its files are."""

    models: str
    spec: str = ""
    entry: ModelEntry | None = None
    folder: str = ""
    revision: str = ""
    beside: dict[str, str] = {}
    placement: Placement = Placement()


def recipe_of(checkpoint: Checkpoint, models: Path) -> Recipe:
    """How a child gets the engine of a checkpoint that is here; `models` is the folder of fetched models."""
    beside = {part: str(folder) for part, folder in checkpoint.beside.items()}
    return Recipe(
        models=str(models),
        entry=checkpoint.entry,
        folder=str(checkpoint.folder),
        revision=checkpoint.revision,
        beside=beside,
    )


def spec_of(recipe: Recipe) -> EngineSpec:
    """The spec that a recipe names."""
    if recipe.entry is None:
        module, _, name = recipe.spec.partition(":")
        found: EngineSpec = getattr(import_module(module), name)
        return found
    from ml.engines.checkpoints import specs

    beside = {part: Path(folder) for part, folder in recipe.beside.items()}
    checkpoint = Checkpoint(recipe.entry, Path(recipe.folder), recipe.revision, beside)
    (made,) = specs(
        [recipe.entry], lambda entry, home: checkpoint, lambda entry, home: True, lambda entry: recipe.placement
    )
    return made


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
            result = next(thing, None) if (kind, method) == ("stream", "next") else getattr(thing, method)(*rest)
            if method == "close" or (method, result) == ("next", None):
                self._open.pop(number).close()
            return result
        if name in {"listen", "stream"}:
            self._opened += 1
            self._open[self._opened] = getattr(self._engine, name)(*given)
            return self._opened
        if name == "rate":
            return self._engine.rate
        if name == "many":
            return hasattr(self._engine, "translate_many")
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

    worker = threading.Thread(target=_work, args=(work, answer), daemon=True)
    worker.start()
    for message in _messages(source):
        if message.get("call") == "ping":
            answer({"id": 0})
        else:
            work.put(message)
    work.put(None)
    worker.join(1.0)  # what takes longer is not waited for
    os._exit(0)


def _messages(source: BinaryIO) -> Iterator[dict[str, Any]]:
    while (message := frames.read(source)) is not None:
        yield message


def _work(work: queue.SimpleQueue[dict[str, Any] | None], answer: Any) -> None:  # noqa: ANN401
    room: Room | None = None
    while (message := work.get()) is not None:
        number, name = message["id"], message["call"]
        try:
            if name == "load":
                recipe = msgspec.convert(message["recipe"], Recipe)
                room = Room(spec_of(recipe).factory(EngineHome(Path(recipe.models))))
                answer({"id": number, "ok": b""})
            elif room is None:
                raise EngineFailed("The engine is not loaded.", "Open a new session.")
            else:
                answer({"id": number, "ok": room.do(name, message.get("given", b""))})
        except MlError as error:
            told = {"error": type(error).__name__, "sentence": error.sentence, "remedy": error.remedy}
            answer({"id": number, **told})
        except UNEXPECTED as error:
            sentence = f"The engine failed: {type(error).__name__}: {str(error)[:300]}"
            kind = "OutOfMemory" if ran_out(error) else "EngineFailed"
            answer({"id": number, "error": kind, "sentence": sentence, "remedy": "Report it."})
    if room is not None:
        room.close()


if __name__ == "__main__":
    pipe = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints, prints to stderr: stdout is the pipe
    sys.stdout = sys.stderr
    main(sys.stdin.buffer, pipe)
