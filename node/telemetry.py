"""What the node says while it works: log lines on the terminal and in a file, and figures for Prometheus.

Log lines are events with facts. Whatever goes by a name that holds a secret or speech is taken out before it is
written, and so are bytes. Figures are told of all peers together: the page that shows them is open to every program on
this machine. Knows nothing of what the events mean.
"""

from __future__ import annotations

import logging
import logging.handlers
import os
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TextIO

import psutil
import structlog
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from node.stats import Live, Stats

LOG_BYTES = 2_000_000
LOG_FILES = 3
"""The log file is turned over at that size, and so many older ones are kept."""
LONGEST = 500
"""Characters of one value in a log line; peers' words may be in it."""

TRACE = 8_000
"""Characters of a trace."""

SECRET = ("token", "passphrase", "password", "secret", "private", "link", "spake", "proof", "key")
"""Facts whose name ends in one of these are not written; nor is a pairing code (the code of a refusal is)."""
SPEECH = ("text", "transcript", "words", "samples", "audio", "body", "data")
"""Nor are these: what the owner said stays out of logs."""
HIDDEN = "(not logged)"

Levels = Literal["debug", "info", "warning", "error"]


def hide(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Take secrets, speech and raw bytes out of one log line, and bound what is left."""
    for name, value in event.items():
        if name == "exception":
            event[name] = "\n".join(map(shown, str(value)[-TRACE:].split("\n")))
        elif name == "event":
            event[name] = shown(str(value))
        else:
            event[name] = _bare(name, value)
    return event


def shown(text: str) -> str:
    """One line without what would steer a terminal, bounded: peers, and whoever made a file, choose some words."""
    text = text if len(text) <= LONGEST else text[:LONGEST] + "..."
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def _bare(name: str, value: Any) -> Any:  # noqa: ANN401
    last = name.lower().replace("-", "_").rsplit("_", 1)[-1]
    if last in SECRET or last in SPEECH or name.lower() == "pairing_code":
        return HIDDEN
    if isinstance(value, bytes | bytearray | memoryview):
        return f"{len(value)} bytes"
    if isinstance(value, Mapping):
        return {str(inner): _bare(str(inner), value[inner]) for inner in value}
    if isinstance(value, str):
        return shown(value)
    if isinstance(value, Sequence):
        return [_bare(name, inner) for inner in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return _bare(name, str(value))


def set_up_logs(
    file: Path | None = None,
    level: Levels = "info",
    stream: TextIO | None = None,
    as_json: bool = False,
) -> None:
    """Send all log lines of this process to `stream` (standard error) and, as JSON, to a file that is turned over.

    On a terminal lines are for people, with `as_json` for programs. The file is its owner's alone; one that cannot be
    opened is said once on the stream, and the node runs without it. Lines of libraries are taken in from warnings on.
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        hide,
    ]
    out = stream if stream is not None else sys.stderr
    on_terminal = out.isatty()
    shown: Any = structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer(colors=on_terminal)
    handlers: list[logging.Handler] = [logging.StreamHandler(out)]
    handlers[0].setFormatter(_formatter(shown, shared))
    trouble: OSError | None = None
    if file is not None:
        try:
            handlers.append(_file_handler(file, shared))
        except OSError as error:
            trouble = error
    root = logging.getLogger()
    for old in [handler for handler in root.handlers if getattr(handler, "of_babelmesh", False)]:
        root.removeHandler(old)
        old.close()
    for handler in handlers:
        handler.of_babelmesh = True  # type: ignore[attr-defined]
        root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.getLogger(OURS).setLevel(level.upper())
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=lambda *names: logging.getLogger(".".join((OURS, *map(str, names)))),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    if trouble is not None:
        structlog.get_logger("log").warning("the log file cannot be written", file=str(file), why=trouble.strerror)


@contextmanager
def notes(stream: TextIO) -> Iterator[None]:
    """While the block runs, events are sentences on `stream`: for a command that a person waits for.

    Of events of one kind the first is told, and in the end how many there were more.
    """
    told: Counter[str] = Counter()

    def say(_logger: object, _method: str, event: MutableMapping[str, Any]) -> str:
        what = str(event.pop("event")).rstrip(".")
        what = what[:1].upper() + what[1:]
        told[what] += 1
        if told[what] > 1:
            raise structlog.DropEvent
        facts = ", ".join(f"{name}: {_short(value)}" for name, value in event.items())
        return f"Note: {what} ({facts})." if facts else f"Note: {what}."

    before = structlog.get_config()
    structlog.configure(
        processors=[hide, say],
        logger_factory=structlog.PrintLoggerFactory(stream),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=False,
    )
    try:
        yield
    finally:
        structlog.configure(**before)
        for what, times in told.items():
            if times > 1:
                stream.write(f"Note: {what}: {times - 1} more time{'s' if times > 2 else ''}.\n")


def _short(value: object) -> str:
    """A fact for people: of digests the beginning."""
    return re.sub("([0-9a-f]{8})[0-9a-f]{32,}", r"\1…", str(value)).rstrip(".")


OURS = "babelmesh"
"""The root of our own loggers' names."""


def _formatter(renderer: Any, shared: Sequence[Any]) -> logging.Formatter:  # noqa: ANN401
    return structlog.stdlib.ProcessorFormatter(
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        foreign_pre_chain=[*shared],
    )


def _file_handler(file: Path, shared: Sequence[Any]) -> logging.Handler:
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handler = _LogFile(file, maxBytes=LOG_BYTES, backupCount=LOG_FILES, encoding="utf-8")
    handler.setFormatter(_formatter(structlog.processors.JSONRenderer(), shared))
    return handler


class _LogFile(logging.handlers.RotatingFileHandler):
    """A log file for its owner's eyes. On a full disk it loses lines, and says so once where the others are shown."""

    _said = False

    def _open(self) -> Any:  # noqa: ANN401
        handle = os.open(self.baseFilename, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return os.fdopen(handle, self.mode, encoding=self.encoding)

    def handleError(self, record: logging.LogRecord) -> None:
        if not self._said:
            self._said = True
            why = sys.exc_info()[1]
            structlog.get_logger("log").warning(
                "lines are missing in the log file", file=self.baseFilename, why=str(why)
            )


class Telemetry:
    """The figures of one node, in a registry of its own."""

    def __init__(self) -> None:
        """Looks at this process from now on."""
        self._process = psutil.Process()
        self._process.cpu_percent()  # the first call only starts the count
        self._picture = _Picture()
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self._picture)

    def sample(self, live: Live) -> None:
        """Note how much memory this process holds, and how much of a core it has used since the last time."""
        live.memory = int(self._process.memory_info().rss)
        live.cpu = float(self._process.cpu_percent())

    def text(self, stats: Stats) -> bytes:
        """The Prometheus text (exposition format 0.0.4) of a picture of the node."""
        self._picture.stats = stats
        return generate_latest(self._registry)


class _Picture(Collector):
    """Gives the registry what the last picture says."""

    def __init__(self) -> None:
        self.stats: Stats | None = None

    def collect(self) -> Iterable[Metric]:
        return families(self.stats) if self.stats is not None else ()


def families(stats: Stats) -> Iterator[Metric]:
    """A picture as Prometheus metrics; none has a label that a peer could fill or that names one."""
    yield _gauge("up", "Whether the node runs.", float(stats.running))
    if stats.uptime is not None:
        yield _gauge("uptime_seconds", "Since the node was started.", stats.uptime)
    yield _gauge(
        "peers", "Peers in the book, by what the owner thinks of them.", _count(p.trust for p in stats.peers), "trust"
    )
    yield _gauge("peers_connected", "Peers with a finished hello.", float(sum(p.connected for p in stats.peers)))
    yield _gauge("peer_strikes", "Strikes of all known peers together.", sum(p.strikes for p in stats.peers))
    yield _counter("received_bytes", "From known peers, ever.", float(stats.traffic.bytes_in))
    yield _counter("sent_bytes", "To known peers, ever.", float(stats.traffic.bytes_out))
    yield _gauge("updates", "Kept updates of peers, by verdict.", stats.verdicts, "verdict")
    yield _gauge("deliveries", "Kept offers to peers, by outcome.", stats.outcomes, "outcome")
    yield _counter("rounds", "Finished training rounds.", float(stats.quality.rounds))
    errors = {
        "genesis": stats.quality.rmse_genesis,
        "best": stats.quality.rmse_best,
        "alone": stats.quality.rmse_alone,
    }
    known = {role: value for role, value in errors.items() if value is not None}
    yield _gauge("held_out_rmse_db", "Log-mel RMSE on the owner's held-out speech.", known, "model")
    yield from _counters(stats.counters)
    if stats.memory is not None:
        yield _gauge("resident_bytes", "Memory of the node's process.", float(stats.memory))
    if stats.cpu is not None:
        yield _gauge("cpu_percent", "Of one core, since the last look.", stats.cpu)
    paces = [job.pace for job in stats.jobs if job.pace is not None]
    if paces:
        yield _gauge("translation_pace", "Seconds of work per second of sound, last translation.", paces[0])


def _counters(counters: Mapping[str, float]) -> Iterator[Metric]:
    """What the gate has counted: `answered_offer_want`, `asked_hello_unreachable`, `strikes_bad-hash`, `faults` ..."""
    requests = CounterMetricFamily(
        "babelmesh_requests", "Since the start, by who asked.", labels=["way", "kind", "outcome"]
    )
    strikes = CounterMetricFamily("babelmesh_strikes", "Since the start, by reason.", labels=["reason"])
    for name, number in counters.items():
        way, *labels = name.split("_")
        if way in {"answered", "asked"} and len(labels) == 2:
            requests.add_metric([way, *labels], number)
        elif way == "strikes" and labels:
            strikes.add_metric(["_".join(labels)], number)
        else:
            yield _counter(f"gate_{name}", "Since the start.", number)
    yield requests
    yield strikes


def _gauge(name: str, text: str, value: float | Mapping[str, float], label: str = "") -> Metric:
    return _filled(GaugeMetricFamily(f"babelmesh_{name}", text, labels=[label] if label else None), value)


def _counter(name: str, text: str, value: float | Mapping[str, float], label: str = "") -> Metric:
    return _filled(CounterMetricFamily(f"babelmesh_{name}", text, labels=[label] if label else None), value)


def _filled(
    family: GaugeMetricFamily | CounterMetricFamily, value: float | Mapping[str, float]
) -> GaugeMetricFamily | CounterMetricFamily:
    if isinstance(value, Mapping):
        for name, number in value.items():
            family.add_metric([name], float(number))
    else:
        family.add_metric([], value)
    return family


def _count(words: Iterable[str]) -> dict[str, float]:
    counted: dict[str, float] = {}
    for word in words:
        counted[word] = counted.get(word, 0.0) + 1.0
    return counted
