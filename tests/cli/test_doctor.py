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
