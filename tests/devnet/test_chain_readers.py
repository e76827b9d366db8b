"""The chain room against a real chain: real contracts, settled by the official x402 client and facilitator."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from eth_account import Account
from x402 import x402ClientSync, x402FacilitatorSync
from x402.mechanisms.evm import FacilitatorWeb3Signer
from x402.mechanisms.evm.exact.client import ExactEvmScheme as ExactClient
from x402.mechanisms.evm.exact.facilitator import ExactEvmScheme as ExactFacilitator
from x402.mechanisms.evm.upto.client import UptoEvmScheme as UptoClient
from x402.mechanisms.evm.upto.facilitator import UptoEvmScheme as UptoFacilitator
from x402.schemas import PaymentPayload, PaymentRequired, PaymentRequirements

from og_magics import chain
from og_magics.chain import rpc, settlements
from og_magics.core.amounts import OPG
from og_magics.core.errors import ChainError, InsufficientBalance
from og_magics.core.networks import BASE, PERMIT2, UPTO_PROXY, Network
from og_magics.core.onchain import OnchainPayment, TransferLog
from og_magics.core.receipt import Authorization
from og_magics.devnet import addresses
from og_magics.devnet import chain as devnet
from og_magics.devnet.accounts import ACCOUNTS, FACILITATOR, OPERATOR, PAYEE, DevAccount
from og_magics.devnet.anvil import find_anvil
from tests.rpc_server import serving

FIRST, SECOND, POOR = ACCOUNTS
CAP = OPG // 10


@dataclass
class Devnet:
    """A running chain, with what it takes to pay on it."""

    network: Network
    web3: Any
    facilitator: x402FacilitatorSync

    def authorize(self, payer: DevAccount, scheme: str = "upto", method: str = "permit2") -> Payment:
        """A payment as the official client signs it."""
        client = x402ClientSync()
        client.set_spend_controls(False)
        account = Account.from_key(payer.private_key)
        client.register(self.network.caip2, UptoClient(account) if scheme == "upto" else ExactClient(account))
        token = devnet.contract(self.web3, "OPG")
        requirements = PaymentRequirements(
            scheme=scheme,
            network=self.network.caip2,
            asset=self.network.opg_token,
            amount=str(CAP),
            pay_to=PAYEE.address,
            max_timeout_seconds=300,
            extra={
                "name": token.functions.name().call(),
                "version": token.functions.version().call(),
                "assetTransferMethod": method,
                "facilitatorAddress": FACILITATOR.address,
            },
        )
        payload: Any = client.create_payment_payload(PaymentRequired(x402_version=2, accepts=[requirements]))
        signed = payload.payload.get("permit2Authorization") or payload.payload["authorization"]
        nonce, deadline = signed["nonce"], signed.get("deadline") or signed["validBefore"]
        authorization = Authorization(
            hash=f"0x{hash(nonce) & (2**256 - 1):064x}",
            scheme=scheme,
            network=self.network.caip2,
            payer=payer.address,
            pay_to=PAYEE.address,
            token=self.network.opg_token,
            cap=CAP,
            nonce=int(nonce, 0),
            deadline=int(deadline),
            gateway="http://127.0.0.1",
            path="/v1/chat/completions",
            created=int(time.time()),
            spender=signed.get("spender", ""),
        )
        return Payment(authorization, payload, requirements)

    def settle(self, payment: Payment, amount: int = CAP) -> str:
        """The transaction that settles a payment."""
        requirements = payment.requirements.model_copy(update={"amount": str(amount)})
        result = self.facilitator.settle(payment.payload, requirements)
        assert result.success, result
        return result.transaction

    def transfer(self, sender: DevAccount, target: str, count: int, amount: int = 1) -> None:
        """Unrelated transfers, a block each."""
        token = devnet.contract(self.web3, "OPG")
        nonce = self.web3.eth.get_transaction_count(sender.address)
        fields: Any = {"gas": 100_000, "gasPrice": self.web3.eth.gas_price, "chainId": self.network.chain_id}
        for n in range(count):
            transaction = token.functions.transfer(target, amount).build_transaction(fields | {"nonce": nonce + n})
            self.web3.eth.send_raw_transaction(
                Account.sign_transaction(transaction, sender.private_key).raw_transaction
            )


@dataclass
class Payment:
    authorization: Authorization
    payload: PaymentPayload
    requirements: PaymentRequirements


needs_anvil = pytest.mark.skipif(find_anvil() is None, reason="anvil is neither on PATH nor in OG_ANVIL")


@pytest.fixture(scope="module", params=["embedded", pytest.param("anvil", marks=needs_anvil)])
def net(request: pytest.FixtureRequest) -> Iterator[Devnet]:
    running = devnet.start_chain(request.param, 31337)
    try:
        devnet.prepare(running)
        network = replace(
            BASE,
            name="devnet",
            chain_id=31337,
            genesis_hash="",
            rpc_url=running.rpc_url,
            opg_token=addresses.opg_token(31337),
            registry_rpc_url=running.rpc_url,
            registry_address=addresses.tee_registry(31337),
        )
        signer = FacilitatorWeb3Signer(FACILITATOR.private_key, running.rpc_url)
        facilitator = x402FacilitatorSync()
        facilitator.register([network.caip2], UptoFacilitator(signer))
        facilitator.register([network.caip2], ExactFacilitator(signer))
        yield Devnet(network, devnet.connect(running), facilitator)
    finally:
        running.close()


@dataclass
class Proxy:
    """A node's public face: counts requests, and refuses logs of more than `most` blocks in one of many ways."""

    upstream: str
    most: int = 10**9
    url: str = ""
    methods: list[list[str]] = field(default_factory=list)

    def answer(self, body: bytes) -> bytes:
        request = json.loads(body)
        calls = request if isinstance(request, list) else [request]
        self.methods.append([call["method"] for call in calls])
        for call in calls:
            if call["method"] == "eth_getLogs":
                query = call["params"][0]
                span = int(query["toBlock"], 16) - int(query["fromBlock"], 16) + 1
                if span > self.most:
                    error = {"code": -32614, "message": f"eth_getLogs is limited to a {self.most} range"}
                    return json.dumps({"jsonrpc": "2.0", "id": call["id"], "error": error}).encode()
        with urllib.request.urlopen(
            urllib.request.Request(self.upstream, body, {"Content-Type": "application/json"}), timeout=30
        ) as response:
            return bytes(response.read())


@pytest.fixture
def proxy(net: Devnet) -> Iterator[Proxy]:
    found = Proxy(net.network.rpc_url)

    with serving(lambda body: (200, found.answer(body))) as found.url:
        yield found


class TestApproval:
    def test_a_wallet_without_allowance_sends_one_approval(self, net: Devnet) -> None:
        account = Account.from_key(SECOND.private_key)
        before = chain.balances(net.network, account.address)
        assert (before.opg, before.allowance) == (1_000 * OPG, 0)
        result = chain.ensure_approval(net.network, account, 5 * OPG)
        assert result.tx_hash is not None
        assert (result.allowance_before, result.allowance_after) == (0, 10 * OPG)
        after = chain.balances(net.network, account.address)
        receipt = net.web3.eth.get_transaction_receipt(result.tx_hash)
        assert after.allowance == 10 * OPG
        assert before.gas - after.gas == receipt["gasUsed"] * receipt["effectiveGasPrice"]

    def test_enough_allowance_sends_nothing(self, net: Devnet) -> None:
        count = net.web3.eth.get_transaction_count(FIRST.address)
        result = chain.ensure_approval(net.network, Account.from_key(FIRST.private_key), 5 * OPG)
        assert result.tx_hash is None
        assert result.allowance_before == result.allowance_after > 5 * OPG
        assert net.web3.eth.get_transaction_count(FIRST.address) == count

    def test_a_wallet_without_opg_is_told_about_its_balance(self, net: Devnet) -> None:
        with pytest.raises(InsufficientBalance, match="holds 0 OPG on devnet"):
            chain.ensure_approval(net.network, Account.from_key(POOR.private_key), OPG)

    def test_a_wallet_without_gas_is_told_about_gas(self, net: Devnet) -> None:
        account = Account.from_key("0x" + "77" * 32)
        devnet.transact(net.web3, OPERATOR, devnet.contract(net.web3, "OPG").functions.mint(account.address, 5 * OPG))
        with pytest.raises(InsufficientBalance, match="not enough for the fee"):
            chain.ensure_approval(net.network, account, OPG)

    def test_an_approval_is_capped_at_the_balance(self, net: Devnet) -> None:
        account = Account.from_key("0x" + "78" * 32)
        devnet.transact(net.web3, OPERATOR, devnet.contract(net.web3, "OPG").functions.mint(account.address, 3 * OPG))
        gas = {"to": account.address, "value": 10**17, "gas": 21_000, "gasPrice": net.web3.eth.gas_price}
        gas |= {"nonce": net.web3.eth.get_transaction_count(OPERATOR.address), "chainId": 31337}
        net.web3.eth.send_raw_transaction(Account.sign_transaction(gas, OPERATOR.private_key).raw_transaction)
        assert chain.ensure_approval(net.network, account, 2 * OPG, 9 * OPG).allowance_after == 3 * OPG


class TestSettlements:
    @pytest.mark.ci
    def test_payments_of_two_payers_are_found_among_hundreds_of_blocks(self, net: Devnet, proxy: Proxy) -> None:
        chain.ensure_approval(net.network, Account.from_key(SECOND.private_key), 5 * OPG)
        payments, paid = [], {}
        for n, payer in enumerate([FIRST, SECOND, FIRST, SECOND, FIRST]):
            payment = net.authorize(payer)
            payments.append(payment)
            net.transfer(FIRST, POOR.address, 20)
            net.transfer(payer, PAYEE.address, 10, amount=3 + n)  # same payer, same payee, and no settlement
            for _ in range(30):
                net.web3.provider.make_request("evm_mine", [])
            paid[payment.authorization.hash] = (net.settle(payment, 1_000 + n), 1_000 + n)
        unsettled = net.authorize(FIRST).authorization
        assert net.web3.eth.block_number > 300

        network = replace(net.network, rpc_url=proxy.url)
        found = chain.find_settlements(network, [*(payment.authorization for payment in payments), unsettled])
        assert {key: (one.payment_hash, one.amount) for key, one in found.items()} == paid
        for settlement in found.values():
            receipt = net.web3.eth.get_transaction_receipt(settlement.payment_hash)
            assert (settlement.block_number, settlement.gas_used) == (receipt["blockNumber"], receipt["gasUsed"])
            assert settlement.block_hash == receipt["blockHash"].to_0x_hex()
        # One for the bits, four for the time, one for the logs; the rest looks at 55 transfers between the same two.
        assert len(proxy.methods) <= 13

    def test_an_unsettled_authorization_costs_one_request(self, net: Devnet, proxy: Proxy) -> None:
        network = replace(net.network, rpc_url=proxy.url)
        assert chain.find_settlement(network, net.authorize(FIRST).authorization) is None
        assert [sorted(methods) for methods in proxy.methods] == [["eth_call", "eth_chainId", "eth_getBlockByNumber"]]

    def test_one_settled_authorization_is_found_in_few_requests(self, net: Devnet, proxy: Proxy) -> None:
        payment = net.authorize(SECOND)
        transaction = net.settle(payment, 77)
        found = chain.find_settlement(replace(net.network, rpc_url=proxy.url), payment.authorization)
        assert found is not None
        assert (found.payment_hash, found.amount) == (transaction, 77)
        assert len(proxy.methods) <= 16

    def test_an_invalidated_nonce_is_no_settlement(self, net: Devnet) -> None:
        authorization = net.authorize(FIRST).authorization
        permit2 = devnet.contract(net.web3, "Permit2")
        invalidate = permit2.functions.invalidateUnorderedNonces(
            authorization.nonce >> 8, 1 << (authorization.nonce & 255)
        )
        devnet.transact(net.web3, FIRST, invalidate)
        assert chain.find_settlement(net.network, authorization) is None

    @pytest.mark.parametrize("method", ["permit2", "eip3009"])
    def test_an_exact_payment_is_found_by_either_way_of_paying(self, net: Devnet, method: str) -> None:
        payment = net.authorize(FIRST, "exact", method)
        assert (payment.authorization.spender == "") == (method == "eip3009")
        assert chain.find_settlement(net.network, payment.authorization) is None
        transaction = net.settle(payment)
        found = chain.find_settlement(net.network, payment.authorization)
        assert found is not None
        assert (found.payment_hash, found.amount) == (transaction, CAP)

    @pytest.mark.parametrize(
        ("scheme", "method", "kind"),
        [("upto", "permit2", "upto"), ("exact", "permit2", "exact"), ("exact", "eip3009", "eip3009")],
    )
    def test_what_a_payment_did_is_read_for_every_way_of_paying(
        self, net: Devnet, scheme: str, method: str, kind: str
    ) -> None:
        payment = net.authorize(FIRST, scheme, method)
        transaction = net.settle(payment)
        facts = chain.payment_facts(net.network, [transaction])[transaction]
        assert isinstance(facts, OnchainPayment)
        signed, call = payment.authorization, facts.call
        assert call is not None
        assert (call.kind, call.owner, call.payee) == (kind, signed.payer.lower(), signed.pay_to.lower())
        assert (call.token, call.nonce, call.deadline) == (signed.token.lower(), signed.nonce, signed.deadline)
        assert (call.cap, call.amount, facts.succeeded) == (CAP, CAP, True)
        assert facts.transfers == (TransferLog(call.token, call.owner, call.payee, CAP),)

    @pytest.mark.parametrize("most", [100, 7])
    def test_a_provider_that_limits_ranges_is_asked_for_less(
        self, net: Devnet, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, most: int
    ) -> None:
        payment = net.authorize(FIRST)
        for _ in range(2 * most):  # more blocks since then than it reads at once
            net.web3.provider.make_request("evm_mine", [])
        transaction = net.settle(payment, 55)
        proxy.most = most
        network = replace(net.network, rpc_url=proxy.url)
        found = chain.find_settlement(network, payment.authorization)
        assert found is not None
        assert found.payment_hash == transaction
        learned = settlements._ranges[proxy.url]
        assert learned <= most < 2 * learned + 2
        logs = sum(methods == ["eth_getLogs"] for methods in proxy.methods)
        proxy.methods.clear()
        chain.find_settlement(network, payment.authorization)
        assert sum(methods == ["eth_getLogs"] for methods in proxy.methods) < logs  # it is remembered

    def test_reading_may_start_at_a_given_block(self, net: Devnet) -> None:
        payment = net.authorize(FIRST)
        transaction = net.settle(payment, 66)
        block = net.web3.eth.get_transaction_receipt(transaction)["blockNumber"]
        found = chain.find_settlement(net.network, payment.authorization, from_block=block)
        assert found is not None
        assert found.block_number == block
        assert chain.find_settlement(net.network, payment.authorization, from_block=block + 1) is None

    def test_a_clock_that_runs_minutes_ahead_still_finds_its_payment(self, net: Devnet) -> None:
        payment = net.authorize(FIRST)
        transaction = net.settle(payment, 44)
        ahead = replace(
            payment.authorization,
            created=payment.authorization.created + 1_200,
            deadline=payment.authorization.deadline + 1_200,
        )
        for _ in range(3):
            net.web3.provider.make_request("evm_mine", [])
        found = chain.find_settlement(net.network, ahead)
        assert found is not None
        assert found.payment_hash == transaction

    def test_many_threads_may_ask_at_once(self, net: Devnet) -> None:
        from concurrent.futures import ThreadPoolExecutor

        payment = net.authorize(FIRST)
        transaction = net.settle(payment, 33)
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda _: chain.find_settlement(net.network, payment.authorization), range(16)))
        assert {one.payment_hash for one in found if one} == {transaction}
        assert None not in found


class TestRegistry:
    def test_registered_enclaves_are_read_and_found_by_id(self, net: Devnet) -> None:
        assert chain.active_enclaves(net.network) == []
        contract = devnet.contract(net.web3, "TEERegistry")
        for n in range(3):
            register = contract.functions.registerTEE(
                PAYEE.address, f"https://127.0.0.1:{9000 + n}", b"key %d" % n, b"certificate" if n else b"", b"\1" * 32, 0,
                (1, 32, 1, 3, b"k" * 32, b"config", 0),
            )  # fmt: skip
            devnet.transact(net.web3, OPERATOR, register)
        enclaves = chain.active_enclaves(net.network)
        assert [enclave.endpoint for enclave in enclaves] == ["https://127.0.0.1:9001", "https://127.0.0.1:9002"]
        assert chain.enclave_by_id(net.network, enclaves[1].tee_id) == enclaves[1]
        assert enclaves[0].payment_address == PAYEE.address
        assert chain.enclave_by_id(net.network, "0x" + "12" * 32) is None


@pytest.mark.ci
def test_a_chain_that_went_away_is_an_error_with_the_way_out() -> None:
    gone = devnet.start_chain("embedded", 31337)
    network = replace(BASE, rpc_url=gone.rpc_url, registry_rpc_url=gone.rpc_url)
    assert chain.balances(network, FIRST.address).opg == 0
    gone.close()
    with pytest.raises(ChainError) as payments:
        chain.balances(network, FIRST.address)
    with pytest.raises(ChainError) as registry:
        chain.active_enclaves(network)
    assert "OG_RPC_URL" in payments.value.remedy
    assert "OG_REGISTRY_RPC_URL" in registry.value.remedy


def test_constants_are_those_of_the_x402_package() -> None:
    from x402.mechanisms.evm import constants

    assert (PERMIT2, UPTO_PROXY) == (constants.PERMIT2_ADDRESS, constants.X402_UPTO_PERMIT2_PROXY_ADDRESS)
    assert rpc.BATCH_LIMIT == 10
