"""A wallet's balances, and the one transaction it ever sends: the approval that lets Permit2 move its OPG."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from ..core.amounts import OPG, format_opg
from ..core.errors import ChainError, ConfigError, InsufficientBalance, WalletError
from ..core.networks import PERMIT2, Network
from ..core.options import SETTINGS
from ..core.types import Permit2ApprovalResult
from . import abi, rpc

LEAST_ALLOWANCE = OPG // 10
"""The cap of one authorization, base units: with less approved, no call can be paid."""

MAX_FEE: int = SETTINGS["max_fee"].default
"""Wei that an approval may cost where nobody says otherwise."""

RECEIPT_TIMEOUT = 120.0
"""Seconds to wait until an approval is mined."""

_POLL = (0.1, 0.25, 0.5, 1.0, 2.0)
"""Seconds between looks at a sent transaction; the last one repeats. A local chain answers at once, Base in 2 s."""

_REREADS = 8
"""Looks at the new allowance: a public RPC is many nodes, and some are a block or two behind."""

_NOTHING_SENT = "Nothing was sent."


class SignedTransaction(Protocol):
    """A transaction that can be sent."""

    @property
    def raw_transaction(self) -> bytes: ...
    @property
    def hash(self) -> bytes: ...


class Account(Protocol):
    """The part of an eth_account `LocalAccount` that is used here."""

    @property
    def address(self) -> Any:
        """Checksummed address."""

    def sign_transaction(self, transaction_dict: Any) -> SignedTransaction:
        """Return the transaction with its signature."""


@dataclass(frozen=True, slots=True)
class Balances:
    """Balances and allowance of a wallet on a payment chain.

    Attributes:
        opg: base units.
        gas: of the chain's own currency, wei.
        allowance: base units of OPG that Permit2 may move.
    """

    opg: int
    gas: int
    allowance: int


def balances(network: Network, address: str) -> Balances:
    """Read a wallet's balances and allowance.

    Raises:
        ChainError: the chain cannot be read.
    """
    node, token = rpc.payments(network), network.opg_token
    balance_of, allowance = abi.function("erc20", "balanceOf"), abi.function("erc20", "allowance")
    held, gas, allowed = node.ask(
        [
            rpc.view(token, balance_of, address),
            ("eth_getBalance", [address, "latest"]),
            rpc.view(token, allowance, address, PERMIT2),
        ]
    )
    return Balances(
        opg=node.decode(token, balance_of, held)[0],
        gas=node.number(gas),
        allowance=node.decode(token, allowance, allowed)[0],
    )


def ensure_approval(
    network: Network,
    account: Account,
    min_allowance: int,
    approve_amount: int | None = None,
    *,
    max_fee: int = MAX_FEE,
) -> Permit2ApprovalResult:
    """Approve Permit2 once, if it may move less of the wallet's OPG than `min_allowance`.

    Args:
        network: the payment network.
        account: signs and sends the approval, and pays its gas.
        min_allowance: base units; with this much or more approved, nothing is sent.
        approve_amount: base units to approve; twice `min_allowance` by default, and never more than the wallet holds.
        max_fee: wei that the transaction may cost at most. Gas and fees are what a node says: without a limit, it could
            make the wallet give its last.

    Raises:
        ConfigError: `min_allowance` is under 0.1 OPG, or `approve_amount` under `min_allowance`.
        InsufficientBalance: the wallet holds less OPG than `min_allowance`, or not enough gas.
        WalletError: the transaction would cost more than `max_fee`, was refused, failed, or is not mined after two
            minutes.
        ChainError: the chain cannot be reached.
    """
    if min_allowance < LEAST_ALLOWANCE:
        raise ConfigError(
            f"min_allowance is {format_opg(min_allowance)} OPG, less than one call may cost.",
            remedy=f"Approve at least {format_opg(LEAST_ALLOWANCE)} OPG.",
        )
    amount = 2 * min_allowance if approve_amount is None else approve_amount
    if amount < min_allowance:
        raise ConfigError(
            f"approve_amount ({format_opg(amount)} OPG) is less than min_allowance ({format_opg(min_allowance)} OPG).",
            remedy="Leave it out, or make it larger.",
        )
    before = balances(network, account.address)
    if before.allowance >= min_allowance:
        return Permit2ApprovalResult(before.allowance, before.allowance)
    if before.opg < min_allowance:
        raise InsufficientBalance(
            f"The wallet {account.address} holds {format_opg(before.opg)} OPG on {network.name}; "
            f"{format_opg(min_allowance)} OPG are to be approved.",
            money=_NOTHING_SENT,
            remedy=_how_to_fund(network, "OPG"),
        )
    if before.gas == 0:
        raise _no_gas(network, account, before.gas)
    amount = min(amount, before.opg)
    tx_hash = _send(network, account, amount, before.gas, max_fee)
    _wait(network, tx_hash)
    return Permit2ApprovalResult(before.allowance, _allowance_after(network, account, min_allowance, amount), tx_hash)


def _send(network: Network, account: Account, amount: int, gas_balance: int, max_fee: int) -> str:
    """Sign and send the approval. Return its transaction's hash."""
    node = rpc.payments(network)
    transaction = _transaction(network, node, account.address, amount)
    fee = transaction["gas"] * transaction.get("maxFeePerGas", transaction.get("gasPrice", 0))
    if fee > max_fee:
        raise WalletError(
            f"The blockchain node at {node.host} wants the approval to cost up to {format_opg(fee)} ETH, over "
            f"the limit of {format_opg(max_fee)} ETH.",
            money="Nothing was signed and nothing was sent.",
            remedy=f"Name another node with {node.setting}; if fees are really so high, raise OG_MAX_FEE.",
        )
    if fee > gas_balance:
        raise _no_gas(network, account, gas_balance)
    signed = _signed(account, transaction)
    tx_hash = "0x" + bytes(signed.hash).hex()
    money = (
        f"The approval {tx_hash} may have been sent. An approval moves no OPG, and trying again is safe: "
        "an approval that was mined is not sent twice."
    )
    try:
        # Not sent twice: a second try would be answered "already known" and hide what became of the first.
        node.one("eth_sendRawTransaction", "0x" + bytes(signed.raw_transaction).hex(), money=money, retry=False)
    except rpc.NodeError as error:
        text = error.text.lower()
        if "insufficient funds" in text:
            raise _no_gas(network, account, gas_balance) from None
        if "already known" not in text:
            raise WalletError(
                f"The node refused the approval: {error.text}.",
                money=_NOTHING_SENT,
                remedy="Another transaction of this wallet may be on its way: try again in a minute.",
            ) from None
    return tx_hash


def _signed(account: Account, transaction: dict[str, Any]) -> SignedTransaction:
    """Sign a transaction. No failure and no interrupt brings a frame along in which the key is a local variable."""
    try:
        return account.sign_transaction(transaction)
    except Exception as error:  # noqa: BLE001 - the library's message and frames may hold the key: nothing is passed on
        kind = type(error).__name__
    except (KeyboardInterrupt, SystemExit) as stop:
        raise stop.with_traceback(None) from None
    raise WalletError(
        f"The approval could not be signed ({kind}).",
        money="Nothing was signed and nothing was sent.",
        remedy="What the node said of the network's fee (gas) may be wrong: name another one with OG_RPC_URL.",
    )


def _transaction(network: Network, node: rpc.Node, sender: str, amount: int) -> dict[str, Any]:
    """Return the unsigned approval, with the node's own idea of gas and fees."""
    data = abi.function("erc20", "approve").encode(PERMIT2, amount)
    call = {"from": sender, "to": network.opg_token, "data": data}
    try:
        chain_id, nonce, gas, gas_price, block = node.ask(
            [
                ("eth_chainId", []),
                ("eth_getTransactionCount", [sender, "pending"]),
                ("eth_estimateGas", [call]),
                ("eth_gasPrice", []),
                ("eth_getBlockByNumber", ["latest", False]),
            ]
        )
    except rpc.NodeError as error:
        if not error.reverted:
            raise
        raise WalletError(
            f"The OPG contract refuses the approval: {error.text}.",
            money=_NOTHING_SENT,
            remedy="%og wallet shows what the wallet holds.",
        ) from None
    if node.number(chain_id) != network.chain_id:
        raise ConfigError(
            f"The blockchain node at {node.host} is of chain {node.number(chain_id)}; {network.name} is "
            f"chain {network.chain_id}.",
            money=_NOTHING_SENT,
            remedy=f"Set {node.setting} to a node of the right chain, or choose the network that it belongs to.",
        )
    with rpc.guard(node.url, setting=node.setting, money=_NOTHING_SENT):
        fees = _fees(node, node.number(gas_price), block)
    return {
        "chainId": network.chain_id,
        "nonce": node.number(nonce, below=2**64),
        "to": network.opg_token,
        "value": 0,
        "data": data,
        "gas": node.number(gas, below=2**63) * 6 // 5,
        **fees,
    }


def _fees(node: rpc.Node, gas_price: int, block: Mapping[str, Any]) -> dict[str, int]:
    """Return EIP-1559 fees that hold while the base fee doubles, or the gas price where there is no base fee."""
    if not block.get("baseFeePerGas"):
        return {"gasPrice": gas_price}
    base = node.number(block["baseFeePerGas"])
    try:
        tip = node.number(node.one("eth_maxPriorityFeePerGas"))
    except rpc.NodeError:  # not every node has the method
        tip = max(gas_price - base, 0)
    return {"maxFeePerGas": 2 * base + tip, "maxPriorityFeePerGas": tip}


def _wait(network: Network, tx_hash: str) -> None:
    """Wait until the approval is mined."""
    node = rpc.payments(network)
    give_up = time.monotonic() + RECEIPT_TIMEOUT
    looks = 0
    while time.monotonic() < give_up:
        try:
            receipt = node.one("eth_getTransactionReceipt", tx_hash)
        except ChainError:
            receipt = None  # the transaction is on its way whether we can see it or not
        if isinstance(receipt, Mapping):
            if receipt.get("status") == "0x1":
                return
            raise WalletError(
                f"The approval failed on chain: {tx_hash}.",
                money="Its fee (gas) was spent; no OPG moved and nothing is approved.",
                remedy=_look_at(network, tx_hash),
            )
        time.sleep(_POLL[min(looks, len(_POLL) - 1)])
        looks += 1
    raise WalletError(
        f"The approval {tx_hash} is not mined after {RECEIPT_TIMEOUT:.0f} s.",
        money="It may still be mined. It moves no OPG.",
        remedy=f"Try again later; it is not sent twice. {_look_at(network, tx_hash)}".strip(),
    )


def _allowance_after(network: Network, account: Account, expected: int, approved: int) -> int:
    """Read the allowance until the node has seen the approval's block; else return what its receipt implies."""
    node, function = rpc.payments(network), abi.function("erc20", "allowance")
    for look in range(_REREADS):
        if look:
            time.sleep(_POLL[min(look - 1, 3)])
        try:
            allowance: int = node.read(network.opg_token, function, account.address, PERMIT2)[0]
        except ChainError:
            continue  # the approval itself has succeeded
        if allowance >= expected:
            return allowance
    return approved


def _no_gas(network: Network, account: Account, gas: int) -> InsufficientBalance:
    return InsufficientBalance(
        f"The wallet {account.address} has {format_opg(gas)} ETH on {network.name}, not enough for the fee "
        "(gas) of the approval.",
        money=_NOTHING_SENT,
        remedy=_how_to_fund(network, "a little ETH"),
    )


def _how_to_fund(network: Network, what: str) -> str:
    return f"Get {what} at {network.faucet}" if network.faucet else f"Send {what} to it on {network.name}."


def _look_at(network: Network, tx_hash: str) -> str:
    url = network.transaction_url(tx_hash)
    return f"See {url}" if url else ""
