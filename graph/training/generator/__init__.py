"""Trains the fine-tuned generator: conversations, packed sequences, low-rank adapters."""
