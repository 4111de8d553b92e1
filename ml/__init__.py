"""The studio: audio, text, tensors. It knows nothing of networks, clocks or databases."""
