"""Training what the nodes use: the guard's classifier."""
