"""The gate: peers and bytes. It knows nothing of audio or tensors, and opens no socket on import."""
