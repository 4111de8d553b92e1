"""The household: one running node. It alone owns tasks, time, disk and the order of things."""
