"""Blobs from a Walrus aggregator, over HTTP, several at a time. Whoever can write an event chooses what is fetched."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence
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
_ABSENT = (404, 410)
_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")


def fetch(blob_url: str, blob_ids: Iterable[str], *, mirrors: Sequence[str] = ()) -> dict[str, Blob]:
    """Fetch each blob once. Never raises: a blob that could not be fetched has its `problem`.

    Args:
        blob_url: of the aggregator.
        blob_ids: as the events have them, with repetitions or not.
        mirrors: other aggregators, asked in their order for what none before them gave.
    """
    wanted = list(dict.fromkeys(blob_ids))
    if not blob_url:
        return dict.fromkeys(wanted, Blob(None, "no blob aggregator is known for this network"))
    found = {
        one: Blob(None) if _ID.fullmatch(one) else Blob(None, f"{one[:60]!r} is not the id of a blob") for one in wanted
    }
    left = [one for one in wanted if not found[one].problem]
    for url in (blob_url, *mirrors):
        answers = _fetch_all(url, left)
        for one, (blob, _) in answers.items():
            before = found[one]
            # That one aggregator lacks it says less than that another could not be asked.
            found[one] = before if blob.absent and before.problem and not before.absent else blob
        left = [one for one, (_, elsewhere) in answers.items() if elsewhere]
    return found


def _fetch_all(blob_url: str, blob_ids: Sequence[str]) -> dict[str, tuple[Blob, bool]]:
    """Fetch blobs from one aggregator. Shape: id -> blob, and whether another one may have it."""
    import httpx

    if not blob_ids:
        return {}
    headers = {"Accept-Encoding": "identity"}  # a bound on bytes that a compressed answer cannot get around
    with (
        httpx.Client(timeout=_WITHOUT_A_BYTE, trust_env=not is_loopback(blob_url), headers=headers) as client,
        ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="og-blobs") as pool,
    ):
        return dict(zip(blob_ids, pool.map(lambda one: _fetch(client, blob_url, one), blob_ids), strict=True))


def _fetch(client: httpx.Client, blob_url: str, blob_id: str) -> tuple[Blob, bool]:
    import httpx

    end = time.monotonic() + MOST_SECONDS
    content = bytearray()
    try:
        with client.stream("GET", f"{revealed(blob_url).rstrip('/')}/v1/blobs/{blob_id}") as response:
            if response.status_code != 200:
                status = response.status_code
                return Blob(None, f"the aggregator answered with HTTP {status}", status in _ABSENT), True
            for piece in response.iter_raw():
                content += piece
                if len(content) > MOST_BYTES:
                    return Blob(None, f"it is larger than {MOST_BYTES // 2**20} MiB"), False
                if time.monotonic() > end:
                    return Blob(None, f"it did not arrive within {MOST_SECONDS:.0f} s"), False
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return Blob(None, f"the aggregator could not be read ({type(error).__name__})"), True
    return Blob(bytes(content)), False
