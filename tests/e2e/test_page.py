"""The local page in a real browser: it shows what the node tells, loads nothing from elsewhere, runs no peer's text."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from cli.client import Client
from tests.fakes import FakeMesh, running_node, sample_stats

pytestmark = pytest.mark.slow

HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>"


@pytest.fixture
def mesh(tmp_path: Path) -> Iterator[FakeMesh]:
    (tmp_path / "more").mkdir()
    with running_node(tmp_path) as node:
        picture = sample_stats(tmp_path / "more")
        peers = (msgspec.structs.replace(picture.peers[0], name=HOSTILE), *picture.peers[1:])
        node.picture = msgspec.structs.replace(picture, peers=peers)
        yield node


@pytest.fixture
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("needs chromium")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.mark.parametrize(("width", "scheme"), [(1000, "dark"), (360, "light")])
def test_the_page_shows_the_node(mesh: FakeMesh, browser, tmp_path: Path, width: int, scheme: str) -> None:
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = context.new_page()
    trouble: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: trouble.append(message.text))
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("dialog", lambda dialog: trouble.append(dialog.message))
    page.on("request", lambda request: asked.append(request.url))
    with Client.of(tmp_path / "control.json") as client:
        url = client.page()
    page.goto(url)
    page.wait_for_selector("#all:not([hidden])")
    assert page.text_content("#name") == "kitchen"
    assert page.locator("#chart polyline").count() == 3
    assert page.locator("#chart circle").count() == len(mesh.picture.rounds)
    assert HOSTILE in page.text_content("#peers")
    assert page.text_content("#privacy") == f"No speech, ever. {mesh.picture.privacy.sentence}"
    assert "without noise" in page.text_content("#privacy"), "no promise that is not kept"
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "nothing sticks out"
    assert "#" not in page.url, "the ticket is gone from the address"
    page.reload()
    page.wait_for_selector("#all:not([hidden])")
    assert trouble == []
    home = url.partition("/#")[0]
    assert {address.startswith(home) for address in asked} == {True}
    assert not any(url.partition("#")[2] in address.partition("#")[0] for address in asked), (
        "it is never sent in an address"
    )


def test_what_coincides_is_seen_and_a_large_dot_is_the_peers_work(mesh: FakeMesh, browser, tmp_path: Path) -> None:
    first = mesh.picture.rounds[-1]
    figures = [(1, 0, 2.3, 2.3), (2, 2, 2.2, 2.25), (3, 1, 2.2, 2.21), (4, 1, 2.1, 2.1), (5, 0, 2.0, 2.05)]
    rounds = [
        msgspec.structs.replace(first, number=n, merged=merged, rmse_best=best, rmse_alone=alone)
        for n, merged, best, alone in figures
    ]
    mesh.picture = msgspec.structs.replace(mesh.picture, rounds=tuple(reversed(rounds)))
    page = browser.new_page()
    with Client.of(tmp_path / "control.json") as client:
        page.goto(client.page())
    page.wait_for_selector("#all:not([hidden])")
    assert page.locator("#chart polyline").last.get_attribute("class") == "trace alone", "dashed, over the full line"
    dots = page.locator("#chart circle")
    large = [n for n in range(5) if dots.nth(n).get_attribute("class") == "dot lifted"]
    assert large == [1], "merged, better than before, and better than training alone"
    assert "Less squared error" in page.text_content("#tiles")


def test_a_spent_budget_is_seen(mesh: FakeMesh, browser, tmp_path: Path) -> None:
    spent = msgspec.structs.replace(mesh.picture.privacy, state="spent", sentence="The budget is spent.")
    mesh.picture = msgspec.structs.replace(mesh.picture, privacy=spent)
    page = browser.new_page()
    with Client.of(tmp_path / "control.json") as client:
        page.goto(client.page())
    page.wait_for_selector("#all:not([hidden])")
    assert page.get_attribute("#privacy", "class") == "wrong"


def test_a_ticket_opens_no_second_page(mesh: FakeMesh, browser, tmp_path: Path) -> None:
    with Client.of(tmp_path / "control.json") as client:
        url = client.page()
    for context, shown in ((browser.new_context(), True), (browser.new_context(), False)):
        page = context.new_page()
        page.goto(url)
        page.wait_for_selector("#all:not([hidden])" if shown else "#state.lost")
        assert page.locator("#all").is_visible() == shown
