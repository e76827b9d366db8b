"""What a gateway adds beside an answer is shown, kept with the receipt, shown again by a replay, and never believed."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pytest

from og_magics.cli import main

if TYPE_CHECKING:
    from .conftest import Kernel

SOURCE = {"title": "On x402", "url": "https://example.org/x402"}
HOSTILE = {"title": "\x1b]52;c;aGk=\x07<img src=x onerror=alert(1)>", "url": "https://example.org/\x1b[31m"}
LONG = {"title": "t" * 5_000, "url": f"https://example.org/{'a' * 1_500}"}
MODERATION = {"flagged": True, "categories": {"violence": True, "hate": False}}


class _Answers(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        notes = {"citations": [SOURCE, HOSTILE, LONG, "none"], "moderation": MODERATION}
        usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
        if asked.get("stream"):
            events = [
                {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "By [1]."}}]},
                {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": usage, **notes},
            ]
            body, kind = "".join(f"data: {json.dumps(event)}\n\n" for event in events), "text/event-stream"
        else:
            message = {"role": "assistant", "content": "By [1]."}
            whole = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": usage, **notes}
            body, kind = json.dumps(whole), "application/json"
        self._answer(body, kind)

    def do_GET(self) -> None:
        self._answer(json.dumps({"data": [{"id": "some-model"}]}), "application/json")

    def _answer(self, body: str, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The URL of a plain server that names sources and flags every answer."""
    running = ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{running.server_port}/v1"
    finally:
        running.shutdown()
        running.server_close()
        thread.join()


def test_sources_and_moderation_are_shown_kept_and_shown_again(
    new_kernel: Callable[..., Kernel], server: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kernel = new_kernel(None, OG_GATEWAY_URL=server)
    for stream in ("--stream", "--no-stream"):
        cell = kernel.ask(f"%%ogchat -m some-model {stream}\nWhat is x402?")
        assert "The gateway's moderation says of this answer: flagged: violence." in cell.text
        assert "1. On x402: https://example.org/x402\n" in cell.text
        assert "\x1b" not in cell.text
        assert max(map(len, cell.text.split("\n"))) <= 400
        assert cell.receipt["gateway_notes"]["citations"][0] == SOURCE
        assert [one["title"] for one in cell.receipt["gateway_notes"]["citations"]] == ["On x402", "t" * 200]
    assert kernel.eval("(_.moderation, _.citations[0]['url'])") == ["flagged: violence", SOURCE["url"]]

    again = kernel.ask("%%ogchat -m some-model --no-stream --replay only\nWhat is x402?")
    assert "1. On x402: https://example.org/x402\n" in again.text
    assert again.receipt["replayed"]
    both = kernel.ask("%%ogcompare -m one-model -m another-model\nWhat is x402?")
    assert both.text.count("1. On x402: https://example.org/x402\n") == 2

    # An audit says that no receipt proves them; a scrubbed copy has none of them.
    notebook = tmp_path / "saved.ipynb"
    printed = nbformat.v4.new_output("stream", name="stdout", text=cell.text)
    shown = nbformat.v4.new_output("display_data", data=cell.last)
    source = "%%ogchat -m some-model --no-stream\nWhat is x402?"
    code = nbformat.v4.new_code_cell(source, outputs=[shown, printed], execution_count=1)
    nbformat.write(nbformat.v4.new_notebook(cells=[code]), notebook)
    main(["verify", str(notebook)])
    assert "a line that no receipt covers" in capsys.readouterr().err
    main(["scrub", str(notebook), "-o", str(tmp_path / "public.ipynb")])
    public = (tmp_path / "public.ipynb").read_text(encoding="utf-8")
    assert "example.org" not in public
    assert "violence" not in public
