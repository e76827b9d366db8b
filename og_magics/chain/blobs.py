"""Blobs from a Walrus aggregator, over HTTP, several at a time. Whoever can write an event chooses what is fetched."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from ..core.onchain import Blob
from ..core.secret import revealed
from ..core.urls import is_loopback

if TYPE_CHECKING:
    import httpx

MOST_BYTES = 64 * 1024 * 1024
"""Of one blob."""

MOST_SECONDS = 60.0
"""For one blob, from the first byte asked for to the last one read."""

_AT_ONCE = 8
_WITHOUT_A_BYTE = 15.0
_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")


def fetch(blob_url: str, blob_ids: Iterable[str]) -> dict[str, Blob]:
    """Fetch each blob once. Never raises: a blob that could not be fetched has its `problem`.

    Args:
        blob_url: of the aggregator.
        blob_ids: as the events have them, with repetitions or not.
    """
    import httpx

    wanted = list(dict.fromkeys(blob_ids))
    if not wanted:
        return {}
    if not blob_url:
        return dict.fromkeys(wanted, Blob(None, "no blob aggregator is known for this network"))
    headers = {"Accept-Encoding": "identity"}  # a bound on bytes that a compressed answer cannot get around
    with (
        httpx.Client(timeout=_WITHOUT_A_BYTE, trust_env=not is_loopback(blob_url), headers=headers) as client,
        ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="og-blobs") as pool,
    ):
        return dict(zip(wanted, pool.map(lambda one: _fetch(client, blob_url, one), wanted), strict=True))


def _fetch(client: httpx.Client, blob_url: str, blob_id: str) -> Blob:
    import httpx

    if not _ID.fullmatch(blob_id):
        return Blob(None, f"{blob_id[:60]!r} is not the id of a blob")
    end = time.monotonic() + MOST_SECONDS
    content = bytearray()
    try:
        with client.stream("GET", f"{revealed(blob_url).rstrip('/')}/v1/blobs/{blob_id}") as response:
            if response.status_code != 200:
                return Blob(None, f"the aggregator answered with HTTP {response.status_code}")
            for piece in response.iter_raw():
                content += piece
                if len(content) > MOST_BYTES:
                    return Blob(None, f"it is larger than {MOST_BYTES // 2**20} MiB")
                if time.monotonic() > end:
                    return Blob(None, f"it did not arrive within {MOST_SECONDS:.0f} s")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return Blob(None, f"the aggregator could not be read ({type(error).__name__})")
    return Blob(bytes(content))
