"""How fast the pipelines are and how much memory they take: `python -m benchmarks --help`."""
