"""What can go wrong in the household, as sentences a person can act on.

    NodeError
    +-- BadConfig            babelmesh.toml cannot be read, or says something that means nothing
    |   +-- BadCatalogue     a list of models that cannot be used
    +-- BadRequest           what was asked for makes no sense; nothing was done
    +-- NotFound             a voice, a job or a file that is not here
    +-- HomeUnusable         the node's home cannot be read or written
    |   +-- HomeBusy         another node is running in it
    |   +-- StoreFromFuture  a later version has written it
    |   +-- StoreDamaged     the memory's file is not what was written
    +-- NotRunning           no node is running in this home
    +-- BudgetSpent          another share would spend more privacy than the owner has allowed
    +-- BudgetWidened        the settings are laxer than the privacy budget that was declared

Every error is one sentence; `remedy` is what to do next. The studio's errors (`ml.errors`) pass through the household
unchanged. This module knows nothing of how errors are shown.
"""

from __future__ import annotations


class NodeError(Exception):
    """Something in the household could not be done."""

    def __init__(self, sentence: str, remedy: str = "") -> None:
        """`sentence` says what is wrong, `remedy` what to do about it."""
        super().__init__(sentence)
        self.sentence = sentence
        self.remedy = remedy


class BadConfig(NodeError):
    """A configuration that cannot be used; names the file and the key."""


class BadCatalogue(BadConfig):
    """A list of models that cannot be used; names the file and the entry."""


class BadRequest(NodeError):
    """A request that makes no sense as it stands."""


class NotFound(NodeError):
    """Something named that is not here."""


class HomeUnusable(NodeError):
    """A home folder that cannot be read or written."""


class HomeBusy(HomeUnusable):
    """A home in which another node is running."""


class StoreFromFuture(HomeUnusable):
    """A memory that a later version of Babelmesh wrote."""


class StoreDamaged(HomeUnusable):
    """A memory whose file is broken; `node.store.repair` sets it aside and saves what can be read."""


class NotRunning(NodeError):
    """No node runs in this home, and what was asked for needs one."""


class BudgetSpent(NodeError):
    """A share that would spend more of the privacy budget than there is left; nothing was spent or published."""


class BudgetWidened(NodeError):
    """Settings that would protect less than the privacy budget that the owner has declared."""
