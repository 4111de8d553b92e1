"""A simulation's folder: the state that it goes on from after a stop, and the outcome at the end.

A state is written whole into a folder of its own before `state.json` points at it, so that a stop at any moment leaves
the one before. Knows nothing of what is simulated.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from ml.federated.simulation import Simulation
from node.errors import BadRequest
from node.files import make_folder, write_bytes, write_text
from node.simulation.cast import Cast
from node.simulation.outcome import Outcome, RoundRow
from node.simulation.page import page
from node.simulation.plots import png
from node.simulation.within import Within

Found = tuple[list[RoundRow], Simulation, Simulation | Within | None]


MARK = ".new-"
"""How names begin of what is being written."""


class _State(msgspec.Struct):
    """What `state.json` holds."""

    settings: dict[str, Any]
    folder: str
    rows: list[RoundRow]


class Kept:
    """The folder `out` of one wish."""

    def __init__(self, out: Path, settings: Mapping[str, Any]) -> None:
        """Raises BadRequest when the folder holds a simulation of another wish or something else, or cannot be."""
        self._out, self._settings = out, dict(settings)
        self._refuse_what_is_no_folder()
        self._refuse_others()

    @property
    def number(self) -> int:
        """Rounds that are on the disk."""
        outcome, state = self.outcome(), self._state()
        return len(outcome.rounds) if outcome is not None else len(state.rows) if state is not None else 0

    def outcome(self) -> Outcome | None:
        """What came out, when it was finished before."""
        try:
            return msgspec.json.decode((self._out / "result.json").read_bytes(), type=Outcome)
        except FileNotFoundError:
            return None
        except msgspec.MsgspecError as error:
            raise _foreign(self._out) from error

    def resume(self, stage: Cast, control: bool) -> Found | None:
        """Where it was stopped; nothing when it has not been begun, or no state was kept."""
        state = self._state()
        if state is None:
            return None
        folder = self._out / "states" / state.folder
        main = stage.resume(folder / "main")
        return state.rows, main, stage.resume_alone(folder / "alone", main) if control else None

    def save(self, rows: list[RoundRow], main: Simulation, alone: Simulation | Within | None) -> None:
        """Keep this state in place of the one before; a stop at any moment leaves one of them. Raises BadRequest and
        CannotWrite when it cannot be written."""
        with _writing(self._out):
            self._save(rows, main, alone)

    def _save(self, rows: list[RoundRow], main: Simulation, alone: Simulation | Within | None) -> None:
        states = self._out / "states"
        make_folder(states)
        folder = states / str(main.number)
        shutil.rmtree(folder, ignore_errors=True)
        make_folder(folder)
        main.save(folder / "main")
        if isinstance(alone, Simulation):
            alone.save(folder / "alone")
        write_bytes(self._out / "state.json", msgspec.json.encode(_State(self._settings, folder.name, rows)))
        for other in states.iterdir():
            if other != folder:
                shutil.rmtree(other, ignore_errors=True)

    def finish(self, outcome: Outcome) -> None:
        """Keep the outcome; the state is of no more use. Raises BadRequest when it cannot be written."""
        with _writing(self._out):
            write_bytes(self._out / "result.json", msgspec.json.format(msgspec.json.encode(outcome), indent=1))
            self._drop_state()

    def report(self, outcome: Outcome) -> None:
        """Write of the report and the plots what is missing. Raises BadRequest when it cannot be written."""
        plots, words = self._out / "plots.png", self._out / "report.html"
        with _writing(self._out):
            self._drop_state()
            if not plots.exists():
                write_bytes(plots, png(outcome))
            if not words.exists():
                write_text(words, page(outcome))

    def _drop_state(self) -> None:
        (self._out / "state.json").unlink(missing_ok=True)
        shutil.rmtree(self._out / "states", ignore_errors=True)

    def _state(self) -> _State | None:
        try:
            return msgspec.json.decode((self._out / "state.json").read_bytes(), type=_State)
        except FileNotFoundError:
            return None
        except msgspec.MsgspecError as error:
            raise _foreign(self._out) from error

    def _refuse_what_is_no_folder(self) -> None:
        """Before anything is computed: later it would be lost."""
        above = next(path for path in (self._out, *self._out.absolute().parents) if path.exists())
        if not above.is_dir():
            raise BadRequest(f"{above} is a file, not a folder.", "Name a folder with --out.")
        with _writing(self._out):
            Path(tempfile.mkdtemp(dir=above, prefix=MARK)).rmdir()

    def _refuse_others(self) -> None:
        state, outcome = self._state(), self.outcome()
        if state is None and outcome is None and self._out.is_dir():
            others = sorted(path.name for path in self._out.iterdir() if not _begun(path))
            if others:
                raise BadRequest(
                    f"{self._out} holds {others[0]!r}, which is not of a simulation.",
                    "Name a new or an empty folder with --out.",
                )
        there = state.settings if state is not None else outcome.settings if outcome is not None else None
        if there is not None and dict(there) != self._settings:
            different = sorted(
                name for name in {*there, *self._settings} if there.get(name) != self._settings.get(name)
            )
            raise BadRequest(
                f"{self._out} holds a simulation with another {', '.join(different)}.",
                "Name another folder with --out, or give the same settings to go on with it.",
            )


def _foreign(out: Path) -> BadRequest:
    return BadRequest(
        f"{out} holds something that is no simulation of this version.", "Name another folder with --out."
    )


def _begun(path: Path) -> bool:
    """Whether this may be what a stop in the middle of the first save leaves."""
    return path.name.startswith(MARK) or (path.name == "states" and path.is_dir() and not path.is_symlink())


@contextmanager
def _writing(out: Path) -> Iterator[None]:
    """Turns what the system said into a sentence."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise BadRequest(
            f"{out} cannot be written to: {reason[:1].lower() + reason[1:]}.",
            "Make room on its disk and see to its rights, or name another folder with --out.",
        ) from error
