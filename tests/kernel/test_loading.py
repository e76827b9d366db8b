"""%load_ext, %unload_ext and %reload_ext: light, complete, and without a trace afterwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from .conftest import STARTED

if TYPE_CHECKING:
    from .conftest import Kernel

HEAVY = "aiohttp coincurve eth_account eth_abi httpx ipywidgets jsonschema nest_asyncio2 numpy pandas pydantic requests web3 x402"

TRACES = """
def _traces():
    shell = get_ipython()
    manager = shell.input_transformer_manager
    return {
        "cleanup": [type(t).__name__ for t in manager.cleanup_transforms],
        "lines": [type(t).__name__ for t in manager.line_transforms],
        "tokens": [t.__name__ for t in manager.token_transformers],
        "post": len(shell.input_transformers_post),
        "events": {name: len(handlers) for name, handlers in shell.events.callbacks.items()},
        "line magics": sorted(shell.magics_manager.magics["line"]),
        "cell magics": sorted(shell.magics_manager.magics["cell"]),
        "magics": sorted(set(shell.magics_manager.registry) - {"ExtensionMagics"}),  # IPython's own, made when used
        "history": sorted(vars(shell.history_manager)),
        "exceptions": [str(shell.custom_exceptions), str(__import__("sys").excepthook)],
        "names": sorted(n for n in shell.user_ns if not n.startswith("_")),
    }
"""


class TestLoading:
    @pytest.mark.ci
    def test_an_endless_recursion_stays_an_error_after_a_call(self, new_kernel: Callable[..., Kernel]) -> None:
        kernel = new_kernel()
        before = kernel.eval("__import__('sys').getrecursionlimit()")
        kernel.ask("%ogchat hello")
        kernel.ask("%og verify")
        assert kernel.eval("__import__('sys').getrecursionlimit()") == before
        kernel.ask("class Loop:\n    def __getattr__(self, name):\n        return self.more")
        assert "recursion" in kernel.run("Loop().more").error("RecursionError")

    def test_it_imports_nothing_heavy(self, new_kernel: Callable[..., Kernel]) -> None:
        kernel = new_kernel(load=False, name=STARTED)
        # The thread that imports while the user types is another matter: here it finds nothing to do.
        kernel.ask("import og_magics.magics.extension as _extension\n_extension._NEEDED_SOON = ()")
        kernel.ask("import sys\nbefore = set(sys.modules)")
        kernel.ask("%load_ext og_magics\nafter = {name.partition('.')[0] for name in set(sys.modules) - before}")
        assert not set(kernel.eval("sorted(after)")) & set(HEAVY.split())
        assert not set(kernel.eval("sorted(sys.modules)")) & {
            f"og_magics.{n}" for n in ("session", "client", "ledger", "chain")
        }

    def test_the_package_alone_imports_nothing_heavy_either(self, new_kernel: Callable[..., Kernel]) -> None:
        kernel = new_kernel(load=False, name=STARTED)
        kernel.ask("import sys, og_magics")
        assert not set(kernel.eval("sorted(sys.modules)")) & {"web3", "pandas", "httpx", "x402", "eth_account"}

    def test_it_touches_no_file(self, new_kernel: Callable[..., Kernel]) -> None:
        kernel = new_kernel()
        kernel.ask("1 + 1")
        assert list(kernel.cwd.iterdir()) == []

    def test_a_second_time_changes_nothing(self, new_kernel: Callable[..., Kernel]) -> None:
        kernel = new_kernel()
        kernel.ask(TRACES)
        before = kernel.eval("_traces()")
        assert "already loaded" in kernel.ask("%load_ext og_magics").text
        kernel.ask("import og_magics; og_magics.load_ipython_extension(get_ipython())")
        after = kernel.eval("_traces()")
        assert after.pop("names") == sorted([*before.pop("names"), "og_magics"])
        assert after == before


class TestUnloading:
    def test_it_leaves_no_handler_behind(self, new_kernel: Callable[..., Kernel]) -> None:
        kernel = new_kernel(load=False)
        kernel.ask(TRACES)
        before = kernel.eval("_traces()")
        kernel.ask("%load_ext og_magics")
        assert kernel.eval("_traces()") != before
        kernel.ask("%unload_ext og_magics")
        assert kernel.eval("_traces()") == before

    def test_then_the_magics_are_gone_and_the_receipts_stay(self, new_kernel: Callable[..., Kernel]) -> None:
        kernel = new_kernel()
        kernel.ask("%ogchat hello")
        kernel.ask("%unload_ext og_magics")
        assert "`%ogchat` not found" in kernel.run("%ogchat hello").text
        assert "`%%ogchat` not found" in kernel.run("%%ogchat\nhello").text
        assert "`%og` not found" in kernel.run("%og").text
        assert kernel.eval("len(og_receipts)") == 1

    def test_reloaded_it_works_as_before(self, new_kernel: Callable[..., Kernel]) -> None:
        kernel = new_kernel()
        kernel.ask("%ogchat hello")
        kernel.ask("%unload_ext og_magics")
        kernel.ask("%load_ext og_magics")
        kernel.ask("%reload_ext og_magics")
        kernel.ask("%ogchat hello again?")
        assert kernel.eval("len(og_receipts)") == 2
        kernel.ask(TRACES)
        assert kernel.eval("_traces()['cleanup'].count('KeyGuard')") == 1
