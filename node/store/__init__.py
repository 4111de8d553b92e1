"""What the household remembers: one SQLite file, its migrations, and typed rows in and out."""
