"""A saved notebook with an answer of an enclave of our own, and the command line that audits it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from og_magics.cli import main
from og_magics.core.receipt import Receipt
from og_magics.devnet.gateway.enclave import Enclave, canonical_request, output_hash, request_hash
from og_magics.display import answer_bundle

Notebook = dict[str, Any]


@dataclass
class Audit:
    """What `og-magics verify --json` said."""

    status: int
    rows: list[dict[str, Any]]
    errors: str

    def ok(self, proof: str = "enclave") -> list[bool | None]:
        return [row["verdicts"][proof]["ok"] for row in self.rows]

    def reason(self, proof: str = "enclave") -> str:
        return str(self.rows[0]["verdicts"][proof]["reason"])


@pytest.fixture(scope="module")
def enclave() -> Enclave:
    return Enclave()


@pytest.fixture(scope="module")
def receipt(enclave: Enclave) -> Receipt:
    """Of a question and its answer, as an enclave signed them."""
    return answered(enclave, "What is a receipt?", "A **signed** answer,\n\nwith `proof`.")


def answered(enclave: Enclave, prompt: str, text: str) -> Receipt:
    body = {"model": "gpt-5", "messages": [{"role": "user", "content": prompt}], "temperature": 0.0, "stream": True}
    fields = enclave.sign(request_hash(canonical_request(body)), output_hash(text)).fields()
    return Receipt(
        receipt_id="01", time=1795343449.0, cell="3", notebook="n.ipynb", network="devnet", provider="openai",
        model="openai/gpt-5", settlement="batch", status="served", authorization_hash="0x" + "ab" * 32,
        path="/v1/chat/completions", request=body, text=text, finish_reason="stop", prompt_tokens=4,
        completion_tokens=8, tee_id=fields["tee_id"], tee_signature=fields["tee_signature"],
        tee_timestamp=fields["tee_timestamp"], request_hash=fields["tee_request_hash"],
        output_hash=fields["tee_output_hash"], public_key=enclave.public_key_der.hex(), enclave_ok=True,
    )  # fmt: skip


@dataclass
class Verifier:
    """Runs `og-magics verify --json` on notebooks."""

    path: Path
    capsys: pytest.CaptureFixture[str]

    def __call__(self, content: Notebook, *flags: str) -> Audit:
        self.path.write_text(json.dumps(content))
        status = main(["verify", str(self.path), "--json", *flags])
        told = self.capsys.readouterr()
        assert "Traceback" not in told.err
        return Audit(status, json.loads(told.out or "[]"), told.err)

    @staticmethod
    def notebook(receipt: Receipt, **how: Any) -> Notebook:
        """One cell that asked, and what it kept, as a front end saves it."""
        bundle = answer_bundle(receipt, receipt.text, lambda tx: f"https://e.example/{tx}", **how)
        output = {"output_type": "display_data", "data": json.loads(json.dumps(bundle)), "metadata": {}}
        messages = receipt.request.get("messages") or [{"content": ""}]
        source = f"%%ogchat -p openai\n{messages[-1]['content']}"
        return {"cells": [{"cell_type": "code", "source": source, "outputs": [output]}]}

    @staticmethod
    def data(content: Notebook) -> dict[str, Any]:
        """The output's, to be changed."""
        found: dict[str, Any] = content["cells"][0]["outputs"][0]["data"]
        return found


@pytest.fixture
def verify(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Verifier:
    return Verifier(tmp_path / "n.ipynb", capsys)
