"""Errors of the hub's client in plain words, and how long a busy hub is waited for."""

from __future__ import annotations

from pathlib import Path

import httpx2
import pytest
from huggingface_hub import errors

from ml.errors import ModelDamaged, Unavailable
from ml.models import hub as hub_module
from ml.models.entry import HubSource
from ml.models.hub import UNREACHED, HubOptions, download, look, patience, told
from ml.models.record import PinnedFile
from tests.ml.models.hub_server import COMMIT, Hub, Trouble
from tests.ml.models.published import FILES, REPO

SOURCE = HubSource(REPO)


def answer(status: int, **headers: str) -> errors.HfHubHTTPError:
    request = httpx2.Request("GET", "https://hub.example/x")
    told_so = {key.replace("_", "-"): value for key, value in headers.items()}
    return errors.HfHubHTTPError("no", response=httpx2.Response(status, headers=told_so, request=request))


@pytest.mark.parametrize(
    ("status", "headers", "pause"),
    [
        (429, {"Retry_After": "7"}, 7.0),
        (503, {"Retry_After": "0"}, 0.0),
        (429, {}, True),
        (429, {"Retry_After": "Wed, 21 Oct 2026 07:28:00 GMT"}, True),
        (500, {}, True),
        (429, {"Retry_After": "121"}, False),
        (401, {}, False),
        (403, {"Retry_After": "1"}, False),
        (404, {}, False),
    ],
)
def test_a_busy_hub_says_how_long_to_wait(status: int, headers: dict[str, str], pause: float | bool) -> None:
    found = told(answer(status, **headers), SOURCE)
    assert found is not None
    assert patience(found) == pause
    assert (patience(found) is False) == (pause is False)


@pytest.mark.parametrize(
    ("error", "passing"),
    [
        (httpx2.ReadTimeout("slow"), True),
        (httpx2.ConnectTimeout("slow"), True),
        (httpx2.ConnectError("no route"), True),
        (httpx2.ReadError("reset"), True),
        (httpx2.RemoteProtocolError("cut"), True),
        (httpx2.ProxyError("407"), False),
        (httpx2.TooManyRedirects("round and round"), False),
        (errors.OfflineModeIsEnabled("offline"), False),
        (ValueError("no JSON"), False),
    ],
)
def test_what_may_pass_is_tried_again(error: Exception, passing: bool) -> None:
    found = told(error, SOURCE, "a.bin")
    assert isinstance(found, Unavailable)
    assert found.remedy
    assert patience(found) is passing


def test_what_is_not_the_hubs_passes_through() -> None:
    assert told(OSError(28, "No space left on device"), SOURCE) is None
    assert told(ModelDamaged("x"), SOURCE) is None
    assert patience(KeyError("x")) is False


def test_a_repository_is_described_with_sizes_and_hashes(hub: Hub) -> None:
    offer = look(SOURCE, None, HubOptions(hub.endpoint))
    assert offer.commit == COMMIT
    assert {path: file.bytes for path, file in offer.files.items()} == {path: len(data) for path, data in FILES.items()}
    assert offer.files["model.safetensors"].sha256
    assert offer.files["config.json"].sha256 is None
    assert len(offer.files["config.json"].git or "") == 40


def test_an_answer_that_is_no_hubs_is_told(hub: Hub) -> None:
    hub.troubles.append(Trouble(REPO, 200))
    with pytest.raises(Unavailable, match="did not answer as a hub") as caught:
        look(SOURCE, None, HubOptions(hub.endpoint))
    assert caught.value.remedy


def test_no_more_than_the_size_is_written(hub: Hub, tmp_path: Path) -> None:
    file = PinnedFile("model.safetensors", 5000, "0" * 64)
    with pytest.raises(ModelDamaged, match="larger"):
        download(SOURCE, COMMIT, file, tmp_path / "part", HubOptions(hub.endpoint))
    assert (tmp_path / "part").stat().st_size <= 5000


def test_what_an_earlier_process_left_wrongly_is_fetched_anew(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(b"rubbish" * 10)
    file = look(SOURCE, None, HubOptions(hub.endpoint)).files["model.safetensors"]
    received: list[int] = []
    download(SOURCE, COMMIT, file, tmp_path / "part", HubOptions(hub.endpoint), received.append)
    assert (tmp_path / "part").read_bytes() == FILES["model.safetensors"]
    assert sum(received) == file.bytes


def test_what_is_longer_than_the_file_is_fetched_anew(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(FILES["model.safetensors"] + b"!")
    file = look(SOURCE, None, HubOptions(hub.endpoint)).files["model.safetensors"]
    download(SOURCE, COMMIT, file, tmp_path / "part", HubOptions(hub.endpoint))
    assert (tmp_path / "part").read_bytes() == FILES["model.safetensors"]


def test_a_whole_file_is_not_asked_for_again(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(FILES["model.safetensors"])
    file = look(SOURCE, None, HubOptions(hub.endpoint)).files["model.safetensors"]
    download(SOURCE, COMMIT, file, tmp_path / "part", HubOptions(hub.endpoint))
    assert hub.got("model.safetensors") == []


def test_a_hub_that_nobody_answers_for_is_given_up_soon(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tried: list[str] = []

    def refuse(url: str, *rest: object) -> bool:
        tried.append(url)
        raise httpx2.ConnectError("refused")

    monkeypatch.setattr(hub_module, "_more", refuse)
    options = HubOptions("http://127.0.0.1:9", attempts=9, pause=0.0)
    with pytest.raises(Unavailable, match="cannot be reached"):
        download(SOURCE, COMMIT, PinnedFile("a", 5), tmp_path / "part", options)
    assert len(tried) == UNREACHED


def test_the_hub_hears_no_more_than_it_must(hub: Hub, tmp_path: Path) -> None:
    file = look(SOURCE, None, HubOptions(hub.endpoint)).files["config.json"]
    download(SOURCE, COMMIT, file, tmp_path / "part", HubOptions(hub.endpoint))
    assert all("torch" not in agent and agent.startswith("unknown/None; hf_hub/") for agent in hub.agents), hub.agents
    assert [path for _, path, _ in hub.asked if "agent" in path] == []
