"""No order of shares, crashes, restarts and changed settings spends more than the owner has declared."""

from __future__ import annotations

import math
import re
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ml.federated.privacy.accountant import Accountant, Share
from node.config import load
from node.errors import BudgetSpent, BudgetWidened
from node.privacy import Budget, Ledger
from node.settings import settings as listed_settings
from node.store import Store
from node.store.repair import FRESH
from node.store.rows import BudgetState, ShareRow
from tests.conftest import SHARED_MEMORY

NOW = 1_800_000_000.0


class SquareCounter:
    """What zero-concentrated privacy says of Gaussian shares, as a number: the sum of 1 / (2 sigma^2)."""

    def spent(self, history: Sequence[Share], delta: float) -> float:
        return math.fsum(1 / (2 * one.sigma**2) for one in history)


class Household(RuleBasedStateMachine):
    """A ledger whose owner restarts it, loses power and changes the settings; `published` is what got out."""

    @initialize(epsilon=st.sampled_from([0.5, 1.0, 2.0]))
    def begin(self, epsilon: float) -> None:
        self.folder = tempfile.TemporaryDirectory(dir=SHARED_MEMORY if SHARED_MEMORY.is_dir() else None)
        self.store = Store.open(Path(self.folder.name) / "node.db")
        self.counter = SquareCounter()
        self.limits = {"first": epsilon}
        self.published: dict[str, list[Share]] = {"first": []}
        self.ledger = Ledger(self.store, Budget("first", epsilon, 1e-5), self.counter, lambda: NOW)
        self.name, self.left = "first", epsilon

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            self.folder.cleanup()

    def open(self, budget: Budget) -> None:
        self.store.close()
        self.store = Store.open(Path(self.folder.name) / "node.db")
        self.ledger = Ledger(self.store, budget, self.counter, lambda: NOW)

    @rule(sigma=st.floats(0.6, 6), cut=st.sampled_from(["", "", "", "before", "after"]))
    def share(self, sigma: float, cut: str) -> None:
        """The node's order: reserve, make, publish; power may go before the reservation is written, or after it."""
        if cut != "before":
            history = [Share(row.sigma) for row in self.store.shares(self.name)]
            if self.counter.spent([*history, Share(sigma)], 1e-5) > self.limits[self.name]:
                with pytest.raises(BudgetSpent, match="would make epsilon"):
                    self.ledger.reserve(sigma)
                return
            self.ledger.reserve(sigma)
        if cut:
            self.open(Budget(self.name, self.limits[self.name], 1e-5))
        else:
            self.published[self.name].append(Share(sigma))

    @rule(factor=st.sampled_from([0.5, 1.0, 1.5, math.inf]))
    def settings_changed(self, factor: float) -> None:
        """Stricter is taken and stays; laxer is refused and changes nothing."""
        wanted = self.limits[self.name] * factor
        if factor > 1:
            with pytest.raises(BudgetWidened, match=self.name):
                Ledger(self.store, Budget(self.name, wanted, 1e-5), self.counter, lambda: NOW)
            return
        self.open(Budget(self.name, wanted, 1e-5))
        self.limits[self.name] = wanted

    @rule(name=st.sampled_from(["first", "second"]))
    def another_budget(self, name: str) -> None:
        self.limits.setdefault(name, 1.0)
        self.published.setdefault(name, [])
        self.open(Budget(name, self.limits[name], 1e-5))
        self.name, self.left = name, math.inf

    @invariant()
    def nothing_is_overspent_and_spent_only_grows(self) -> None:
        if not hasattr(self, "store"):
            return
        for name, shares in self.published.items():
            written = [Share(row.sigma) for row in self.store.shares(name)]
            out = list(written)
            for one in shares:
                out.remove(one)  # whatever got out was written
            highest = max([row.epsilon for row in self.store.shares(name)], default=0.0)
            assert self.counter.spent(shares, 1e-5) <= self.counter.spent(written, 1e-5) <= highest + 1e-12
            assert self.counter.spent(written, 1e-5) <= 2.0
        left = self.ledger.left()
        assert 0 <= left <= self.left
        self.left = left


Household.TestCase.settings = settings(
    max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestTheBudgetIsKept = Household.TestCase


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "node.db") as opened:
        yield opened


def ledger(store: Store, name: str = "first", epsilon: float = 1.0, delta: float = 1e-5) -> Ledger:
    return Ledger(store, Budget(name, epsilon, delta), SquareCounter(), lambda: NOW)


def test_a_share_is_on_the_disk_when_it_is_given(store: Store, tmp_path: Path) -> None:
    row = ledger(store).reserve(2.0, number=7)
    with Store.open(tmp_path / "node.db", read_only=True) as other:
        assert other.shares() == (row,)
    assert row == ShareRow(budget="first", at=NOW, round=7, sigma=2.0, sampling=1.0, epsilon=0.125)


def test_a_chance_of_no_share_is_noted_and_helps_nothing(store: Store) -> None:
    assert ledger(store).reserve(2.0, sampling=0.01).sampling == 0.01
    pytest.importorskip("opacus")
    book = Ledger(store, Budget("real", 8.0, 1e-5), Accountant(), lambda: NOW)
    assert book.reserve(2.0, sampling=0.01).epsilon == Accountant().spent([Share(2.0)], 1e-5)
    with pytest.raises(ValueError, match="no share"):
        book.reserve(2.0, sampling=1.5)


def test_what_would_be_too_much_is_refused_and_a_smaller_share_still_goes(store: Store) -> None:
    book = ledger(store)
    book.reserve(1.0)
    assert (book.spent(), book.left()) == (0.5, 0.5)
    with pytest.raises(BudgetSpent, match=r"would make epsilon 2\.5 of 1") as caught:
        book.reserve(0.5)
    assert "privacy.budget" in caught.value.remedy
    assert store.budgets()[0].state is BudgetState.SPENT
    book.reserve(1.0)
    assert (book.left(), len(store.shares())) == (0.0, 2)
    assert store.budgets()[0].state is BudgetState.OPEN


def test_many_at_once_never_spend_more_than_there_is(store: Store) -> None:
    """Eight threads with ledgers of their own, sixteen shares, room for four."""

    def spend(_: int) -> bool:
        try:
            ledger(store).reserve(1.5)
        except BudgetSpent:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        given = sum(pool.map(spend, range(16)))
    assert given == len(store.shares()) == 4


def test_a_share_that_another_spends_while_this_one_is_counted_is_counted_too(store: Store) -> None:
    class Interrupted(SquareCounter):
        def __init__(self) -> None:
            self.calls = 0

        def spent(self, history: Sequence[Share], delta: float) -> float:
            self.calls += 1
            if self.calls == 1:
                ledger(store).reserve(1.0)
            return super().spent(history, delta)

    counter = Interrupted()
    ledger(store).reserve(1.0)
    with pytest.raises(BudgetSpent, match=r"would make epsilon 1\.5"):
        Ledger(store, Budget("first", 1.0, 1e-5), counter, lambda: NOW).reserve(1.0)
    assert (len(store.shares()), counter.calls) == (2, 2)


def test_what_nobody_could_count_is_not_given(store: Store) -> None:
    class Lost(SquareCounter):
        def spent(self, history: Sequence[Share], delta: float) -> float:
            return math.nan

    with pytest.raises(BudgetSpent):
        Ledger(store, Budget("first", 1.0, 1e-5), Lost(), lambda: NOW).reserve(1.0)
    with pytest.raises(ValueError, match="no share"):
        ledger(store).reserve(0.0)
    assert store.shares() == ()


def test_a_stricter_budget_stays_when_the_settings_go_back(store: Store) -> None:
    ledger(store, epsilon=8.0)
    ledger(store, epsilon=2.0)
    with pytest.raises(BudgetWidened, match=r"epsilon 2 and delta 1e-05, .* ask for epsilon 8"):
        ledger(store, epsilon=8.0)
    with pytest.raises(BudgetWidened, match=r"delta 0\.1"):
        ledger(store, epsilon=2.0, delta=0.1)
    ledger(store, "second", epsilon=8.0)
    assert [row.epsilon for row in store.budgets() if row.name == "first"] == [2.0]


def test_noise_is_not_turned_off_by_the_way(store: Store) -> None:
    ledger(store, "never", math.inf)
    assert store.budgets() == (), "who never asked for noise has nothing declared"
    ledger(store)
    with pytest.raises(BudgetWidened, match="publishing without noise"):
        ledger(store, "first", math.inf)
    ledger(store, "i-know", math.inf)
    assert {row.name: row.epsilon for row in store.budgets()} == {"first": 1.0, "i-know": math.inf}
    assert ledger(store, "i-know", 3.0).left() == 3.0


def test_a_new_budget_begins_with_nothing_spent_and_the_old_stays_spent(store: Store) -> None:
    ledger(store).reserve(1.0)
    second = ledger(store, "second")
    assert second.left() == 1.0
    second.reserve(1.0)
    assert ledger(store).left() == 0.5
    assert [row.budget for row in store.shares()] == ["first", "second"]


def test_after_the_memory_was_rebuilt_only_a_name_from_after_it_is_taken(store: Store) -> None:
    book = ledger(store)
    store.set_fact(FRESH, "after-1800000000")
    with store._database.transaction() as connection:
        connection.execute("UPDATE budgets SET state = 'closed'")
    with pytest.raises(BudgetSpent, match="closed"):
        book.reserve(9.0)
    with pytest.raises(BudgetWidened, match="closed") as closed:
        ledger(store)
    with pytest.raises(BudgetWidened, match="rebuilt") as fresh:
        ledger(store, "another")
    assert "after-1800000000" in closed.value.remedy
    assert "after-1800000000" in fresh.value.remedy
    ledger(store, "after-1800000000").reserve(1.0)
    ledger(store, "after-1800000000").reserve(1.0)


def test_with_the_real_accountant_so_many_shares_fit_as_were_planned(store: Store) -> None:
    pytest.importorskip("opacus")
    accountant = Accountant()
    sigma = accountant.sigma_for(8.0, 1e-5, 20)
    book = Ledger(store, Budget("first", 8.0, 1e-5), accountant, lambda: NOW)
    for _ in range(20):
        book.reserve(sigma)
    with pytest.raises(BudgetSpent):
        book.reserve(sigma)
    assert 0 <= book.left() < 0.1


def test_the_documentation_lists_every_setting_with_its_default(repository: Path, tmp_path: Path) -> None:
    page = (repository / "docs" / "privacy.md").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^\| `(privacy\.\w+)` \| (.*?) \|", page, re.MULTILINE))
    said = {item.key: item.value for item in listed_settings(load(tmp_path, {}), {}) if item.key.startswith("privacy.")}
    assert {key: tomllib.loads(f"x = {default.strip('`')}")["x"] for key, default in listed.items()} == said
