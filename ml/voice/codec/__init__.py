"""The voice codec: speech at 1 to 3 kbit/s, through a codebook that may be the speaker's own.

Eight frames of 16 ms make a block and a block makes a packet that needs no other packet. `blocks` turns frames into
coefficients, `quantiser` into small integers, `bits` into bytes; `stream` and `container` are what others use.
`codebook` is all that is learned, `moments` and `fitting` learn it. Knows nothing of networks, calls or peers.
"""
