"""A simulation as one HTML page that needs nothing beside it: words, figure, tables.

Knows nothing of how the numbers came about.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from node.simulation.outcome import Outcome
from node.simulation.plots import svg

STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 66rem; padding: 0 1rem; color: #1c2733;
  background: #fff; }
h1 { font-size: 1.6rem; margin-bottom: .2rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
p.lead { font-size: 1.1rem; } figure { margin: 0; } figure svg { width: 100%; height: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; } .wide { overflow-x: auto; }
th, td { padding: .2rem .8rem; text-align: right; border-bottom: 1px solid #d8e0e6; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; } footer { margin-top: 2rem; color: #566; font-size: .9rem; }
"""


def page(outcome: Outcome) -> str:
    """The whole document."""
    title = f"{outcome.people} simulated nodes, {len(outcome.rounds)} rounds"
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)} - Babelmesh</title>
<style>{STYLE}</style>
</head>
<body>
<h1>{escape(title)}</h1>
{"".join(f'<p class="lead">{escape(line)}</p>' for line in told(outcome))}
<figure>{svg(outcome)}</figure>
<h2>At the end</h2>
{_final(outcome)}
<h2>Round by round</h2>
{_rounds(outcome)}
{_note(outcome)}
<h2>Settings</h2>
{_table(("setting", "value"), ((name, _value(value)) for name, value in outcome.settings.items()))}
{_origin(outcome)}
<footer>Babelmesh {escape(outcome.version)}. {escape(outcome.speech)} A gain is how much of the squared error of the
shared start is gone; "alone" are the same people with the same work and no peers.</footer>
</body>
</html>
"""


def told(outcome: Outcome) -> list[str]:
    """What came out, in a few sentences."""
    lines = []
    if outcome.hostile:
        lines.append(
            f"{outcome.hostile} of the {outcome.people} nodes are hostile ({outcome.settings.get('hostile')}): gains "
            f"are those of the {outcome.people - outcome.hostile} others."
        )
    final = outcome.final
    if final is None:
        lines.append(f"Stopped after {len(outcome.rounds)} of {outcome.settings.get('rounds')} rounds.")
    else:
        lines.append(
            f"On speech that nobody had seen, the error of the average person fell from {final.genesis_rmse_db:.3f} to "
            f"{final.rmse_db:.3f} dB: {final.gain.mean:z.1f} % less squared error; {final.gain.worst_decile:z.1f} % in "
            "the worst tenth of the people."
        )
        if final.alone is not None and final.largest_loss is not None:
            more = final.gain.mean - final.alone.mean
            lines.append(
                f"The same people alone: {final.alone.mean:z.1f} %, worst tenth {final.alone.worst_decile:z.1f} %. "
                f"Peers {'added' if more >= 0 else 'took'} {abs(more):.1f} points; {final.worse_than_alone:.0f} % of "
                f"the people are worse off than alone, at most by {max(final.largest_loss, 0):.1f} % of their error."
            )
        else:
            lines.append("What peers added is not known: the control without peers was left out.")
    if outcome.rounds:
        lines.append(
            f"A round took {outcome.seconds_per_round:.2f} s, {outcome.cpu_ms_per_person_round:.2f} ms of CPU for each "
            f"person; each sent {outcome.bytes_per_person_round / 1e3:.1f} KB a round{_with_those_away(outcome)}."
        )
    return lines


def _with_those_away(outcome: Outcome) -> str:
    """What is sent in a round by everybody, where not everybody is always there."""
    turns = outcome.people * len(outcome.rounds)
    if sum(row.online for row in outcome.rounds) == turns:
        return ""
    share = sum(row.sent for row in outcome.rounds) / turns / 1e3
    return f" that they were there for, which is {share:.1f} KB a round when those who were away are counted too"


def _note(outcome: Outcome) -> str:
    if not outcome.hostile:
        return ""
    return (
        "<p>Accepted: of all received models, those from hostile nodes among them. How many of theirs were accepted "
        "is not measured.</p>"
    )


def _origin(outcome: Outcome) -> str:
    if not outcome.origin:
        return ""
    return "<h2>How it came about</h2>\n" + _table(("", ""), outcome.origin.items())


def _final(outcome: Outcome) -> str:
    final = outcome.final
    if final is None:
        return "<p>It has not come to its end.</p>"
    rows = [("with peers", final.gain)] + ([("alone", final.alone)] if final.alone is not None else [])
    return _table(
        ("gain on test speech, %", "mean", "median", "worst decile", "worst", "people"),
        (
            (
                name,
                f"{one.mean:.2f}",
                f"{one.median:.2f}",
                f"{one.worst_decile:.2f}",
                f"{one.worst:.2f}",
                str(one.people),
            )
            for name, one in rows
        ),
    )


def _rounds(outcome: Outcome) -> str:
    head = ("round", "gain, %", "worst decile", "alone, %", "online", "accepted, %", "messages", "KB sent", "seconds")
    return _table(
        head,
        (
            (
                str(row.number),
                f"{row.gain.mean:.2f}",
                f"{row.gain.worst_decile:.2f}",
                f"{row.alone.mean:.2f}" if row.alone is not None else "-",
                str(row.online),
                "-" if row.accepted is None else f"{100 * row.accepted:.0f}",
                str(row.messages),
                f"{row.sent / 1e3:.0f}",
                f"{row.seconds:.2f}",
            )
            for row in outcome.rounds
        ),
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def _value(value: object) -> str:
    return "-" if value is None else str(value)
