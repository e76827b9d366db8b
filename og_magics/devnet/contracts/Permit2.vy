# pragma version 0.4.3
# pragma evm-version cancun
"""
@title Permit2, its SignatureTransfer half
@license MIT
@notice Wire-compatible with Uniswap's Permit2 for externally owned accounts: same domain, type
        hashes, nonces and errors. Contract wallets (EIP-1271) and compact signatures are left out.
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

event UnorderedNonceInvalidation:
    owner: indexed(address)
    word: uint256
    mask: uint256

DOMAIN_TYPEHASH: constant(bytes32) = keccak256("EIP712Domain(string name,uint256 chainId,address verifyingContract)")
TOKEN_PERMISSIONS_TYPEHASH: constant(bytes32) = keccak256("TokenPermissions(address token,uint256 amount)")
PERMIT_TYPEHASH: constant(bytes32) = keccak256(
    "PermitTransferFrom(TokenPermissions permitted,address spender,uint256 nonce,uint256 deadline)TokenPermissions(address token,uint256 amount)"
)
WITNESS_STUB: constant(String[115]) = "PermitWitnessTransferFrom(TokenPermissions permitted,address spender,uint256 nonce,uint256 deadline,"
# secp256k1 order / 2: a higher s is the malleated twin of a signature, which ecrecover would accept.
MAX_S: constant(uint256) = 57896044618658097711785492504343953926418782139537452191302581570759080747168

nonceBitmap: public(HashMap[address, HashMap[uint256, uint256]])


@view
@internal
def _domain_separator() -> bytes32:
    # From chain.id and self, never an immutable: the runtime code is placed on chains as it is.
    return keccak256(abi_encode(DOMAIN_TYPEHASH, keccak256("Permit2"), chain.id, self))


@view
@external
def DOMAIN_SEPARATOR() -> bytes32:
    return self._domain_separator()


@internal
def _use_nonce(owner: address, nonce: uint256):
    bit: uint256 = 1 << (nonce & 255)
    word: uint256 = self.nonceBitmap[owner][nonce >> 8]
    if word & bit != 0:
        raw_revert(method_id("InvalidNonce()"))
    self.nonceBitmap[owner][nonce >> 8] = word | bit


@view
@internal
def _check_signature(owner: address, struct_hash: bytes32, signature: Bytes[65]):
    if len(signature) != 65:
        raw_revert(method_id("InvalidSignatureLength()"))
    digest: bytes32 = keccak256(concat(x"1901", self._domain_separator(), struct_hash))
    r: uint256 = convert(slice(signature, 0, 32), uint256)
    s: uint256 = convert(slice(signature, 32, 32), uint256)
    v: uint256 = convert(slice(signature, 64, 1), uint256)
    if s > MAX_S:
        raw_revert(method_id("InvalidSignature()"))
    signer: address = ecrecover(digest, v, r, s)
    if signer == empty(address):
        raw_revert(method_id("InvalidSignature()"))
    if signer != owner:
        raw_revert(method_id("InvalidSigner()"))


@internal
def _transfer(
    permit: PermitTransferFrom, details: SignatureTransferDetails, owner: address, struct_hash: bytes32, signature: Bytes[65]
):
    if block.timestamp > permit.deadline:
        raw_revert(abi_encode(permit.deadline, method_id=method_id("SignatureExpired(uint256)")))
    if details.requestedAmount > permit.permitted.amount:
        raw_revert(abi_encode(permit.permitted.amount, method_id=method_id("InvalidAmount(uint256)")))
    self._use_nonce(owner, permit.nonce)
    self._check_signature(owner, struct_hash, signature)
    success: bool = False
    answer: Bytes[32] = b""
    success, answer = raw_call(
        permit.permitted.token,
        abi_encode(
            owner, details.to, details.requestedAmount, method_id=method_id("transferFrom(address,address,uint256)")
        ),
        max_outsize=32,
        revert_on_failure=False,
    )
    # A token may answer true or, as some old ones do, nothing at all.
    refused: bool = len(answer) == 32 and not convert(answer, bool)
    assert success and not refused and permit.permitted.token.is_contract, "TRANSFER_FROM_FAILED"


@external
def permitTransferFrom(
    permit: PermitTransferFrom, transferDetails: SignatureTransferDetails, owner: address, signature: Bytes[65]
):
    permitted: bytes32 = keccak256(abi_encode(TOKEN_PERMISSIONS_TYPEHASH, permit.permitted))
    struct_hash: bytes32 = keccak256(
        abi_encode(PERMIT_TYPEHASH, permitted, msg.sender, permit.nonce, permit.deadline)
    )
    self._transfer(permit, transferDetails, owner, struct_hash, signature)


@external
def permitWitnessTransferFrom(
    permit: PermitTransferFrom,
    transferDetails: SignatureTransferDetails,
    owner: address,
    witness: bytes32,
    witnessTypeString: String[256],
    signature: Bytes[65],
):
    permitted: bytes32 = keccak256(abi_encode(TOKEN_PERMISSIONS_TYPEHASH, permit.permitted))
    typehash: bytes32 = keccak256(concat(WITNESS_STUB, witnessTypeString))
    struct_hash: bytes32 = keccak256(
        abi_encode(typehash, permitted, msg.sender, permit.nonce, permit.deadline, witness)
    )
    self._transfer(permit, transferDetails, owner, struct_hash, signature)


@external
def invalidateUnorderedNonces(wordPos: uint256, mask: uint256):
    """
    @notice Cancel signed but unused authorizations of the caller.
    """
    self.nonceBitmap[msg.sender][wordPos] |= mask
    log UnorderedNonceInvalidation(owner=msg.sender, word=wordPos, mask=mask)
