"""Writes a Flower app in which our clients learn under somebody's own SuperLink.

The files lie in `app/` as they are written; only the numbers of the wish are put in. Knows nothing of what they do.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from node.errors import BadRequest
from node.files import make_folder, write_text
from node.simulation.wish import Cut, Wish, check

FILES = ("pyproject.toml", "README.md", "babelmesh_flower/client_app.py", "babelmesh_flower/server_app.py")
"""What an app is made of, beside an empty `babelmesh_flower/__init__.py`."""

OWN: Mapping[str, float] = {"node-mix": 0.7, "mix70": 0.7, "mix50": 0.5, "mix90": 0.9, "fedavg": 0.0}
"""Algorithms that a server's average can serve, and how much of their own model everybody keeps in a round."""


def export(wish: Wish, out: Path) -> tuple[Path, ...]:
    """The files of an app that does the wish's rounds. Raises BadRequest for a wish that Flower cannot do or a folder
    with something else in it, and OSError when it cannot be written."""
    check(wish, Cut())
    if wish.algorithm not in OWN:
        raise BadRequest(
            f"Under Flower's server nobody can learn by {wish.algorithm}.", f"Take one of: {', '.join(sorted(OWN))}."
        )
    _refuse_what_flower_decides(wish)
    if out.exists() and any(out.iterdir()):
        raise BadRequest(f"{out} is not empty.", "Name a new folder with --out.")
    values = {
        "rounds": wish.rounds,
        "peers": wish.peers or 2,
        "alpha": OWN[wish.algorithm],
        "epochs": wish.epochs,
        "batch": wish.batch,
        "rate": wish.rate,
        "seconds": float(wish.seconds),
        "seed": wish.seed,
    }
    source = resources.files("node.simulation.flower") / "app"
    make_folder(out / "babelmesh_flower")
    write_text(out / "babelmesh_flower" / "__init__.py", '"""Babelmesh\'s clients under Flower."""\n')
    for name in FILES:
        text = (source / (Path(name).name + ".tmpl")).read_text(encoding="utf-8")
        for key, value in values.items():
            text = text.replace("{{" + key + "}}", json.dumps(value))
        write_text(out / name, text)
    return tuple(out / name for name in FILES)


def _refuse_what_flower_decides(wish: Wish) -> None:
    usual = Wish()
    for name in ("topology", "received", "churn", "hostile", "compression", "bandwidth", "latency", "speech"):
        if getattr(wish, name) != getattr(usual, name):
            raise BadRequest(
                f"Under Flower --{name} is not ours to decide.", f"Leave --{name} out; the app's README says what is."
            )
