"""Training a ranker: target states, losses, adapters, and the run with its resumable state."""
