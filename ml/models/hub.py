"""Speaks with a model hub: what a repository holds at which commit, and the bytes of a file from any place on.

Addresses, headers, sign-in and kinds of error are those of huggingface_hub, and so are the usual settings: HF_ENDPOINT,
HF_TOKEN, HF_HUB_OFFLINE, and the proxies of the environment. Its own downloads begin anew after an interruption; ours
go on where they stopped, and a hub that is busy is asked again after as long as it says. Knows nothing of what is kept.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml.errors import MlError, ModelDamaged, Unavailable
from ml.models.entry import HubSource
from ml.models.record import PinnedFile

if TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoSibling

BUSY = (408, 425, 429, 500, 502, 503, 504)
"""HTTP answers after which it is worth asking again."""
LONGEST_PAUSE = 120.0
"""Seconds that a hub may ask us to wait; for more, a person comes back."""
UNREACHED = 3
"""Times that a hub which does not answer at all is called: a machine without a network shall hear of it soon."""
_ENOUGH = 1 << 16  # bytes that a connection must have brought for its end not to count as a failure


@dataclass(frozen=True)
class HubOptions:
    """How to reach the hub. `timeout` is seconds without a byte; `attempts` is how often a request is tried.

    `endpoint` None takes HF_ENDPOINT, else the public hub.
    """

    endpoint: str | None = None
    timeout: float = 20.0
    attempts: int = 5


@dataclass(frozen=True)
class Offer:
    """A repository at one commit."""

    commit: str
    files: dict[str, PinnedFile]


class _Stopped(Exception):
    """Somebody ended the download."""


def look(source: HubSource, revision: str | None, options: HubOptions) -> Offer:
    """What the repository holds at `revision`, or at its newest commit. Raises Unavailable."""
    from huggingface_hub import HfApi

    _say_no_more_than_needed()
    for attempt in _attempts(options.attempts):
        with attempt, _plainly(source, options):
            api = HfApi(endpoint=options.endpoint)
            info = api.model_info(source.repo, revision=revision, files_metadata=True, timeout=options.timeout)
    if not info.sha:
        raise Unavailable(f"The hub does not say which commit {source.repo} is at.", "Check HF_ENDPOINT.")
    return Offer(info.sha, {file.rfilename: _pinned(file, source) for file in info.siblings or ()})


def _pinned(file: RepoSibling, source: HubSource) -> PinnedFile:
    size = file.lfs.size if file.lfs else file.size
    if size is None:
        raise Unavailable(f"The hub does not say how large {file.rfilename} of {source.repo} is.", "Check HF_ENDPOINT.")
    return PinnedFile(file.rfilename, size, file.lfs.sha256 if file.lfs else None, None if file.lfs else file.blob_id)


def download(
    source: HubSource,
    commit: str,
    file: PinnedFile,
    target: Path,
    options: HubOptions,
    tell: Callable[[int], None] = lambda received: None,
    stopped: threading.Event | None = None,
) -> None:
    """Bring `target` to the whole file; what it holds already is gone on from. `tell` hears of bytes as they come.

    The bytes are compared with what the hub says of them; where they are others, `target` is gone. Raises Unavailable,
    ModelDamaged, OSError.
    """
    from huggingface_hub import hf_hub_url

    _say_no_more_than_needed()
    url = hf_hub_url(source.repo, file.path, revision=commit, endpoint=options.endpoint)
    resumed = target.exists() and target.stat().st_size > 0
    if resumed and target.stat().st_size > file.bytes:
        target.unlink()
    if resumed and target.exists():
        tell(target.stat().st_size)
    while True:
        whole = False
        for attempt in _attempts(options.attempts):
            with attempt, _plainly(source, options, file.path):
                whole = _more(url, file, target, options, tell, stopped or threading.Event())
        if whole:
            break
    if _is(target, file):
        return
    target.unlink()
    tell(-file.bytes)
    if resumed:  # what an earlier, killed process left may be at fault: once from the beginning
        download(source, commit, file, target, options, tell, stopped)
        return
    raise ModelDamaged(
        f"{file.path} of {source.repo} came with other bytes than the hub says it has.",
        "Pull it again; if that does not help, the mirror or the network changes files on their way.",
    )


def _more(
    url: str,
    file: PinnedFile,
    target: Path,
    options: HubOptions,
    tell: Callable[[int], None],
    stopped: threading.Event,
) -> bool:
    """One connection: append what comes. Whether the file has its size then; False after a cut that brought much."""
    import httpx2
    from huggingface_hub import get_session
    from huggingface_hub.utils import build_hf_headers, hf_raise_for_status  # type: ignore[attr-defined]

    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("ab") as out:
        begun = out.tell()
        if begun == file.bytes:
            return True
        headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
        if begun:
            headers["Range"] = f"bytes={begun}-"
        try:
            with get_session().stream("GET", url, headers=headers, timeout=options.timeout) as response:
                hf_raise_for_status(response)
                if begun and response.status_code != 206:  # the whole file comes, not its end
                    out.truncate(0)
                    tell(-begun)
                for chunk in response.iter_bytes():
                    if stopped.is_set():
                        raise _Stopped
                    if out.seek(0, 2) + len(chunk) > file.bytes:
                        raise ModelDamaged(
                            f"{file.path} is larger than the hub says.", "Check HF_ENDPOINT, or try again later."
                        )
                    out.write(chunk)
                    out.flush()
                    tell(len(chunk))
            if out.tell() < file.bytes:
                raise httpx2.RemoteProtocolError("the connection ended early")  # noqa: TRY301 - as any other cut
        except (httpx2.TimeoutException, httpx2.NetworkError, httpx2.RemoteProtocolError):
            if out.seek(0, 2) - begun >= min(_ENOUGH, file.bytes):
                return False
            raise
        return True


def _say_no_more_than_needed() -> None:
    """Requests tell the hub's client and its version, and nothing of what else is installed or who called it."""
    from huggingface_hub import constants

    constants.HF_HUB_DISABLE_TELEMETRY = True


def _is(target: Path, file: PinnedFile) -> bool:
    if target.stat().st_size != file.bytes:
        return False
    if file.sha256:
        with target.open("rb") as data:
            return hashlib.file_digest(data, "sha256").hexdigest() == file.sha256
    if file.git:
        from ml.models.record import git_blob

        return git_blob(target) == file.git
    return True


def _attempts(count: int) -> Any:  # noqa: ANN401 - stamina's iterator of context managers
    """Tries with growing pauses between them; a hub that nobody answers for is given up sooner."""
    import stamina

    unreached = 0

    def patient(error: Exception) -> bool | float:
        nonlocal unreached
        unreached += isinstance(error, _Unreachable)
        return False if unreached >= UNREACHED else patience(error)

    return stamina.retry_context(
        on=patient, attempts=count, timeout=None, wait_initial=1.0, wait_max=30.0, wait_jitter=0.5
    )


def patience(error: Exception) -> bool | float:
    """Whether to ask again after this error, or after how many seconds, as stamina asks it."""
    return error.pause if isinstance(error, _Passing) else False


class _Passing(Unavailable):
    """A trouble that may pass by itself; `pause` is True, or the seconds that the hub asked for."""

    def __init__(self, sentence: str, remedy: str, pause: bool | float = True) -> None:
        super().__init__(sentence, remedy)
        self.pause = pause


class _Unreachable(_Passing):
    """Nobody answers at the hub's address."""


class _plainly:
    """What goes wrong with the hub, as errors of this house."""

    def __init__(self, source: HubSource, options: HubOptions, path: str = "") -> None:
        self._source, self._options, self._path = source, options, path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, _Stopped):
            raise Unavailable("The fetch was ended.", "The same command goes on from here.") from None
        if isinstance(error, Exception) and (found := told(error, self._source, self._path)):
            raise found from error


def told(error: Exception, source: HubSource, path: str = "") -> MlError | None:
    """What a person reads of an error of the hub's client; None for what is not the hub's."""
    import httpx2
    from huggingface_hub import errors

    what = f"{path} of {source.repo}" if path else source.repo
    again = "What came is kept: the same command goes on from here."
    if isinstance(error, errors.OfflineModeIsEnabled):
        return Unavailable(f"{what} is not here, and HF_HUB_OFFLINE forbids to fetch it.", "unset HF_HUB_OFFLINE")
    if isinstance(error, errors.GatedRepoError):
        page = f"https://huggingface.co/{source.repo}"
        remedy = f"Accept its terms at {page}, make a token there, and: export HF_TOKEN=..."
        return Unavailable(f"{source.repo} gives its files only to those who accepted its terms.", remedy)
    if isinstance(error, errors.RevisionNotFoundError):
        return Unavailable(
            f"{source.repo} has no such commit any more.", "See whether a newer catalogue names another."
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        remedy = "Check the name in the catalogue; a private one needs a token that may read it: export HF_TOKEN=..."
        return Unavailable(f"The hub shows nobody without a right to it a repository {source.repo}.", remedy)
    if isinstance(error, errors.EntryNotFoundError):
        return Unavailable(f"{source.repo} has no file {path}.", "Check the catalogue's `files`.")
    if isinstance(error, errors.HfHubHTTPError):
        return _refused(error, what, again)
    if isinstance(error, httpx2.ProxyError):
        return Unavailable(f"The proxy does not let {what} through: {error}.", "Check HTTPS_PROXY.")
    if isinstance(error, httpx2.TimeoutException):
        return _Passing(f"The hub did not send {what} in time.", again)
    if isinstance(error, httpx2.ConnectError):
        remedy = "Check the network and HTTPS_PROXY; HF_ENDPOINT names a mirror. " + again
        return _Unreachable(f"The hub cannot be reached: {str(error)[:200]}.", remedy)
    if isinstance(error, (httpx2.NetworkError, httpx2.RemoteProtocolError)):
        return _Passing(f"The connection to the hub was cut while {what} came.", again)
    strange: tuple[type[Exception], ...] = () if path else (KeyError, TypeError)  # of an answer that is no hub's
    if isinstance(error, (httpx2.RequestError, httpx2.InvalidURL, ValueError, *strange)):
        return Unavailable(f"The hub did not answer as a hub: {str(error)[:200]}.", "Check HF_ENDPOINT.")
    return None


def _refused(error: Any, what: str, again: str) -> MlError:  # noqa: ANN401 - an HfHubHTTPError
    status = error.response.status_code
    if status in BUSY:
        asked = error.response.headers.get("Retry-After", "")
        pause = float(asked) if asked.isdigit() else None
        if pause is not None and pause > LONGEST_PAUSE:
            return Unavailable(f"The hub asks to be left alone for {pause:g} s.", again)
        words = "is asked too often" if status == 429 else f"is not well ({status})"
        return _Passing(f"The hub {words} and did not send {what}.", again, True if pause is None else pause)
    if status in (401, 403):
        remedy = "Check the token: it must be valid and may read this repository (export HF_TOKEN=...)."
        return Unavailable(f"The hub refuses {what} ({status}).", remedy)
    return Unavailable(f"The hub answers {status} for {what}.", "Check HF_ENDPOINT, or try again later.")
