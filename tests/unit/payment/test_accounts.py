"""eth_account is imported without what it needs for keystores, which works all the same."""

from __future__ import annotations

import subprocess
import sys

import pytest

KEYSTORE = """
import sys
from og_magics.payment.accounts import Account
print(any(name.partition(".")[0] in ("eth_keyfile", "py_ecc") for name in sys.modules))
account, limit = Account.from_key("0x" + 32 * "11"), sys.getrecursionlimit()
keystore = Account.encrypt(account.key, "password", kdf="pbkdf2", iterations=1000)
print(bytes(Account.decrypt(keystore, "password")) == bytes(account.key), sys.getrecursionlimit() == limit)
import eth_keyfile.keyfile
from eth_keyfile import extract_key_from_keyfile
print(eth_keyfile.__file__.endswith("__init__.py"))
"""
ANOTHER = """
import sys
from og_magics.payment import accounts
stand_in = sys.modules["eth_keyfile"] = accounts._Deferred("eth_keyfile")
from eth_keyfile import extract_key_from_keyfile
print(extract_key_from_keyfile.__module__, sys.modules["eth_keyfile"] is stand_in)
"""


def printed(program: str) -> list[str]:
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return ran.stdout.split()


@pytest.mark.ci
def test_what_only_keystores_need_is_imported_when_one_is_opened() -> None:
    assert printed(KEYSTORE) == ["False", "True", "True", "True"]


@pytest.mark.ci
def test_whoever_asks_the_stand_in_for_something_else_gets_the_package() -> None:
    assert printed(ANOTHER) == ["eth_keyfile.keyfile", "False"]
