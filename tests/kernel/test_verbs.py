"""%og and its verbs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from og_magics.devnet import Devnet

    from .conftest import Kernel


def rows(text: str) -> dict[str, str]:
    """A table of names and values, as %og prints it."""
    return dict(re.split(r"\s{2,}", line, maxsplit=1) for line in text.splitlines() if re.match(r"\w+\s{2,}", line))


class TestStatus:
    @pytest.mark.parametrize("typed", ["%og", "%og status"])
    def test_it_tells_network_model_mode_parameters_and_receipts(self, kernel: Kernel, typed: str) -> None:
        told = rows(kernel.ask(typed).text)
        assert told["network"].startswith("devnet  local and free")
        assert told["model"] == "openai/gpt-5"
        assert told["settlement"] == "batch"
        assert told["parameters"] == "temperature 0.0, at most 1000 tokens"
        assert " in ledger.db, " in told["receipts"]

    def test_a_semicolon_silences_the_value_of_a_verb(self, kernel: Kernel) -> None:
        assert kernel.ask("%og receipts").of("execute_result")
        cell = kernel.ask("%og receipts --wait 0;")
        assert not cell.of("execute_result", "display_data")

    @pytest.mark.ci
    def test_it_counts_what_was_paid(self, new_kernel: Callable[..., Kernel]) -> None:
        kernel = new_kernel()
        assert rows(kernel.ask("%og").text)["receipts"] == "0 in ledger.db, 0 to be settled, 0 OPG paid"
        kernel.ask("%ogchat hello")
        kernel.ask("%og receipts --wait 30")
        told = re.fullmatch(
            r"1 in ledger\.db, 0 to be settled, (0\.\d+) OPG paid", rows(kernel.ask("%og").text)["receipts"]
        )
        assert told is not None
        assert float(told[1]) == pytest.approx(float(kernel.eval("str(og_receipts.cost_opg[0])")), abs=1e-6)

    def test_the_environment_sets_defaults(self, new_kernel: Callable[..., Kernel]) -> None:
        told = rows(new_kernel(OG_MODEL="grok-4", OG_SETTLEMENT="private").ask("%og").text)
        assert (told["model"], told["settlement"]) == ("grok-4", "private")

    def test_an_environment_that_cannot_be_read_is_told_with_the_variable(
        self, new_kernel: Callable[..., Kernel]
    ) -> None:
        told = new_kernel(OG_SETTLEMENT="loud").run("%ogchat hello").error()
        assert "OG_SETTLEMENT" in told
        assert "individual" in told


class TestUse:
    def test_it_sets_defaults_for_the_cells_after_it(self, kernel: Kernel) -> None:
        told = rows(
            kernel.ask('%og use -m claude-opus-4-5 -s private -t 0.5 -n 3 --system "Be {brief}" --no-stream').text
        )
        assert told["model"] == "anthropic/claude-opus-4-5"
        assert told["parameters"] == "temperature 0.5, at most 3 tokens, not streamed"
        assert told["system"] == "'Be {brief}'"
        receipt = kernel.ask("%ogchat hello").receipt
        request = receipt["request"]
        assert (receipt["model"], receipt["settlement"]) == ("anthropic/claude-opus-4-5", "private")
        assert (request["temperature"], request["max_tokens"], "stream" in request) == (0.5, 3, False)
        assert request["messages"][0] == {"role": "system", "content": "Be {brief}"}

    def test_it_keeps_what_it_is_not_told(self, kernel: Kernel) -> None:
        kernel.ask("%og use -n 3 --no-stream")
        told = rows(kernel.ask("%og use -p google --stream").text)
        assert told["model"] == "google/gemini-2.5-flash"
        assert told["parameters"] == "temperature 0.0, at most 3 tokens"

    def test_a_flag_beats_it(self, kernel: Kernel) -> None:
        kernel.ask("%og use -p google -n 3")
        receipt = kernel.ask("%ogchat -p xai -n 2 hello").receipt
        assert (receipt["model"], receipt["completion_tokens"]) == ("x-ai/grok-4.3", 2)

    def test_an_empty_system_prompt_takes_it_back(self, kernel: Kernel) -> None:
        kernel.ask("%og use --system Terse")
        assert "system" not in rows(kernel.ask('%og use --system ""').text)
        assert len(kernel.ask("%ogchat -n 1 hello").receipt["request"]["messages"]) == 1

    @pytest.mark.parametrize("flags", ["-m nope", "-p nope", "-s nope", "-t warm", "-t 3", "-n 0", "--loud", "nope"])
    def test_a_mistake_changes_nothing(self, kernel: Kernel, flags: str) -> None:
        def in_use() -> dict[str, str]:
            return rows(kernel.ask("%og").text) | {"receipts": ""}  # meanwhile, payments are found

        before = in_use()
        assert kernel.run(f"%og use -n 7 {flags}").error()
        assert in_use() == before


class TestModels:
    def test_it_lists_the_catalogue_with_prices(self, kernel: Kernel) -> None:
        kernel.ask("%og models")
        assert kernel.eval("[*_.columns]") == [
            "model",
            "provider",
            "name",
            "usd_input",
            "usd_output",
            "usd_flat",
            "note",
        ]
        assert kernel.eval("set(_.provider) >= {'openai', 'anthropic', 'google', 'x-ai'}")

    def test_a_provider_selects_its_own(self, kernel: Kernel) -> None:
        kernel.ask("%og models xAI")
        assert kernel.eval("sorted(set(_.provider))") == ["x-ai"]
        assert kernel.eval("_.index[0]") == 0

    def test_an_unknown_provider_is_a_mistake(self, kernel: Kernel) -> None:
        assert "Choose one of openai, anthropic" in kernel.run("%og models nope").error()


class TestReceipts:
    def test_it_gives_the_frame_of_the_notebook(self, kernel: Kernel) -> None:
        asked = kernel.ask("%ogchat hello").receipt
        kernel.ask("%og receipts")
        assert kernel.eval("_.receipt_id.iloc[-1]") == asked["receipt_id"]
        assert kernel.eval("_ is og_receipts")

    @pytest.mark.ci
    def test_waiting_ends_with_every_payment_settled(
        self, kernel: Kernel, devnet: Devnet, is_payment: Callable[..., bool]
    ) -> None:
        kernel.ask("%ogchat hello")
        assert "not settled yet" not in kernel.ask("%og receipts --wait 30").text
        hashes = kernel.eval("[*og_receipts.payment_hash]")
        assert all(is_payment(devnet, payment) for payment in hashes)
        assert kernel.eval("sorted(set(og_receipts.status))") == ["settled"]

    @pytest.mark.parametrize("flags", ["--wait", "--wait soon", "--nope", "nope"])
    def test_a_mistake_is_told(self, kernel: Kernel, flags: str) -> None:
        assert "%og receipts" in kernel.run(f"%og receipts {flags}").error()


class TestWalletAndApproval:
    def test_it_shows_address_balances_and_allowance_and_no_key(self, kernel: Kernel, devnet: Devnet) -> None:
        cell = kernel.ask("%og wallet")
        told = rows(cell.text)
        assert told["address"] == devnet.accounts[0]["address"]
        assert 990 < float(told["OPG"]) < 1000
        assert told["gas"].endswith(" ETH, for the network's fees")
        assert told["allowance"] == "any amount of OPG may be paid in all, through the payment contract (Permit2)"
        assert devnet.accounts[0]["private_key"][2:] not in cell.text

    def test_a_wallet_without_an_allowance_is_told_to_approve_and_then_pays(
        self, new_kernel: Callable[..., Kernel], devnet: Devnet
    ) -> None:
        kernel = new_kernel(OG_NETWORK="devnet", OG_PRIVATE_KEY=devnet.accounts[1]["private_key"])
        told = kernel.run("%ogchat hello").error("AllowanceRequired")
        assert "%og approve" in told
        assert "approve once with %og approve" in kernel.ask("%og wallet").text
        assert kernel.ask("%og approve 7.5").text.startswith("Approved: 7.5 OPG may be moved. Transaction 0x")
        assert kernel.ask("%og approve 7.5").text == "Nothing to do: 7.5 OPG may be moved already.\n"
        assert kernel.ask("%ogchat hello").receipt["payer"] == devnet.accounts[1]["address"]

    def test_a_poor_wallet_is_told_that_it_is_poor(self, new_kernel: Callable[..., Kernel], devnet: Devnet) -> None:
        kernel = new_kernel(OG_NETWORK="devnet", OG_PRIVATE_KEY=devnet.accounts[2]["private_key"])
        told = kernel.run("%ogchat hello").error("InsufficientBalance")
        assert "holds 0 OPG" in told
        assert "Nothing was signed and nothing was paid." in told
        assert "5 OPG are missing" in told

    @pytest.mark.parametrize("amount", ["much", "-1", "1 2", "0"])
    def test_an_amount_that_is_none_is_a_mistake(self, kernel: Kernel, amount: str) -> None:
        assert kernel.run(f"%og approve {amount}").error()

    def test_a_malformed_key_is_told_and_not_repeated(self, new_kernel: Callable[..., Kernel]) -> None:
        kernel = new_kernel(OG_NETWORK="devnet", OG_PRIVATE_KEY="0x" + "5a" * 31)
        told = kernel.run("%ogchat hello").error()
        assert "62 characters instead of 64" in told
        assert "5a5a" not in told


class TestNetwork:
    def test_it_tells_the_network(self, kernel: Kernel) -> None:
        assert kernel.ask("%og network").text.startswith("network  devnet  local and free")

    def test_an_unknown_one_is_a_mistake(self, kernel: Kernel) -> None:
        assert "Choose one of" in kernel.run("%og network mainnet").error()

    @pytest.mark.parametrize("name", ["base", "base-sepolia"])
    def test_one_that_needs_a_wallet_is_not_chosen_without_one(self, kernel: Kernel, name: str) -> None:
        told = kernel.run(f"%og network {name}").error()
        assert "OG_PRIVATE_KEY" in told
        assert kernel.ask("%og network").text.startswith("network  devnet ")
        assert kernel.ask("%ogchat -n 1 still here").ok

    def test_with_a_key_it_may_be_chosen_and_real_money_is_named(
        self, new_kernel: Callable[..., Kernel], devnet: Devnet
    ) -> None:
        kernel = new_kernel(OG_PRIVATE_KEY=devnet.accounts[0]["private_key"])
        told = kernel.ask("%og network").text
        assert told.startswith("network  devnet  local and free")
        assert "your key is not used and nothing real is paid. OG_NETWORK=base" in told
        assert "your key is not used" in kernel.ask("%ogchat -n 1 hello").text
        assert "your key is not used" not in kernel.ask("%ogchat -n 1 hello").text
        assert kernel.ask("%og network base-sepolia").text.startswith(
            "network  base-sepolia  abandoned by OpenGradient"
        )
        assert kernel.ask("%og network base").text == "network  base  REAL MONEY\n"
        kernel.ask("%og network devnet")
        assert kernel.ask("%ogchat -n 1 hello").receipt["network"] == "devnet"


class TestHelp:
    def test_it_lists_each_verb(self, kernel: Kernel) -> None:
        told = kernel.ask("%og help").text
        for verb in ("use", "models", "receipts", "verify", "wallet", "approve", "network", "help"):
            assert f"%og {verb}" in told

    def test_an_unknown_verb_is_told_with_the_known_ones(self, kernel: Kernel) -> None:
        told = kernel.run("%og pay").error()
        assert "'pay'" in told
        assert "approve, network, " in told
        assert told.endswith(", help.")


class TestDevnet:
    def test_it_tells_where_the_devnet_is_and_writes_it_down_for_others(
        self, kernel: Kernel, devnet: Devnet, tmp_path: Path
    ) -> None:
        told = kernel.ask(f"%og devnet --file {tmp_path / 'devnet.json'}").text
        assert devnet.rpc_url in told
        assert devnet.gateway_url in told
        assert "private_key" not in told
        assert "OG_DEVNET=None" not in kernel.ask("%og devnet").text
        assert json.loads((tmp_path / "devnet.json").read_text())["rpc_url"] == devnet.rpc_url

    def test_on_another_network_it_says_so(self, kernel: Kernel) -> None:
        kernel.ask("%og use -m gpt-5")
        assert "is not a flag" in kernel.run("%og devnet please").error()
