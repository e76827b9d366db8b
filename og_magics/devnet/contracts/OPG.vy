# pragma version 0.4.3
# pragma evm-version cancun
"""
@title OPG, the devnet's payment token
@license MIT
@notice ERC-20 with EIP-2612 (approval by signature) and EIP-3009 (transfer by signature).
        Reasons are worded as x402 facilitators look for them.
"""

event Transfer:
    from_: indexed(address)
    to: indexed(address)
    value_: uint256

event Approval:
    owner: indexed(address)
    spender: indexed(address)
    value_: uint256

event AuthorizationUsed:
    authorizer: indexed(address)
    nonce: indexed(bytes32)

name: public(constant(String[12])) = "OpenGradient"
symbol: public(constant(String[3])) = "OPG"
version: public(constant(String[1])) = "1"
decimals: public(constant(uint8)) = 18
# accounts.OPERATOR
operator: public(constant(address)) = 0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65

DOMAIN_TYPEHASH: constant(bytes32) = keccak256(
    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
)
PERMIT_TYPEHASH: constant(bytes32) = keccak256(
    "Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"
)
AUTHORIZATION_TYPEHASH: constant(bytes32) = keccak256(
    "TransferWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
)
# secp256k1 order / 2: a higher s is the malleated twin of a signature, which ecrecover would accept.
MAX_S: constant(uint256) = 57896044618658097711785492504343953926418782139537452191302581570759080747168

totalSupply: public(uint256)
balanceOf: public(HashMap[address, uint256])
allowance: public(HashMap[address, HashMap[address, uint256]])
nonces: public(HashMap[address, uint256])
authorizationState: public(HashMap[address, HashMap[bytes32, bool]])


@view
@internal
def _domain_separator() -> bytes32:
    return keccak256(abi_encode(DOMAIN_TYPEHASH, keccak256(name), keccak256(version), chain.id, self))


@view
@external
def DOMAIN_SEPARATOR() -> bytes32:
    return self._domain_separator()


@view
@internal
def _signed_by(signer: address, struct_hash: bytes32, v: uint8, r: bytes32, s: bytes32) -> bool:
    digest: bytes32 = keccak256(concat(x"1901", self._domain_separator(), struct_hash))
    if convert(s, uint256) > MAX_S or signer == empty(address):
        return False
    return ecrecover(digest, v, r, s) == signer


@internal
def _transfer(from_: address, to: address, amount: uint256):
    assert to != empty(address), "ERC20: transfer to the zero address"
    assert self.balanceOf[from_] >= amount, "ERC20: transfer amount exceeds balance"
    self.balanceOf[from_] -= amount
    self.balanceOf[to] += amount
    log Transfer(from_=from_, to=to, value_=amount)


@internal
def _approve(owner: address, spender: address, amount: uint256):
    self.allowance[owner][spender] = amount
    log Approval(owner=owner, spender=spender, value_=amount)


@external
def transfer(to: address, amount: uint256) -> bool:
    self._transfer(msg.sender, to, amount)
    return True


@external
def transferFrom(from_: address, to: address, amount: uint256) -> bool:
    allowed: uint256 = self.allowance[from_][msg.sender]
    assert allowed >= amount, "ERC20: insufficient allowance"
    if allowed != max_value(uint256):
        self.allowance[from_][msg.sender] = allowed - amount
    self._transfer(from_, to, amount)
    return True


@external
def approve(spender: address, amount: uint256) -> bool:
    self._approve(msg.sender, spender, amount)
    return True


@external
def permit(
    owner: address, spender: address, value_: uint256, deadline: uint256, v: uint8, r: bytes32, s: bytes32
):
    assert block.timestamp <= deadline, "ERC20Permit: expired deadline"
    nonce: uint256 = self.nonces[owner]
    struct_hash: bytes32 = keccak256(abi_encode(PERMIT_TYPEHASH, owner, spender, value_, nonce, deadline))
    assert self._signed_by(owner, struct_hash, v, r, s), "ERC20Permit: invalid signature"
    self.nonces[owner] = nonce + 1
    self._approve(owner, spender, value_)


@external
def transferWithAuthorization(
    from_: address,
    to: address,
    value_: uint256,
    validAfter: uint256,
    validBefore: uint256,
    nonce: bytes32,
    v: uint8,
    r: bytes32,
    s: bytes32,
):
    assert block.timestamp > validAfter, "EIP3009: authorization is not yet valid"
    assert block.timestamp < validBefore, "EIP3009: authorization is expired"
    assert not self.authorizationState[from_][nonce], "EIP3009: authorization is used"
    struct_hash: bytes32 = keccak256(
        abi_encode(AUTHORIZATION_TYPEHASH, from_, to, value_, validAfter, validBefore, nonce)
    )
    assert self._signed_by(from_, struct_hash, v, r, s), "EIP3009: invalid signature"
    self.authorizationState[from_][nonce] = True
    log AuthorizationUsed(authorizer=from_, nonce=nonce)
    self._transfer(from_, to, value_)


@external
def mint(to: address, amount: uint256):
    assert msg.sender == operator, "OPG: only the operator mints"
    self.totalSupply += amount
    self.balanceOf[to] += amount
    log Transfer(from_=empty(address), to=to, value_=amount)
