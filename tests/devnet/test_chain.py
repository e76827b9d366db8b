"""The devnet's chains under the official x402 client and facilitator, web3.py and plain JSON-RPC."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from eth_account import Account
from eth_utils import keccak
from web3 import Web3
from web3.exceptions import ContractCustomError, ContractLogicError, TimeExhausted, Web3RPCError
from x402 import x402FacilitatorSync
from x402.mechanisms.evm import EthAccountSigner, FacilitatorWeb3Signer
from x402.mechanisms.evm.constants import EIP2612_PERMIT_TYPES
from x402.mechanisms.evm.exact import ExactEvmClientScheme, ExactEvmFacilitatorScheme
from x402.mechanisms.evm.upto import UptoEvmClientScheme, UptoEvmFacilitatorScheme
from x402.schemas import PaymentPayload, PaymentRequirements

from og_magics.core.amounts import OPG
from og_magics.core.errors import DevnetError
from og_magics.devnet import addresses, contracts
from og_magics.devnet.accounts import ACCOUNTS, FACILITATOR, INITIAL_OPG, OPERATOR, PAYEE, DevAccount
from og_magics.devnet.anvil import AnvilChain, find_anvil
from og_magics.devnet.chain import Chain, connect, contract, prepare, start_chain, transact

CHAIN_ID = 31337
CAP = OPG // 10
REGISTRY_ENTRY = ["owner", "paymentAddress", "endpoint", "publicKey", "tlsCertificate", "pcrHash", "teeType"]
REGISTRY_ENTRY += ["enabled", "registeredAt", "lastHeartbeatAt", "ohttpConfig"]

needs_anvil = pytest.mark.skipif(find_anvil() is None, reason="anvil is neither on PATH nor in OG_ANVIL")
KINDS = ["embedded", pytest.param("anvil", marks=needs_anvil)]


@pytest.fixture(scope="module", params=KINDS)
def chain(request: pytest.FixtureRequest) -> Iterator[Chain]:
    started = start_chain(request.param, CHAIN_ID)
    try:
        prepare(started)
        yield started
    finally:
        started.close()


@pytest.fixture(scope="module")
def web3(chain: Chain) -> Web3:
    return connect(chain)


@pytest.fixture(scope="module")
def facilitator(chain: Chain) -> x402FacilitatorSync:
    signer = FacilitatorWeb3Signer(FACILITATOR.private_key, chain.rpc_url)
    built = x402FacilitatorSync()
    built.register([f"eip155:{CHAIN_ID}"], UptoEvmFacilitatorScheme(signer))
    built.register([f"eip155:{CHAIN_ID}"], ExactEvmFacilitatorScheme(signer))
    return built


def requirements(scheme: str = "upto", method: str = "permit2", amount: int = CAP) -> Any:
    extra = {"name": "OpenGradient", "version": "1", "assetTransferMethod": method}
    return PaymentRequirements(
        scheme=scheme,
        network=f"eip155:{CHAIN_ID}",
        asset=addresses.opg_token(CHAIN_ID),
        amount=str(amount),
        pay_to=PAYEE.address,
        max_timeout_seconds=300,
        extra={**extra, "facilitatorAddress": FACILITATOR.address},
    )


def sign(payer: DevAccount, wanted: PaymentRequirements) -> PaymentPayload:
    scheme = UptoEvmClientScheme if wanted.scheme == "upto" else ExactEvmClientScheme
    inner = scheme(EthAccountSigner(Account.from_key(payer.private_key))).create_payment_payload(wanted)
    return PaymentPayload(x402_version=2, payload=inner, accepted=wanted)


def settle_arguments(payload: PaymentPayload, amount: int = CAP) -> list[Any]:
    """What the upto proxy's ``settle`` takes, from a signed payload; lists, so that a test can spoil one field."""
    signed = payload.payload["permit2Authorization"]
    permitted, witness = signed["permitted"], signed["witness"]
    return [
        [[permitted["token"], int(permitted["amount"])], int(signed["nonce"]), int(signed["deadline"])],
        amount,
        signed["from"],
        [witness["to"], witness["facilitator"], int(witness["validAfter"])],
        payload.payload["signature"],
    ]


def revert_of(web3: Web3, arguments: list[Any], sender: DevAccount = FACILITATOR) -> str:
    """The custom error or the reason with which ``settle`` reverts."""
    proxy = contract(web3, "UptoPermit2Proxy")
    with pytest.raises(ContractLogicError) as caught:
        proxy.functions.settle(*arguments).call({"from": sender.address})
    if not isinstance(caught.value, ContractCustomError):
        return str(caught.value)
    abi = proxy.abi + contracts.load("Permit2").abi
    selectors = {
        keccak(text=f"{e['name']}({','.join(i['type'] for i in e['inputs'])})")[:4].hex(): e["name"]
        for e in abi
        if e["type"] == "error"
    }
    return str(selectors[str(caught.value.data)[2:10]])


def rpc(chain: Chain, method: str, *params: Any) -> Any:
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    return httpx.post(chain.rpc_url, json=body).json()


class TestPayments:
    def test_upto_payment_verifies_and_settles_for_less_than_its_cap(
        self, chain: Chain, web3: Web3, facilitator: x402FacilitatorSync
    ) -> None:
        token, permit2 = contract(web3, "OPG"), contract(web3, "Permit2")
        payload = sign(ACCOUNTS[0], requirements())
        verified = facilitator.verify(payload, requirements())
        assert (verified.is_valid, verified.invalid_reason) == (True, None)
        before = token.functions.balanceOf(PAYEE.address).call()
        settled = facilitator.settle(payload, requirements(amount=CAP // 3))
        assert (settled.success, settled.error_reason) == (True, None)
        assert token.functions.balanceOf(PAYEE.address).call() - before == CAP // 3
        nonce = int(payload.payload["permit2Authorization"]["nonce"])
        assert permit2.functions.nonceBitmap(ACCOUNTS[0].address, nonce >> 8).call() >> (nonce & 255) & 1 == 1
        receipt = web3.eth.get_transaction_receipt(settled.transaction)
        assert [log["address"] for log in receipt["logs"]] == [addresses.opg_token(CHAIN_ID), addresses.UPTO_PROXY]
        assert receipt["logs"][1]["topics"][0] == keccak(text="Settled()")

    @pytest.mark.parametrize("method", ["permit2", "eip3009"])
    def test_exact_payment_verifies_and_settles(
        self, web3: Web3, facilitator: x402FacilitatorSync, method: str
    ) -> None:
        token, wanted = contract(web3, "OPG"), requirements("exact", method)
        payload = sign(ACCOUNTS[0], wanted)
        verified = facilitator.verify(payload, wanted)
        assert (verified.is_valid, verified.invalid_reason) == (True, None)
        before = token.functions.balanceOf(PAYEE.address).call()
        settled = facilitator.settle(payload, wanted)
        assert (settled.success, settled.error_reason) == (True, None)
        assert token.functions.balanceOf(PAYEE.address).call() - before == CAP
        assert not facilitator.settle(payload, wanted).success

    def test_payer_without_approval_is_told_so(self, facilitator: x402FacilitatorSync) -> None:
        verified = facilitator.verify(sign(ACCOUNTS[1], requirements()), requirements())
        assert verified.invalid_reason == "permit2_allowance_required"

    def test_payer_without_approval_can_send_one_along(self, web3: Web3) -> None:
        payer, token, proxy = ACCOUNTS[1], contract(web3, "OPG"), contract(web3, "UptoPermit2Proxy")
        approval = {
            "owner": payer.address,
            "spender": addresses.PERMIT2,
            "value": CAP,
            "nonce": token.functions.nonces(payer.address).call(),
            "deadline": int(time.time()) + 300,
        }
        domain = {"name": "OpenGradient", "version": "1", "chainId": CHAIN_ID, "verifyingContract": token.address}
        signed = Account.sign_typed_data(payer.private_key, domain, EIP2612_PERMIT_TYPES, approval)
        r, s = signed.r.to_bytes(32, "big"), signed.s.to_bytes(32, "big")
        arguments = settle_arguments(sign(payer, requirements()))
        settle = proxy.functions.settleWithPermit
        settle((CAP, approval["deadline"], r, s, signed.v), *arguments).call({"from": FACILITATOR.address})
        with pytest.raises(ContractCustomError) as caught:
            settle((CAP - 1, approval["deadline"], r, s, signed.v), *arguments).call({"from": FACILITATOR.address})
        assert str(caught.value.data)[2:10] == keccak(text="Permit2612AmountMismatch()")[:4].hex()

    def test_replayed_settlement_is_mined_as_failed_and_moves_nothing(
        self, web3: Web3, facilitator: x402FacilitatorSync
    ) -> None:
        payload = sign(ACCOUNTS[0], requirements())
        assert facilitator.settle(payload, requirements(amount=1)).success
        before = contract(web3, "OPG").functions.balanceOf(PAYEE.address).call()
        again = facilitator.settle(payload, requirements(amount=1))
        assert not again.success
        assert again.transaction
        assert web3.eth.get_transaction_receipt(again.transaction)["status"] == 0
        assert contract(web3, "OPG").functions.balanceOf(PAYEE.address).call() == before


class TestReverts:
    def test_replayed_nonce(self, web3: Web3, facilitator: x402FacilitatorSync) -> None:
        payload = sign(ACCOUNTS[0], requirements())
        assert facilitator.settle(payload, requirements()).success
        assert revert_of(web3, settle_arguments(payload)) == "InvalidNonce"

    def test_amount_over_the_permit(self, web3: Web3) -> None:
        payload = sign(ACCOUNTS[0], requirements())
        assert revert_of(web3, settle_arguments(payload, CAP + 1)) == "AmountExceedsPermitted"

    def test_wrong_facilitator(self, web3: Web3) -> None:
        arguments = settle_arguments(sign(ACCOUNTS[0], requirements()))
        assert revert_of(web3, arguments, sender=OPERATOR) == "UnauthorizedFacilitator"

    def test_changed_payee(self, web3: Web3) -> None:
        arguments = settle_arguments(sign(ACCOUNTS[0], requirements()))
        arguments[3][0] = OPERATOR.address
        assert revert_of(web3, arguments) == "InvalidSigner"

    def test_expired(self, web3: Web3, monkeypatch: pytest.MonkeyPatch) -> None:
        now = time.time()
        with monkeypatch.context() as past:
            past.setattr(time, "time", lambda: now - 900)
            payload = sign(ACCOUNTS[0], requirements())
        assert revert_of(web3, settle_arguments(payload)) == "SignatureExpired"

    def test_too_early(self, web3: Web3) -> None:
        arguments = settle_arguments(sign(ACCOUNTS[0], requirements()))
        arguments[3][2] = int(time.time()) + 60
        assert revert_of(web3, arguments) == "PaymentTooEarly"

    def test_no_allowance(self, web3: Web3) -> None:
        arguments = settle_arguments(sign(ACCOUNTS[1], requirements()))
        assert "TRANSFER_FROM_FAILED" in revert_of(web3, arguments)

    def test_authorization_that_its_owner_cancelled(self, web3: Web3) -> None:
        arguments = settle_arguments(sign(ACCOUNTS[0], requirements()))
        nonce = arguments[0][1]
        cancel = contract(web3, "Permit2").functions.invalidateUnorderedNonces(nonce >> 8, 1 << (nonce & 255))
        transact(web3, ACCOUNTS[0], cancel)
        assert revert_of(web3, arguments) == "InvalidNonce"

    def test_only_the_operator_mints_registers_and_settles_data(self, web3: Web3) -> None:
        with pytest.raises(ContractLogicError, match="only the operator"):
            contract(web3, "OPG").functions.mint(PAYEE.address, 1).call({"from": PAYEE.address})
        relay = contract(web3, "SettlementRelay").functions
        with pytest.raises(ContractLogicError, match="only the operator"):
            relay.settleBatch(bytes(32), 1, b"blob").call({"from": PAYEE.address})


class TestRegistry:
    def test_registered_enclave_is_read_back_as_the_official_sdk_reads_it(self, web3: Web3) -> None:
        registry = contract(web3, "TEERegistry")
        key, certificate = secrets.token_bytes(550), secrets.token_bytes(3_000)
        ohttp = (1, 0x20, 1, 3, bytes(range(32)), b"config", 0)
        call = registry.functions.registerTEE(
            PAYEE.address, "https://127.0.0.1:8443", key, certificate, b"\x07" * 32, 0, ohttp
        )
        transact(web3, OPERATOR, call)
        (output,) = next(e for e in registry.abi if e.get("name") == "getActiveTEEs")["outputs"]
        assert [component["name"] for component in output["components"]] == REGISTRY_ENTRY
        (found,) = registry.functions.getActiveTEEs(0).call()
        assert found[:8] == (
            OPERATOR.address, PAYEE.address, "https://127.0.0.1:8443", key, certificate, b"\x07" * 32, 0, True,
        )  # fmt: skip
        assert found[10][:6] == ohttp[:6]
        assert registry.functions.getTEE(keccak(key)).call() == found
        assert registry.functions.getTEEsByType(0).call() == [keccak(key)]
        assert registry.functions.getActiveTEEs(1).call() == []
        transact(web3, OPERATOR, registry.functions.disableTEE(keccak(key)))
        assert registry.functions.getActiveTEEs(0).call() == []
        assert registry.functions.isTEEActive(keccak(key)).call() is False


class TestLogs:
    def test_logs_are_found_by_address_topic_range_and_block_hash(self, web3: Web3) -> None:
        relay = contract(web3, "SettlementRelay")
        roots = [secrets.token_bytes(32) for _ in range(3)]
        receipts = [transact(web3, OPERATOR, relay.functions.settleBatch(r, 2, b"blob")) for r in roots]
        first, last = receipts[0]["blockNumber"], receipts[-1]["blockNumber"]
        event = relay.events.BatchSettlement
        assert [e["args"]["merkleRoot"] for e in event.get_logs(from_block=first, to_block=last)] == roots
        (one,) = event.get_logs(from_block=0, argument_filters={"merkleRoot": roots[1]})
        assert one["args"] == {"merkleRoot": roots[1], "batchSize": 2, "walrusBlobId": b"blob"}
        by_hash = web3.eth.get_logs({"blockHash": receipts[2]["blockHash"], "address": relay.address})
        assert [log["transactionHash"] for log in by_hash] == [receipts[2]["transactionHash"]]
        either = web3.eth.get_logs({"fromBlock": first, "topics": [None, ["0x" + r.hex() for r in roots[:2]]]})
        assert len(either) == 2
        assert web3.eth.get_logs({"fromBlock": 0, "address": FACILITATOR.address}) == []

    def test_individual_settlement_carries_its_proof(self, web3: Web3) -> None:
        relay = contract(web3, "SettlementRelay")
        proof = (b"\1" * 32, ACCOUNTS[0].address, b"\2" * 32, b"\3" * 32, 1_700_000_000, b"blob", b"\4" * 256)
        receipt = transact(web3, OPERATOR, relay.functions.settleIndividual(*proof))
        (event,) = relay.events.IndividualSettlement().process_receipt(receipt)
        assert tuple(event["args"].values()) == proof


class TestRpc:
    def test_transaction_for_another_chain_is_refused(self, web3: Web3) -> None:
        for fees in ({"gasPrice": web3.eth.gas_price}, {"maxFeePerGas": 10**10, "maxPriorityFeePerGas": 10**9}):
            body = {"to": PAYEE.address, "value": 1, "gas": 21_000, "nonce": 0, "chainId": CHAIN_ID + 1, **fees}
            signed = Account.sign_transaction(body, ACCOUNTS[0].private_key)
            with pytest.raises(Web3RPCError):
                web3.eth.send_raw_transaction(signed.raw_transaction)

    def test_batch_is_answered_in_one_response(self, chain: Chain) -> None:
        batch = [{"jsonrpc": "2.0", "id": n, "method": m, "params": []} for n, m in enumerate(
            ["eth_chainId", "net_version", "no_such_method"])]  # fmt: skip
        answers = {a["id"]: a for a in httpx.post(chain.rpc_url, json=batch).json()}
        assert answers[0]["result"] == hex(CHAIN_ID)
        assert answers[1]["result"] == str(CHAIN_ID)
        assert answers[2]["error"]["code"] == -32601

    def test_revert_data_is_hex_with_code_3(self, chain: Chain, web3: Web3) -> None:
        arguments = settle_arguments(sign(ACCOUNTS[0], requirements()), CAP + 1)
        call = {
            "from": FACILITATOR.address,
            "to": addresses.UPTO_PROXY,
            "data": contract(web3, "UptoPermit2Proxy").encode_abi("settle", arguments),
        }
        for method in ("eth_call", "eth_estimateGas"):
            error = rpc(chain, method, call, "latest")["error"]
            assert (error["code"], error["data"]) == (3, "0x" + keccak(text="AmountExceedsPermitted()")[:4].hex())

    def test_six_threads_send_from_six_accounts(self, chain: Chain, web3: Web3) -> None:
        senders = [DevAccount(made.address, made.key.hex(), "", 0) for made in (Account.create() for _ in range(6))]
        nonce = web3.eth.get_transaction_count(ACCOUNTS[0].address)
        for index, sender in enumerate(senders):
            body = {"to": sender.address, "value": 10**18, "gas": 21_000, "nonce": nonce + index,
                    "gasPrice": web3.eth.gas_price * 2, "chainId": CHAIN_ID}  # fmt: skip
            web3.eth.send_raw_transaction(Account.sign_transaction(body, ACCOUNTS[0].private_key).raw_transaction)
        wait_for_nonce(web3, ACCOUNTS[0].address, nonce + 6)

        def work(sender: DevAccount) -> list[int]:
            own = connect(chain)
            approve = contract(own, "OPG").functions.approve
            return [transact(own, sender, approve(PAYEE.address, n))["status"] for n in range(5)]

        with ThreadPoolExecutor(6) as pool:
            assert list(pool.map(work, senders)) == [[1] * 5] * 6

    def test_future_nonce_waits_for_the_missing_one(self, web3: Web3) -> None:
        address = ACCOUNTS[0].address
        nonce = web3.eth.get_transaction_count(address)
        hashes = {}
        for ahead in (1, 0):
            body = {"to": PAYEE.address, "value": 1, "gas": 21_000, "nonce": nonce + ahead,
                    "gasPrice": web3.eth.gas_price * 2, "chainId": CHAIN_ID}  # fmt: skip
            raw = Account.sign_transaction(body, ACCOUNTS[0].private_key).raw_transaction
            hashes[ahead] = web3.eth.send_raw_transaction(raw)
            if ahead:
                assert web3.eth.get_transaction(hashes[1]).get("blockNumber") is None
        assert web3.eth.wait_for_transaction_receipt(hashes[1], poll_latency=0.02)["status"] == 1
        wait_for_nonce(web3, address, nonce + 2)

    def test_used_nonce_is_refused(self, web3: Web3) -> None:
        body = {"to": PAYEE.address, "value": 1, "gas": 21_000, "nonce": 0, "gasPrice": 10**10, "chainId": CHAIN_ID}
        signed = Account.sign_transaction(body, ACCOUNTS[0].private_key)
        with pytest.raises(Web3RPCError, match="nonce too low"):
            web3.eth.send_raw_transaction(signed.raw_transaction)

    def test_blocks_and_transactions_are_read_back(self, web3: Web3) -> None:
        receipt = transact(web3, OPERATOR, contract(web3, "OPG").functions.mint(OPERATOR.address, 1))
        block = web3.eth.get_block(receipt["blockNumber"], full_transactions=True)
        assert block == web3.eth.get_block(receipt["blockHash"], full_transactions=True)
        found = web3.eth.get_transaction(receipt["transactionHash"])
        assert block["transactions"][-1]["hash"] == found["hash"]
        assert (found["from"], found["to"]) == (OPERATOR.address, addresses.opg_token(CHAIN_ID))
        decoded = contract(web3, "OPG").decode_function_input(found["input"])[1]
        assert decoded == {"to": OPERATOR.address, "amount": 1}
        assert web3.eth.get_storage_at(web3.to_checksum_address(addresses.opg_token(CHAIN_ID)), 0) != bytes(32)
        assert len(web3.eth.fee_history(2, "latest", [50])["baseFeePerGas"]) == 3

    def test_balances_of_the_past_can_be_read(self, web3: Web3) -> None:
        token = contract(web3, "OPG").functions
        before = token.balanceOf(OPERATOR.address).call()
        receipt = transact(web3, OPERATOR, token.mint(OPERATOR.address, 5))
        past = receipt["blockNumber"] - 1
        assert token.balanceOf(OPERATOR.address).call(block_identifier=past) == before
        assert token.balanceOf(OPERATOR.address).call() == before + 5


class TestLife:
    def test_preparing_twice_changes_nothing(self, chain: Chain, web3: Web3) -> None:
        prepare(chain)
        head = web3.eth.block_number
        prepare(chain)
        assert web3.eth.block_number == head
        assert contract(web3, "OPG").functions.balanceOf(ACCOUNTS[1].address).call() == INITIAL_OPG
        assert contract(web3, "OPG").functions.balanceOf(ACCOUNTS[2].address).call() == 0

    def test_running_node_is_attached_by_its_url_and_left_running(self, chain: Chain) -> None:
        attached = start_chain(chain.rpc_url, CHAIN_ID)
        attached.close()
        assert connect(chain).eth.chain_id == CHAIN_ID
        with pytest.raises(DevnetError, match="is chain 31337, not 8453"):
            start_chain(chain.rpc_url, 8453)

    def test_closing_leaves_no_thread_and_no_listener(self) -> None:
        before = set(threading.enumerate())
        started = start_chain("embedded", 84532)
        with httpx.Client() as client:  # its connection is kept alive across the close
            body = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId"}
            assert client.post(started.rpc_url, json=body).json()["result"] == hex(84532)
            started.close()
            started.close()
            assert set(threading.enumerate()) <= before
            with pytest.raises(httpx.TransportError):
                client.post(started.rpc_url, json=body)

    @needs_anvil
    def test_closing_anvil_ends_its_process_and_removes_its_files(self) -> None:
        before = set(threading.enumerate())
        started = AnvilChain(CHAIN_ID)
        assert connect(started).eth.chain_id == CHAIN_ID
        started.close()
        started.close()
        assert set(threading.enumerate()) <= before
        assert not Path(started.cache).exists()
        with pytest.raises(httpx.TransportError):
            rpc(started, "eth_chainId")

    def test_busy_chain_does_not_run_ahead_of_the_clock(self) -> None:
        started = start_chain("embedded", CHAIN_ID)
        try:
            for _ in range(5):
                rpc(started, "evm_mine")
            assert connect(started).eth.get_block("latest")["timestamp"] <= time.time()
        finally:
            started.close()

    def test_unknown_kind_and_taken_port_are_refused(self) -> None:
        with pytest.raises(DevnetError, match="There is no chain 'ganache'"):
            start_chain("ganache")
        started = start_chain("embedded")
        try:
            with pytest.raises(DevnetError, match="cannot listen"):
                start_chain("embedded", port=int(started.rpc_url.rpartition(":")[2]))
        finally:
            started.close()


def wait_for_nonce(web3: Web3, address: str, nonce: int) -> None:
    for _ in range(500):
        if web3.eth.get_transaction_count(address) >= nonce:
            return
        time.sleep(0.02)
    raise TimeExhausted(f"{address} did not reach nonce {nonce}")
