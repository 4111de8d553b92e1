"""Learning with others: weight diffs as bytes, and merging what peers sent in the owner's favour. Knows no network."""
