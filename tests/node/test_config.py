from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.config import ConfigFile, TranslateSettings, load, read
from node.errors import BadConfig, HomeUnusable


def test_an_empty_home_means_the_defaults(tmp_path: Path) -> None:
    config = load(tmp_path, {})
    assert config.home == tmp_path
    assert config.translate == TranslateSettings()
    assert (config.file, config.voices, config.jobs) == (
        tmp_path / "babelmesh.toml",
        tmp_path / "voices",
        tmp_path / "jobs",
    )


def test_loading_creates_nothing(tmp_path: Path) -> None:
    load(tmp_path / "new", {})
    assert list(tmp_path.iterdir()) == []


def test_home_comes_from_the_option_then_the_environment_then_the_platform(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    named = {"BABELMESH_HOME": str(tmp_path / "named")}
    assert load(tmp_path / "given", named).home == tmp_path / "given"
    assert load(None, named).home == tmp_path / "named"
    assert load(None, {}).home == tmp_path / "data" / "babelmesh"
    assert load(None, {"BABELMESH_HOME": ""}).home == tmp_path / "data" / "babelmesh"
    assert load(None, named).models == tmp_path / "cache" / "babelmesh" / "models"


def test_a_relative_home_becomes_absolute(in_folder: Path) -> None:
    assert load(Path("here"), {}).home == in_folder / "here"


def test_a_tilde_is_the_owners_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load(Path("~/mesh"), {}).home == tmp_path / "mesh"


def test_a_home_folder_that_nobody_has_is_told_with_its_key(tmp_path: Path) -> None:
    with pytest.raises(HomeUnusable, match="~nobody-here/mesh: nobody here has that home folder") as caught:
        load(None, {"BABELMESH_HOME": "~nobody-here/mesh"})
    assert "BABELMESH_HOME" in caught.value.remedy
    with pytest.raises(BadConfig, match="BABELMESH_MODELS: ~nobody-here: nobody here has"):
        load(tmp_path, {"BABELMESH_MODELS": "~nobody-here"})
    file = tmp_path / "babelmesh.toml"
    for text, key in (
        ('\nmodels = "~nobody-here/m"\n', "models"),
        ('\ncatalogues = ["a", "~nobody-here"]\n', "catalogues"),
    ):
        file.write_text(text)
        with pytest.raises(BadConfig, match=rf"babelmesh\.toml:2: {key}: ~nobody-here") as told:
            load(tmp_path, {"BABELMESH_MODELS": "/elsewhere"})
        assert told.value.remedy


def test_a_byte_order_mark_is_no_letter(tmp_path: Path) -> None:
    (tmp_path / "babelmesh.toml").write_bytes(b'\xef\xbb\xbfmodels = "weights"\n')
    assert load(tmp_path, {}).models == tmp_path / "weights"
    (tmp_path / "babelmesh.toml").write_bytes(b"\xef\xbb\xbfzebra = 1\n")
    with pytest.raises(BadConfig, match=r"babelmesh\.toml:1: zebra is not"):
        load(tmp_path, {})


def test_models_come_from_the_environment_then_the_file(tmp_path: Path) -> None:
    (tmp_path / "babelmesh.toml").write_text('models = "weights"\n')
    assert load(tmp_path, {}).models == tmp_path / "weights"
    assert load(tmp_path, {"BABELMESH_MODELS": str(tmp_path / "other")}).models == tmp_path / "other"


def test_every_setting_is_read(tmp_path: Path) -> None:
    (tmp_path / "babelmesh.toml").write_text(
        """
        models = "/srv/models"
        [translate]
        to = "es"
        keep_background = true
        srt = true
        vtt = true
        [voice]
        profile = "mine"
        [engines]
        asr = "pocketsphinx"
        mt = "apertium"
        tts = "espeak-ng"
        speaker = "resemblyzer"
        """
    )
    config = load(tmp_path, {})
    assert config.models == Path("/srv/models")
    assert config.translate == TranslateSettings("es", keep_background=True, srt=True, vtt=True)
    assert config.voice.profile == "mine"
    assert (config.engines.asr, config.engines.mt, config.engines.tts) == ("pocketsphinx", "apertium", "espeak-ng")
    assert config.engines.speaker == "resemblyzer"


@pytest.mark.parametrize(
    ("text", "said", "remedy"),
    [
        ('[translate]\nto = "es"\nkeep_backround = true\n', ":3: translate.keep_backround is not", "keep_background"),
        ("[translat]\n", ":1: translat is not", "Did you mean translate?"),
        ("\nzebra = 1\n", ":2: zebra is not", "Known here: models, catalogues, translate, voice, engines, node, train"),
        ("translate.colour = 1\n", ":1: translate.colour is not", "Known here: to,"),
        ('[translate]\nto = "Spanish"\n', ':2: translate.to: expected a language code like "es"', "value"),
        ("[voice]\n\nprofile = 3\n", ":3: voice.profile: expected text, got a whole number", "value"),
        ("translate = 3\n", ":1: translate: expected a section, got a whole number", "value"),
        ('[translate]\nsrt = "yes"\n', ":2: translate.srt: expected true or false, got text", "value"),
        ('[engines]\nmemory = "4"\n', ':2: engines.memory: expected a size like "4 GB"', 'memory = "4 GB"'),
        ('[engines]\nisolation = "x"\n', ":2: engines.isolation: expected a list, got text", "isolation = ["),
        ("[engines]\nmemory = 4\n", ":2: engines.memory: expected text, got a whole number", "memory = "),
        ("[train]\nalpha = 2\n", ":2: train.alpha: expected a number of at most 1.0", "value"),
        ('[train]\nalpha = "slow"\n', ':2: train.alpha: expected a number or "auto".', "value"),
        ("[train]\nalpha = []\n", ':2: train.alpha: expected a number or "auto", got a list.', "value"),
        ("[train]\nalpha = nan\n", ":2: train.alpha: expected a number of at least 0.0", "value"),
        ("[train]\ninterval = inf\n", ":2: train.interval: expected a number of at most 31536000.0", "value"),
        ("[train]\nepochs = 1.5\n", ":2: train.epochs: expected a whole number, got a number", "value"),
        ("[train]\nepochs = 0\n", ":2: train.epochs: expected a whole number of at least 1", "value"),
        ('[privacy]\nshare = "some"\n', ":2: privacy.share: expected one of all, part, subspace", "value"),
        ('[privacy]\npart = "middle"\n', "expected one of encoder, decoder, biases", "value"),
        ("[privacy]\nepsilon = -1\n", ":2: privacy.epsilon: expected a number of at least 0.0", "value"),
        ("[privacy]\ndelta = 0.0\n", ":2: privacy.delta: expected a number above 0.0", "value"),
        ("[privacy]\nclip = 0\n", ":2: privacy.clip: expected a number above 0.0", "value"),
        ("[privacy]\nshares = 0\n", ":2: privacy.shares: expected a whole number of at least 1", "value"),
        ('[privacy]\nbudget = "My first"\n', ':2: privacy.budget: expected a word like "after-2026"', "value"),
        ("[privacy]\nnoise = 1\n", ":2: privacy.noise is not", "Known here: share,"),
        ('[train]\nencoding = "int5"\n', "expected one of fp32, fp16, int8, int4, ternary", "value"),
        (
            "[node]\nname = '" + "n" * 65 + "'\n",
            "expected text of at most this many letters: 64",
            "value",
        ),
        ('[node]\nlisten = "x"\n', ":2: node.listen: expected a list, got text", "value"),
        ("[node]\nlisten = [1]\n", ":2: node.listen: expected text, got a whole number", "value"),
        ('[node]\nlisten = ["localhost:1"]\n', ":2: node.listen: 'localhost:1' is not an address", "/ip4/"),
        ('[node]\nlisten = ["/dns4/a.example/tcp/1"]\n', "is no address to listen on", "/ip4/0.0.0.0/tcp/4710"),
        ('[node]\npeers = ["/ip4/1.2.3.4/tcp/1"]\n', ":2: node.peers: '/ip4/1.2.3.4/tcp/1' does not say", "/p2p/ID"),
        ("[voice]\nprofile = = 1\n", "is not TOML: Invalid value (at line 2, column 11)", "line"),
        ('[voice]\nprofile = "a"\nprofile = "b"\n', "is not TOML", "line"),
    ],
)
def test_nonsense_is_refused_by_file_line_and_key(tmp_path: Path, text: str, said: str, remedy: str) -> None:
    path = tmp_path / "babelmesh.toml"
    path.write_text(text)
    with pytest.raises(BadConfig) as caught:
        load(tmp_path, {})
    assert str(path) in caught.value.sentence
    assert said in caught.value.sentence
    assert remedy in caught.value.remedy


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "babelmesh.toml").write_bytes(b"models = '\xff'")
    with pytest.raises(BadConfig, match="not UTF-8 text: byte 10"):
        load(tmp_path, {})


def test_a_folder_in_the_files_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "babelmesh.toml").mkdir()
    with pytest.raises(BadConfig, match="cannot be read: Is a directory"):
        load(tmp_path, {})


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "babelmesh.toml"
    path.write_text("")
    path.chmod(0)
    with pytest.raises(BadConfig, match="Permission denied"):
        load(tmp_path, {})


@given(text=st.text(max_size=60))
def test_any_text_is_either_a_configuration_or_one_clear_error(
    text: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_text(text, encoding="utf-8", newline="")
    said: ConfigFile | BadConfig
    try:
        said = read(path)
    except BadConfig as error:
        said = error
    if isinstance(said, BadConfig):
        assert str(path) in said.sentence
        assert said.sentence.endswith(".")
    else:
        assert isinstance(said, ConfigFile)


def test_a_home_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(HomeUnusable, match="not a folder"):
        load(tmp_path / "file", {})


def test_settings_are_replaced_one_by_one(tmp_path: Path) -> None:
    (tmp_path / "babelmesh.toml").write_text("[train]\nalpha = 0.5\nepochs = 3\n")
    config = load(tmp_path, {})
    changed = config.with_(train={"alpha": 0.9, "epochs": None}, node={"listen": ("/ip4/127.0.0.1/tcp/0",)})
    assert (changed.train.alpha, changed.train.epochs) == (0.9, 3)
    assert changed.node.listen == ("/ip4/127.0.0.1/tcp/0",)
    assert (config.train.alpha, changed.home) == (0.5, config.home)
    assert config.with_() == config


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"train": {"alpha": 1.1}}, "train.alpha: expected a number of at most 1.0 or"),
        ({"node": {"api": 70_000}}, "node.api: expected a whole number of at most 65535."),
        ({"node": {"listen": ("/ip4/300.0.0.1/tcp/1",)}}, "node.listen: '/ip4/300.0.0.1/tcp/1': '300.0.0.1' is not"),
        ({"node": {"peers": ("nobody",)}}, "node.peers: 'nobody' is not an address"),
    ],
)
def test_a_replaced_setting_is_checked_like_one_in_the_file(tmp_path: Path, sections: dict, said: str) -> None:
    with pytest.raises(BadConfig) as caught:
        load(tmp_path, {}).with_(**sections)
    assert said in caught.value.sentence
    assert caught.value.remedy
