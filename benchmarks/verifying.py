"""What it costs to verify a thousand receipts: against the signatures alone, and against asking one by one."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import requests
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key
from eth_utils.crypto import keccak
from web3 import HTTPProvider
from web3.types import RPCEndpoint

from og_magics import Settings, chain
from og_magics.chain import abi
from og_magics.core.networks import Network, devnet
from og_magics.core.receipt import Receipt
from og_magics.session import Session
from og_magics.verification import check_enclave, evidence_of
from og_magics.verification.verifier import COLUMNS, prove

from .report import Row, in_turn, median_ms
from .samples import BATCH, INDIVIDUAL, Sample, copied

_RECEIPTS = 1_000
_GOAL = 10  # requests to nodes for a thousand receipts; a blob each is beside it

_SCHEME = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)


def measure(samples: Sequence[Sample], info: Mapping[str, Any], folder: str, *, rounds: int, few: int) -> list[Row]:
    """Rows on verifying.

    Args:
        info: of the devnet where the samples were paid.
        few: how many receipts are asked about one by one; what that takes is scaled to a thousand.
    """
    network = devnet(info)
    app = Session(Settings(network="devnet", devnet=json.dumps(info), ledger=str(Path(folder) / "verified.db")))
    with app.ledger as ledger:
        copied(samples, ledger, _RECEIPTS)
        receipts = ledger.receipts()
        data = chain.data_events(network, receipts)
        with _requests() as sent:
            found = app.records.verify(
                ledger, None, online=True
            )  # marks them as verified: the timed ones find that done
        if not found[list(COLUMNS)].map(lambda ok: ok is True).all(axis=None):
            raise RuntimeError("not all proofs hold: " + found["reason"].mode()[0])
        trips = len(sent)
        offline, alone = in_turn(rounds, lambda: app.records.verify(ledger, None, online=False), _signatures(receipts))
        batch = next(event.blob_id for event in data.batches)
        calls: list[int] = []
        online, naive = in_turn(
            rounds,
            lambda: app.records.verify(ledger, None, online=True),
            lambda: calls.append(_one_by_one(network, receipts[:few], batch)),
        )
    scale = _RECEIPTS / few
    asked = calls[0] * scale
    apart = [replace(receipt, payment_hash=f"0x{number:064x}") for number, receipt in enumerate(receipts)]
    with _requests() as sent:
        prove(apart, {network.name: network})
    return [
        Row("1,000 receipts verified offline", median_ms(offline), "ms", median_ms(alone), "RSA checks alone"),
        Row("1,000 receipts verified online", median_ms(online), "ms", median_ms(naive) * scale, "one by one"),
        Row("round trips to nodes for that", trips, "", asked, "one by one", value_goal=_GOAL),
        Row("the same, were each paid by itself", len(sent), "", asked, "one by one", value_goal=_GOAL),
    ]


def _signatures(receipts: Sequence[Receipt]) -> Callable[[], None]:
    """The checks of the signatures alone; all that leads to them is done before."""
    checks: list[tuple[rsa.RSAPublicKey, bytes, bytes]] = []
    for receipt in receipts:
        key = load_der_public_key(bytes.fromhex(receipt.public_key))
        if not isinstance(key, rsa.RSAPublicKey):
            raise TypeError("the devnet signs with RSA")
        pair = "".join(str(one).removeprefix("0x") for one in (receipt.request_hash, receipt.output_hash))
        message = keccak(bytes.fromhex(pair) + int(receipt.tee_timestamp or 0).to_bytes(32, "big"))
        checks.append((key, base64.b64decode(receipt.tee_signature or ""), message))

    def check() -> None:
        for key, signature, message in checks:
            key.verify(signature, message, _SCHEME, hashes.SHA256())

    return check


def _one_by_one(network: Network, receipts: Sequence[Receipt], batch: str) -> int:
    """Ask for each fact of each receipt when it is needed, as one writes it down first; how many calls to a node.

    The signatures are checked too; what the chain says is not.

    Args:
        batch: id of the blob with the tree of a batch.
    """
    node = HTTPProvider(network.rpc_url)
    enclave = abi.function("tee_registry", "getTEE")
    calls = 0
    with httpx.Client(base_url=network.blob_url) as blobs:
        for receipt in receipts:
            tee_id = bytes.fromhex((receipt.tee_id or "").removeprefix("0x"))
            question = {"to": network.registry_address, "data": enclave.encode(tee_id)}
            asked = [
                ("eth_getTransactionByHash", [receipt.payment_hash]),
                ("eth_getTransactionReceipt", [receipt.payment_hash]),
                ("eth_call", [question, "latest"]),
            ]
            blob = None
            if receipt.settlement == INDIVIDUAL.value:
                asked.append(("eth_getTransactionReceipt", [receipt.data_settlement_hash]))
                blob = receipt.blob_id
            elif receipt.settlement == BATCH.value:
                asked.append(("eth_getLogs", [{"address": network.settlement_relay, "fromBlock": "0x0"}]))
                blob = batch
            calls += len(asked)
            for method, params in asked:
                if node.make_request(RPCEndpoint(method), params).get("error"):
                    raise RuntimeError(f"{method} failed")
            if blob:
                blobs.get(f"/v1/blobs/{blob}").raise_for_status()
            check_enclave(evidence_of(receipt))
    return calls


@contextlib.contextmanager
def _requests() -> Iterator[list[str]]:
    """The URLs that `requests` asks meanwhile, on any thread: those of nodes. (Blobs are fetched with httpx.)"""
    sent: list[str] = []
    real = requests.adapters.HTTPAdapter.send

    def counted(adapter: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        sent.append(request.url)
        return real(adapter, request, *args, **kwargs)

    requests.adapters.HTTPAdapter.send = counted  # type: ignore[assignment, method-assign]  # counts, then sends
    try:
        yield sent
    finally:
        requests.adapters.HTTPAdapter.send = real  # type: ignore[method-assign]  # as it was
