"""What a file says of itself in its container's metadata. Knows nothing of sound."""

from __future__ import annotations

from pathlib import Path

import av
import av.error

from ml.audio.decode import CONTAINERS, CONVERT
from ml.audio.opening import opened, said
from ml.errors import BadAudio


def comment_of(path: Path) -> str:
    """The comment of a file, "" where it has none. Raises BadAudio for what is no ordinary file of media."""
    options = {"format_whitelist": CONTAINERS}
    with opened(path, "recording", BadAudio, whole=True) as file:  # libav takes some names for addresses
        try:
            with av.open(file, mode="r", options=options, metadata_errors="replace") as media:
                tags = dict(media.metadata)
                for stream in media.streams:  # Ogg keeps them with the stream
                    tags = {**stream.metadata, **tags}
        except (av.error.FFmpegError, OSError, ValueError) as error:
            remedy = "Give WAV, FLAC, MP3, Opus, M4A, MP4, MKV or WebM. " + CONVERT
            raise BadAudio(f"{path} is not a recording that can be read: {said(error)}.", remedy) from error
    return next((text for name, text in tags.items() if name.lower() == "comment"), "")
