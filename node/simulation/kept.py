"""A simulation's folder: the state that it goes on from after a stop, and the outcome at the end.

A state is written whole into a folder of its own before `state.json` points at it, so that a stop at any moment leaves
the one before. Knows nothing of what is simulated.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from ml.federated.simulation import Simulation
from node.errors import BadRequest
from node.files import make_folder, write_bytes
from node.simulation.cast import Cast
from node.simulation.outcome import Outcome, RoundRow
from node.simulation.within import Within

Found = tuple[list[RoundRow], Simulation, Simulation | Within | None]


class _State(msgspec.Struct):
    """What `state.json` holds."""

    settings: dict[str, Any]
    folder: str
    rows: list[RoundRow]


class Kept:
    """The folder `out` of one wish."""

    def __init__(self, out: Path, settings: Mapping[str, Any]) -> None:
        """Raises BadRequest when the folder holds a simulation of another wish, or something else."""
        self._out, self._settings = out, dict(settings)
        self._refuse_others()

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
        """Keep this state in place of the one before."""
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
        """Keep the outcome; the state is of no more use."""
        write_bytes(self._out / "result.json", msgspec.json.format(msgspec.json.encode(outcome), indent=1))
        (self._out / "state.json").unlink(missing_ok=True)
        shutil.rmtree(self._out / "states", ignore_errors=True)

    def _state(self) -> _State | None:
        try:
            return msgspec.json.decode((self._out / "state.json").read_bytes(), type=_State)
        except FileNotFoundError:
            return None
        except msgspec.MsgspecError as error:
            raise _foreign(self._out) from error

    def _refuse_others(self) -> None:
        state, outcome = self._state(), self.outcome()
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
