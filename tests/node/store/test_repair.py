"""A damaged memory is set aside, what can be read is saved, and nothing is claimed that is not so."""

import contextlib
import os
import random
import shutil
from pathlib import Path

import pytest

from node.errors import StoreDamaged, StoreFromFuture
from node.store import Store
from node.store.database import open_file
from node.store.migrations import STEPS, migrate
from node.store.repair import FRESH, REBUILT, Shelf, open_or_rebuild, rebuild
from node.store.rows import BudgetRow, BudgetState, JobRow, ModelRow, Origin, Role, ShareRow
from p2p.peers import PeerRecord, Trust

PAGE = 4096
OWN, OLD, THEIRS = "a" * 64, "b" * 64, "c" * 64
NOW = 2_000_000_000.0


def peer(number: int) -> PeerRecord:
    addresses = (f"/ip4/10.0.0.{number % 250}/tcp/4710",)
    return PeerRecord(peer=f"peer-{number:04}", name="n" * 40, trust=Trust.TRUSTED, addresses=addresses)


def fill(path: Path, peers: int = 250) -> int:
    """A memory of some pages; the last sequence number that it gave."""
    with Store.open(path) as store:
        for number in range(peers):
            store.save_peer(peer(number))
        made = {"parent": None, "layout": "l", "made_at": 1.0}
        store.add_models(
            [
                ModelRow(digest=OWN, origin=Origin.MERGED, **made),
                ModelRow(digest=OLD, origin=Origin.TRAINED, **made),
                ModelRow(digest=THEIRS, origin=Origin.RECEIVED, **made),
            ],
            {Role.WORKING: OWN, Role.BEST: OLD, Role.ALONE: OLD},
        )
        store.push_shadow("peer-0001", "sent", OWN)
        store.add_job(JobRow(at=1.0, source="a.wav", language="es", seconds_in=1.0, seconds=1.0, utterances=1))
        store.set_fact("peer-id", "me")
        store.declare(BudgetRow(name="first", epsilon=8.0, delta=1e-5, declared_at=1.0))
        for number in range(3):
            store.add_share(
                ShareRow(budget="first", at=1.0, round=number, sigma=2.0, sampling=1.0, epsilon=1.0), number
            )
        return store.next_sequence()


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("sound") / "node.db"
    fill(path)
    return path.read_bytes()


@pytest.fixture
def path(tmp_path: Path, sound: bytes) -> Path:
    (tmp_path / "node.db").write_bytes(sound)
    return tmp_path / "node.db"


def shelf() -> list[Shelf]:
    return [Shelf((THEIRS, OWN, OLD), "l")]


def not_asked() -> list[Shelf]:
    raise AssertionError("a sound memory needs no shelf")


def test_a_sound_memory_is_opened_as_it_is(path: Path):
    opened = open_or_rebuild(path, not_asked)
    assert (opened.sentence, opened.aside) == ("", None)
    assert len(opened.store.peers()) == 250
    opened.store.close()
    assert [file.name for file in path.parent.iterdir()] == ["node.db"]


def test_a_new_home_gets_a_new_memory(tmp_path: Path):
    opened = open_or_rebuild(tmp_path / "home" / "node.db", not_asked)
    assert opened.store.peers() == ()
    opened.store.close()


@pytest.mark.parametrize("seed", range(8))
def test_any_broken_page_costs_little(path: Path, sound: bytes, seed: int):
    rng = random.Random(seed)
    broken = bytearray(sound)
    at = rng.randrange(len(sound) // PAGE) * PAGE
    broken[at : at + PAGE] = rng.randbytes(PAGE)
    path.write_bytes(broken)
    opened = open_or_rebuild(path, shelf, lambda: NOW)
    kept = path.with_name("node.db.damaged-1")
    with opened.store as store:
        everyone = {peer(number) for number in range(250)}
        assert set(store.peers()) <= everyone
        if at:
            assert len(store.peers()) in {250, *range(190, 250)} or at // PAGE == 3, "one page holds 60 peers at most"
        assert store.roles()[Role.WORKING] == OWN
        assert store.next_sequence() > NOW * 1000
        store.save_peer(peer(1000))
    assert opened.aside == kept
    assert kept.read_bytes() == bytes(broken)
    assert "node.db.damaged-1" in opened.sentence
    again = open_or_rebuild(path, not_asked)
    assert (again.sentence, again.aside) == ("", None)
    again.store.close()
    assert sorted(file.name for file in path.parent.iterdir()) == ["node.db", "node.db.damaged-1"]


@pytest.mark.parametrize(
    "content",
    [b"\x00" * 10_000, b"garbage" * 2000, b"SQLite format 3\x00" + b"\xee" * 9000],
    ids=["zeros", "garbage", "header"],
)
def test_when_nothing_can_be_read_the_shelf_gives_the_roles(path: Path, content: bytes):
    path.write_bytes(content)
    opened = open_or_rebuild(path, shelf, lambda: NOW)
    with opened.store as store:
        assert store.peers() == ()
        assert store.roles() == {Role.WORKING: THEIRS, Role.BEST: THEIRS}, "whose a model is, only the memory knew"
    assert "nothing" in opened.sentence
    assert "alone begins afresh" in opened.sentence


@pytest.mark.parametrize("seed", range(4))
def test_after_any_damage_no_budget_from_before_gives_another_share(path: Path, sound: bytes, seed: int):
    """Whatever of it could be read: a share may have been in the page that is lost."""
    rng = random.Random(seed)
    broken = bytearray(sound)
    at = rng.randrange(len(sound) // PAGE) * PAGE
    broken[at : at + PAGE] = rng.randbytes(PAGE)
    path.write_bytes(broken)
    with open_or_rebuild(path, shelf, lambda: NOW).store as store:
        assert all(row.state is BudgetState.CLOSED for row in store.budgets())
        assert store.fact(FRESH) == f"after-{int(NOW)}"
        share = ShareRow(budget="first", at=1.0, round=9, sigma=2.0, sampling=1.0, epsilon=1.0)
        for after in range(5):
            with contextlib.suppress(ValueError):
                assert not store.add_share(share, after)


def test_what_peers_may_have_is_never_replaced_by_another_model(path: Path):
    with Store.open(path) as store:
        store.add_models(
            [ModelRow(digest="9" * 64, parent=None, origin=Origin.SENT, layout="l", made_at=1.0)],
            {Role.PUBLISHED: "9" * 64},
        )
    file = open_file(path)
    file.query("UPDATE peers SET trust = 'adored' WHERE peer = 'peer-0007'")
    file.close()
    opened = open_or_rebuild(path, shelf, lambda: NOW)
    with opened.store as store:
        assert Role.PUBLISHED not in store.roles(), "its file is not on the shelf"
        assert store.roles()[Role.WORKING] == OWN
    assert "published begins afresh" in opened.sentence


def test_a_file_that_was_cut_short_is_read_as_far_as_it_goes(path: Path, sound: bytes):
    path.write_bytes(sound[: -3 * PAGE])
    opened = open_or_rebuild(path, shelf, lambda: NOW)
    with opened.store as store:
        assert 50 < len(store.peers()) < 250
        assert store.peers()[0] == peer(0)
    assert "could be read" in opened.sentence


def test_a_value_that_makes_no_sense_loses_its_row_alone(path: Path):
    file = open_file(path)
    file.query("UPDATE peers SET trust = 'adored' WHERE peer = 'peer-0007'")
    file.close()
    opened = open_or_rebuild(path, shelf)
    with opened.store as store:
        assert set(store.peers()) == {peer(number) for number in range(250) if number != 7}
        assert store.roles() == {Role.WORKING: OWN, Role.BEST: OLD, Role.ALONE: OLD}
        assert store.shadow("peer-0001", "sent") == (OWN,)
        assert len(store.jobs()) == 1
        assert store.fact("peer-id") == "me"
        assert store.fact(REBUILT) == opened.sentence
    assert "249 peers" in opened.sentence
    assert "adored" in opened.sentence


def test_a_role_whose_model_is_lost_takes_the_newest_own_one(path: Path):
    file = open_file(path)
    file.query("UPDATE peers SET trust = 'adored' WHERE peer = 'peer-0007'")
    file.close()
    opened = open_or_rebuild(path, lambda: [Shelf((THEIRS, OLD), "l")])
    with opened.store as store:
        assert store.roles() == {Role.WORKING: OLD, Role.BEST: OLD, Role.ALONE: OLD}
    assert f"working is now {OLD[:12]}" in opened.sentence


def test_what_the_log_held_is_saved_too(path: Path):
    running = Store.open(path)
    running.save_peer(peer(999))
    for ending in ("", "-wal"):
        shutil.copy(f"{path}{ending}", path.parent / f"copy{ending}")
    running.close()
    copy = path.parent / "copy"
    broken = bytearray(copy.read_bytes())
    broken[-PAGE:] = os.urandom(PAGE)
    copy.write_bytes(broken)
    opened = open_or_rebuild(copy, shelf)
    with opened.store as store:
        assert peer(999) in store.peers()
    if opened.aside:
        assert opened.aside.read_bytes()[:PAGE] == bytes(broken)[:PAGE]


def test_each_damage_has_its_own_name(path: Path, sound: bytes):
    for number in (1, 2, 3):
        path.write_bytes(b"garbage" * number * 999)
        opened = open_or_rebuild(path, shelf)
        opened.store.close()
        assert opened.aside == path.with_name(f"node.db.damaged-{number}")
    assert path.with_name("node.db.damaged-2").read_bytes() == b"garbage" * 2 * 999


def test_a_memory_from_the_future_is_no_damage(path: Path):
    file = open_file(path)
    file.query("PRAGMA user_version = 99")
    file.close()
    with pytest.raises(StoreFromFuture):
        open_or_rebuild(path, not_asked)
    assert [file.name for file in path.parent.iterdir()] == ["node.db"]


@pytest.mark.parametrize("moved", [0, 1, 2])
def test_a_rebuilding_that_was_cut_off_is_finished(path: Path, moved: int):
    """The new file is ready, and none, one or both parts of the old one have been moved."""
    ready = path.with_name("node.db.rebuilt")
    with Store.open(ready) as store:
        store.save_peer(peer(5))
        store.set_fact(REBUILT, "It was rebuilt.")
    path.write_bytes(b"damaged")
    path.with_name("node.db-wal").write_bytes(b"its log")
    for ending in ("", "-wal")[:moved]:
        path.with_name(f"node.db{ending}").rename(path.with_name(f"node.db.damaged-1{ending}"))
    opened = open_or_rebuild(path, not_asked)
    with opened.store as store:
        assert store.peers() == (peer(5),)
    assert opened.sentence == "It was rebuilt."
    assert opened.aside == path.with_name("node.db.damaged-1")
    assert opened.aside.read_bytes() == b"damaged"
    assert path.with_name("node.db.damaged-1-wal").read_bytes() == b"its log"
    assert not ready.exists()


def test_others_only_report_the_damage(path: Path):
    path.write_bytes(b"garbage" * 999)
    for read_only in (True, False):
        with pytest.raises(StoreDamaged, match="not a database") as caught:
            Store.open(path, read_only)
        assert "node start" in caught.value.remedy
    assert path.read_bytes() == b"garbage" * 999


BLOCKS = ["7" * 64, "8" * 64]


def broken_with_two_lines(path: Path) -> None:
    """A memory in which another layout has learnt too, and in which one value makes no sense."""
    with Store.open(path) as store:
        made = [ModelRow(digest=name, parent=None, origin=Origin.TRAINED, layout="m", made_at=2.0) for name in BLOCKS]
        store.add_models(made, {Role.WORKING: BLOCKS[0], Role.SHARED: BLOCKS[1]})
    file = open_file(path)
    file.query("UPDATE peers SET trust = 'adored' WHERE peer = 'peer-0007'")
    file.close()


def test_the_line_that_does_not_learn_now_is_saved_too(path: Path):
    broken_with_two_lines(path)
    opened = open_or_rebuild(path, lambda: [*shelf(), Shelf(BLOCKS, "m"), Shelf((), "never")], lambda: NOW)
    with opened.store as store:
        assert store.of_model("l").roles() == {Role.WORKING: OWN, Role.BEST: OLD, Role.ALONE: OLD}
        # What spoke for the owner was never learnt there, and the newest sound model takes its place.
        assert store.of_model("m").roles() == {Role.WORKING: BLOCKS[0], Role.BEST: BLOCKS[0], Role.SHARED: BLOCKS[1]}
        assert store.of_model("never").roles() == {}
    assert "working is what it was (m)" in opened.sentence
    assert "never" not in opened.sentence


def test_a_file_that_is_lost_in_one_line_takes_nothing_from_the_other(path: Path):
    broken_with_two_lines(path)
    with open_or_rebuild(path, lambda: [Shelf(BLOCKS[1:], "m"), *shelf()], lambda: NOW).store as store:
        assert store.of_model("m").roles()[Role.WORKING] == BLOCKS[1]
        assert store.of_model("l").roles() == {Role.WORKING: OWN, Role.BEST: OLD, Role.ALONE: OLD}


def test_rounds_of_a_memory_of_before_keep_what_a_migration_would_have_given_them(tmp_path: Path):
    path = tmp_path / "node.db"
    file = open_file(path)
    migrate(file, STEPS[:2])
    file.query("INSERT INTO models VALUES ('a', NULL, 'trained', 'res64', 0, 1, 1)")
    file.query("INSERT INTO roles VALUES ('working', 'a')")
    file.query(
        "INSERT INTO rounds VALUES (1, 0, 1, 5, 'a', 'b', 'c', 1, 1, 1, 1, NULL, NULL, NULL, 0, '[]')",
    )
    file.close()
    opened = rebuild(path, [Shelf(("a",), "res64")], "It was damaged.", lambda: NOW)
    with opened.store as store:
        (row,) = store.of_model("res64").rounds()
        assert (row.method, row.layout) == ("mix", "res64")
        assert store.of_model("res64").roles()[Role.WORKING] == "a"


def test_no_line_takes_the_place_of_one_that_must_not_be_personal(path: Path):
    made = [ModelRow(digest=name * 64, parent=None, origin=Origin.TRAINED, layout="l", made_at=1.0) for name in "9876"]
    lost = {Role.SHARED: "9" * 64, Role.TWIN: "8" * 64, Role.CONTROL: "7" * 64, Role.WHOLE: "6" * 64}
    with Store.open(path) as store:
        store.add_models(made, lost)
    file = open_file(path)
    file.query("UPDATE peers SET trust = 'adored' WHERE peer = 'peer-0007'")
    file.close()
    opened = open_or_rebuild(path, shelf, lambda: NOW)
    with opened.store as store:
        assert not lost.keys() & store.roles().keys()
        assert store.roles()[Role.WORKING] == OWN
    assert "shared begins afresh" in opened.sentence
    assert "control-whole" not in opened.sentence, "what was never there is not missed"
