# pragma version 0.4.3
# pragma evm-version cancun
"""
@title TEERegistry
@license MIT
@notice The enclaves of the devnet, read as the network's registry is read. Registration, heartbeats and
        measurements are the operator's word: nothing is attested here.
"""

struct OhttpConfig:
    keyId: uint8
    kemId: uint16
    kdfId: uint16
    aeadId: uint16
    publicKey: Bytes[128]
    keyConfig: Bytes[512]
    registeredAt: uint256

struct PCRMeasurements:
    pcr0: Bytes[64]
    pcr1: Bytes[64]
    pcr2: Bytes[64]

struct PCRKey:
    pcrHash: bytes32
    teeType: uint8

struct ApprovedPCR:
    approved: bool
    teeType: uint8
    approvedAt: uint256
    version: String[64]

struct TEETypeInfo:
    name: String[64]
    addedAt: uint256

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

event TEETypeAdded:
    typeId: indexed(uint8)
    name: String[64]

event PCRApproved:
    pcrHash: indexed(bytes32)
    teeType: indexed(uint8)
    version: String[64]

event PCRRevoked:
    pcrHash: indexed(bytes32)
    teeType: indexed(uint8)

event TEERegistered:
    teeId: indexed(bytes32)
    owner: indexed(address)
    teeType: uint8

event TEEDisabled:
    teeId: indexed(bytes32)

event TEEEnabled:
    teeId: indexed(bytes32)

event HeartbeatReceived:
    teeId: indexed(bytes32)
    timestamp: uint256

MAX_TEES: constant(uint256) = 16
MAX_PCRS: constant(uint256) = 32
MAX_TYPES: constant(uint256) = 16

# Nothing sends heartbeats on a machine that may sleep: an enclave is active for a year, unless this is set.
DEFAULT_MAX_AGE: constant(uint256) = 365 * 86400

# accounts.OPERATOR
operator: public(constant(address)) = 0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65

ids: DynArray[bytes32, MAX_TEES]
infos: HashMap[bytes32, TEEInfo]
pcrs: DynArray[PCRKey, MAX_PCRS]
pcrRecords: public(HashMap[uint8, HashMap[bytes32, ApprovedPCR]])
typeIds: DynArray[uint8, MAX_TYPES]
typeInfos: HashMap[uint8, TEETypeInfo]
maxAge: uint256


@internal
@view
def _maxAge() -> uint256:
    return self.maxAge if self.maxAge != 0 else DEFAULT_MAX_AGE


@internal
@view
def _active(teeId: bytes32) -> bool:
    info: TEEInfo = self.infos[teeId]
    return (
        info.enabled
        and block.timestamp - info.lastHeartbeatAt <= self._maxAge()
        and self.pcrRecords[info.teeType][info.pcrHash].approved
    )


@internal
def _approve(pcrHash: bytes32, teeType: uint8, version: String[64]):
    if self.pcrRecords[teeType][pcrHash].approvedAt == 0:
        self.pcrs.append(PCRKey(pcrHash=pcrHash, teeType=teeType))
    self.pcrRecords[teeType][pcrHash] = ApprovedPCR(
        approved=True, teeType=teeType, approvedAt=block.timestamp, version=version
    )
    log PCRApproved(pcrHash=pcrHash, teeType=teeType, version=version)


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
    @notice Register an enclave, or replace what is known of one: that it was registered stays. Its id is
            keccak256(publicKey). A measurement that is new here is approved with it; a revoked one is refused.
    """
    assert msg.sender == operator, "TEERegistry: only the operator registers"
    assert len(publicKey) > 0, "TEERegistry: no public key"
    record: ApprovedPCR = self.pcrRecords[teeType][pcrHash]
    if record.approvedAt == 0:
        self._approve(pcrHash, teeType, "registered")
    else:
        assert record.approved, "TEERegistry: the measurement is revoked"
    teeId: bytes32 = keccak256(publicKey)
    registeredAt: uint256 = self.infos[teeId].registeredAt
    if registeredAt == 0:
        self.ids.append(teeId)
        registeredAt = block.timestamp
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
        registeredAt=registeredAt,
        lastHeartbeatAt=block.timestamp,
        ohttpConfig=ohttp,
    )
    log TEERegistered(teeId=teeId, owner=msg.sender, teeType=teeType)
    return teeId


@external
def disableTEE(teeId: bytes32):
    assert msg.sender == operator, "TEERegistry: only the operator disables"
    assert self.infos[teeId].registeredAt != 0, "TEERegistry: unknown enclave"
    self.infos[teeId].enabled = False
    log TEEDisabled(teeId=teeId)


@external
def enableTEE(teeId: bytes32):
    assert msg.sender == operator, "TEERegistry: only the operator enables"
    info: TEEInfo = self.infos[teeId]
    assert info.registeredAt != 0, "TEERegistry: unknown enclave"
    assert self.pcrRecords[info.teeType][info.pcrHash].approved, "TEERegistry: the measurement is revoked"
    self.infos[teeId].enabled = True
    log TEEEnabled(teeId=teeId)


@external
def heartbeat(teeId: bytes32, timestamp: uint256, signature: Bytes[1024]):
    """
    @notice Note that an enclave runs. The signature is not checked.
    """
    assert msg.sender == operator, "TEERegistry: only the operator relays heartbeats"
    assert self.infos[teeId].enabled, "TEERegistry: not enabled"
    assert timestamp <= block.timestamp, "TEERegistry: a heartbeat of the future"
    assert block.timestamp - timestamp <= self._maxAge(), "TEERegistry: an old heartbeat"
    self.infos[teeId].lastHeartbeatAt = block.timestamp
    log HeartbeatReceived(teeId=teeId, timestamp=timestamp)


@external
def setHeartbeatMaxAge(seconds: uint256):
    assert msg.sender == operator, "TEERegistry: only the operator sets it"
    self.maxAge = seconds


@external
def addTEEType(typeId: uint8, name: String[64]):
    assert msg.sender == operator, "TEERegistry: only the operator adds types"
    assert self.typeInfos[typeId].addedAt == 0 and typeId > 1, "TEERegistry: the type is there"
    self.typeIds.append(typeId)
    self.typeInfos[typeId] = TEETypeInfo(name=name, addedAt=block.timestamp)
    log TEETypeAdded(typeId=typeId, name=name)


@external
def approvePCR(pcrs: PCRMeasurements, version: String[64], teeType: uint8):
    assert msg.sender == operator, "TEERegistry: only the operator approves"
    self._approve(keccak256(concat(pcrs.pcr0, pcrs.pcr1, pcrs.pcr2)), teeType, version)


@external
def revokePCR(pcrHash: bytes32, teeType: uint8):
    """
    @notice Revoke a measurement, and disable the enclaves that have it.
    """
    assert msg.sender == operator, "TEERegistry: only the operator revokes"
    assert self.pcrRecords[teeType][pcrHash].approved, "TEERegistry: not approved"
    self.pcrRecords[teeType][pcrHash].approved = False
    log PCRRevoked(pcrHash=pcrHash, teeType=teeType)
    for teeId: bytes32 in self.ids:
        info: TEEInfo = self.infos[teeId]
        if info.enabled and info.pcrHash == pcrHash and info.teeType == teeType:
            self.infos[teeId].enabled = False
            log TEEDisabled(teeId=teeId)


@view
@external
def getTEE(teeId: bytes32) -> TEEInfo:
    assert self.infos[teeId].registeredAt != 0, "TEERegistry: unknown enclave"
    return self.infos[teeId]


@view
@external
def getTEEPublicKey(teeId: bytes32) -> Bytes[1024]:
    assert self.infos[teeId].registeredAt != 0, "TEERegistry: unknown enclave"
    return self.infos[teeId].publicKey


@view
@external
def getActiveTEEs(teeType: uint8) -> DynArray[TEEInfo, MAX_TEES]:
    found: DynArray[TEEInfo, MAX_TEES] = []
    for teeId: bytes32 in self.ids:
        if self.infos[teeId].teeType == teeType and self._active(teeId):
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
def getTEEsByOwner(owner: address) -> DynArray[bytes32, MAX_TEES]:
    return self.ids if owner == operator else []


@view
@external
def isTEEActive(teeId: bytes32) -> bool:
    return self._active(teeId)


@view
@external
def isTEEEnabled(teeId: bytes32) -> bool:
    return self.infos[teeId].enabled


@view
@external
def heartbeatMaxAge() -> uint256:
    return self._maxAge()


@view
@external
def isPCRApproved(teeType: uint8, pcrHash: bytes32) -> bool:
    return self.pcrRecords[teeType][pcrHash].approved


@view
@external
def getApprovedPCRs() -> DynArray[PCRKey, MAX_PCRS]:
    found: DynArray[PCRKey, MAX_PCRS] = []
    for key: PCRKey in self.pcrs:
        if self.pcrRecords[key.teeType][key.pcrHash].approved:
            found.append(key)
    return found


@view
@external
def isValidTEEType(typeId: uint8) -> bool:
    return typeId <= 1 or self.typeInfos[typeId].addedAt != 0


@view
@external
def getTEETypes() -> (DynArray[uint8, MAX_TYPES], DynArray[TEETypeInfo, MAX_TYPES]):
    """
    @notice The types that were added; 0 and 1 are there from the beginning.
    """
    infos: DynArray[TEETypeInfo, MAX_TYPES] = []
    for typeId: uint8 in self.typeIds:
        infos.append(self.typeInfos[typeId])
    return self.typeIds, infos


@pure
@external
def computeTEEId(publicKey: Bytes[1024]) -> bytes32:
    return keccak256(publicKey)


@pure
@external
def computePCRHash(pcrs: PCRMeasurements) -> bytes32:
    return keccak256(concat(pcrs.pcr0, pcrs.pcr1, pcrs.pcr2))
