"""Sums of several people's models of which nobody sees a single one (Bonawitz et al. 2017)."""
