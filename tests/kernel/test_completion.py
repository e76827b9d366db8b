"""Tab, as front ends ask for it: by a kernel's complete_request, and on a terminal's keyboard."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pexpect: Any = pytest.importorskip("pexpect")

if TYPE_CHECKING:
    from og_magics.devnet import Devnet

    from .conftest import Kernel


def tab(kernel: Kernel, before: str, after: str = "") -> dict[str, Any]:
    """The content of a complete_reply."""
    asked = kernel.client.complete(before + after, len(before))
    while True:
        reply = kernel.client.get_shell_msg(timeout=60)
        if reply["parent_header"].get("msg_id") == asked:
            return dict(reply["content"])


def offered(kernel: Kernel, before: str, after: str = "") -> list[str]:
    found: list[str] = tab(kernel, before, after)["matches"]
    return found


@pytest.fixture(scope="module")
def named(shared: Kernel) -> Kernel:
    """A kernel with some names, and two threads."""
    shared.ask(
        "import dataclasses\n@dataclasses.dataclass\nclass City:\n    name: str\n"
        "def weather(city: str) -> str:\n    'The weather.'\n    return city\n"
        "count, country = 3, 'x'"
    )
    shared.ask("%ogchat -n 2 --no-stream --thread research one")
    shared.ask("%ogchat -n 2 --no-stream --thread 'my thread' one")
    return shared


class TestInAKernel:
    @pytest.mark.parametrize("jedi", [True, False])
    def test_only_what_fits_is_offered(self, named: Kernel, jedi: bool) -> None:
        named.ask(f"%config Completer.use_jedi = {jedi}")
        assert offered(named, "%%ogchat --th") == ["--thread"]
        assert offered(named, "%%ogchat --thread ") == ['"my thread"', "research"]
        assert offered(named, "%%ogchat --thread 'my") == ["'my thread'"]
        assert offered(named, "%og threads fork res") == ["research"]
        assert offered(named, "%%ogchat -m openai/gpt-5-m") == ["openai/gpt-5-mini"]
        assert offered(named, "%%ogchat --schema ") == ["City"]
        assert offered(named, "%%ogchat --tools wea") == ["weather"]
        assert offered(named, "%%ogchat -f ma") == ["math"]
        assert offered(named, "%%ogcompare -p goo", "\nWhat is {count}?") == ["google"]
        assert offered(named, "%%ogchat\nWhat is {cou", "}?") == ["count", "country"]
        assert offered(named, "%og use --no-th") == ["--no-thread"]

    def test_what_is_typed_already_is_replaced(self, named: Kernel) -> None:
        reply = tab(named, "%%ogchat --thread 'my", "\nprompt")
        assert (reply["cursor_start"], reply["cursor_end"]) == (18, 21)
        kinds = reply["metadata"]["_jupyter_types_experimental"]
        assert [(kind["text"], kind["type"]) for kind in kinds] == [("'my thread'", "thread")]

    def test_python_is_completed_as_ever(self, named: Kernel) -> None:
        assert "count" in offered(named, "cou")
        assert "country.upper" in [f"country.{name.rpartition('.')[2]}" for name in offered(named, "country.upp")]
        assert "%%ogchat" in offered(named, "%%ogc")

    def test_it_opens_no_ledger_that_is_not_there(self, new_kernel: Callable[..., Kernel]) -> None:
        kernel = new_kernel()
        kernel.ask("import og_magics.session")
        offered(kernel, "%%ogchat --thread ")
        assert not (kernel.cwd / ".og").exists()

    @pytest.mark.ci
    def test_it_goes_with_the_extension(self, new_kernel: Callable[..., Kernel]) -> None:
        kernel = new_kernel()
        assert offered(kernel, "%%ogchat --th") == ["--thread"]
        kernel.ask("%load_ext og_magics\n%reload_ext og_magics")
        assert kernel.eval("len(get_ipython().Completer.custom_matchers)") == 1
        kernel.ask("%unload_ext og_magics")
        assert "--thread" not in offered(kernel, "%%ogchat --th")
        assert kernel.eval("get_ipython().Completer.custom_matchers") == []


class TestInATerminal:
    @pytest.mark.ci
    def test_the_tab_key_completes_a_flag_and_a_value(
        self, environment: Callable[..., dict[str, str]], devnet: Devnet, tmp_path: Path
    ) -> None:
        env = environment(devnet) | {"TERM": "xterm"}
        child = pexpect.spawn(
            sys.executable, ["-m", "IPython", "--no-banner", "--colors=NoColor", "--no-confirm-exit"],
            env=env, cwd=str(tmp_path), dimensions=(40, 120), timeout=60, encoding="utf-8",
        )  # fmt: skip
        try:
            child.expect_exact("In [1]")
            child.sendline("%load_ext og_magics")
            child.expect_exact("In [2]")
            child.send("%og use --nest-asy\t")
            child.expect_exact("ncio")
            child.send(" -s indi\t")
            child.expect_exact("vidual")
            child.sendline("")
            child.expect(r"settlement\s+individual")
        finally:
            child.close(force=True)


class TestNearMisses:
    def test_a_model_that_no_gateway_knows_is_told_with_the_one_that_was_meant(self, named: Kernel) -> None:
        told = named.run("%ogchat -m openai/gtp-5 hello").error("ModelNotSupported")
        assert "Did you mean openai/gpt-5?" in told

    def test_a_verb_too(self, named: Kernel) -> None:
        assert "Did you mean threads?" in named.run("%og thread").error()
