"""Model files: where they are published, their SHA-256 and licence, fetching and checking. Knows no tensor."""
