"""How the safety guard reads: it normalises text, then matches crisis phrases."""
