"""A small real language model behind a real server: `make llm` and `make test-llm`."""
