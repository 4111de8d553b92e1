"""Lips that follow other words: faces in pictures, mouths of sounds, and one put on the other. Knows no file, codec or
container."""
