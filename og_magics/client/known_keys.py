"""Keys of enclaves as the registry has them, for recorded answers that may stand in place of a paid call."""

from __future__ import annotations

from .. import chain
from ..core import networks
from ..core.errors import OGError
from ..core.receipt import Receipt
from ..core.settings import Settings
from ..verification import check_registry
from .devnet_process import devnet_info


def is_registered(settings: Settings, receipt: Receipt) -> bool:
    """Return True if the registry of the network in use vouches for the enclave and the key of a receipt. Blocks.

    False too where the receipt is of another network, or the registry cannot be asked: then its answer is not known to
    be anybody's. No devnet is started for it: a new one knows no key of an earlier one.
    """
    try:
        network = networks.network_by_name(settings.network_name())
        if network.name != receipt.network or (network.local and not settings.devnet) or not receipt.tee_id:
            return False
        network = settings.apply(networks.devnet(devnet_info(settings.devnet)) if network.local else network)
        enclave = chain.enclave_by_id(network, receipt.tee_id)
    except OGError:
        return False
    same = enclave is not None and enclave.public_key.hex() == receipt.public_key.lower().removeprefix("0x")
    return same and check_registry(receipt, enclave).ok is True
