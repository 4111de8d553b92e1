"""Speaks with a model hub: what a repository holds at which commit, and the bytes of a file from any place on.

Addresses, headers, sign-in and kinds of error are those of huggingface_hub, and so are the usual settings: HF_ENDPOINT,
HF_TOKEN, HF_HUB_OFFLINE, and the proxies of the environment. Its own downloads begin anew after an interruption; ours
go on where they stopped, and a hub that is busy is asked again after as long as it says. Knows nothing of what is kept.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from ml.errors import MlError, ModelDamaged, Unavailable
from ml.models.entry import Commit, HubSource, Sha256
from ml.models.record import PinnedFile, Size
from ml.models.stop import Stop

BUSY = (408, 425, 429, 500, 502, 503, 504)
"""HTTP answers after which it is worth asking again."""
LONGEST_PAUSE = 120.0
"""Seconds that a hub may ask us to wait; for more, a person comes back."""
UNREACHED = 3
"""Times that a hub which does not answer at all is called: a machine without a network shall hear of it soon."""
LONGEST_ANSWER = 32 << 20
"""Bytes of a repository's description."""
_LONGEST_WAIT = 30.0  # seconds between two tries that the hub said nothing about
_ENOUGH = 1 << 16  # bytes that a connection must have brought for its end not to count as a failure

Result = TypeVar("Result")


@dataclass(frozen=True)
class HubOptions:
    """How to reach the hub. `timeout` is seconds without a byte; `attempts` is how often a request is tried; `pause`
    is the seconds before the second try, and twice as many before each further one.

    `endpoint` None takes HF_ENDPOINT, else the public hub.
    """

    endpoint: str | None = None
    timeout: float = 20.0
    attempts: int = 5
    pause: float = 1.0


@dataclass(frozen=True)
class Offer:
    """A repository at one commit."""

    commit: str
    files: dict[str, PinnedFile]


class _Large(msgspec.Struct, frozen=True):
    sha256: Sha256
    size: Size


class _Sibling(msgspec.Struct, frozen=True, rename="camel"):
    rfilename: str
    size: Size | None = None
    blob_id: Commit | None = None
    lfs: _Large | None = None


class _Repository(msgspec.Struct, frozen=True):
    """What is read of a hub's answer; the commit becomes the name of a folder, so it is nothing but a commit."""

    sha: Commit
    siblings: tuple[_Sibling, ...] = ()


class _Stopped(Exception):
    """Somebody ended the download."""


def look(source: HubSource, revision: str | None, options: HubOptions, wanted: Collection[str] | None = None) -> Offer:
    """What the repository holds at `revision`, or at its newest commit; of all files, or those `wanted`.

    Raises Unavailable, ModelDamaged where the hub answers for another commit.
    """
    from huggingface_hub import constants

    _say_no_more_than_needed()
    address = f"{(options.endpoint or constants.ENDPOINT).rstrip('/')}/api/models/{source.repo}"
    if revision:
        address += f"/revision/{revision}"

    def ask() -> _Repository:
        with _plainly(source):
            return msgspec.json.decode(_answer(address, options), type=_Repository)

    found = _tried(ask, options, Stop())
    if revision and found.sha != revision:
        raise ModelDamaged(
            f"The hub answers for another commit of {source.repo} than {revision}.", "Check HF_ENDPOINT."
        )
    files = (file for file in found.siblings if wanted is None or file.rfilename in wanted)
    return Offer(found.sha, {file.rfilename: _pinned(file, source) for file in files})


def _pinned(file: _Sibling, source: HubSource) -> PinnedFile:
    size = file.lfs.size if file.lfs else file.size
    if size is None or not (file.lfs or file.blob_id):
        raise Unavailable(
            f"The hub does not say which size and hash {file.rfilename} of {source.repo} has.", "Check HF_ENDPOINT."
        )
    return PinnedFile(file.rfilename, size, file.lfs.sha256 if file.lfs else None, None if file.lfs else file.blob_id)


def _answer(address: str, options: HubOptions) -> bytes:
    """A document of the hub's, never more of it than is sensible."""
    from huggingface_hub import get_session

    said = bytearray()
    with get_session().stream("GET", f"{address}?blobs=true", headers=_headers(), timeout=options.timeout) as response:
        _accept(response)
        for chunk in response.iter_raw():
            said += chunk
            if len(said) > LONGEST_ANSWER:
                raise Unavailable(f"The hub's answer is longer than {LONGEST_ANSWER >> 20} MB.", "Check HF_ENDPOINT.")
    return bytes(said)


def _headers(begun: int = 0) -> dict[str, str]:
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    told: dict[str, str] = {**build_hf_headers(), "Accept-Encoding": "identity"}
    return {**told, "Range": f"bytes={begun}-"} if begun else told


def _accept(response: Any) -> None:  # noqa: ANN401 - an httpx2.Response, its body unread
    """Raise the hub client's error for an answer that is one. Its body is not read: it may be of any length, and what
    a person is told is in the status and the headers. Nor is one that comes packed though none was asked for."""
    import httpx2
    from huggingface_hub.utils import hf_raise_for_status  # type: ignore[attr-defined]

    packed = response.headers.get("Content-Encoding", "identity").lower()
    told = [(key, value) for key, value in response.headers.raw if not key.lower().startswith(b"content-")]
    hf_raise_for_status(httpx2.Response(response.status_code, headers=told, request=response.request))
    if packed not in {"", "identity"}:
        raise Unavailable(
            f"The hub sends {packed[:40]} where plain bytes were asked for.", "Check HF_ENDPOINT, HTTPS_PROXY."
        )


def download(
    source: HubSource,
    commit: str,
    file: PinnedFile,
    target: Path,
    options: HubOptions,
    tell: Callable[[int], None] = lambda received: None,
    stopped: Stop | None = None,
) -> None:
    """Bring `target` to the whole file; what it holds already is gone on from. `tell` hears of bytes as they come.

    The bytes are compared with what the hub says of them; where they are others, `target` is gone. Setting `stopped`
    ends it soon, with what came kept. Raises Unavailable, ModelDamaged, OSError.
    """
    from huggingface_hub import hf_hub_url

    _say_no_more_than_needed()
    url = hf_hub_url(source.repo, file.path, revision=commit, endpoint=options.endpoint)
    ended = stopped or Stop()
    resumed = target.exists() and target.stat().st_size > 0
    if resumed and target.stat().st_size > file.bytes:
        target.unlink()
    furthest = target.stat().st_size if resumed and target.exists() else 0
    tell(furthest)

    def more() -> bool:
        with _plainly(source, file.path):
            return _more(url, file, target, options, tell, ended, furthest)

    while not _tried(more, options, ended):  # a cut after much that is new does not count as a failure
        furthest = max(furthest, target.stat().st_size)
    if file.is_at(target):
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
    stopped: Stop,
    furthest: int,
) -> bool:
    """One connection: append what comes. Whether the file has its size then; False after a cut that brought much more
    than any before, `furthest` bytes."""
    import httpx2
    from huggingface_hub import get_session

    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("ab") as out:
        begun = out.tell()
        if begun == file.bytes:
            return True
        try:
            with get_session().stream("GET", url, headers=_headers(begun), timeout=options.timeout) as response:
                _accept(response)
                if begun and response.status_code != 206:  # the whole file comes, not its end
                    out.truncate(0)
                    tell(-begun)
                for chunk in _chunks(response, stopped):
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
            if out.seek(0, 2) - furthest >= _ENOUGH:
                return False
            raise
        return True


def _say_no_more_than_needed() -> None:
    """Requests tell the hub's client and its version, and nothing of what else is installed or who called it."""
    from huggingface_hub import constants

    constants.HF_HUB_DISABLE_TELEMETRY = True


def _chunks(response: Any, stopped: Stop) -> Iterator[bytes]:  # noqa: ANN401
    with stopped.ends(response):
        for chunk in response.iter_raw():
            if stopped.is_set():
                raise _Stopped
            yield chunk


def _tried(once: Callable[[], Result], options: HubOptions, stopped: Stop) -> Result:
    """Try until it succeeds or fails for good, with growing pauses that `stopped` ends; a hub that nobody answers for
    is given up sooner."""
    unreached, pause = 0, options.pause
    for attempt in range(1, options.attempts + 1):
        if stopped.is_set():
            raise _ended()
        try:
            return once()
        except Passing as error:
            unreached += isinstance(error, Unreachable)
            asked = patience(error)
            if attempt == options.attempts or unreached >= UNREACHED or asked is False:
                raise
            jittered = pause * random.uniform(0.75, 1.25)  # noqa: S311 - so that not all come back at once
            if stopped.wait(jittered if asked is True else asked):
                raise _ended() from error
            pause = min(2 * pause, _LONGEST_WAIT)
    raise ValueError("a request is tried at least once")


def patience(error: Exception) -> bool | float:
    """Whether to ask again after this error, or after how many seconds."""
    return error.pause if isinstance(error, Passing) else False


AGAIN = "What came is kept: the same command goes on from here."
"""What helps where a fetch was cut off."""


def _ended() -> Unavailable:
    return Unavailable("The fetch was ended.", "The same command goes on from here.")


class Passing(Unavailable):
    """A trouble that may pass by itself; `pause` is True, or the seconds that the hub asked for."""

    def __init__(self, sentence: str, remedy: str, pause: bool | float = True) -> None:
        """`pause` False would mean that it does not pass."""
        super().__init__(sentence, remedy)
        self.pause = pause


class Unreachable(Passing):
    """Nobody answers at the hub's address."""


class _plainly:
    """What goes wrong with the hub, as errors of this house."""

    def __init__(self, source: HubSource, path: str = "") -> None:
        self._source, self._path = source, path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, _Stopped):
            raise _ended() from None
        if isinstance(error, Exception) and (found := told(error, self._source, self._path)):
            raise found from error


def told(error: Exception, source: HubSource, path: str = "") -> MlError | None:
    """What a person reads of an error of the hub's client; None for what is not the hub's."""
    import httpx2
    from huggingface_hub import errors

    what = f"{path} of {source.repo}" if path else source.repo
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
        return _refused(error, what)
    if isinstance(error, httpx2.ProxyError):
        return Unavailable(f"The proxy does not let {what} through: {error}.", "Check HTTPS_PROXY.")
    if isinstance(error, httpx2.TimeoutException):
        return Passing(f"The hub did not send {what} in time.", AGAIN)
    if isinstance(error, httpx2.ConnectError) and "CERTIFICATE_VERIFY_FAILED" in str(error):
        remedy = "Behind a proxy that opens connections, name its certificates: export SSL_CERT_FILE=..."
        return Unavailable(f"The hub's certificate is not trusted: {str(error)[:200]}.", remedy)
    if isinstance(error, httpx2.LocalProtocolError):  # its words hold the token
        return Unavailable("A request to the hub cannot be written.", "Check HF_TOKEN for signs that no token has.")
    if isinstance(error, httpx2.ConnectError):
        remedy = "Check the network and HTTPS_PROXY; HF_ENDPOINT names a mirror. " + AGAIN
        return Unreachable(f"The hub cannot be reached: {str(error)[:200]}.", remedy)
    if isinstance(error, (httpx2.NetworkError, httpx2.RemoteProtocolError)):
        return Passing(f"The connection to the hub was cut while {what} came.", AGAIN)
    if isinstance(error, UnicodeEncodeError):
        return Unavailable(
            "HF_TOKEN or HF_ENDPOINT holds a sign that cannot be sent.", "Check HF_TOKEN and HF_ENDPOINT."
        )
    if isinstance(error, (httpx2.RequestError, httpx2.InvalidURL, ValueError)):
        return Unavailable(f"The hub did not answer as a hub: {str(error)[:200].rstrip('.')}.", "Check HF_ENDPOINT.")
    return None


def _refused(error: Any, what: str) -> MlError:  # noqa: ANN401 - an HfHubHTTPError
    status = error.response.status_code
    if status in BUSY:
        asked = error.response.headers.get("Retry-After", "")
        pause = float(asked) if asked.isascii() and asked.isdigit() else None
        if pause is not None and pause > LONGEST_PAUSE:
            return Unavailable(f"The hub asks to be left alone for {pause:g} s.", AGAIN)
        words = "is asked too often" if status == 429 else f"is not well ({status})"
        return Passing(f"The hub {words} and did not send {what}.", AGAIN, True if pause is None else pause)
    if status in (401, 403):
        remedy = "Check the token: it must be valid and may read this repository (export HF_TOKEN=...)."
        return Unavailable(f"The hub refuses {what} ({status}).", remedy)
    return Unavailable(f"The hub answers {status} for {what}.", "Check HF_ENDPOINT, or try again later.")
