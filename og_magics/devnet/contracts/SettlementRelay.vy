# pragma version 0.4.3
# pragma evm-version cancun
"""
@title SettlementRelay
@license MIT
@notice Where a gateway's operator leaves the proofs of what was asked and answered. The events are the
        network's; the two functions that emit them are the devnet's own.
"""

event BatchSettlement:
    merkleRoot: indexed(bytes32)
    batchSize: uint256
    walrusBlobId: Bytes[256]

event IndividualSettlement:
    teeId: indexed(bytes32)
    ethAddress: indexed(address)
    inputHash: bytes32
    outputHash: bytes32
    timestamp: uint256
    walrusBlobId: Bytes[256]
    signature: Bytes[1024]

# accounts.OPERATOR
operator: public(constant(address)) = 0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65


@external
def settleBatch(merkleRoot: bytes32, batchSize: uint256, walrusBlobId: Bytes[256]):
    assert msg.sender == operator, "SettlementRelay: only the operator settles"
    log BatchSettlement(merkleRoot=merkleRoot, batchSize=batchSize, walrusBlobId=walrusBlobId)


@external
def settleIndividual(
    teeId: bytes32,
    ethAddress: address,
    inputHash: bytes32,
    outputHash: bytes32,
    timestamp: uint256,
    walrusBlobId: Bytes[256],
    signature: Bytes[1024],
):
    assert msg.sender == operator, "SettlementRelay: only the operator settles"
    log IndividualSettlement(
        teeId=teeId,
        ethAddress=ethAddress,
        inputHash=inputHash,
        outputHash=outputHash,
        timestamp=timestamp,
        walrusBlobId=walrusBlobId,
        signature=signature,
    )
