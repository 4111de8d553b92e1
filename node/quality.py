"""How good this node's model of its owner's voice is, and what peers have brought: figures and one sentence.

Errors are log-mel RMSE in dB on the owner's own held-out speech; gains are shares of the mean squared error. Knows
nothing of where rounds are kept.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from node.store.rows import RoundRow

NOTICEABLE = 0.005
"""A difference to the control below half a percent of the squared error is called none."""

LEAST_SHOWN = 0.0005
"""The least gain over the shared start that is told as a figure: 0.1%."""

TWIN = " (Measured on its twin, which has not learnt from the speech that is held out for this.)"
"""What is said of errors where the model that speaks has learnt from all speech."""


class Quality(msgspec.Struct, frozen=True, kw_only=True):
    """The model that speaks for the owner, as the last round left it; None where it is not known."""

    rounds: int = 0
    rmse_genesis: float | None = None
    """Of the shared starting weights on the same speech, in dB."""
    rmse_best: float | None = None
    rmse_alone: float | None = None
    """Of the control that trained on the same speech and never merged."""
    mcd_best: float | None = None
    """Mel-cepstral distortion in dB."""
    gain: float | None = None
    """Share of the squared error that is gone since genesis: 0.38 is 38 % less."""
    gain_of_peers: float | None = None
    """Share of the control's squared error that is gone because of peers; negative when they made it worse. None when
    nothing of theirs was merged: whatever differs from the control then is not their doing."""
    merged: int = 0
    """Peers' updates that the rounds shown here took in."""
    sentence: str = "No round of training has been finished yet."


def judge(rounds: Sequence[RoundRow]) -> Quality:
    """What these rounds, the newest first, say of the model."""
    if not rounds:
        return Quality()
    last = rounds[0]
    # A node of before `rmse_genesis` was noted started its first round from genesis.
    first = rounds[-1].rmse_start if rounds[-1].number == 1 else None
    genesis = last.rmse_genesis if last.rmse_genesis is not None else first
    merged = sum(row.merged for row in rounds)
    gain = reduction(genesis, last.rmse_best)
    gain_of_peers = reduction(last.rmse_alone, last.rmse_best) if merged else None
    return Quality(
        rounds=last.number,
        rmse_genesis=genesis,
        rmse_best=last.rmse_best,
        rmse_alone=last.rmse_alone,
        mcd_best=last.mcd_best,
        gain=gain,
        gain_of_peers=gain_of_peers,
        merged=merged,
        sentence=_sentence(gain, gain_of_peers, merged) + (TWIN if last.method == "shared-prior" else ""),
    )


def reduction(before: float | None, after: float | None) -> float | None:
    """The share of the mean squared error that is gone between two RMSEs."""
    if not before or after is None:
        return None
    ratio = after / before
    return 1.0 - ratio * ratio


def portion(share: float) -> str:
    """A share in percent, with a decimal where it is small: `38%`, `0.3%`."""
    return f"{share:.0%}" if share >= 0.0995 else f"{share:.1%}"


def _sentence(gain: float | None, of_peers: float | None, merged: int) -> str:
    if gain is None:
        learned = "The model has learned from your voice"
    elif gain >= LEAST_SHOWN:
        learned = f"The model makes {portion(gain)} less squared error on your voice than the one everybody starts with"
    else:
        learned = "The model is not better on your voice than the one everybody starts with"
    if not merged:
        return f"{learned}; no peer has added to it yet."
    if of_peers is None:
        return f"{learned}; what peers add is not known, because the control is off."
    if of_peers > NOTICEABLE:
        return f"{learned}; peers account for {of_peers:.1%} less squared error than training alone."
    if of_peers < -NOTICEABLE:
        return f"{learned}; training alone would make {1 - 1 / (1 - of_peers):.1%} less squared error."
    return f"{learned}; training alone would be as good: peers have made no difference so far."
