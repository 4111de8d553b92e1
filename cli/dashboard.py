"""The terminal dashboard: a node's stats, as plain JSON values, turned into something to look at.

The same stats, width and height give the same picture, readable from 60 columns on. Knows nothing of where the
stats come from. Text of peers is shown as text, never as markup.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cli.words import ago, mixture, size, span, sparkline
from node.quality import portion

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

Stats = Mapping[str, Any]
SHOWN = 14
"""Characters of an id that are shown: enough to name a peer by."""
STYLES = {
    "connected": "green",
    "merged": "green",
    "done": "green",
    "rejected": "yellow",
    "timed-out": "yellow",
    "unreachable": "yellow",
    "refused": "red",
    "blocked": "red",
}
LISTED = (12, 8, 6, 5, 4, 3, 2, 1)
"""Rows per list, from roomy to tight."""
USUAL = 6
FIRST = "res64"
"""The model that learns where nobody asked for another."""
WIDE = 90
"""Columns from which a figure is said in full beside its line."""


def dashboard(stats: Stats, width: int, height: int | None = None) -> RenderableType:
    """Everything at a glance. With `height`, lists are as long as fits into that many lines."""
    if height is None:
        return _whole(stats, width, USUAL, tight=False)
    tries = [(listed, False) for listed in LISTED if listed > 2] + [(listed, True) for listed in LISTED]
    roomiest, tightest = 0, len(tries) - 1
    while roomiest < tightest:  # each try takes fewer lines than the one before
        middle = (roomiest + tightest) // 2
        if _lines(_whole(stats, width, *tries[middle]), width) <= height:
            tightest = middle
        else:
            roomiest = middle + 1
    return _whole(stats, width, *tries[tightest])


def _whole(stats: Stats, width: int, listed: int, tight: bool) -> RenderableType:
    """All sections with `listed` rows each; `tight` leaves the blank lines and the second lines out."""
    from rich.console import Group

    space = [] if tight else [_space()]
    sections = [[_head(stats, width), *_model(stats, width)], [_peers(stats, width, listed, tight)]]
    if stats["rounds"]:
        sections.append([_rounds(stats, listed)])
    sections.append([_updates(stats, listed, tight)])
    if stats["jobs"]:
        sections.append([_jobs(stats, max(1, listed // 2))])
    sections.append(_foot(stats))
    parts: list[RenderableType] = []
    for section in sections:
        parts += [*(space if parts else []), *section]
    return Group(*parts)


def _lines(picture: RenderableType, width: int) -> int:
    """How many lines a picture takes."""
    import io

    from rich.console import Console

    console = Console(width=width, height=1000, file=io.StringIO())
    return len(console.render_lines(picture, pad=False))


def peer_view(stats: Stats, peer: Mapping[str, Any], width: int) -> RenderableType:
    """All that is known of one peer."""
    from rich.console import Group
    from rich.text import Text

    now = stats["at"]
    facts = [
        ("id", peer["peer"]),
        ("state", peer["state"]),
        ("trust", f"{peer['trust']}, weight {peer['weight']:.2f} in a merge"),
        ("seen", ago(peer["seen_at"] or 0, now)),
        ("bytes in / out", f"{size(peer['bytes_in'])} / {size(peer['bytes_out'])}"),
        ("budget", _budget(stats, peer) or "-"),
        ("strikes", f"{peer['strikes']:.1f}" + (f": {peer['strike_reason']}" if peer["strike_reason"] else "")),
        ("last update", _verdict(peer) + (f", {ago(peer['last_update_at'], now)}" if peer["last_update_at"] else "")),
        ("last offer of ours", peer["last_delivery"] or "-"),
        *(("address", address) for address in peer["addresses"]),
    ]
    table = _table("", "")
    table.show_header = False
    for what, value in facts:
        table.add_row(Text(what, "dim"), Text(value, overflow="fold"))
    only: dict[str, Any] = dict(stats)
    only["updates"] = [update for update in stats["updates"] if update["peer"] == peer["peer"]]
    only["deliveries"] = [sent for sent in stats["deliveries"] if sent["peer"] == peer["peer"]]
    return Group(
        Text(peer["name"] or f"{peer['peer'][:SHOWN]}…", "bold"),
        table,
        _space(),
        _updates(only, 10),
        _space(),
        _deliveries(only, 10),
    )


def status_line(stats: Stats, width: int | None = None) -> str:
    """One line of what the node does now. What matters least is left out first when `width` columns do not hold it.

    Without `width` it is that of the terminal, or 80 columns where there is none.
    """
    width = shutil.get_terminal_size().columns if width is None else width
    trusted = [peer for peer in stats["peers"] if peer["trust"] == "trusted"]
    connected, known = sum(1 for peer in trusted if peer["connected"]), len(trusted)
    waiting = sum(1 for peer in stats["peers"] if peer["trust"] == "waiting")
    traffic, best = stats["traffic"], stats["quality"]["rmse_best"]
    phase, peers, few = _phase(stats), f"{connected} of {known} peers connected", f"{connected}/{known} peers"
    error = f"{best:.3f} dB" if best is not None else ""
    rounds = f"round {stats['quality']['rounds']}, {error}" if error else ""
    door = f"{waiting} at the door: node peers list" if waiting else ""
    moved = f"{size(traffic['bytes_in'])} in, {size(traffic['bytes_out'])} out"
    tries = [
        (phase, peers, door, rounds, moved),
        (phase, peers, door, rounds),
        (phase, peers, door, error),
        (phase, few, door, error),
        (str(stats["phase"]), few, door, error),
    ]
    lines = [" · ".join(filter(None, parts)) for parts in tries]
    return next((line for line in lines if len(line) < width), lines[-1])


def _phase(stats: Stats) -> str:
    words = str(stats["phase"])
    if stats["epoch"].get("epoch") is not None:
        epochs = f" of {stats['epoch']['epochs']}" if stats["epoch"].get("epochs") else ""
        words += f", epoch {stats['epoch']['epoch']}{epochs}"
    elif stats["next_round_at"]:
        words += f", next round in {span(max(0.0, stats['next_round_at'] - stats['at']))}"
    return words


def _head(stats: Stats, width: int) -> Text:
    from rich.text import Text

    line = Text(stats["name"] or "Babelmesh", "bold", overflow="ellipsis", no_wrap=True)
    if stats["peer_id"]:
        line.append(f"  {stats['peer_id'][:SHOWN]}…", "dim")
    line.append(f"  {_phase(stats)}", "green" if stats["running"] else "yellow")
    if stats["uptime"] is not None and width >= 60:
        line.append(f"  up {span(stats['uptime'])}", "dim")
    if stats["note"]:
        line.append(f"\n{stats['note']}", "yellow")
        line.no_wrap = False
    return line


def _model(stats: Stats, width: int) -> list[RenderableType]:
    from rich.text import Text

    quality, rounds = stats["quality"], list(reversed(stats["rounds"]))
    lines: list[RenderableType] = [Text(quality["sentence"]), *_lines_of(stats)]
    if quality["rmse_best"] is None:
        return lines
    wide = width >= WIDE
    figures = 41 if wide else 27
    room = max(8, width - figures - 17)
    best, alone = [r["rmse_best"] for r in rounds], [r["rmse_alone"] for r in rounds]
    marks = _together(best, alone, room)
    start = f"{quality['rmse_genesis']:.2f} -> " if quality["rmse_genesis"] is not None else ""
    known = wide and quality["gain"] is not None and quality["gain"] > 0
    gain = f", {portion(quality['gain'])} less squared error" if known else ""
    lines.append(_spark("your model", f"{start}{quality['rmse_best']:.2f} dB{gain}".ljust(figures), marks[0], "green"))
    if quality["rmse_alone"] is not None and quality["merged"]:
        lines.append(_spark("training alone", f"{quality['rmse_alone']:.2f} dB".ljust(figures), marks[1], "yellow"))
    return lines


def _lines_of(stats: Stats) -> list[RenderableType]:
    """Which model learns, and which rest; nothing where there was never another one than the usual."""
    from rich.text import Text

    if stats["model"] == FIRST and not stats["resting"]:
        return []
    rests = "".join(
        f"; {name} rests since round {last}, kept: [train] model brings it back"
        for name, last in stats["resting"].items()
    )
    return [Text(f"learns {stats['model']}{rests}", "dim")]


def _together(one: Sequence[float | None], other: Sequence[float | None], room: int) -> tuple[str, str]:
    """Two rows of figures as blocks on one scale, so that they can be compared."""
    one, other = one[-room:], other[-room:]
    both = sparkline([*one, *other], len(one) + len(other))
    return both[: len(one)], both[len(one) :]


def _spark(what: str, value: str, marks: str, style: str) -> Text:
    from rich.text import Text

    return Text.assemble((f"{what:<15}", "dim"), value, (marks, style), overflow="crop", no_wrap=True)


def _peers(stats: Stats, width: int, listed: int, tight: bool = False) -> RenderableType:
    from rich.text import Text

    if not stats["peers"]:
        return Text("No peers yet: node peers add ADDRESS, or node peers pair", "dim")
    wide, cut = width >= 100, _cut(tight)
    columns = ["peer", "state", "seen", "in / out", *(["budget"] if wide else []), "last update"]
    table = _table(*columns)
    order = sorted(stats["peers"], key=lambda peer: (not peer["connected"], peer["trust"] != "waiting"))
    for peer in order[:listed]:
        cells = [
            Text(peer["name"] or f"{peer['peer'][:SHOWN]}…", overflow="ellipsis"),
            Text(peer["state"], "green" if peer["connected"] else STYLES.get(peer["trust"], ""), **cut),
            Text(ago(peer["seen_at"] or 0, stats["at"]).removesuffix(" ago"), no_wrap=True),
            Text(f"{size(peer['bytes_in'])} / {size(peer['bytes_out'])}", no_wrap=True),
            *([Text(_budget(stats, peer), no_wrap=True)] if wide else []),
            Text(_verdict(peer, brief=not wide), STYLES.get(peer["last_verdict"] or "", ""), **cut),
        ]
        table.add_row(*cells)
    return _with_more(table, 0 if tight else len(order) - listed)


def _rounds(stats: Stats, listed: int) -> RenderableType:
    from rich.text import Text

    table = _table("round", "when", "before", "trained", "with peers", "merged", "took")
    for row in stats["rounds"][:listed]:
        better = row["rmse_adopted"] <= row["rmse_start"]
        table.add_row(
            str(row["number"]),
            ago(row["began_at"], stats["at"]),
            f"{row['rmse_start']:.3f} dB",
            f"{row['rmse_trained']:.3f} dB",
            Text(f"{row['rmse_adopted']:.3f} dB" if row["merged"] else "-", "green" if better else "yellow"),
            str(row["merged"]),
            span(row["seconds"]),
        )
    return table


def _updates(stats: Stats, listed: int, tight: bool = False) -> RenderableType:
    from rich.text import Text

    if not stats["updates"]:
        return Text("No peer has sent an update yet.", "dim")
    cut = _cut(tight)
    names = {peer["peer"]: peer["name"] for peer in stats["peers"]}
    table = _table("update from", "when", "size", "in merge", "verdict")
    for row in stats["updates"][:listed]:
        reason = f": {row['reason']}" if row["reason"] else ""
        table.add_row(
            Text(names.get(row["peer"]) or f"{row['peer'][:SHOWN]}…", overflow="ellipsis"),
            ago(row["received_at"], stats["at"]),
            size(row["size"]),
            f"{row['share']:.0%}" if row["share"] is not None else "-",
            Text(row["verdict"] + reason, STYLES.get(row["verdict"], ""), **cut),
        )
    return table


def _deliveries(stats: Stats, listed: int) -> RenderableType:
    from rich.text import Text

    if not stats["deliveries"]:
        return Text("Nothing of ours was offered to it yet.", "dim")
    table = _table("offer of round", "when", "size", "took", "outcome")
    for row in stats["deliveries"][:listed]:
        outcome = Text(row["outcome"], STYLES.get(row["outcome"], ""))
        table.add_row(str(row["round"]), ago(row["at"], stats["at"]), size(row["size"]), span(row["seconds"]), outcome)
    return table


def _jobs(stats: Stats, listed: int) -> RenderableType:
    from rich.text import Text

    table = _table("translation", "language", "when", "length", "took", "pace")
    for job in stats["jobs"][:listed]:
        table.add_row(
            Text(job["source"], overflow="ellipsis", no_wrap=True),
            job["language"],
            ago(job["at"], stats["at"]),
            span(job["seconds_in"]),
            span(job["seconds"]),
            f"{1 / job['pace']:.1f} x" if job["pace"] else "-",
        )
    return table


def _cut(tight: bool) -> dict[str, Any]:
    """How long texts end: in a second line, or where there is no room for one in dots."""
    return {"overflow": "ellipsis", "no_wrap": True} if tight else {"overflow": "fold"}


def _foot(stats: Stats) -> list[RenderableType]:
    from rich.text import Text

    traffic = stats["traffic"]
    came = ", ".join(f"{count} {word}" for word, count in stats["verdicts"].items()) or "none"
    went = ", ".join(f"{count} {word}" for word, count in stats["outcomes"].items()) or "none"
    machine = f"\nmachine  {size(stats['memory'])} of memory" if stats["memory"] else ""
    machine += f", {stats['cpu']:.0f} % of a core" if machine and stats["cpu"] is not None else ""
    lines: list[RenderableType] = [
        Text.assemble(("updates  in ", "dim"), came, ("  out ", "dim"), went),
        Text.assemble(
            *(("bytes    in ", "dim"), size(traffic["bytes_in"]), ("  out ", "dim"), size(traffic["bytes_out"])),
            *(("  allowed ", "dim"), f"{size(traffic['bytes_per_hour'])} per peer and hour", machine),
        ),
    ]
    if privacy := _privacy(stats):
        lines.append(privacy)
    if stats["codebook"]:
        lines.append(Text.assemble(("codebook ", "dim"), stats["codebook"]))
    if stats["rounds"] and (mixed := mixture(stats["rounds"][0])):
        lines.append(Text.assemble(("mixing   ", "dim"), mixed))
    if not stats["running"]:
        lines.append(Text("This is what the home remembers: no node runs in it. Start it with: node start", "yellow"))
    return lines


def _privacy(stats: Stats) -> Text | None:
    """What protects what peers get, when the owner has asked for something; in red when the budget gives no more."""
    from rich.text import Text

    told = stats["privacy"]
    if told["epsilon"] is None and told["shared"] == "the whole model":
        return None
    return Text.assemble(("privacy  ", "dim"), (told["sentence"], "" if told["state"] == "open" else "red"))


def _budget(stats: Stats, peer: Mapping[str, Any]) -> str:
    if peer["budget_used"] is None:
        return "-"
    allowed = stats["traffic"]["bytes_per_hour"]
    return f"{peer['budget_used'] / allowed:.1%} used" if allowed else "-"


def _verdict(peer: Mapping[str, Any], *, brief: bool = False) -> str:
    if not peer["last_verdict"]:
        return "-"
    return str(peer["last_verdict"]) + (f": {peer['last_reason']}" if peer["last_reason"] and not brief else "")


def _table(*columns: str) -> Table:
    from rich.table import Table

    return Table(*columns, box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold dim", expand=False)


def _with_more(table: Table, more: int) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    return Group(table, Text(f"and {more} more: node peers list", "dim")) if more > 0 else table


def _space() -> Text:
    from rich.text import Text

    return Text("")
