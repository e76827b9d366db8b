"""Packages that raise the recursion limit: it is put back."""

from __future__ import annotations

import subprocess
import sys

import pytest

from og_magics.core.untrusted_json import recursion_limit_kept


def test_it_is_put_back_when_the_last_has_imported() -> None:
    before = sys.getrecursionlimit()
    first, second = recursion_limit_kept(), recursion_limit_kept()
    with first:
        sys.setrecursionlimit(before + 1_000)
        with second:
            assert sys.getrecursionlimit() == before + 1_000
        assert sys.getrecursionlimit() == before + 1_000
    assert sys.getrecursionlimit() == before


@pytest.mark.parametrize(
    "code",
    [
        "from og_magics.payment.wallet import Wallet; Wallet.from_key('0x' + '11' * 32)",
        "from og_magics.chain.rpc import guard\nwith guard('http://127.0.0.1:1'): pass",
        "from og_magics.payment.authorize import _scheme; _scheme('upto')",
    ],
)
@pytest.mark.ci
def test_no_import_of_ours_leaves_it_raised(code: str) -> None:
    script = f"import sys\nbefore = sys.getrecursionlimit()\n{code}\nassert sys.getrecursionlimit() == before"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
