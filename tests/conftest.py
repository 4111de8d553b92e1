"""What every test stands on: a home of its own, few threads, and where real speech and fetched models are found."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

# Before numpy and torch are imported by anything: a multi-threaded BLAS makes small work slower and timings random.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import platformdirs  # noqa: E402
import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

# A shell tells its background jobs to ignore Ctrl-C; tests press it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# `make test` draws the same examples every time, so that it fails for a change and not by chance; `make test-all` goes
# on looking for new ones.
settings.register_profile("steady", derandomize=True)
settings.register_profile("searching", print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))

ROOT = Path(__file__).resolve().parent.parent

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108
"""A folder in memory, on systems that have one there."""

USER_MODELS = Path(
    os.environ.get("BABELMESH_MODELS") or Path(platformdirs.user_cache_dir("babelmesh", appauthor=False)) / "models"
)
"""Where `make models` puts what it fetches; read before any test changes the environment."""


@pytest.fixture(autouse=True)
def babelmesh_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A node's home for this test alone: no test reads or writes the developer's own voices."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("BABELMESH_HOME", str(home))
    return home


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def shared_speech() -> Path:
    """Recordings of real speakers beside the checkout; they are too many to ship."""
    folder = ROOT.parent / "shared" / "data"
    if not (folder / "speech" / "manifest.json").is_file():
        pytest.skip("needs the speech collection beside the checkout: ../shared/data")
    return folder


@pytest.fixture(scope="session")
def models_dir() -> Path:
    """The folder of fetched model files. Skips where nothing was fetched."""
    if not USER_MODELS.is_dir() or not any(USER_MODELS.iterdir()):
        pytest.skip(f"needs fetched models in {USER_MODELS}: make models")
    return USER_MODELS


@pytest.fixture
def memory_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: simulated nodes sync thousands of files, and no disk is tested there."""
    if not SHARED_MEMORY.is_dir():
        yield tmp_path
        return
    made = Path(tempfile.mkdtemp(dir=SHARED_MEMORY, prefix="babelmesh-test-"))
    yield made
    shutil.rmtree(made)


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
