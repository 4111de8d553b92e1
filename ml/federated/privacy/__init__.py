"""Noise on what is published, exactly drawn, and the count of what it leaves open; user-level and local."""
