"""The count never says less than the truth, against closed forms and an accountant of other people."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ml.federated.privacy.accountant as room
from ml.errors import Unavailable
from ml.federated.privacy.accountant import Accountant, Share

pytest.importorskip("opacus")

DELTA = 1e-5
sigmas = st.floats(0.3, 50)
histories = st.lists(st.builds(Share, sigmas), max_size=8)


@pytest.fixture(scope="module")
def accountant() -> Accountant:
    return Accountant()


def test_nothing_shared_is_nothing_spent(accountant: Accountant) -> None:
    assert accountant.spent([], DELTA) == 0


@given(history=histories, more=st.builds(Share, sigmas))
@settings(deadline=None, max_examples=40)
def test_another_share_costs_and_order_does_not_matter(
    accountant: Accountant, history: list[Share], more: Share
) -> None:
    before, after = accountant.spent(history, DELTA), accountant.spent([*history, more], DELTA)
    assert after > before
    assert accountant.spent([more, *reversed(history)], DELTA) == pytest.approx(after, rel=1e-12)


@given(sigma=st.floats(0.5, 30), count=st.integers(1, 50))
@settings(deadline=None, max_examples=40)
def test_it_lies_between_the_exact_gaussian_and_the_bound_of_zcdp(
    accountant: Accountant, sigma: float, count: int
) -> None:
    """So many Gaussian shares are one with sigma / sqrt(count): Balle and Wang 2018 give its exact delta, and
    Bun and Steinke 2016 the epsilon rho + 2 sqrt(rho log(1/delta))."""
    epsilon, one = accountant.spent([Share(sigma)] * count, DELTA), sigma / count**0.5
    rho = 1 / (2 * one * one)
    assert epsilon <= (rho + 2 * math.sqrt(rho * math.log(1 / DELTA))) * 1.01

    def below(z: float) -> float:
        return 0.5 * math.erfc(-z / 2**0.5)

    exact = below(0.5 / one - epsilon * one) - math.exp(epsilon) * below(-0.5 / one - epsilon * one)
    assert exact <= DELTA


@pytest.mark.parametrize("epsilon", [0.1, 2, 8, 50, 1000])
@pytest.mark.parametrize("shares", [1, 20, 1000])
def test_the_noise_for_a_budget_keeps_it_and_is_not_wasted(accountant: Accountant, epsilon: float, shares: int) -> None:
    sigma = accountant.sigma_for(epsilon, DELTA, shares)
    assert 0.97 * epsilon < accountant.spent([Share(sigma)] * shares, DELTA) <= epsilon
    assert accountant.spent([Share(sigma)] * (shares + max(1, shares // 10)), DELTA) > epsilon


def test_eight_over_twenty_shares_is_what_was_measured_before(accountant: Accountant) -> None:
    assert accountant.sigma_for(8, DELTA, 20) == pytest.approx(2.85, abs=0.01)


@pytest.mark.parametrize(("sigma", "sampling"), [(0.0, 1.0), (-1.0, 1.0), (math.inf, 1.0), (1.0, 0.0), (1.0, 1.1)])
def test_there_is_no_such_share(sigma: float, sampling: float) -> None:
    with pytest.raises(ValueError, match="no share"):
        Share(sigma, sampling)


def test_what_makes_no_sense_is_refused(accountant: Accountant) -> None:
    for delta in (0.0, 1.0, -1.0):
        with pytest.raises(ValueError, match="delta"):
            accountant.spent([Share(1.0)], delta)
    with pytest.raises(ValueError, match="no noise"):
        accountant.sigma_for(0.0, DELTA, 1)
    with pytest.raises(ValueError, match="no noise up to"):
        accountant.sigma_for(1e-9, DELTA, 1000)


def test_without_opacus_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    room._opacus.cache_clear()
    monkeypatch.setitem(sys.modules, "opacus.accountants", None)
    with pytest.raises(Unavailable, match="opacus") as caught:
        Accountant()
    assert caught.value.remedy == "pip install 'babelmesh[privacy]'"


ORACLE = """
import json, sys
from dp_accounting import GaussianDpEvent, PoissonSampledDpEvent, SelfComposedDpEvent
from dp_accounting.rdp import RdpAccountant
from dp_accounting.pld import PLDAccountant
found = []
for sigma, sampling, count, delta in json.loads(sys.argv[1]):
    one = GaussianDpEvent(sigma)
    event = SelfComposedDpEvent(one if sampling == 1 else PoissonSampledDpEvent(sampling, one), count)
    found.append([kind().compose(event).get_epsilon(delta) for kind in (RdpAccountant, PLDAccountant)])
print(json.dumps(found))
"""


def test_it_agrees_with_dp_accounting(accountant: Accountant) -> None:
    """dp-accounting 0.6.0 by RDP gives the same, and by privacy loss distributions (tighter) no more."""
    python = os.environ.get("BABELMESH_DP_ACCOUNTING")
    if not python:
        pytest.skip("BABELMESH_DP_ACCOUNTING names no interpreter that has dp-accounting")
    cases = [
        (2.852, 1, 20, 1e-5),
        (0.695, 1, 20, 1e-5),
        (9.612, 1, 20, 1e-5),
        (1.0, 1, 1, 1e-6),
        (1.1, 0.01, 1000, 1e-5),
    ]
    done = subprocess.run([python, "-c", ORACLE, json.dumps(cases)], capture_output=True, text=True, check=True)
    for (sigma, sampling, count, delta), (rdp, pld) in zip(cases, json.loads(done.stdout), strict=True):
        ours = accountant.spent([Share(sigma, sampling)] * count, delta)
        assert ours == pytest.approx(rdp, rel=0.02)
        assert ours >= pld * 0.999
