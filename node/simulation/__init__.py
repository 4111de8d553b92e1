"""`node simulate`: many imagined nodes on this machine, on the same code that a real node runs."""
