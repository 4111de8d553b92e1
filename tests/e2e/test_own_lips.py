"""Lips by weights that a user brings, in real processes: Wav2Lip draws and SyncNet scores, from files and from the
catalogue; what is lacking, wrong or not said yes to is told in a sentence.

The weights are random, of the published shapes: what they draw is noise, where they draw it is not.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from ml.audio.read import read
from ml.device import Placement
from ml.lips.brought import SYNCNET, WAV2LIP
from ml.lips.syncnet import load_syncnet
from ml.lips.wav2lip import NOTICE
from ml.video.probe import probe
from tests.e2e.films import node, pictures
from tests.ml.lips.lively import syncnet, wav2lip_network, written
from tests.ml.video.clips import Recipe, Track, make

CATALOGUE = """
[[model]]
name = "my-wav2lip"
task = "lips"
engine = "wav2lip"
summary = "random numbers"
licence = "research and personal use only"
use = "non-commercial"
terms = "Not for money."
source = { at = "folder", path = "weights" }
files = [{ path = "wav2lip_gan.pth" }]

[[model]]
name = "my-syncnet"
task = "lips"
engine = "syncnet"
summary = "random numbers"
licence = "MIT"
source = { at = "folder", path = "weights" }
files = [{ path = "syncnet_v2.model" }]
"""


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    written(wav2lip_network(), "training", folder / "wav2lip_gan.pth")
    written(syncnet(), "tensors", folder / "syncnet_v2.model")
    return folder


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Path:
    """Twelve pictures of a face, and a reader of LJ Speech."""
    spoken = read(repository / "examples" / "audio" / "lj.flac").cut(0, 1.5)
    recipe = Recipe(count=12, width=320, height=240, rate=8, sounds=(Track(spoken.samples, language="eng"),))
    return make(tmp_path_factory.mktemp("own") / "talk.mp4", recipe)


def lipsync(environment: dict[str, str], talk: Path, out: Path, *more: object, code: int = 0):
    return node(environment, "lipsync", talk, talk, "-o", out, "--face", "largest", *more, code=code)


def test_files_draw_and_score_and_the_notice_is_told_once(environment, talk, weights, tmp_path):
    out = tmp_path / "out.mp4"
    file, sync = weights / "wav2lip_gan.pth", weights / "syncnet_v2.model"
    done = lipsync(environment, talk, out, "--lips", "wav2lip", "--wav2lip", file, "--syncnet", sync)
    said, told = done.stdout.decode(), done.stderr.decode()
    assert told.count(NOTICE) == 1
    assert NOTICE not in said
    assert "12 of 12 pictures move (wav2lip with wav2lip_gan.pth, by the sound alone)" in said
    assert "Scored by SyncNet (syncnet_v2.model; 1." in said
    before, after = pictures(talk), pictures(out)
    changed = [np.abs(one - other)[120:215, 90:230].mean() for one, other in zip(before, after, strict=True)]
    around = [np.abs(one - other)[:60].mean() for one, other in zip(before, after, strict=True)]
    assert np.median(changed) > 3 * np.median(around)
    assert probe(out).audio


def test_models_of_the_catalogue_ask_once_and_stand_in_the_report(environment, talk, weights, tmp_path):
    models = tmp_path / "models"  # a yes to a licence is written down beside them
    models.mkdir()
    for one in Path(environment["BABELMESH_MODELS"]).iterdir():
        (models / one.name).symlink_to(one)
    environment = environment | {"BABELMESH_MODELS": str(models)}
    home = Path(environment["BABELMESH_HOME"])
    home.mkdir(parents=True, exist_ok=True)
    (home / "catalogue.toml").write_text(CATALOGUE)
    (home / "weights").symlink_to(weights)
    asked = ("--lips", "wav2lip", "--score", "--json")
    refused = lipsync(environment, talk, tmp_path / "no.mp4", *asked, code=2)
    error = json.loads(refused.stdout)
    assert "my-wav2lip is under research and personal use only" in error["error"]
    assert "node models pull my-wav2lip --accept-licence" in error["remedy"]
    assert not (tmp_path / "no.mp4").exists()
    node(environment, "models", "pull", "my-wav2lip", "--accept-licence")
    out = tmp_path / "out.mp4"
    facts = json.loads(lipsync(environment, talk, out, *asked).stdout)
    assert (facts["renderer"], facts["moved"], facts["curves"]) == ("wav2lip", 12, "sound")
    assert facts["weights"]["name"] == "my-wav2lip"
    assert facts["weights"]["published"] is False
    assert NOTICE in facts["notes"]
    assert facts["compute"]["score lips"] > 0
    sync = facts["sync"]
    assert sync["weights"]["name"] == "my-syncnet"
    assert (sync["seconds"], sync["start"]) == (pytest.approx(1.4, abs=0.1), 0.0)
    assert -15 <= sync["offset"] <= 15
    assert np.isfinite([sync["confidence"], sync["distance"]]).all()
    listed = json.loads(node(environment, "models", "list", "my-wav2lip", "my-syncnet", "--json").stdout)["models"]
    assert [(line["state"], line["fault"]) for line in listed] == [("present", ""), ("present", "")]


@pytest.mark.slow
def test_the_score_is_the_one_that_the_scorer_gives(environment, talk, weights, tmp_path):
    """The whole way against the scorer alone, on pictures that are the same: those that were written."""
    from ml.engines.protocols import EngineHome
    from ml.lips.syncnet import face_squares
    from ml.lips.tracker import tracker_at
    from ml.types import Audio
    from ml.video.read import VideoReader

    out = tmp_path / "out.mkv"
    done = lipsync(environment, talk, out, "--lips", "warp", "--syncnet", weights / "syncnet_v2.model", "--json")
    sync = json.loads(done.stdout)["sync"]
    tracker = tracker_at(EngineHome(Path(environment["BABELMESH_MODELS"])))
    with VideoReader(talk) as before, VideoReader(out) as after:
        faces = [tracker.follow(still.picture)[0] for still in before]
        shown = [still.picture for still in after]
    tracker.close()
    ticks = [min(11, int(tick / 25 * 8 + 1e-3)) for tick in range(int(11 / 8 * 25 + 1e-6) + 1)]
    scorer = load_syncnet(weights / "syncnet_v2.model", Placement())
    squares = face_squares((shown[at] for at in ticks), [faces[at] for at in ticks])
    sound = Audio(read(talk).samples[: len(ticks) * 640])
    expected = scorer.score(squares, sound)
    assert sync["offset"] == expected.offset
    assert sync["distance"] == pytest.approx(expected.distance, abs=2e-3)
    assert sync["confidence"] == pytest.approx(expected.confidence, abs=2e-3)


@pytest.mark.slow
def test_a_translation_is_drawn_and_scored_too(environment, talk, weights, tmp_path):
    out = tmp_path / "talk.es.mp4"
    own = ("--lips", "wav2lip", "--wav2lip", weights / "wav2lip_gan.pth", "--syncnet", weights / "syncnet_v2.model")
    done = node(environment, "translate", talk, "--to", "es", "-o", out, "--face", "largest", *own, "--json")
    (report,) = json.loads(done.stdout)["reports"]
    assert report["film"]["moved"] > 6
    assert report["film"]["weights"]["name"] == "wav2lip_gan.pth"
    assert report["film"]["sync"]["weights"]["name"] == "syncnet_v2.model"
    assert report["warnings"].count(NOTICE) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--lips", "wav2lip"), ("no weights on this machine", *WAV2LIP.remedy.split(". ")[:1])),
        pytest.param(
            ("--score",), ("SyncNet, which scores lips", *SYNCNET.remedy.split(". ")[:1]), marks=pytest.mark.slow
        ),
        pytest.param(
            ("--lips", "wav2lip", "--wav2lip", "gone.pth"),
            ("gone.pth is neither a file nor", "435801865 bytes"),
            marks=pytest.mark.slow,
        ),
        (
            ("--lips", "wav2lip", "--wav2lip", "WEIGHTS/syncnet_v2.model"),
            ("missing face_encoder", "seems to be SyncNet"),
        ),
        pytest.param(
            ("--syncnet", "WEIGHTS/page.html"),
            ("page.html", "Fetch it again from its publisher"),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ("--lips", "wav2lip", "--wav2lip", "WEIGHTS/half.pth"),
            ("half.pth is not Wav2Lip", "output_block.1.bias"),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_what_is_lacking_or_wrong_is_told_before_any_work(environment, talk, weights, tmp_path, arguments, said):
    (weights / "page.html").write_text("<html>Sign in first</html>")
    if "WEIGHTS/half.pth" in arguments:
        state = {key: value for key, value in wav2lip_network().state_dict().items() if key != "output_block.1.bias"}
        torch.save(state, weights / "half.pth")
    given = [str(one).replace("WEIGHTS", str(weights)) for one in arguments]
    done = lipsync(environment, talk, tmp_path / "out.mp4", *given, code=2)
    error = " ".join(done.stderr.decode().split())
    for part in said:
        assert part in error
    assert "Traceback" not in error
    assert NOTICE not in error
    assert list(tmp_path.iterdir()) == []
