"""`node voice`: the voices of this node: their profiles, and the speech that it learns from.

Parses, asks the household, prints. Knows nothing of what is inside a profile or a model.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from cli.common import Common, household
from cli.errors import BadUsage
from cli.render import progress_bars, show_line, show_table, write_json

if TYPE_CHECKING:
    from node.enrolment import VoiceFacts

Switch = Parameter(negative="", show_default=False)

PRIVATE = (
    "The speech to learn from is kept as frames that can be turned back into sound. They lie in this node's home, for "
    "you alone, and never leave this machine."
)


@Parameter(name="*")
@dataclass(frozen=True)
class Recording:
    """How to listen to the owner."""

    seconds: float = 60.0
    "How long to listen."

    device: str | None = None
    "The microphone, by a part of its name [default: the system's]."

    read: str = "en"
    "Language of the sentences to read aloud."


def add(
    name: str,
    *recordings: Path,
    language: str = "es",
    replace: Annotated[bool, Switch] = False,
    more: Annotated[bool, Switch] = False,
    keep_recordings: Annotated[bool, Switch] = False,
    no_training: Annotated[bool, Switch] = False,
    common: Common | None = None,
) -> int:
    """Make a voice from recordings of one person; from 10 seconds of speech on its profile is trusted.

    Besides the profile, the speech is kept as log-mel frames for the node to learn from. Frames can be turned back into
    sound that is understood; they never leave this machine. A minute of speech is a good start for learning.

    Parameters
    ----------
    name
        What to call the voice.
    recordings
        Recordings of that person alone, or folders of them.
    language
        Language that the voice will mostly speak: the synthetic base voice is chosen for it.
    replace
        Replace a voice of the same name, and its speech.
    more
        Give a voice that is here already more speech to learn from; its profile stays.
    keep_recordings
        Also keep the speech itself in the node's home.
    no_training
        Keep statistics only: no frames, nothing that can be turned back into sound.
    """
    common = common or Common()
    if not recordings:
        raise BadUsage("A voice needs recordings.", f"node voice add {name} talk.wav more.wav")
    from node.enrolment import Enrolment, EnrolOptions

    options = EnrolOptions(language, replace, more, keep_recordings, not no_training)
    with household(common) as node:
        enrolment = Enrolment(node.registry, node.voices, node.frames)
        with progress_bars(f"voice {name}") as progress:
            facts = enrolment.add(name, recordings, options, progress)
    _show(facts, common, node.config.train.model)
    return 0


def record(
    name: str,
    *,
    recording: Recording | None = None,
    language: str = "es",
    replace: Annotated[bool, Switch] = False,
    no_training: Annotated[bool, Switch] = False,
    common: Common | None = None,
) -> int:
    """Make a voice from what you say into the microphone now, or give a voice that is here more speech to learn from.

    The sound itself is not kept; frames for learning are (see: node voice add --help). Ctrl-C keeps nothing.

    Parameters
    ----------
    name
        What to call the voice.
    language
        Language that the voice will mostly speak: the synthetic base voice is chosen for it.
    replace
        Make the voice anew, instead of adding to it.
    no_training
        Keep statistics only.
    """
    common, recording = common or Common(), recording or Recording()
    seconds = recording.seconds
    if not 5 <= seconds <= 3600:
        raise BadUsage(f"{seconds:g} s is not a time to record for.", "Give --seconds from 5 to 3600.")
    from ml.voice.sentences import passage_for
    from node.enrolment import Enrolment, EnrolOptions
    from node.microphone import microphone

    with household(common) as node:
        more = node.voices.has(name) and not replace
        options = EnrolOptions(language, replace, more, training=not no_training)
        source = microphone(recording.device)
        if not common.json:
            show_line("Read this aloud, as you would to a friend, then go on in your own words:\n")
            for sentence in passage_for(recording.read):
                show_line(f"  {sentence}")
            show_line("")
        with progress_bars(f"voice {name}") as progress:
            enrolment = Enrolment(node.registry, node.voices, node.frames)
            facts = enrolment.listen(name, source.record(seconds), seconds, options, progress)
    if source.lost:
        show_line(f"Note: sound was lost {source.lost} times, because this machine was too busy.", error=True)
    _show(facts, common, node.config.train.model)
    return 0


def reconstruct(
    source: Path,
    target: Path,
    *,
    model: Literal["best", "working", "alone", "genesis"] = "best",
    layout: Literal["res64", "b4h80"] | None = None,
    vocoder: str | None = None,
    common: Common | None = None,
) -> int:
    """Hear what the voice model does to a recording: through 32 numbers a frame, and back to sound.

    Parameters
    ----------
    source
        A recording of up to two minutes.
    target
        Where the result goes: .wav, .flac, .mp3, .opus, .ogg or .m4a.
    model
        The model that speaks for you, the one that training goes on from, the one that never hears of peers, or the
        start that everybody shares.
    layout
        Which shipped model: frame by frame, or blocks of 64 ms [default: the one that learns, `[train] model`].
    vocoder
        What makes its frames sound: an engine by name, or griffin-lim [default: the best installed, else griffin-lim].
    """
    common = common or Common()
    from node.learned import current_model
    from node.reconstruction import GRIFFIN_LIM, sounding
    from node.reconstruction import reconstruct as rebuild
    from node.store.rows import Role

    with household(common) as node:
        learned = current_model(node.config, None if model == "genesis" else Role(model), layout)
        by = sounding(node.registry, vocoder)
        done = rebuild(source, target, "genesis" if learned.is_genesis else model, learned, by)
    if common.json:
        write_json(done.as_dict())
        return 0
    show_line(f"Written: {done.output} ({done.seconds:.1f} s, {done.latents_per_second:.0f} numbers a second).")
    show_line(f"Model: {done.model} of {done.layout} ({done.digest[:12]}).")
    if learned.is_genesis and model != "genesis":
        show_line("This node has learned nothing yet: that is the start that everybody shares.")
    start = "" if learned.is_genesis else f" (genesis: {done.genesis_rmse_db:.2f} dB)"
    show_line(f"Error of the log-mel spectrum: {done.rmse_db:.2f} dB{start}; MCD {done.mcd:.2f} dB.")
    show_line(f"Sounded by {done.vocoder}: {done.vocoder_why}. The sound itself is {done.sound_rmse_db:.2f} dB off.")
    for warning in done.warnings:
        show_line(f"Note: {warning}", error=True)
    if done.vocoder == GRIFFIN_LIM:
        show_line("The metallic sound is not the model's: it comes from guessing phases (Griffin-Lim).")
        if vocoder is None:
            show_line("With a vocoder it goes: node models pull speecht5-hifigan")
    return 0


def list_(*, common: Common | None = None) -> int:
    """List the voices of this node."""
    common = common or Common()
    from ml.errors import ModelDamaged
    from node.enrolment import voice_facts
    from node.errors import HomeUnusable

    entries: list[dict[str, Any]] = []
    rows: list[tuple[str, ...]] = []
    with household(common) as node:
        for name in node.voices.names():
            try:
                facts = voice_facts(name, node.voices, node.frames)
            except (ModelDamaged, HomeUnusable) as error:
                entries.append({"name": name, "error": error.sentence, "remedy": error.remedy})
                rows.append((name, "damaged", "no", "-", f"see: node voice show {name}"))
            else:
                entries.append(facts.as_dict())
                trusted = "yes" if facts.trusted else "needs 10 s"
                rows.append((name, f"{facts.seconds:.1f} s", trusted, _hz(facts.f0_median), facts.training()))
    if common.json:
        write_json({"voices": entries})
    elif not rows:
        show_line("No voices yet. Make one with: node voice add NAME RECORDING...")
    else:
        show_table("Voices", ("name", "speech", "trusted", "F0", "to learn from"), rows)
    return 0


def show(name: str, *, common: Common | None = None) -> int:
    """Show what is known of a voice.

    Parameters
    ----------
    name
        Name of the voice.
    """
    common = common or Common()
    from node.enrolment import voice_facts

    with household(common) as node:
        _show(voice_facts(name, node.voices, node.frames), common, node.config.train.model)
    return 0


def remove(name: str, *, common: Common | None = None) -> int:
    """Forget a voice: its profile, its speech to learn from, and any kept recordings.

    Models that were trained on it stay, as does what peers have received of them.

    Parameters
    ----------
    name
        Name of the voice.
    """
    common = common or Common()
    from node.enrolment import forget_voice

    with household(common) as node:
        forget_voice(name, node.voices, node.frames)
    if common.json:
        write_json({"removed": name})
    else:
        show_line(f"The voice {name} is forgotten.")
    return 0


def _hz(value: float | None) -> str:
    return f"{value:.0f} Hz" if value else "-"


def _show(facts: VoiceFacts, common: Common, model: str = "res64") -> None:
    if common.json:
        write_json(facts.as_dict())
        return
    if facts.mixed:
        show_line(
            "Note: these recordings seem to hold more than one voice. A profile is of one person: make it anew from "
            f"recordings of that person alone, with: node voice add {facts.name} RECORDING... --replace",
            error=True,
        )
    show_table(f"Voice {facts.name}", ("what", "value"), [(key, value) for key, value in facts.rows()])
    if facts.training_utterances:
        show_line(PRIVATE)
        show_line(advice(facts.training_seconds, model, facts.training_utterances))


def advice(seconds: float, model: str = "res64", utterances: int = 2) -> str:
    """What so much speech in so many utterances is good for in learning, in words; shares of the mean squared error,
    from docs/genesis.md and docs/architectures.md."""
    if seconds < 5:
        return "Learning needs 5 s of speech in two utterances; half a minute is a start, a minute is good."
    if utterances < 2:
        return "Learning needs two utterances, with a pause between them, and this is one: give it more with --more."
    if model == "b4h80":
        return "Enough to begin with; b4h80 is good from its start, and learning takes away less than 1 % more."
    if seconds < 30:
        return "Enough to begin with: expect 1 to 3 % less squared error than everybody's start; 40 s bring about 4 %."
    if seconds < 120:
        return "A good start: expect 3 to 5 % less squared error than everybody's start, a bit more in later rounds."
    return "Plenty to learn from."
