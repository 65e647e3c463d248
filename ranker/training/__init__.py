"""Training a ranker: target states, losses, adapters, and a run that resumes."""
