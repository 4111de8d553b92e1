"""A QR code that is what it should be: read back from the terminal's own characters."""

from __future__ import annotations

import segno

from cli.qr import LIGHT_ON_DARK, RESET, fits, qr_text, show_qr

TEXT = "/ip4/192.168.1.20/tcp/4710/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"


def modules(drawn: str) -> list[list[bool]]:
    """The dark modules of a code drawn two rows to a line."""
    rows: list[list[bool]] = []
    for line in drawn.splitlines():
        bare = line.removeprefix(LIGHT_ON_DARK).removesuffix(RESET)
        rows.append([character in " ▄" for character in bare])
        rows.append([character in " ▀" for character in bare])
    return rows


def test_the_drawn_code_is_the_code() -> None:
    code = segno.make(TEXT, error="l", micro=False)
    expected = [[bool(module) for module in row] for row in code.matrix_iter(border=2)]
    assert modules(qr_text(TEXT))[: len(expected)] == expected


def test_the_colours_do_not_depend_on_the_terminal() -> None:
    assert all(line.startswith(LIGHT_ON_DARK) and line.endswith(RESET) for line in qr_text(TEXT).splitlines())


def test_a_code_that_does_not_fit_or_has_no_terminal_is_left_out(capsys, monkeypatch) -> None:
    assert fits(TEXT, 80)
    assert not fits(TEXT, 20)
    show_qr(TEXT)
    assert capsys.readouterr().out == ""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    show_qr(TEXT)
    assert capsys.readouterr().out == qr_text(TEXT)
    monkeypatch.setenv("COLUMNS", "20")
    show_qr(TEXT)
    assert capsys.readouterr().out == ""
