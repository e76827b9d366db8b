"""What the front door offers, and that opening it is cheap."""

from __future__ import annotations

import subprocess
import sys

import pytest

import og_magics

NAMES = [
    "LLM", "Answer", "BatchResult", "aask", "aask_many", "ask", "ask_many", "TEE_LLM", "Permit2ApprovalResult", "ResponseFormat", "Settings", "StoredAnswers", "StreamChoice", "StreamChunk", "StreamDelta",
    "StreamUsage", "TextGenerationOutput", "__version__", "errors", "estimate", "load_ipython_extension", "models", "panel", "receipts",
    "settle", "tool", "unload_ipython_extension", "verify", "x402SettlementMode", "TEERegistry", "TEEEndpoint", "TeeProof", "VerificationError", "build_inner_request", "verify_response",
    "agents",
]  # fmt: skip

SDK_FIELDS = {
    "TextGenerationOutput": [
        "data_settlement_transaction_hash", "data_settlement_blob_id", "finish_reason", "chat_output", "completion_output",
        "images", "usage", "payment_hash", "tee_signature", "tee_timestamp", "tee_id", "tee_endpoint", "tee_payment_address",
    ],
    "StreamChunk": [
        "choices", "model", "usage", "is_final", "tee_signature", "tee_timestamp", "tee_id", "tee_endpoint",
        "tee_payment_address", "data_settlement_transaction_hash", "data_settlement_blob_id", "images",
    ],
    "StreamChoice": ["delta", "index", "finish_reason"],
    "StreamDelta": ["content", "role", "tool_calls"],
    "StreamUsage": ["prompt_tokens", "completion_tokens", "total_tokens"],
}  # fmt: skip


def test_the_public_names_are_these_and_no_others():
    assert sorted(og_magics.__all__) == sorted(NAMES)
    assert set(NAMES) <= set(dir(og_magics))


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_is_there(name):
    assert getattr(og_magics, name) is not None


def test_a_name_that_is_not_there_says_so():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        og_magics.nothing  # noqa: B018 - the look-up itself is the test


@pytest.mark.parametrize(("kind", "fields"), SDK_FIELDS.items())
def test_result_types_begin_with_the_official_sdks_fields_in_its_order(kind, fields):
    ours = list(getattr(og_magics, kind).__dataclass_fields__)
    assert ours[: len(fields)] == fields


def test_a_renamed_name_still_works_and_names_the_new_one():
    with pytest.warns(DeprecationWarning, match=r"og_magics\.BatchResult"):
        assert og_magics.Answers is og_magics.BatchResult


def test_importing_the_package_imports_nothing_heavy():
    heavy = [
        "httpx",
        "web3",
        "x402",
        "eth_account",
        "pandas",
        "IPython",
        "ipywidgets",
        "sqlite3",
        "cryptography",
        "asyncio",
    ]
    code = f"import sys, og_magics; print([n for n in {heavy!r} if n in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip() == "[]"
    )
