"""Captures of the real gateway, asked of the devnet: `python -m tests.devnet_captures [NAME]` prints one line each.

`vectors/devnet_captures.json.gz` holds, for each case, the requests that were sent, the answers as they came, what the
provider had answered (of Anthropic and Google: as chat completions, in the same pieces), and what was settled. Each
case is sent to a devnet of April's gateway, with a provider that answers the same, and compared field by field: status,
header names and values, bodies and events sign by sign, and payments.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import http.client
import json
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from eth_account import Account
from web3 import HTTPProvider, Web3
from x402 import x402ClientSync
from x402.http.utils import decode_payment_required_header, encode_payment_signature_header
from x402.mechanisms.evm import EthAccountSigner
from x402.mechanisms.evm.upto import UptoEvmClientScheme

from og_magics.devnet import Devnet, contracts
from og_magics.devnet.accounts import OPERATOR, PAYEE, DevAccount
from og_magics.devnet.chain import contract, transact

FILE = Path(__file__).parent / "vectors" / "devnet_captures.json.gz"
JSON = dict[str, Any]

# What differs from answer to answer, and is masked on both sides; the members and headers themselves are compared.
VOLATILE = {
    "Date, Server, Content-Length": "the time, the software, and a length that follows from what is masked",
    "X-Upto-Session": "drawn by lot",
    "X-TEE-Signature, -ID, -Timestamp; tee_signature, tee_id, tee_timestamp": "the key is the gateway's own, and salted",
    "Allow: the order": "that of a set",
    "created, the answer's id": "the time; drawn by lot",
    "PAYMENT-REQUIRED: payTo, facilitatorAddress, the URL's host": "addresses of the network that is asked",
    "X-Settlement-Job-ID, -Tx-Hash, -Walrus-Blob-ID, -Queue-Nonce, -Signer-Address, and their members": "drawn by lot, "
    "of another chain, or a count (always 1 in the captures)",
    "/health: last_success, total_fetches, simulated; /signing-key: key, time, address, enclave_info": "the devnet says "
    "that it is one",
    "the blob of an individual settlement": "it holds the texts that were hashed, where the real one has JSON objects",
}
# Where the devnet is not the double, and means to.
NOT_REPLAYED = {
    "profile": "the registry's entry and the key, no exchange",
    "restart-while-down": "no gateway, no exchange",
    "twenty-at-once": "a summary of times, no exchange",
    "april-dev1--individual-data-fails-stream": "an older payment middleware, which waits with a whole stream",
    "april-dev1--settlement-individual-stream": "an older payment middleware, which waits with a whole stream",
    "april-dev1--upstream-miderr-individual-stream": "an older payment middleware, which waits with a whole stream",
}

_MASKED = re.compile(
    r'"(created|tee_signature|tee_timestamp|tee_id|data_settlement_transaction_hash|data_settlement_blob_id'
    r"|settlement_job_id|settlement_queue_nonce|last_success|total_fetches|public_key|timestamp|wallet_address"
    r'|instance_type|platform|teeSignature|teeId)"(: ?)("[^"]*"|[\d.]+|null)'
)
_ANSWER_ID = re.compile(r'"(chatcmpl|cmpl)-[0-9a-f-]{36}"')
_MASKED_HEADERS = frozenset(
    "date server content-length x-upto-session x-tee-signature x-tee-id x-tee-timestamp x-settlement-job-id "
    "x-settlement-tx-hash x-settlement-walrus-blob-id x-settlement-queue-nonce x-settlement-signer-address".split()
)
_OWN_MODELS = ("unknown-model", "model-prefix")  # of the simulation: behind an upstream, any name is served
_PRICELESS = ("pricing-unavailable",)
LATE = ("settled-while-streaming", "settlement-after-deadline", "upstream-timeout-stream", "upstream-timeout-whole")
_SETTLING = 6  # seconds that must be left of an authorization for its settlement to be sent
_SCALE = 40.0  # a second here is so many in the captures whose time counts


def cases() -> list[JSON]:
    """Return all captured cases."""
    found: list[JSON] = json.loads(gzip.decompress(FILE.read_bytes()))
    return found


def short(name: str) -> str:
    """Return a case's name without its gateway's."""
    return name.partition("--")[2]


def group(case: Mapping[str, Any]) -> str:
    """Return which devnet a case is sent to."""
    name = short(case["name"])
    if case["name"] in NOT_REPLAYED or name in NOT_REPLAYED:
        return ""
    if name.startswith(_OWN_MODELS):
        return "simulated"
    if name.startswith(_PRICELESS):
        return "priceless"
    if name in LATE:
        return "late"
    if "data-fails" in name:
        return "broken"
    return "cap5" if "cap5" in case["name"] else "plain"


# -- the provider --------------------------------------------------------------------------


class Provider(ThreadingHTTPServer):
    """A server of chat completions that gives the answers it is told to, in turn; the last one again and again."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.answers: list[JSON | None] = []
        self.pauses: list[float] = []
        self.asked: list[JSON] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that went away."""


class _Answers(BaseHTTPRequestHandler):
    server: Provider
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        provider = self.server
        provider.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        place = min(len(provider.asked), len(provider.answers)) - 1
        answer = provider.answers[place] if place >= 0 else None
        pause = provider.pauses[place] if place < len(provider.pauses) else 0.0
        self.close_connection = True
        if answer is None:
            return
        self.send_response(answer["status"])
        self.send_header("Content-Type", answer["type"])
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        pieces = answer.get("events") or ([answer["body"]] if answer.get("body") else [])
        for piece in pieces:
            time.sleep(pause / len(pieces))
            content = piece.encode()
            if content:
                self.wfile.write(f"{len(content):x}\r\n".encode() + content + b"\r\n")
        if not answer["incomplete"]:
            self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: Any) -> None:
        pass


# -- one case ------------------------------------------------------------------------------


@dataclass
class Answer:
    """What came back: header names and values as on the wire, and the body's pieces."""

    status: int
    headers: list[tuple[str, str]]
    body: str

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")


@dataclass
class Replay:
    """One case at a devnet: its answers, and the nonces that it signed."""

    devnet: Devnet
    provider: Provider
    case: JSON
    answers: list[Answer] = field(default_factory=list)
    signed: dict[int, str] = field(default_factory=dict)
    key: str = ""

    def run(self) -> None:
        """Send the case's requests, one after another; where their times count, at their times."""
        self.key = _wallet(self.devnet, short(self.case["name"]))
        times = [ask["seconds"] for ask in self.case["exchanges"] if "seconds" in ask]
        self.provider.asked.clear()
        self.provider.answers = self.case["provider"]
        timed = short(self.case["name"]) in LATE
        took = [end - start for start, end in times[1:]] if timed else []
        self.provider.pauses = [seconds / _SCALE for seconds in took]
        began = time.monotonic()
        for place, ask in enumerate(self.case["exchanges"]):
            if timed and "seconds" in ask:
                time.sleep(max(0.0, began + ask["seconds"][0] / _SCALE - time.monotonic()))
            self.answers.append(self._send(place, ask))

    def _send(self, place: int, ask: JSON) -> Answer:
        headers = {name.title(): value for name, value in ask["headers"].items()}
        if "pay" in ask:
            headers["Payment-Signature"] = self._payment(place, ask["pay"])
        if "session" in ask:
            earlier = ask["session"]
            known = isinstance(earlier, int)
            headers["X-Upto-Session"] = self.answers[earlier].header("X-Upto-Session") if known else earlier
        leave = len(ask["events"]) if ask.get("incomplete") and "events" in ask and not _ends(ask) else None
        return send(self.devnet.gateway_url_http, ask["method"], ask["path"], headers, ask["body"].encode(), leave)

    def _payment(self, place: int, pay: JSON) -> str:
        if "raw" in pay:
            return str(pay["raw"])
        if "again" in pay:
            return self.signed[pay["again"]]
        offer = next(a for a in reversed(self.answers) if a.header("PAYMENT-REQUIRED"))
        required = decode_payment_required_header(offer.header("PAYMENT-REQUIRED"))
        offered = int(required.accepts[0].amount)
        signer = EthAccountSigner(Account.from_key(self.key))
        client, network = x402ClientSync(), f"eip155:{self.devnet.chain_id}"
        client.register(network, UptoEvmClientScheme(signer))
        client.set_spend_controls({"allowed_assets": [{"network": network, "asset": self.devnet.opg_token}]})
        changed = required.model_copy(deep=True)
        if "amount" in pay:
            changed.accepts[0].amount = str(pay["amount"])
        if pay.get("expired"):
            changed.accepts[0].max_timeout_seconds = 1  # less than what a settlement is given
        elif short(self.case["name"]) in LATE:
            changed.accepts[0].max_timeout_seconds = round((300 - _SETTLING) / _SCALE + _SETTLING)
        payload = client.create_payment_payload(changed)
        sent = payload.model_dump(by_alias=True, exclude_none=True)
        sent["accepted"]["amount"] = str(pay.get("accepted", offered))
        sent["accepted"]["maxTimeoutSeconds"] = required.accepts[0].max_timeout_seconds
        if self.case.get("mutation") == "signature":
            signature = sent["payload"]["signature"]
            sent["payload"]["signature"] = signature[:10] + ("0" if signature[10] != "0" else "1") + signature[11:]
        self.signed[place] = encode_payment_signature_header(payload.__class__.model_validate(sent))
        return self.signed[place]


def _ends(ask: JSON) -> bool:
    """Return True for a stream that the gateway itself broke off."""
    return any("error" in event or "[DONE]" in event for event in ask["events"])


def send(
    url: str, method: str, path: str, headers: Mapping[str, str], body: bytes = b"", leave: int | None = None
) -> Answer:
    """Send a request. `leave` is the number of events after which the client goes away."""
    where = urlsplit(url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=60)
    try:
        connection.request(method, path, body or None, dict(headers))
        came = connection.getresponse()
        content = b""
        if leave is None:
            content = came.read()
        else:
            while content.count(b"\n\n") < leave and (more := came.read1()):
                content += more
            content = b"\n\n".join(content.split(b"\n\n")[:leave]) + b"\n\n"
        return Answer(came.status, came.getheaders(), content.decode())
    finally:
        connection.close()


def _wallet(devnet: Devnet, name: str) -> str:
    """Return the key of an account in the state that the case is about."""
    if name.startswith("wallet-no-allowance"):
        return str(devnet.accounts[1]["private_key"])
    if name != "wallet-empty":
        return str(devnet.accounts[0]["private_key"])
    account = Account.create()
    web3 = Web3(HTTPProvider(devnet.rpc_url))
    owner = DevAccount(account.address, account.key.to_0x_hex(), "owner", 0)
    gas = {"to": account.address, "value": 10**17, "gas": 21_000, "gasPrice": web3.eth.gas_price}
    gas |= {"chainId": web3.eth.chain_id, "nonce": web3.eth.get_transaction_count(OPERATOR.address)}
    sent = web3.eth.send_raw_transaction(web3.eth.account.sign_transaction(gas, OPERATOR.private_key).raw_transaction)
    web3.eth.wait_for_transaction_receipt(sent)
    transact(web3, owner, contract(web3, "OPG").functions.approve(devnet.permit2, 10**20))
    return owner.private_key


# -- the comparison ------------------------------------------------------------------------


def difference(replay: Replay, *, settled: bool = True) -> str:
    """Return in what a replay differs from its capture; "" where it is equal."""
    found: list[str] = []
    for place, (ask, answer) in enumerate(zip(replay.case["exchanges"], replay.answers, strict=True)):
        found += [f"answer {place}: {text}" for text in _compare(ask, answer)]
    if settled and not found:
        found += _settlement(replay)
    return "; ".join(found)


def _compare(ask: JSON, answer: Answer) -> Iterator[str]:
    if ask["status"] != answer.status:
        yield f"status {answer.status} {answer.body[:100]!r}, not {ask['status']}"
        return
    wanted, got = _headers(ask["answer_headers"]), _headers(answer.headers)
    for name in sorted(wanted.keys() | got.keys()):
        if wanted.get(name) != got.get(name):
            yield f"header {name} {got.get(name)}, not {wanted.get(name)}"
    text = "".join(ask["events"]) if "events" in ask else ask["answer"]
    expected, came = _mask(text), _mask(answer.body)
    if expected != came:
        at = next((i for i, (a, b) in enumerate(zip(expected, came, strict=False)) if a != b), len(came))
        yield f"body ...{came[max(at - 60, 0) : at + 60]!r}, not ...{expected[max(at - 60, 0) : at + 60]!r}"


def _headers(pairs: Any) -> dict[str, list[Any]]:
    """Return header values by name, masked; an offer is decoded."""
    headers: dict[str, list[Any]] = {}
    for key, value in pairs:
        name = key.lower()
        shown: Any = "*" if name in _MASKED_HEADERS else value
        if name == "payment-required":
            shown = json.loads(base64.b64decode(value))
            shown["resource"]["url"] = urlsplit(shown["resource"]["url"]).path
            for accepted in shown["accepts"]:
                accepted["payTo"] = accepted["extra"]["facilitatorAddress"] = "*"
        if name == "allow":
            shown = sorted(value.split(", "))
        headers.setdefault(name, []).append(shown)
    return headers


def _mask(text: str) -> str:
    masked = _ANSWER_ID.sub(r'"\1-*"', _MASKED.sub(r'"\1"\2*', text))
    return masked.replace('"simulated":true,', "")


def _settlement(replay: Replay) -> Iterator[str]:
    """Compare what was paid, and what was settled of the data."""
    wanted = replay.case["settlement"]
    header = next(iter(replay.signed.values()), "")
    if not header:
        return
    nonce = int(json.loads(base64.b64decode(header))["payload"]["permit2Authorization"]["nonce"]).to_bytes(32, "big")
    amount = int(wanted["amount"]) if wanted and wanted["success"] else None
    paid = _eventually(lambda: _paid(replay.devnet, nonce), 8.0 if amount is not None else 0.0)
    if paid != amount:
        yield f"paid {paid}, not {amount}"
    if wanted and wanted["error"] and paid is not None:
        yield f"settled, not {wanted['error']}"


def _paid(devnet: Devnet, nonce: bytes) -> int | None:
    web3 = Web3(HTTPProvider(devnet.rpc_url))
    token = web3.eth.contract(address=devnet.opg_token, abi=contracts.load("OPG").abi)
    for log in reversed(list(token.events.Transfer().get_logs(from_block=0))):
        _, to, amount = log["args"].values()
        if to == devnet.pay_to and nonce in web3.eth.get_transaction(log["transactionHash"])["input"]:
            return int(amount)
    return None


def _eventually(check: Callable[[], Any], within: float) -> Any:
    deadline = time.monotonic() + within
    while (value := check()) is None and time.monotonic() < deadline:
        time.sleep(0.1)
    return value


# -- all of them ---------------------------------------------------------------------------


@contextlib.contextmanager
def devnet_for(kind: str, provider: Provider) -> Iterator[Devnet]:
    """Run the devnet of a group."""
    options: JSON = {"gateway": "april", "chain_id": 8453, "opg_price": "0.05", "settle_after": 1.0, "batch_after": 0.2}
    options |= {"upstream": None if kind == "simulated" else provider.url}
    options |= {
        "cap5": {"cap": "5"},
        "late": {"settle_after": 100 / _SCALE},
        "priceless": {"opg_price": "0"},
    }.get(kind, {})
    with Devnet(**options) as devnet:
        if kind == "broken":
            _impoverish(devnet)
        yield devnet


def _impoverish(devnet: Devnet) -> None:
    """Take the operator's gas, so that it can settle no data."""
    web3 = Web3(HTTPProvider(devnet.rpc_url))
    price = web3.eth.gas_price
    left = web3.eth.get_balance(OPERATOR.address) - 21_000 * price
    sent = {"to": PAYEE.address, "value": left, "gas": 21_000, "gasPrice": price, "chainId": web3.eth.chain_id}
    sent["nonce"] = web3.eth.get_transaction_count(OPERATOR.address)
    raw = web3.eth.account.sign_transaction(sent, OPERATOR.private_key).raw_transaction
    web3.eth.wait_for_transaction_receipt(web3.eth.send_raw_transaction(raw))


def replays(only: str = "") -> Iterator[tuple[JSON, str]]:
    """Yield each case with its difference, or the reason why it is not replayed in parentheses."""
    chosen = [case for case in cases() if re.search(only, case["name"])]
    for case in chosen:
        if not group(case):
            yield case, f"({NOT_REPLAYED.get(case['name']) or NOT_REPLAYED[short(case['name'])]})"
    provider = Provider()
    for kind in sorted({group(case) for case in chosen} - {""}):
        with devnet_for(kind, provider) as devnet:
            ran = []
            for case in chosen:
                if group(case) == kind:
                    replay = Replay(devnet, provider, case)
                    try:
                        replay.run()
                    except Exception as error:  # the table goes on
                        yield case, repr(error)
                    else:
                        ran.append(replay)
            for replay in ran:
                yield replay.case, difference(replay)
    provider.shutdown()


def main(only: str = "") -> int:
    """Print the table, and return the number of differences."""
    totals = Counter[str]()
    for case, differs in replays(only):
        verdict = "equal" if not differs else "left out" if differs.startswith("(") else "DIFFERS"
        totals[verdict] += 1
        print(f"{case['name']:<58} {verdict:<8} {differs}"[:420], flush=True)
    print("\nNot compared, as it differs each time:")
    for name, reason in VOLATILE.items():
        print(f"  {name}: {reason}")
    print(", ".join(f"{count} {name}" for name, count in totals.most_common()))
    return totals["DIFFERS"]


if __name__ == "__main__":
    sys.exit(bool(main(*sys.argv[1:2])))
