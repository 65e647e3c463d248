"""The turns of a conversation's thread: order, locks, resuming, pruning, and the words said."""
