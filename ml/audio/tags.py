"""What a file says of itself in its container's metadata. Knows nothing of sound."""

from __future__ import annotations

from pathlib import Path

import av
import av.error

from ml.audio.decode import CONTAINERS
from ml.errors import BadAudio


def comment_of(path: Path) -> str:
    """The comment of a file, "" where it has none. Raises BadAudio for what is no file of media."""
    try:
        with av.open(path, options={"format_whitelist": CONTAINERS}) as file:
            tags = dict(file.metadata)
            for stream in file.streams:  # Ogg keeps them with the stream
                tags = {**stream.metadata, **tags}
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise BadAudio(f"{path} cannot be read: {error}.", "Check the path.") from error
    return next((text for name, text in tags.items() if name.lower() == "comment"), "")
