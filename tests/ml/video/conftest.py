from __future__ import annotations

from pathlib import Path

import pytest

from tests.ml.video.clips import Recipe, Subtitles, Track, beep, cues, make


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video with all that one can have: two languages, subtitles, chapters, metadata, B-pictures."""
    recipe = Recipe(
        sounds=(Track(beep(0.8, 0.3), language="eng"), Track(beep(0.8, 0.5), language="deu", title="Director")),
        subtitles=(Subtitles(cues("one", "two"), "eng"),),
        metadata={"title": "A talk", "comment": "spoken"},
        chapters=((0.0, 0.4, "First"), (0.4, 0.8, "Second")),
    )
    return make(tmp_path_factory.mktemp("clips") / "talk.mp4", recipe)


@pytest.fixture(scope="session")
def matroska(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The like in Matroska, whose pictures say no time of decoding."""
    recipe = Recipe(sounds=(Track(beep(0.8, 0.3)),), subtitles=(Subtitles(cues("one"), "eng"),))
    return make(tmp_path_factory.mktemp("clips") / "talk.mkv", recipe)
