"""The devnet's gateway: an OpenAI-compatible server that asks for x402 payment and signs what it answers.

Rooms: `app` (routes), `paywall` (offers, verification, sessions), `settler` (payments on chain), `data` (hashes of
the answers on chain), `blobs`, `enclave` (keys and signatures), `upstream` (another server that answers), `prices`.
Nothing here imports the client side of the project: two independent readings of the protocol check each other.
"""

from __future__ import annotations
