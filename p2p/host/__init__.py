"""The libp2p body of the gate: the only place that imports libp2p and trio.

Of libp2p this takes the parts that make the wire: Noise, yamux and peer ids. Its swarm and host are left out: they
would serve protocols that nobody here asks for, dial on their own, and end with the first odd message (see
`p2p/host/switch.py` for what stands in their place). Nothing is imported here, because libp2p takes most of a second.
"""
