"""What one peer may cost: token buckets for requests and for bytes, per peer and in bounded number.

A bucket holds half of what the window allows and refills with the other half over the window, so that no window of
that length, wherever it begins, sees more than is allowed. Free of I/O; the clock is given. Knows nothing of messages
or of trust.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from p2p.transport import MAX_BODY

HOUR = 3600.0
MINUTE = 60.0


@dataclass(frozen=True)
class Allowance:
    """What one peer may ask for. `buckets` is how many peers are kept count of."""

    bytes_per_hour: int = 20_000_000
    requests_per_minute: int = 600
    buckets: int = 1024


@dataclass
class _Bucket:
    level: float
    capacity: float
    rate: float
    """Tokens per second."""

    def refill(self, seconds: float) -> None:
        self.level = min(self.capacity, self.level + self.rate * seconds)

    def missing(self, amount: float) -> float:
        """Seconds until `amount` can be taken, 0 for now. An amount beyond the capacity waits for a full bucket."""
        short = min(amount, self.capacity) - self.level
        return max(0.0, short / self.rate)


@dataclass
class _Account:
    requests: _Bucket
    bytes: _Bucket
    at: float


class Budgets:
    """One account per peer, made at its first request and full then."""

    def __init__(self, clock: Callable[[], float], allowance: Allowance | None = None) -> None:
        """`clock` gives seconds that only go forward; a step back counts as no time."""
        self._clock = clock
        self._allowance = allowance or Allowance()
        self._accounts: OrderedDict[str, _Account] = OrderedDict()

    def take(self, peer: str, size: int) -> float:
        """Pay for a request of `size` bytes: 0.0 when it is paid, or the seconds after which it could be."""
        account = self._account(peer)
        wait = max(account.requests.missing(1), account.bytes.missing(size))
        if wait <= 0:
            account.requests.level -= 1
            account.bytes.level -= size
        return wait

    def left(self, peer: str) -> tuple[int, int]:
        """Requests and bytes that a peer may send at this moment."""
        account = self._account(peer)
        return int(account.requests.level), int(account.bytes.level)

    def __len__(self) -> int:
        """Peers that are kept count of."""
        return len(self._accounts)

    def _account(self, peer: str) -> _Account:
        now = self._clock()
        account = self._accounts.get(peer)
        if account is None:
            account = self._accounts[peer] = self._open(now)
            if len(self._accounts) > self._allowance.buckets:
                # The one that was quiet longest; it begins with a full account when it comes back.
                self._accounts.popitem(last=False)
        else:
            passed = max(0.0, now - account.at)
            account.requests.refill(passed)
            account.bytes.refill(passed)
            account.at = now
            self._accounts.move_to_end(peer)
        return account

    def _open(self, now: float) -> _Account:
        bytes_held = max(self._allowance.bytes_per_hour / 2, MAX_BODY)
        requests_held = max(self._allowance.requests_per_minute / 2, 1)
        return _Account(
            _Bucket(requests_held, requests_held, self._allowance.requests_per_minute / 2 / MINUTE),
            _Bucket(bytes_held, bytes_held, self._allowance.bytes_per_hour / 2 / HOUR),
            now,
        )
