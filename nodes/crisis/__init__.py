"""How the safety guard reads: normalised text and crisis phrases."""
