"""`node voice`: the voice profiles of this node.

Parses, asks the household, prints. Knows nothing of what is inside a profile.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from cli.common import Common, household
from cli.errors import BadUsage
from cli.render import progress_bars, show_line, show_table, write_json

if TYPE_CHECKING:
    from node.enrolment import VoiceFacts

Switch = Parameter(negative="", show_default=False)


def add(
    name: str,
    *recordings: Path,
    language: str = "es",
    replace: Annotated[bool, Switch] = False,
    keep_recordings: Annotated[bool, Switch] = False,
    common: Common | None = None,
) -> int:
    """Make a voice profile from recordings of one person; 10 to 12 seconds of speech or more make it trusted.

    Parameters
    ----------
    name
        What to call the voice.
    recordings
        Recordings of that person alone, or folders of them.
    language
        Language that the voice will mostly speak: the synthetic base voice is chosen for it.
    replace
        Replace a voice of the same name.
    keep_recordings
        Also keep the speech itself in the node's home. Without this only statistics are kept.
    """
    common = common or Common()
    if not recordings:
        raise BadUsage("A voice needs recordings.", f"node voice add {name} talk.wav more.wav")
    from node.enrolment import Enrolment

    with household(common) as node:
        enrolment = Enrolment(node.registry, node.voices)
        with progress_bars(f"voice {name}") as progress:
            facts = enrolment.add(
                name, recordings, language, progress, replace=replace, keep_recordings=keep_recordings
            )
    _show(facts, common)
    return 0


def list_(*, common: Common | None = None) -> int:
    """List the voices of this node."""
    common = common or Common()
    from node.enrolment import voice_facts

    with household(common) as node:
        known = [voice_facts(name, node.voices) for name in node.voices.names()]
    if common.json:
        write_json({"voices": [facts.as_dict() for facts in known]})
    elif not known:
        show_line("No voices yet. Make one with: node voice add NAME RECORDING...")
    else:
        rows = [
            (facts.name, f"{facts.seconds:.1f} s", "yes" if facts.trusted else "needs 10 s", _hz(facts.f0_median))
            for facts in known
        ]
        show_table("Voices", ("name", "speech", "trusted", "F0"), rows)
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
        _show(voice_facts(name, node.voices), common)
    return 0


def remove(name: str, *, common: Common | None = None) -> int:
    """Forget a voice, its profile and any kept recordings.

    Parameters
    ----------
    name
        Name of the voice.
    """
    common = common or Common()
    with household(common) as node:
        node.voices.remove(name)
    if common.json:
        write_json({"removed": name})
    else:
        show_line(f"The voice {name} is forgotten.")
    return 0


def _hz(value: float | None) -> str:
    return f"{value:.0f} Hz" if value else "-"


def _show(facts: VoiceFacts, common: Common) -> None:
    if common.json:
        write_json(facts.as_dict())
        return
    show_table(f"Voice {facts.name}", ("what", "value"), [(key, value) for key, value in facts.rows()])
