"""Odd streams of providers behind both versions of the gateway: `python -m tests.streams` prints one line each.

Each stream of `vectors/streams.json` is what a provider sends to the devnet's gateway, which joins and signs it by the
real gateway's rules. It is asked for streamed and whole. An answer whose honest signature is called false, or whose
text was lost, is a fault of the client.
"""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from og_magics import LLM, Settings
from og_magics.core.errors import OGError
from og_magics.core.runtime import runtime
from og_magics.devnet import Devnet
from og_magics.ledger import Ledger

STREAMS: dict[str, dict[str, Any]] = json.loads(
    (Path(__file__).parent / "vectors" / "streams.json").read_text(encoding="utf-8")
)
GATEWAYS = ("april", "newest")
NOT_SENT = {
    "april": {"n2": "the first of two answers alone", "refusal": "no refusal", "refusal_part": "no refusal"},
    "newest": {"n2": "the first of two answers alone", "refusal_part": "no refusal in parts"},
}
"""What a gateway passes on of some streams: what it does not send, and does not sign, cannot be shown."""
FAILS = ("lone_surrogate",)
"""Streams whose text no gateway can hash."""


@dataclass(frozen=True)
class Answered:
    """What came of one stream, asked for in one way.

    Attributes:
        holds: True where the enclave's signature holds, False where it does not, None without one.
        error: what the user reads where it failed; "" where it was answered.
    """

    gateway: str
    name: str
    way: str
    text: str
    calls: list[str]
    holds: bool | None
    error: str

    @property
    def fault(self) -> str:
        """Why this is wrong; "" where it is right."""
        if self.holds is False:
            return "an honest signature is called false"
        expected = STREAMS[self.name]
        if self.error and not expected.get("error") and self.name not in FAILS:
            return f"it failed: {self.error}"
        left_out = self.name in NOT_SENT[self.gateway]
        return "its text is lost" if not (self.error or left_out or expected["text"] in self.text) else ""


def answers(gateway: str) -> Iterator[Answered]:
    """Ask a gateway for all streams, streamed and whole; yield what came."""
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(provider())
        devnet = stack.enter_context(
            Devnet(gateway=gateway, upstream=url, settle_after=60, batch_after=60, token_delay=0)
        )
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        settings = Settings(devnet=json.dumps(devnet.info), ledger=str(folder / "streams.db"), watch=False, retries=0)
        ledger = Ledger(folder / "streams.db")
        llm = LLM(settings=settings, journal=ledger)
        stack.callback(ledger.close)
        stack.callback(lambda: runtime.wait(llm.close()))
        for name in STREAMS:
            for way in ("streamed", "whole"):
                yield _asked(llm, ledger, gateway, name, way)


def _asked(llm: LLM, ledger: Ledger, gateway: str, name: str, way: str) -> Answered:
    error = ""
    messages = [{"role": "user", "content": name}]
    try:
        answer = llm.chat_sync(model="openai/gpt-5", messages=messages, stream=way == "streamed")
        if way == "streamed":
            list(answer)
    except OGError as failure:
        error = f"{type(failure).__name__}: {failure.what}"
    receipt = ledger.receipts()[-1]
    calls = [call["function"]["name"] for call in receipt.tool_calls]
    return Answered(gateway, name, way, receipt.text, calls, receipt.enclave_ok, error)


@contextlib.contextmanager
def provider() -> Iterator[str]:
    """Serve the streams: the last message of a request names the one it gets."""

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            body = STREAMS[asked["messages"][-1]["content"]]["stream"].encode("utf-8", "surrogatepass")
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def main() -> int:
    """Print the table, and return the number of faults."""
    counts, faults = Counter[str](), 0
    for gateway in GATEWAYS:
        for one in answers(gateway):
            verdict = "error" if one.error else {True: "signed", False: "FALSE", None: "unsigned"}[one.holds]
            counts[verdict] += 1
            faults += bool(one.fault)
            note = NOT_SENT[gateway].get(one.name)
            shown = one.fault or one.error or " ".join([ascii(one.text)[:60], *one.calls])
            shown += f" (the gateway passes on {note})" if note else ""
            print(f"{gateway:<7} {one.name:<28} {one.way:<9} {verdict:<9} {shown}"[:200])
    total = sum(counts.values())
    print(f"{total} answers: " + ", ".join(f"{count} {name}" for name, count in counts.most_common()), end="")
    print(f"; honest answers called false: {counts['FALSE']}; faults: {faults}")
    return faults


if __name__ == "__main__":
    sys.exit(bool(main()))
