"""Print the stack of one `%%ogchat` at its POST: our own frames, from the magic down to the HTTP library.

    python tests/own_frames.py

The cell's thread waits while the background loop sends; the frames of both are the way of one call.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import traceback
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).parents[1]


def own(stack: traceback.StackSummary) -> list[str]:
    """Return the frames of a stack that are in this package, outermost first."""
    house = str(ROOT / "og_magics") + os.sep
    return [
        f"{Path(frame.filename).relative_to(ROOT)}:{frame.lineno} {frame.name}"
        for frame in stack
        if frame.filename.startswith(house) and frame.name not in ("_run", "wrapper")
    ]


def frames_of_one_call() -> tuple[list[str], list[str]]:
    """Ask once on a devnet; return the own frames of the cell's thread and of the background loop at the last POST."""
    import httpx
    from IPython.core.interactiveshell import InteractiveShell

    seen: list[tuple[list[str], list[str]]] = []
    send = httpx.AsyncHTTPTransport.handle_async_request
    main = threading.main_thread().ident

    async def watched(self: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
        if request.method == "POST" and request.url.path.endswith("/chat/completions"):
            cell: FrameType | None = sys._current_frames().get(main or 0)
            seen.append((own(traceback.extract_stack(cell)), own(traceback.extract_stack())))
        return await send(self, request)

    httpx.AsyncHTTPTransport.handle_async_request = watched  # type: ignore[method-assign] - restored below
    try:
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            shell = InteractiveShell.instance()
            shell.run_line_magic("load_ext", "og_magics")
            shell.run_cell("%%ogchat\nHello")
            os.chdir(ROOT)
    finally:
        httpx.AsyncHTTPTransport.handle_async_request = send  # type: ignore[method-assign] - as it was
    return seen[-1]


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    cell, loop = frames_of_one_call()
    print("the cell's thread:", *cell, sep="\n  ")
    print("the background loop:", *loop, sep="\n  ")
    print(f"{len(cell) + len(loop)} own frames between %%ogchat and the POST")
