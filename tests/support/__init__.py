"""What several tests lean on: a loopback endpoint, a scripted chat model, a cheap ranker."""
