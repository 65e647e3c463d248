"""Ways in which a checkpoint's folder gets damaged."""

from __future__ import annotations

from pathlib import Path

DAMAGES = ("missing", "cut", "other weights", "no configuration")


def damage(folder: Path, how: str) -> None:
    """Damage `model.safetensors` or `config.json` of a folder in one of the `DAMAGES`."""
    weights, config = folder / "model.safetensors", folder / "config.json"
    if how == "missing":
        weights.unlink()
    elif how == "cut":
        weights.write_bytes(weights.read_bytes()[:100])
    elif how == "other weights":
        data = bytearray(weights.read_bytes())
        data[-1] ^= 1
        weights.write_bytes(bytes(data))
    else:
        config.write_text("{}", encoding="utf-8")
