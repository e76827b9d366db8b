"""A student's notebook: all it has is the address of a class's server and a key; its receipts say who paid."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import nbformat
import pytest

from og_magics.cli import main
from og_magics.core.receipt import Receipt
from og_magics.devnet import Devnet
from og_magics.serve.keys import hash_of

from ..serving import serving

if TYPE_CHECKING:
    from .conftest import Kernel

KEY = "og-serve-kCb1tX0pJmR5sVw8yZ2uQe4n"


@pytest.mark.ci
@pytest.mark.parametrize("flags", ["", "--no-stream"])
def test_a_notebook_with_an_address_and_a_key_alone_asks_and_proves_and_says_who_paid(
    new_kernel: Callable[..., Kernel],
    devnet: Devnet,
    tmp_path_factory: pytest.TempPathFactory,
    capsys: pytest.CaptureFixture[str],
    flags: str,
) -> None:
    folder = tmp_path_factory.mktemp("served")
    (folder / "users.toml").write_text(f'opg_usd = 0.2\n[users.anna]\nday = 1\nkey = "sha256:{hash_of(KEY)}"\n')
    with serving(devnet, folder, "--users", "users.toml") as server:
        kernel = new_kernel(None, OG_GATEWAY_URL=str(server.client.base_url), OG_GATEWAY_KEY=KEY)
        source = f"%%ogchat {flags} -n 60\nWhat is x402?"
        cell = kernel.ask(source)
        receipt = Receipt.from_json(cell.receipt)
        (theirs,) = server.receipts()
        assert (theirs.paid_for, theirs.text) == ("anna", receipt.text)
        assert receipt.paid_by == f"{theirs.payer} on devnet, receipt {theirs.receipt_id}"
        assert (receipt.authorization, receipt.enclave_ok) == (None, True)
        assert f"payment by another (payer {str(theirs.payer)[:10]}…) · proof ✓" in cell.last["text/plain"]
        assert kernel.eval("og_receipts['paid_by'].iloc[0]") == receipt.paid_by
        assert KEY not in kernel.ask("%og use").text + kernel.ask("%og network").text + str(cell.messages)
        refused = kernel.run("%%ogchat -n 100000\nWhat is x402?")
        assert not refused.ok
        assert "budget of anna" in str(refused.reply["evalue"])
    code = nbformat.v4.new_code_cell(source, outputs=[nbformat.v4.new_output("display_data", cell.last)])
    nbformat.write(nbformat.v4.new_notebook(cells=[code]), kernel.cwd / "saved.ipynb")
    verified = main(["verify", str(kernel.cwd / "saved.ipynb"), "--proofs", "enclave"])
    assert verified == 0, capsys.readouterr().out
    assert not [path for path in kernel.cwd.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
