"""Receipts of answers that an enclave of this process signed, for tests that need no devnet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from og_magics.core.receipt import Receipt
from og_magics.devnet.gateway.enclave import Enclave, canonical_request, output_hash, request_hash, signed_output

Json = dict[str, Any]
PATH = "/v1/chat/completions"


@dataclass
class Signer:
    """An enclave, and the receipts of what it answered."""

    enclave: Enclave = field(default_factory=Enclave)
    made: int = 0

    def answered(
        self,
        body: Mapping[str, Any],
        text: str,
        calls: Sequence[Json] = (),
        model: str = "openai/gpt-5",
        **changes: Any,
    ) -> Receipt:
        """Return the receipt of an answer to this body. `changes`: other fields of it."""
        self.made += 1
        body = {"model": model.partition("/")[2], **body}
        fields = self.enclave.sign(
            request_hash(canonical_request(body)), output_hash(signed_output(text, calls))
        ).fields()
        values: Json = {
            "receipt_id": f"{self.made:032x}", "time": 1795343449.0 + self.made, "cell": "", "notebook": "n.ipynb",
            "network": "devnet", "provider": model.partition("/")[0], "model": model, "settlement": "batch",
            "status": "served", "authorization_hash": f"0x{self.made:064x}", "path": PATH, "request": body,
            "text": text, "tool_calls": tuple(calls), "finish_reason": "tool_calls" if calls else "stop",
            "prompt_tokens": 4, "completion_tokens": 8, "public_key": self.enclave.public_key_der.hex(),
            "tee_id": fields["tee_id"], "tee_signature": fields["tee_signature"],
            "tee_timestamp": fields["tee_timestamp"], "request_hash": fields["tee_request_hash"],
            "output_hash": fields["tee_output_hash"], "enclave_ok": True, "enclave_form": "with web_search",
            "turn": f"{self.made:032x}",
        }  # fmt: skip
        return Receipt(**values | changes)


def asking(prompt: str, **more: Any) -> Json:
    """Return the body of a prompt, without its model."""
    return {"messages": [{"role": "user", "content": prompt}], "temperature": 0.0, "max_tokens": 1000, **more}


def call(name: str, arguments: str, id: str = "call_1") -> Json:
    """Return a function call, as a model asks for it."""
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def going_on(body: Mapping[str, Any], first: Receipt, *follow_up: Json) -> Json:
    """Return the body that goes on after an answer: what was said, and results or a correction."""
    said: Json = {"role": "assistant", "content": first.text}
    if first.tool_calls:
        said["tool_calls"] = [dict(one) for one in first.tool_calls]
    return {**body, "messages": [*body["messages"], said, *follow_up]}


def cell(source: str, *bundles: Mapping[str, Any]) -> Json:
    """Return a cell that was run, with these outputs, as a front end saves it."""
    outputs = [{"output_type": "display_data", "data": dict(one), "metadata": {}} for one in bundles]
    return {"cell_type": "code", "execution_count": 1, "metadata": {}, "source": source, "outputs": outputs}
