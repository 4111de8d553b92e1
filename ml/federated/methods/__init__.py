"""Ways of learning together, and of learning alone, which they must beat. Each is a `Method`; knows no network."""
