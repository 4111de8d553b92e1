"""The owner's voice: profiles and matching. Knows nothing of translation."""
