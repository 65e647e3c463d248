"""What users talk about, found by cue words, and what they decide, read by meaning."""
