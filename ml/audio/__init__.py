"""Sound as numbers: reading, writing, resampling, log-mel, voice activity, prosody. Knows no engine."""
