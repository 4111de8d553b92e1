"""The ways in which a node learns with others: what a round trains, merges, publishes, and lets speak."""
