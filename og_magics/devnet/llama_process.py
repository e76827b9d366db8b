"""The process of a local model: loads a .gguf file and serves OpenAI's API on loopback until its input ends.

    python llama_process.py PATH THREADS

It prints one line of JSON with the server's address. Its input is a pipe of the devnet: it closes with the devnet,
however that ends, so that no process is left behind.
"""

from __future__ import annotations

import importlib
import json
import os
import sys

_CONTEXT = 8192
"""Tokens of all answers under way together."""
_AT_ONCE = 2


def main() -> None:
    """Serve the file that the arguments name."""
    path, threads = sys.argv[1:]
    llama = importlib.import_module("xllamacpp")
    params = llama.CommonParams()
    params.model.path = path
    params.n_ctx, params.n_parallel = _CONTEXT, _AT_ONCE
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = int(threads)
    server = llama.Server(params)
    print(json.dumps({"url": server.listening_address}), flush=True)
    sys.stdin.buffer.read()
    os._exit(0)  # what still answers is not waited for


if __name__ == "__main__":
    main()
