"""Video files: what is in one, its pictures in order and upright, and files that hold new pictures and new sound.

`probe` looks, `read` gives pictures, `write` takes pictures and sound, `remux` keeps the pictures bit by bit and
changes the sound, `segments` lets a long run that was killed go on. All through PyAV. Knows nothing of faces.
"""
