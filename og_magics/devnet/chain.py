"""The devnet's chain: start it, and fund and approve its wallets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from og_magics.core.errors import DevnetError

from . import contracts
from .accounts import ACCOUNTS, INITIAL_OPG, OPERATOR, DevAccount
from .addresses import PERMIT2, by_contract
from .genesis import genesis

if TYPE_CHECKING:
    from web3 import Web3
    from web3.contract import Contract
    from web3.contract.contract import ContractFunction
    from web3.types import TxReceipt

_MAX_UINT = 2**256 - 1
_RECEIPT_SECONDS = 60.0
_METHOD_NOT_FOUND = -32601


class Chain(Protocol):
    """A running chain.

    Attributes:
        rpc_url: the address of its JSON-RPC over HTTP.
        chain_id: its chain id.
    """

    rpc_url: str
    chain_id: int

    def close(self) -> None:
        """End it, if it is ours. May be called twice."""
        ...


class RemoteChain:
    """A chain that is run elsewhere."""

    def __init__(self, rpc_url: str, chain_id: int) -> None:
        self.rpc_url = rpc_url
        self.chain_id = chain_id

    def close(self) -> None:
        """Leave it running."""


def start_chain(kind: str = "embedded", chain_id: int = 31337, port: int = 0) -> Chain:
    """Start a chain with the devnet's contracts at their addresses and gas in its wallets.

    Args:
        kind: ``embedded``, ``anvil``, or the http(s) URL of a running node.
        chain_id: the chain id; a running node must have the same.
        port: to listen at on loopback; 0 takes a free one. A running node has its own.

    Raises:
        DevnetError: it did not start, or a running node has neither the contracts nor a way to place them.
    """
    if kind == "embedded":
        from .embedded import EmbeddedChain

        return EmbeddedChain(chain_id, genesis(chain_id), port).start()
    chain = _attach(kind, chain_id, port)
    try:
        _place(chain)
    except BaseException:
        chain.close()
        raise
    return chain


def prepare(chain: Chain) -> None:
    """Give OPG to the payers and Permit2 its approval from the first, by ordinary transactions.

    What is there already is left alone, so it may be called again.

    Raises:
        DevnetError: a transaction failed.
    """
    web3 = connect(chain)
    token = contract(web3, "OPG")
    for account in ACCOUNTS[:2]:
        missing = INITIAL_OPG - token.functions.balanceOf(account.address).call()
        if missing > 0:
            transact(web3, OPERATOR, token.functions.mint(account.address, missing))
    payer = ACCOUNTS[0]
    if token.functions.allowance(payer.address, PERMIT2).call() < INITIAL_OPG:
        transact(web3, payer, token.functions.approve(PERMIT2, _MAX_UINT))


def connect(chain: Chain) -> Web3:
    """Return a web3 that speaks to the chain."""
    from web3 import Web3

    return Web3(Web3.HTTPProvider(chain.rpc_url))


def contract(web3: Web3, name: str) -> Contract:
    """Return one of ``contracts.NAMES`` at its address on the chain."""
    address = by_contract(web3.eth.chain_id)[name]
    found: Contract = web3.eth.contract(address=web3.to_checksum_address(address), abi=contracts.load(name).abi)
    return found


def transact(web3: Web3, account: DevAccount, function: ContractFunction) -> TxReceipt:
    """Sign a contract call, send it and wait for its receipt. One caller at a time for each account.

    Raises:
        DevnetError: it was mined and failed, or was not mined in time.
    """
    from eth_account import Account
    from web3.exceptions import TimeExhausted

    transaction = function.build_transaction(
        {
            "from": web3.to_checksum_address(account.address),
            "nonce": web3.eth.get_transaction_count(web3.to_checksum_address(account.address), "pending"),
            "chainId": web3.eth.chain_id,
            "gasPrice": web3.eth.gas_price,
        }
    )
    signed = Account.sign_transaction(transaction, account.private_key)
    sent = web3.eth.send_raw_transaction(signed.raw_transaction)
    try:
        receipt = web3.eth.wait_for_transaction_receipt(sent, timeout=_RECEIPT_SECONDS, poll_latency=0.02)
    except TimeExhausted as error:
        raise DevnetError(
            f"The call {function.fn_name} was not mined within {_RECEIPT_SECONDS:.0f} s.",
            remedy="Check that the chain mines blocks.",
        ) from error
    if receipt["status"] != 1:
        raise DevnetError(f"The call {function.fn_name} failed on chain: transaction {sent.to_0x_hex()}.")
    return receipt


def _attach(kind: str, chain_id: int, port: int) -> Chain:
    if kind == "anvil":
        from .anvil import AnvilChain

        return AnvilChain(chain_id, port)
    if not kind.startswith(("http://", "https://")):
        raise DevnetError(f"There is no chain {kind!r}.", remedy="Choose embedded, anvil or the URL of a node.")
    chain = RemoteChain(kind, chain_id)
    try:
        found = connect(chain).eth.chain_id
    except Exception as error:  # whatever requests and web3 raise: the node is not usable
        raise DevnetError(
            f"The node at {kind} does not answer: {error}", remedy="Start it first, or leave out --chain."
        ) from error
    if found != chain_id:
        raise DevnetError(f"The node at {kind} is chain {found}, not {chain_id}.", remedy=f"Use --chain-id {found}.")
    return chain


def _place(chain: Chain) -> None:
    """Put code and gas where they are missing, with the cheats of a development node."""
    web3 = connect(chain)
    for name, wanted in genesis(chain.chain_id).items():
        address = web3.to_checksum_address(name)
        if wanted.code and bytes(web3.eth.get_code(address)) != wanted.code:
            _cheat(web3, "setCode", name, "0x" + wanted.code.hex())
        if wanted.balance and web3.eth.get_balance(address) == 0:
            _cheat(web3, "setBalance", name, hex(wanted.balance))


def _cheat(web3: Web3, action: str, *params: Any) -> None:
    from web3.types import RPCEndpoint

    for prefix in ("anvil", "hardhat"):
        answer = web3.provider.make_request(RPCEndpoint(f"{prefix}_{action}"), list(params))
        if "error" not in answer:
            return
        error: Any = answer["error"]
        if error.get("code") != _METHOD_NOT_FOUND:
            break
    raise DevnetError(
        f"The node cannot place the devnet's contracts ({action} at {params[0]}: {error.get('message')}).",
        remedy="Use anvil, hardhat, the embedded chain, or a node that has the contracts already.",
    )
