"""Plain text work on a dialogue, shared by the coordinator and both backends."""
