"""Long conversations under faults, kills and dropped clients: `python -m tests.benchmarks.soak`."""
