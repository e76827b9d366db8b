# pragma version 0.4.3
# pragma evm-version cancun
"""
@title TEERegistry
@license MIT
@notice The enclaves of the devnet, read as the network's registry is read. Registration is the operator's
        word: nothing is attested here.
"""

struct OhttpConfig:
    keyId: uint8
    kemId: uint16
    kdfId: uint16
    aeadId: uint16
    publicKey: Bytes[128]
    keyConfig: Bytes[512]
    registeredAt: uint256

struct TEEInfo:
    owner: address
    paymentAddress: address
    endpoint: String[256]
    publicKey: Bytes[1024]
    tlsCertificate: Bytes[4096]
    pcrHash: bytes32
    teeType: uint8
    enabled: bool
    registeredAt: uint256
    lastHeartbeatAt: uint256
    ohttpConfig: OhttpConfig

event TEERegistered:
    teeId: indexed(bytes32)
    teeType: uint8
    endpoint: String[256]

event TEEEnabled:
    teeId: indexed(bytes32)
    enabled: bool

MAX_TEES: constant(uint256) = 16

# accounts.OPERATOR
operator: public(constant(address)) = 0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65

ids: DynArray[bytes32, MAX_TEES]
infos: HashMap[bytes32, TEEInfo]


@external
def registerTEE(
    paymentAddress: address,
    endpoint: String[256],
    publicKey: Bytes[1024],
    tlsCertificate: Bytes[4096],
    pcrHash: bytes32,
    teeType: uint8,
    ohttpConfig: OhttpConfig,
) -> bytes32:
    """
    @notice Register an enclave, or replace what is known of one. Its id is keccak256(publicKey).
    """
    assert msg.sender == operator, "TEERegistry: only the operator registers"
    assert len(publicKey) > 0, "TEERegistry: no public key"
    teeId: bytes32 = keccak256(publicKey)
    if self.infos[teeId].registeredAt == 0:
        self.ids.append(teeId)
    ohttp: OhttpConfig = ohttpConfig
    ohttp.registeredAt = block.timestamp
    self.infos[teeId] = TEEInfo(
        owner=msg.sender,
        paymentAddress=paymentAddress,
        endpoint=endpoint,
        publicKey=publicKey,
        tlsCertificate=tlsCertificate,
        pcrHash=pcrHash,
        teeType=teeType,
        enabled=True,
        registeredAt=block.timestamp,
        lastHeartbeatAt=block.timestamp,
        ohttpConfig=ohttp,
    )
    log TEERegistered(teeId=teeId, teeType=teeType, endpoint=endpoint)
    return teeId


@external
def setEnabled(teeId: bytes32, enabled: bool):
    assert msg.sender == operator, "TEERegistry: only the operator enables"
    assert self.infos[teeId].registeredAt != 0, "TEERegistry: unknown enclave"
    self.infos[teeId].enabled = enabled
    log TEEEnabled(teeId=teeId, enabled=enabled)


@view
@external
def getTEE(teeId: bytes32) -> TEEInfo:
    assert self.infos[teeId].registeredAt != 0, "TEERegistry: unknown enclave"
    return self.infos[teeId]


@view
@external
def getActiveTEEs(teeType: uint8) -> DynArray[TEEInfo, MAX_TEES]:
    found: DynArray[TEEInfo, MAX_TEES] = []
    for teeId: bytes32 in self.ids:
        if self.infos[teeId].enabled and self.infos[teeId].teeType == teeType:
            found.append(self.infos[teeId])
    return found


@view
@external
def getEnabledTEEs(teeType: uint8) -> DynArray[bytes32, MAX_TEES]:
    found: DynArray[bytes32, MAX_TEES] = []
    for teeId: bytes32 in self.ids:
        if self.infos[teeId].enabled and self.infos[teeId].teeType == teeType:
            found.append(teeId)
    return found


@view
@external
def getTEEsByType(teeType: uint8) -> DynArray[bytes32, MAX_TEES]:
    found: DynArray[bytes32, MAX_TEES] = []
    for teeId: bytes32 in self.ids:
        if self.infos[teeId].teeType == teeType:
            found.append(teeId)
    return found


@view
@external
def isTEEActive(teeId: bytes32) -> bool:
    return self.infos[teeId].enabled


@view
@external
def isTEEEnabled(teeId: bytes32) -> bool:
    return self.infos[teeId].enabled
