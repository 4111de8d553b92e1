"""The speech translation pipeline: stages that own their state, and can stream. Knows no file and no clock."""
