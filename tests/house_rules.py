"""The rules of the house: each reads one module and yields what breaks it.

`RULES` are about the product, `TEST_RULES` about its tests. They give each rule the bad modules that it must catch and
the good ones that it must leave alone. What runs them is `test_architecture.py`.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("cli", "node", "ml", "p2p")
LONGEST = 400

DOORS = {
    "libp2p": ("p2p/host/",),
    "trio": ("p2p/host/",),
    "sqlite3": ("node/store/",),
    "fastapi": ("node/api/",),
    "uvicorn": ("node/api/",),
    "torch": ("ml/",),
    "onnxruntime": ("ml/",),
    "transformers": ("ml/",),
    "cv2": ("ml/",),
    "ray": ("ml/",),
    "flwr": ("node/simulation/flower/",),
    "pickle": (),
    "urllib.request": ("ml/models/", "node/", "cli/"),
    "http.client": ("ml/models/", "node/", "cli/"),
    "socket": ("node/", "cli/", "p2p/"),
    "unittest": (),
    "tests": (),
    "benchmarks": (),
    "examples": (),
}
"""Which files may import what; a name that ends in a slash is a whole room."""

WITHOUT_MIRROR = {
    "ml/engines/protocols.py": "declarations only; the contract suite in tests/ml/engines runs over every engine",
    "ml/federated/method.py": "declarations only; the contract suites in tests/ml/federated run over all bodies",
    "ml/errors.py": "the errors of all rooms share tests/test_errors.py",
    "p2p/transport.py": "declarations only; the contract suite in tests/p2p runs over every transport",
    "node/errors.py": "the errors of all rooms share tests/test_errors.py",
    "p2p/errors.py": "the errors of all rooms share tests/test_errors.py",
    "cli/errors.py": "the errors of all rooms share tests/test_errors.py",
}
"""Modules without a test file of their own, and why. `__init__.py` holds a docstring and has none either."""

CLOSED_TO_TESTS = {
    "tests/ml/": ("p2p", "node", "cli"),
    "tests/p2p/": ("ml", "node", "cli"),
    "tests/node/": ("cli",),
}
"""Which rooms the tests of a room know as little as the room does; `tests/fakes.py` has fakes for all of them."""

SUPERVISORS = {
    "cli/app.py": "the door turns every error into a sentence and an exit code",
    "p2p/gate.py": "a defect behind the gate ends one call, not the node",
    "node/trial.py": "an engine that breaks its contract is a finding, not a crash",
}
"""The modules that may catch everything, and why."""

LONG_LIVED = ("Registry", "ResultStore", "VoiceShelf", "Mesh", "Gate", "Exchange", "Intake")
"""What only the composition root constructs."""


@dataclass(frozen=True)
class Module:
    """One module of the product: its path from the root, and its text."""

    path: str
    text: str = field(repr=False)

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.path)

    def imports(self) -> Iterator[tuple[str, int]]:
        """Every module that is imported anywhere in the text, with its line; `from a import b` gives `a` and `a.b`."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((alias.name, node.lineno) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield node.module, node.lineno
                yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)
            elif isinstance(node, ast.Call) and dotted(node.func) in {"__import__", "importlib.import_module"}:
                yield from ((str(name.value), node.lineno) for name in node.args[:1] if isinstance(name, ast.Constant))


def dotted(node: ast.AST) -> str:
    """`a.b.c` of a name or an attribute, or nothing."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def says_what_it_is(module: Module) -> Iterator[str]:
    if not (ast.get_docstring(module.tree) or "").strip():
        yield "has no docstring: say what the room is for, and what it does not know"


def is_one_room(module: Module) -> Iterator[str]:
    lines = module.text.count("\n")
    if lines > LONGEST:
        yield f"has {lines} lines: past {LONGEST} it is two rooms, find the wall between them"


def enters_by_the_right_door(module: Module) -> Iterator[str]:
    for name, line in module.imports():
        for guarded, allowed in DOORS.items():
            if (name == guarded or name.startswith(guarded + ".")) and not module.path.startswith(allowed or ("\0",)):
                where = " or ".join(allowed) or "nothing in the product"
                yield f"line {line} imports {name}: only {where} does that"


def imports_by_full_name(module: Module) -> Iterator[str]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            yield f"line {node.lineno} imports relative to itself: write the whole name"


def hides_no_error(module: Module) -> Iterator[str]:
    if module.path in SUPERVISORS:
        return
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ExceptHandler):
            kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            broad = any(kind is None or dotted(kind) in {"Exception", "BaseException"} for kind in kinds)
            if broad and not any(isinstance(inner, ast.Raise) for inner in ast.walk(node)):
                yield f"line {node.lineno} catches everything and raises nothing: name the errors you expect"


def keeps_its_tasks(module: Module) -> Iterator[str]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and (
            dotted(node.func) in {"asyncio.create_task", "asyncio.ensure_future", "create_task", "ensure_future"}
            or dotted(node.func).endswith("loop.create_task")
        ):
            yield f"line {node.lineno} starts a task that nobody waits for: use a TaskGroup"


def prints_only_at_the_door(module: Module) -> Iterator[str]:
    if not module.path.startswith("cli/"):
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call) and dotted(node.func) == "print":
                yield f"line {node.lineno} prints: return the value, the door shows it"


def reads_no_environment_at_import(module: Module) -> Iterator[str]:
    inside = {
        id(inner)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for inner in ast.walk(node)
    }
    for node in ast.walk(module.tree):
        if id(node) not in inside and dotted(node) in {"os.environ", "os.getenv", "os.environb"}:
            yield f"line {node.lineno} reads the environment at import: take it as an argument"  # type: ignore[attr-defined]


def loads_only_safe_weights(module: Module) -> Iterator[str]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and dotted(node.func) == "torch.load":
            safe = any(
                word.arg == "weights_only" and isinstance(word.value, ast.Constant) and word.value.value is True
                for word in node.keywords
            )
            if not safe:
                yield f"line {node.lineno} calls torch.load, which runs what the file says: use safetensors"


def names_no_accelerator(module: Module) -> Iterator[str]:
    if module.path == "ml/device.py":
        return
    for node in ast.walk(module.tree):
        literal = isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.split(":")[0]
        if literal in {"cuda", "mps"} or dotted(node) in {"torch.cuda", "torch.backends.mps", "torch.mps"}:
            yield f"line {node.lineno} names an accelerator: ask ml.device"  # type: ignore[attr-defined]


def studio_has_no_calendar(module: Module) -> Iterator[str]:
    if module.path.startswith("ml/"):
        for name, line in module.imports():
            if name.split(".")[0] == "datetime":
                yield f"line {line} imports datetime: the studio knows no date, the household does"
        for node in ast.walk(module.tree):
            if dotted(node) in {"time.time", "time.localtime", "time.gmtime", "time.strftime", "time.time_ns"}:
                yield f"line {node.lineno} asks what time it is: the household does that"  # type: ignore[attr-defined]


def builds_only_at_the_root(module: Module) -> Iterator[str]:
    if module.path != "node/app.py":
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call) and dotted(node.func).rpartition(".")[2] in LONG_LIVED:
                yield f"line {node.lineno} constructs {dotted(node.func)}: take it built, from node/app.py"


def has_its_mirror_test(module: Module, root: Path = ROOT) -> Iterator[str]:
    path = Path(module.path)
    if path.name == "__init__.py" or module.path in WITHOUT_MIRROR:
        return
    mirror = root / "tests" / path.parent / f"test_{path.name}"
    if not mirror.is_file():
        yield f"has no test: write {mirror.relative_to(root)}"
    elif not any(
        isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
        for node in ast.walk(ast.parse(mirror.read_text()))
    ):
        yield f"has an empty test file: {mirror.relative_to(root)}"


def borrows_from_no_test(module: Module) -> Iterator[str]:
    lines: dict[int, str] = {}
    for name, line in module.imports():
        if name.startswith("tests.") and any(part.startswith("test_") for part in name.split(".")):
            lines.setdefault(line, name)
    for line, name in lines.items():
        yield f"line {line} imports {name}: what two tests share has a module beside them"


def needs_only_what_its_room_knows(module: Module) -> Iterator[str]:
    closed = next((rooms for room, rooms in CLOSED_TO_TESTS.items() if module.path.startswith(room)), ())
    lines: dict[int, str] = {}
    for name, line in module.imports():
        if name.removeprefix("tests.").split(".")[0] in closed:
            lines.setdefault(line, name)
    for line, name in lines.items():
        yield f"line {line} imports {name}: a test that needs it belongs to that room"


Rule = Callable[[Module], Iterator[str]]

TEST_RULES: dict[Rule, tuple[list[Module], list[Module]]] = {
    borrows_from_no_test: (
        [
            Module("tests/node/test_b.py", "from tests.node.test_a import one\n"),
            Module("tests/e2e/test_b.py", "from tests.e2e import test_a\n"),
            Module("tests/ml/shared.py", "import tests.ml.test_a\n"),
            Module("benchmarks/b.py", "def f():\n    from tests.ml.test_a import one\n"),
        ],
        [
            Module("tests/node/test_b.py", "from tests.node.a import one\nfrom tests.conftest import ROOT\n"),
            Module("tests/test_b.py", "from tests.testing import tester\n"),
        ],
    ),
    needs_only_what_its_room_knows: (
        [
            Module("tests/ml/lips/test_a.py", "from node.film import filming\n"),
            Module("tests/ml/a.py", "import node\n"),
            Module("tests/p2p/test_a.py", "def f():\n    from tests.node.swarm import Swarm\n"),
            Module("tests/p2p/test_a.py", "import ml\n"),
            Module("tests/node/test_a.py", "from cli import app\n"),
        ],
        [
            Module("tests/ml/test_a.py", "import ml.types, nodes\nfrom tests.fakes import tone\n"),
            Module("tests/node/test_a.py", "import ml, node, p2p\nfrom tests.ml.lips.streams import Watcher\n"),
            Module("tests/cli/test_a.py", "import node\n"),
            Module("tests/e2e/test_a.py", "import cli, node\n"),
        ],
    ),
}


RULES: dict[Rule, tuple[list[Module], list[Module]]] = {
    says_what_it_is: (
        [Module("ml/a.py", "x = 1\n"), Module("ml/a.py", '"""  """\n')],
        [Module("ml/a.py", '"""Knows nothing of b."""\n')],
    ),
    is_one_room: ([Module("ml/a.py", "x = 1\n" * 401)], [Module("ml/a.py", "x = 1\n" * 400)]),
    enters_by_the_right_door: (
        [
            Module("node/a.py", "import torch\n"),
            Module("cli/a.py", "def f():\n    from torch.nn import Linear\n"),
            Module("node/b.py", "import sqlite3\n"),
            Module("ml/a.py", "import pickle\n"),
            Module("ml/a.py", "import importlib\nimportlib.import_module('libp2p.host')\n"),
            Module("ml/a.py", "from unittest import mock\n"),
            Module("ml/audio/a.py", "from urllib import request\n"),
            Module("p2p/a.py", "from tests.fakes import Wire\n"),
            Module("node/simulation/run.py", "import ray\n"),
        ],
        [
            Module("ml/a.py", "import torch\n"),
            Module("node/store/x.py", "import sqlite3\n"),
            Module("ml/a.py", "import torchlike, pickletools\n"),
        ],
    ),
    imports_by_full_name: (
        [Module("ml/a.py", "from . import b\n"), Module("ml/a.py", "from ..c import d\n")],
        [Module("ml/a.py", "from ml import b\n")],
    ),
    hides_no_error: (
        [
            Module("ml/a.py", "try:\n    f()\nexcept:\n    pass\n"),
            Module("ml/a.py", "try:\n    f()\nexcept Exception as error:\n    log(error)\n"),
            Module("ml/a.py", "try:\n    f()\nexcept (OSError, BaseException):\n    x = 0\n"),
        ],
        [
            Module("ml/a.py", "try:\n    f()\nexcept BaseException:\n    undo()\n    raise\n"),
            Module("ml/a.py", "try:\n    f()\nexcept OSError:\n    x = 0\n"),
        ],
    ),
    keeps_its_tasks: (
        [
            Module("node/a.py", "asyncio.create_task(f())\n"),
            Module("node/a.py", "self.loop.create_task(f())\n"),
            Module("node/a.py", "from asyncio import ensure_future\nensure_future(f())\n"),
        ],
        [Module("node/a.py", "group.create_task(f())\n")],
    ),
    prints_only_at_the_door: (
        [Module("ml/a.py", "print(1)\n"), Module("node/a.py", "def f():\n    print(1)\n")],
        [Module("cli/a.py", "print(1)\n"), Module("ml/a.py", "table.print(1)\n")],
    ),
    reads_no_environment_at_import: (
        [
            Module("ml/a.py", "import os\nHOME = os.environ['HOME']\n"),
            Module("ml/a.py", "import os\nclass A:\n    b = os.getenv('B')\n"),
        ],
        [Module("ml/a.py", "import os\ndef f():\n    return os.environ['HOME']\n")],
    ),
    loads_only_safe_weights: (
        [
            Module("ml/a.py", "torch.load(path)\n"),
            Module("ml/a.py", "torch.load(path, weights_only=False)\n"),
        ],
        [Module("ml/a.py", "torch.load(path, weights_only=True)\n"), Module("ml/a.py", "engines.load('asr')\n")],
    ),
    names_no_accelerator: (
        [
            Module("ml/a.py", "model.to('cuda')\n"),
            Module("ml/a.py", "x = 'cuda:1'\n"),
            Module("ml/a.py", "torch.cuda.is_available()\n"),
            Module("ml/a.py", "torch.backends.mps.is_available()\n"),
        ],
        [Module("ml/device.py", "torch.cuda.is_available()\n"), Module("ml/a.py", "x = 'cudahy'\n")],
    ),
    studio_has_no_calendar: (
        [Module("ml/a.py", "import time\ntime.time()\n"), Module("ml/a.py", "from datetime import date\n")],
        [Module("ml/a.py", "import time\ntime.monotonic()\n"), Module("node/a.py", "import datetime\n")],
    ),
    builds_only_at_the_root: (
        [Module("node/a.py", "Registry(specs, home)\n"), Module("cli/a.py", "x = voices.VoiceShelf(folder)\n")],
        [Module("node/app.py", "Registry(specs, home)\n"), Module("node/a.py", "def f(r: Registry): pass\n")],
    ),
    has_its_mirror_test: (
        [Module("ml/no_such_room.py", "")],
        [Module("ml/__init__.py", ""), Module("ml/engines/protocols.py", "")],
    ),
}
