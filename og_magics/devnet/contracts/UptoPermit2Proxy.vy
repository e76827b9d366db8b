# pragma version 0.4.3
# pragma evm-version cancun
"""
@title UptoPermit2Proxy
@license MIT
@notice Pays at most the signed amount to the signed payee, and only for the signed facilitator.
        The spender of an x402 Permit2 authorization; the signed witness binds what Permit2 alone does not.
"""

struct TokenPermissions:
    token: address
    amount: uint256

struct PermitTransferFrom:
    permitted: TokenPermissions
    nonce: uint256
    deadline: uint256

struct SignatureTransferDetails:
    to: address
    requestedAmount: uint256

struct Witness:
    to: address
    facilitator: address
    validAfter: uint256

struct EIP2612Permit:
    value_: uint256
    deadline: uint256
    r: bytes32
    s: bytes32
    v: uint8

interface Permit2:
    def permitWitnessTransferFrom(
        permit: PermitTransferFrom,
        transferDetails: SignatureTransferDetails,
        owner: address,
        witness: bytes32,
        witnessTypeString: String[256],
        signature: Bytes[65],
    ): nonpayable

event Settled:
    pass

event SettledWithPermit:
    pass

PERMIT2: constant(address) = 0x000000000022D473030F116dDEE9F6B43aC78BA3
WITNESS_TYPEHASH: constant(bytes32) = keccak256("Witness(address to,address facilitator,uint256 validAfter)")
WITNESS_TYPE_STRING: constant(String[256]) = "Witness witness)TokenPermissions(address token,uint256 amount)Witness(address to,address facilitator,uint256 validAfter)"


@internal
def _settle(permit: PermitTransferFrom, amount: uint256, owner: address, witness: Witness, signature: Bytes[65]):
    if amount == 0:
        raw_revert(method_id("InvalidAmount()"))
    if amount > permit.permitted.amount:
        raw_revert(method_id("AmountExceedsPermitted()"))
    if witness.facilitator != msg.sender:
        raw_revert(method_id("UnauthorizedFacilitator()"))
    if owner == empty(address):
        raw_revert(method_id("InvalidOwner()"))
    if witness.to == empty(address):
        raw_revert(method_id("InvalidDestination()"))
    if block.timestamp < witness.validAfter:
        raw_revert(method_id("PaymentTooEarly()"))
    extcall Permit2(PERMIT2).permitWitnessTransferFrom(
        permit,
        SignatureTransferDetails(to=witness.to, requestedAmount=amount),
        owner,
        keccak256(abi_encode(WITNESS_TYPEHASH, witness.to, witness.facilitator, witness.validAfter)),
        WITNESS_TYPE_STRING,
        signature,
    )


@external
def settle(permit: PermitTransferFrom, amount: uint256, owner: address, witness: Witness, signature: Bytes[65]):
    self._settle(permit, amount, owner, witness, signature)
    log Settled()


@external
def settleWithPermit(
    permit2612: EIP2612Permit,
    permit: PermitTransferFrom,
    amount: uint256,
    owner: address,
    witness: Witness,
    signature: Bytes[65],
):
    """
    @notice Settle for a payer who never approved Permit2, with an EIP-2612 approval carried along.
    """
    if permit2612.value_ != permit.permitted.amount:
        raw_revert(method_id("Permit2612AmountMismatch()"))
    # May fail: whoever saw the approval can send it first, and then the allowance is already there.
    success: bool = raw_call(
        permit.permitted.token,
        abi_encode(
            owner,
            PERMIT2,
            permit2612.value_,
            permit2612.deadline,
            permit2612.v,
            permit2612.r,
            permit2612.s,
            method_id=method_id("permit(address,address,uint256,uint256,uint8,bytes32,bytes32)"),
        ),
        revert_on_failure=False,
    )
    self._settle(permit, amount, owner, witness, signature)
    log SettledWithPermit()
