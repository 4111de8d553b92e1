"""The speech translation pipeline: synchronous stages that own their state, and can stream. Knows no file and no clock."""
