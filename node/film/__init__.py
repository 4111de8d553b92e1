"""Videos: pictures in, pictures with new lips out, as films and live. Knows what a dub is, and nothing of peers."""
