"""A plain script with `og.LLM`, without a session: recorded answers of the notebooks that are named, and no payment."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from og_magics.notebook.file import receipts_in

RECORDED = Path(__file__).parents[1] / "compat" / "0.1" / "answers.ipynb"
_PLAIN = {"model", "messages", "max_tokens", "temperature", "stream"}
_SCRIPT = """
import json, sys
import og_magics as og

asked = json.loads(sys.argv[1])
llm = og.LLM(replay_from=sys.argv[2] or None)
kept = {name: asked[name] for name in ("max_tokens", "temperature") if name in asked}
output = llm.chat_sync(sys.argv[3], asked["messages"], **kept)
print(output.chat_output["content"])
print(output.receipt.replayed, len(og.receipts()))
"""


@pytest.mark.parametrize("way", ["argument", "environment", "nowhere"])
def test_an_llm_of_a_script_shows_what_the_named_notebooks_hold(tmp_path: Path, way: str) -> None:
    receipt = next(one for one in receipts_in(RECORDED) if one.status == "settled" and set(one.request) <= _PLAIN)
    shutil.copy(RECORDED, tmp_path / "answers.ipynb")
    named = {"OG_REPLAY_FROM": "answers.ipynb"} if way == "environment" else {}
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, json.dumps(receipt.request), "answers.ipynb" if way == "argument" else "",
         receipt.model],
        cwd=tmp_path, env={**os.environ, "OG_REPLAY": "only", **named}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if way == "nowhere":
        assert "NotRecorded" in done.stderr
        assert "Nothing was paid" in done.stderr
    else:
        assert done.stdout == f"{receipt.text}\nTrue 0\n", done.stderr
