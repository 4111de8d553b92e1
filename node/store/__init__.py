"""The household's memory: one SQLite file, written by one node, read by whoever shows it."""

from node.store.store import Store

__all__ = ["Store"]
