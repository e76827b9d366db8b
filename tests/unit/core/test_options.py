"""One table of options: a row that is added to it is met at every surface, and ignored at none."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import og_magics
from og_magics.core.errors import ConfigError
from og_magics.core.options import CALL, OPTIONS, SETTINGS
from og_magics.session.api import options_from

ROOT = Path(og_magics.__file__).parents[1]

ROW = """
    top_p: float = option(
        1.0, "nucleus sampling, 0 to 1", flags="--top-p", metavar="P", env="OG_TOP_P", call=True, compare=True,
        use=True, config=True, widget="slider", label="Top p", hint="How much of the distribution is drawn from",
        body="top_p", minimum=0, maximum=1, step=0.05,
    )
"""
"""What somebody adds who adds an option: this, and nothing else."""

SURFACES = """
import json, os, runpy, sys, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from IPython.core.interactiveshell import InteractiveShell

sent = []

class Server(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer({"data": [{"id": "m"}]} if self.path == "/v1/models" else {"error": "no"},
                    200 if self.path == "/v1/models" else 404)

    def do_POST(self):
        sent.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.answer({"model": "m", "choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]}, 200)

    def answer(self, body, status):
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_): ...

server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
os.environ["OG_GATEWAY_URL"] = f"http://127.0.0.1:{server.server_port}"
os.environ["OG_TOP_P"] = "0.9"

shell = InteractiveShell.instance()
shell.run_line_magic("load_ext", "og_magics")
import og_magics as og
from og_magics.magics.completion import Completion
from og_magics.magics.parser import compare_parser
from og_magics.notebook.scrub_source import scrubbed_source
from og_magics.session import current
from og_magics.widgets.panel_request import cell_of

met = {"environment": current().settings.top_p}
shell.run_cell("%%ogchat -m m --no-stream --top-p 0.5\\nHello")
met["%%ogchat, in the body that left"] = sent[-1]["top_p"]
met["%%ogcompare"] = compare_parser().parse("-m a/b -m a/c --top-p 0.4", prompt=False)[0].top_p
shell.run_cell("%og use --top-p 0.3")
met["%og use"] = current().settings.top_p
shell.run_cell("%config Og.top_p = 0.2")
met["%config"] = current().settings.top_p
og.ask("Hello", model="m", stream=False, top_p=0.1)
met["og.ask, in the body that left"] = sent[-1]["top_p"]
panel = og.panel()
field = panel.parameters.fields["top_p"]
met["the panel's widget"] = [type(field).__name__, field.description, field.max]
met["the panel's cell"] = "--top-p 0.2" in cell_of(current().settings, "Hello")
completion = Completion(shell, lambda: {}, lambda: [])
met["completion"] = list(completion.offer("%%ogchat --top", 0, 14).texts)
met["a scrubbed cell"] = scrubbed_source("%%ogchat --top-p 0.5\\nHello").split("\\n")[0]
generated = runpy.run_path(sys.argv[1])
met["the reference of magics"] = "--top-p P" in generated["magics"]()
met["the reference of settings"] = "OG_TOP_P" in generated["settings"]()
met["the reference of og.ask"] = "`top_p`" in generated["call_options"]()
print("MET " + json.dumps(met))
"""


@pytest.fixture(scope="module")
def met(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a copy of the package with one row more says at each surface."""
    folder = tmp_path_factory.mktemp("copy")
    shutil.copytree(ROOT / "og_magics", folder / "og_magics", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "docs", folder / "docs")
    shutil.copy(ROOT / "CONTRIBUTING.md", folder)
    table = folder / "og_magics" / "core" / "options.py"
    text = table.read_text()
    place = "    system: str = option("
    assert text.count(place) == 1
    table.write_text(text.replace(place, ROW.lstrip("\n") + place))
    bare = {name: value for name, value in os.environ.items() if not name.startswith("OG_")}
    done = subprocess.run(
        [sys.executable, "-c", SURFACES, str(folder / "docs" / "generated.py")],
        cwd=folder, capture_output=True, text=True, timeout=120, check=False,
        env=bare | {"PYTHONPATH": str(folder), "IPYTHONDIR": str(folder / "ipython"), "HOME": str(folder)},
    )  # fmt: skip
    lines = [line for line in done.stdout.splitlines() if line.startswith("MET ")]
    assert lines, done.stdout + done.stderr
    return dict(json.loads(lines[-1].removeprefix("MET ")))


@pytest.mark.ci
@pytest.mark.parametrize(
    ("surface", "says"),
    [
        ("environment", 0.9),
        ("%%ogchat, in the body that left", 0.5),
        ("%%ogcompare", 0.4),
        ("%og use", 0.3),
        ("%config", 0.2),
        ("og.ask, in the body that left", 0.1),
        ("the panel's widget", ["BoundedFloatText", "Top p", 1.0]),
        ("the panel's cell", True),
        ("completion", ["--top-p"]),
        ("a scrubbed cell", "%%ogchat --top-p 0.5"),
        ("the reference of magics", True),
        ("the reference of settings", True),
        ("the reference of og.ask", True),
    ],
)
def test_an_option_that_is_added_in_one_place_is_met_at(met: dict[str, Any], surface: str, says: Any) -> None:
    assert met[surface] == says


def test_an_option_of_a_wrong_name_is_refused_with_the_one_that_was_meant() -> None:
    with pytest.raises(ConfigError, match=r"no option 'temprature'\. Did you mean temperature\?"):
        options_from({"temprature": 1})


@pytest.mark.parametrize("name", [name for name, one in SETTINGS.items() if not one.call])
def test_a_setting_that_no_call_has_is_refused_by_ask_and_not_ignored(name: str) -> None:
    with pytest.raises(ConfigError, match=f"no option '{name}'"):
        options_from({name: OPTIONS[name].default})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", "warm"), ("temperature", 2.5), ("temperature", True), ("max_tokens", 0), ("max_tokens", 1.5),
        ("stream", "yes"), ("settlement", "secret"), ("replay", "sometimes"), ("pace", 3), ("max_cost", "much"),
        ("thread", 5),
    ],
)  # fmt: skip
def test_a_value_of_another_kind_is_refused_and_named(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"{name}|settlement|OPG|amount"):
        options_from({name: value})


def test_every_option_says_what_it_is_and_every_flag_belongs_to_one() -> None:
    assert [name for name, one in OPTIONS.items() if not one.help or one.help.endswith(".")] == []
    flags = [flag for one in OPTIONS.values() for flag in (*one.value_flags, *one.switches)]
    assert len(flags) == len(set(flags))


def test_every_option_of_a_call_has_a_flag() -> None:
    assert [name for name, one in CALL.items() if not one.flags] == []
