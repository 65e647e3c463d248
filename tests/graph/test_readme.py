"""The README's Python blocks run as they stand, one after another, in one session."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


def test_python_blocks_run(monkeypatch, capsys) -> None:
    monkeypatch.chdir(ROOT)
    blocks = BLOCK.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    session: dict[str, object] = {}
    for number, block in enumerate(blocks, start=1):
        code = compile(block, f"README.md, block {number}", "exec", dont_inherit=True)
        exec(code, session)
    assert len(blocks) >= 4
    assert len(capsys.readouterr().out.split()) > 5


def test_links_and_make_targets_exist() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", text):
        assert (ROOT / target).exists(), target
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"`?make ([a-z]+)", text)):
        assert f"\n{target}:" in makefile, target
