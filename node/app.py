"""The composition root: builds a node from its configuration, and is the only place that makes long-lived objects.

Knows what there is and how it fits together; what it does is the business of the objects.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Self, cast

from ml.device import Compiling, Hardware, hardware
from ml.engines.protocols import EngineHome
from ml.engines.registry import Registry, discover
from ml.engines.residency import Residency
from ml.errors import Unavailable, UnsupportedLanguage
from ml.threads import limit_threads
from node.config import Config
from node.dubbing import Dubbing, DubOptions
from node.engines import load_engines
from node.errors import HomeUnusable
from node.jobs import ResultStore
from node.library import Library, library_of
from node.voices import VoiceShelf

if TYPE_CHECKING:
    from node.codebooks import Heard
    from node.film.filming import Filming, FilmOptions
    from node.film.revoicing import Ways
    from node.frames import FrameShelf
    from node.learner import Learner
    from node.mesh import Mesh
    from node.stating import Stating
    from node.store import Store
    from p2p.gate import Gate
    from p2p.identity import Identity
    from p2p.peers import PeerBook
    from p2p.transfer import Intake
    from p2p.transport import Transport


@dataclass(frozen=True)
class Node:
    """One household. A context manager: leaving it closes the engines and their processes."""

    config: Config
    registry: Registry
    voices: VoiceShelf
    results: ResultStore
    broken: tuple[Unavailable, ...] = ()
    """Installed engine packages that do not import."""
    tell: Callable[[str], None] = logging.getLogger("babelmesh").warning
    """Hears what a person should know before the work is done, each thing once."""

    @property
    def frames(self) -> FrameShelf:
        """The owner's speech, for learning."""
        from node.frames import FrameShelf

        return FrameShelf(self.config.voices)

    @property
    def heard(self) -> Heard:
        """What peers stated of their voices, and whose statements may be used."""
        from node.codebooks import heard

        return heard(self.config)

    @property
    def library(self) -> Library:
        """The models that can be fetched, and those that are here. Raises BadConfig."""
        return library_of(self.config)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.registry.close()

    def dubbing(self, options: DubOptions) -> tuple[Dubbing, float]:
        """What translates recordings with these options, and the seconds that its engines took to start."""
        began = time.perf_counter()
        if options.voice is not None:
            self.voices.get(options.voice)
        dubbing = Dubbing(
            options, load_engines(self.registry, options.engines, options.languages), self.voices, self.results
        )
        return dubbing, time.perf_counter() - began

    def ways(self, language: str) -> Ways:
        """By what a text in a language is laid along a sound that says it."""
        from ml.engines.choice import Wish
        from ml.engines.protocols import Aligner, Tts
        from node.film.revoicing import Ways

        aligner: Aligner | None = None
        voice: Tts | None = None
        with suppress(Unavailable, UnsupportedLanguage):
            voice = cast(Tts, self.registry.pick(Wish("tts", target=language), "espeak-ng").engine)
        if any(not spec.missing(self.registry.home) for spec in self.registry.specs("align")):
            with suppress(Unavailable, UnsupportedLanguage):
                aligner = cast(Aligner, self.registry.pick(Wish("align", language)).engine)
        return Ways(voice, aligner)

    def filming(self, options: FilmOptions) -> Filming:
        """What gives videos other lips. Raises Unavailable where the networks that find faces are not here, or the
        weights that were asked for; ModelDamaged for weights of something else."""
        from ml.lips.tracker import tracker_at
        from node.film.brought import drawing_of, judge_of
        from node.film.filming import Filming

        machine = partial(_machine, cast(Compiling, self.config.engines.compile))
        with ExitStack() as made:
            tracker = made.enter_context(closing(tracker_at(EngineHome(self.config.models))))
            judge = judge_of(options, self.library, machine)
            if judge is not None:
                made.callback(judge.close)
            drawing = made.enter_context(closing(drawing_of(options, self.library, machine, self.tell)))
            limit_threads()  # OpenCV is loaded by now; who decodes and encodes has threads of its own
            filming = Filming(options, tracker, drawing, self.config.jobs, judge)
            made.pop_all()  # it closes them from now on
            return filming


def build(config: Config, tell: Callable[[str], None] | None = None, *, own: bool = True) -> Node:
    """A node that has loaded nothing yet. `tell` hears when an engine has to do with less memory than was planned;
    without it the log does. With `own` False it leaves the home's own catalogues of models out.

    Raises BadConfig."""
    broken: list[Unavailable] = []
    machine = partial(_machine, cast(Compiling, config.engines.compile))
    residency = Residency(machine, _bytes(config.engines.memory), tell or logging.getLogger("babelmesh").warning)
    specs = (*discover(broken), *library_of(config, own=own).engines(machine, residency.tell))
    best_first = sorted(specs, key=lambda spec: (-spec.rank, spec.name))
    registry = Registry(best_first, EngineHome(config.models), machine, residency, broken)
    results = ResultStore(config.jobs)
    results.prune()
    return Node(config, registry, VoiceShelf(config.voices), results, tuple(broken), residency.tell)


def _bytes(size: str | None) -> int | None:
    """Of a size like "4 GB"."""
    return None if size is None else int(size[:-2]) * {"M": 10**6, "G": 10**9}[size[-2]]


def _machine(compiling: Compiling) -> Hardware:
    """What models may be put on, now."""
    import psutil

    return replace(hardware(psutil.virtual_memory().available), compiling=compiling)


@dataclass(frozen=True)
class Surroundings:
    """What a mesh stands on that differs between a machine and a simulation.

    `clock` gives seconds since the epoch, `ticks` seconds that only go forward.
    """

    identity: Identity
    transport: Transport
    learner: Learner
    clock: Callable[[], float] = time.time
    ticks: Callable[[], float] = time.monotonic
    rng: random.Random = field(default_factory=random.SystemRandom)


def assemble(config: Config, around: Surroundings, by_hand: Sequence[str] = ()) -> Mesh:
    """A mesh with all its parts, over the memory in the home, which the caller closes. The home's lock must be held.

    `by_hand`: addresses of peers to trust that the owner has named for this start; the settings' peers are trusted when
    they are new here. Raises HomeUnusable, StoreFromFuture, BadAddress; BadRequest for a peer by hand that is blocked;
    BadConfig, BudgetWidened and Unavailable for what [privacy] asks.
    """
    import structlog

    from ml.federated.diff import Encoding
    from ml.voice.codec.together import FORMAT
    from ml.voice.genesis import shipped
    from node.exchange import Exchange, Ours
    from node.learning import Learning, LearningOptions
    from node.mesh import Mesh, MeshOptions, Parts
    from node.methods.table import way_of
    from node.publication import publication
    from node.quarantine import Quarantine
    from node.stats import LAYOUT
    from node.store.repair import Shelf, open_or_rebuild
    from node.weights import shelf_of
    from p2p.budget import Allowance, Budgets
    from p2p.gate import About, Gate
    from p2p.peers import BookOptions, PeerBook
    from p2p.sorting import Sorted
    from p2p.transfer import Intake, IntakeOptions

    learner, train = around.learner, config.train
    layouts = {layout.name: layout for layout in (learner.layout, *shipped())}
    shelves = {name: shelf_of(config.weights, layout) for name, layout in layouts.items()}
    shelf = shelves[learner.layout.name]
    opened = open_or_rebuild(
        config.store, lambda: [Shelf(one.sound(), name) for name, one in shelves.items()], around.clock
    )
    store = opened.store.of_model(learner.layout.name)
    try:
        spared = BookOptions(spared=(HomeUnusable,))
        book = PeerBook(store.peers(), store.save_peer, store.forget_peer, around.clock, around.rng, spared)
        before = store.fact(LAYOUT)
        if before != learner.layout.name:
            book.hurry()  # those whose model was another one than ours were to be asked again rarely
            if before:
                log = structlog.get_logger("store")
                log.info("another model learns here now", model=learner.layout.name, kept=before)
            store.set_fact(LAYOUT, learner.layout.name)
        _note_peers(book, config.node.peers, by_hand)
        options = LearningOptions(way_of(train), train.peers_per_round)
        learning = Learning(learner, store, shelf, options, around.clock, around.rng)
        published = publication(config.privacy, learner, learning, (store, shelf), around.clock)
    except BaseException:
        store.close()
        raise
    about = About(_agent(), config.node.name, learner.layout.name, bytes.fromhex(learner.genesis))
    budgets = Budgets(around.ticks, Allowance(bytes_per_hour=config.node.bytes_per_hour))
    gate = Gate(around.transport, book, budgets, about, around.ticks, config.node.open)
    ours = Ours(learner, store, shelf, around.identity, around.clock)
    exchange = Exchange(ours, gate, Encoding(train.encoding))
    usual = Intake(Quarantine(config.quarantine), exchange, around.ticks, IntakeOptions(learner.layout.name))
    stating, heard = _stating(config, around, store, gate)
    intake = Sorted(usual, {FORMAT: heard})
    parts = Parts(store, shelf, around.transport, book, budgets, gate, intake, learner, learning, exchange, published)
    mesh_options = MeshOptions(train.interval, train.rounds, train.peers_per_round, config.node.open)
    mesh = Mesh(parts, mesh_options, around.rng, around.clock)
    stating.among(lambda peer: mesh.trust(peer) > 0)
    mesh.add_service(stating)
    if opened.sentence:
        structlog.get_logger("store").warning(opened.sentence)
    return mesh


def _note_peers(book: PeerBook, named: Sequence[str], by_hand: Sequence[str]) -> None:
    """Trust the peers that the owner named: by hand unless they are blocked, in the settings when they are new here.

    What the owner has said of a peer since goes before what the settings say. Raises BadRequest, and HomeUnusable.
    """
    import structlog

    from node.peering import add
    from p2p.identity import peer_of
    from p2p.peers import Trust

    log = structlog.get_logger("peers")
    for address in by_hand:
        add(book, address, Trust.TRUSTED)
    for address in named:
        peer = peer_of(address) or ""
        known = book.get(peer)
        if known is None:
            book.add(peer, (address,), Trust.TRUSTED)
            continue
        book.learn(peer, (address,))
        if known.trust is Trust.BLOCKED:
            log.warning("a peer that babelmesh.toml names is blocked, and stays so", peer=peer)
        elif known.trust is Trust.WAITING:
            log.warning("a peer that babelmesh.toml names waits for your yes", peer=peer, do="node peers trust")


def _stating(config: Config, around: Surroundings, store: Store, gate: Gate) -> tuple[Stating, Intake]:
    """What tells peers of the owner's voice, and the intake for what they tell of theirs."""
    from ml.voice.codec.codebook import genesis_codebook
    from ml.voice.codec.together import FORMAT, LARGEST
    from node.codebooks import CodebookShelf
    from node.frames import FrameShelf
    from node.quarantine import Quarantine
    from node.stating import Hearing, Speaker, Stating, allowed
    from node.stats import CODEBOOK
    from p2p.transfer import Intake, IntakeOptions

    known = genesis_codebook()
    shelf = CodebookShelf(config.codebooks, known)
    speech = FrameShelf(config.voices)
    note = partial(store.set_fact, CODEBOOK)
    work, voice = around.learner.work, config.train.voice
    speaker = Speaker(around.identity, speech, store.next_sequence, work, note, voice, allowed(config))
    heard = Hearing(shelf, known)
    options = IntakeOptions(FORMAT, largest=LARGEST)
    intake = Intake(Quarantine(config.quarantine / FORMAT), heard, around.ticks, options)
    return Stating(speaker, shelf, known, gate), intake


@contextmanager
def open_mesh(config: Config, passphrase: str | None = None, by_hand: Sequence[str] = ()) -> Iterator[Mesh]:
    """The mesh of this home on this machine, over libp2p; the home's lock is held as long as it is open.

    Makes the identity when there is none. `by_hand`: see `assemble`. Raises HomeBusy, HomeUnusable, BadIdentity,
    BadAddress, BadRequest, Unavailable.
    """
    from ml.voice.genesis import genesis
    from node.frames import FrameShelf
    from node.learner import VoiceLearner, options_of
    from node.lock import HomeLock
    from p2p.host.options import HostOptions
    from p2p.host.transport import Libp2pTransport
    from p2p.identity import Identity

    with HomeLock(config.lock):
        identity = Identity.load_or_create(config.identity, passphrase)
        host = HostOptions(listen=config.node.listen, connections=config.node.connections)
        train = config.train
        learner = VoiceLearner(FrameShelf(config.voices), genesis(train.model), options_of(train), train.voice)
        mesh = assemble(config, Surroundings(identity, Libp2pTransport(identity, host), learner), by_hand)
        if config.node.discover:
            from p2p.discovery import Discovery

            gate = mesh.parts.gate
            mesh.add_service(Discovery(gate.peer_id, gate.addresses, mesh.meet))
        try:
            yield mesh
        finally:
            mesh.parts.store.close()


def _agent() -> str:
    from importlib.metadata import version

    return f"babelmesh/{version('babelmesh')}"
