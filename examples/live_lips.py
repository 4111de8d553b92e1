"""Lips in live video: a file plays the camera, and says sentences or the live translation of its own sound.

python examples/live_lips.py talk.mp4 live.mp4 --text "Hola a todos. Esto es una prueba." --to es
python examples/live_lips.py talk.mp4 live.mp4 --from en --to es
... --computed --slow 3 --json      as fast as may be, as it would be on a machine that is three times slower
"""

import argparse
import dataclasses
import json
import os
import re
from contextlib import closing
from functools import partial
from pathlib import Path

from ml.audio.read import read
from ml.engines.protocols import EngineHome
from ml.engines.registry import Registry, discover
from ml.lips.live import LiveOptions
from ml.lips.presets import PRESETS
from ml.lips.renderers import renderer_at
from ml.lips.tracker import tracker_at
from ml.threads import limit_threads
from node.config import load
from node.film.live_file import Cast, LivePace, film_live
from node.film.live_speech import interpreted, live_translator, recited

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("video", type=Path)
parser.add_argument("result", type=Path)
parser.add_argument(
    "--text", default="Hola a todos. Esto es una prueba.", help="what is said, one sentence after another"
)
parser.add_argument("--from", dest="source", help="translate what is heard in this language instead")
parser.add_argument("--to", default="es")
parser.add_argument("--turns", choices=("fast", "safe"), default="fast", help="clauses, or whole sentences")
parser.add_argument("--lips", choices=("warp", "bank"), default="bank")
parser.add_argument("--quality", choices=tuple(PRESETS), default="fast")
parser.add_argument("--delay", type=float, default=0.2, help="seconds that each picture waits")
parser.add_argument("--computed", action="store_true", help="on a computed clock, without waiting")
parser.add_argument("--slow", type=float, default=1.0)
parser.add_argument("--json", action="store_true")
wishes = parser.parse_args()
limit_threads()
home = EngineHome(load(None, os.environ).models)
with closing(Registry(discover(), home)) as registry, closing(tracker_at(home)) as tracker:
    if wishes.source is None:
        talk = partial(recited, re.findall(r"[^.!?]+[.!?]*", wishes.text), wishes.to, registry.load("tts"))
    else:
        own = read(wishes.video)
        translator = live_translator(registry, wishes.source, wishes.to, own, wishes.turns)
        talk = partial(interpreted, translator, [own.samples])
    make = partial(renderer_at, wishes.lips, PRESETS[wishes.quality])
    cast = Cast(tracker, make, (wishes.source or "und", wishes.to))
    options = LiveOptions(wishes.delay, rest=wishes.source is not None)
    report = film_live(wishes.video, wishes.result, cast, talk, options, LivePace(not wishes.computed, wishes.slow))
facts = dataclasses.asdict(report)
print(json.dumps(facts) if wishes.json else "\n".join(f"{name:12}{value}" for name, value in list(facts.items())[:-1]))
