"""The turns of a conversation's thread: order, locks, resuming, pruning."""
