"""`node doctor` as its user sees it."""

import json

from cli.app import run


def test_the_doctor_tells_what_is_missing_and_how_to_get_it(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("BABELMESH_MODELS", str(tmp_path / "nothing"))
    assert run(["doctor"]) == 2
    shown = capsys.readouterr().out
    assert "resemblyzer" in shown
    assert "To mend: " in shown
    assert "node models pull resemblyzer" in shown


def test_json_holds_every_finding(capsys, models_dir, monkeypatch):
    monkeypatch.setenv("BABELMESH_MODELS", str(models_dir))
    code = run(["doctor", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert (code == 0) == told["well"]
    areas = {finding["area"] for finding in told["findings"]}
    assert {"jobs", "engines", "data", "programs", "machine", "storage"} <= areas
    wrong = [f for f in told["findings"] if f["state"] in ("missing", "broken")]
    assert told["well"] == (not wrong)
    assert all(finding["remedy"] for finding in wrong)


def test_a_catalogue_that_is_wrong_is_a_finding_and_hides_no_other(capsys, babelmesh_home):
    (babelmesh_home / "catalogue.toml").write_text('[[model]]\nname = "mine"\nrank = "high"\n')
    (babelmesh_home / "babelmesh.toml").write_text('[engines]\nisolation = ["mine"]\n')
    assert run(["doctor", "--json"]) == 2
    findings = json.loads(capsys.readouterr().out)["findings"]
    assert (findings[0]["name"], findings[0]["state"]) == ("catalogue", "broken")
    assert "the entry mine (line 1), rank" in findings[0]["detail"]
    assert "docs/models.md" in findings[0]["remedy"]
    assert {"jobs", "programs", "machine"} <= {finding["area"] for finding in findings}
    assert run(["models", "list"]) == 2, "who would use it is stopped"
