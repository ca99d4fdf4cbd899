"""What the program costs: see `python -m benchmarks --help`."""
