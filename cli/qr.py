"""A QR code in the terminal, two modules to a character; left out where there is no room or no terminal.

Knows nothing of what the text means.
"""

from __future__ import annotations

import io
import shutil
import sys

LIGHT_ON_DARK, RESET = "\x1b[97;40m", "\x1b[0m"


def qr_text(text: str) -> str:
    """The code in block characters: the light ones are the letters, on black, whatever the terminal's colours are."""
    import segno

    out = io.StringIO()
    segno.make(text, error="l", micro=False).terminal(out=out, border=2, compact=True)
    return "".join(f"{LIGHT_ON_DARK}{line}{RESET}\n" for line in out.getvalue().splitlines())


def fits(text: str, width: int) -> bool:
    """Whether the code is no wider than `width` columns."""
    import segno

    return bool(segno.make(text, error="l", micro=False).symbol_size(border=2)[0] <= width)


def show_qr(text: str) -> None:
    """On standard output, when that is a terminal that has room for it."""
    if sys.stdout.isatty() and fits(text, shutil.get_terminal_size().columns):
        sys.stdout.write(qr_text(text))
