"""The model catalogue as the household tells it."""

import pytest

from ml.errors import ModelDamaged, Unavailable
from ml.models.catalogue import Catalogue
from node.errors import BadRequest
from node.library import model_lines, pull_models, verify_models


def test_missing_models_are_listed_with_licence_and_size(tmp_path):
    (line,) = [line for line in model_lines(tmp_path) if line["name"] == "resemblyzer"]
    assert line["state"] == "missing"
    assert line["licence"] == "Apache-2.0"
    assert verify_models(tmp_path, [])[0]["state"] == "missing"


def test_what_is_here_is_not_fetched_again(models_dir):
    told: list[str] = []
    (line,) = pull_models(models_dir, ["resemblyzer"], None, told.append)
    assert line["state"] == "present"
    assert told == []
    assert verify_models(models_dir, ["resemblyzer"])[0]["state"] == "present"


def test_damage_is_named(tmp_path):
    entry = Catalogue.load().find("resemblyzer")
    (tmp_path / entry.file_name).write_bytes(b"nothing")
    assert model_lines(tmp_path)[0]["state"] == "damaged"
    with pytest.raises(ModelDamaged, match=str(tmp_path)):
        verify_models(tmp_path, [])


def test_wrong_requests(tmp_path):
    with pytest.raises(Unavailable, match="no model called"):
        pull_models(tmp_path, ["nothing"], None, print)
    with pytest.raises(Unavailable):
        pull_models(tmp_path, ["resemblyzer"], tmp_path / "no.whl", lambda text: None)
    with pytest.raises(BadRequest):
        pull_models(tmp_path, ["resemblyzer", "resemblyzer"], tmp_path / "no.whl", print)
