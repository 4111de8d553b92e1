"""One file per engine behind a small Protocol per task. Importing this package loads no engine."""
