"""The `Account` of eth_account, without what that imports for keystores alone: curves, which take most of its time."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from ..core.untrusted_json import recursion_limit_kept

_KEYSTORES, _MODULE = "eth_keyfile", "eth_keyfile.keyfile"
_FUNCTIONS = ("create_keyfile_json", "decode_keyfile_json")
_TYPE = "KDFType"
"""An annotation in eth_account, and nothing else there."""


class _Deferred(ModuleType):
    """Stands for a module while eth_account is imported. Its functions import the module when they are called.

    Whatever else is asked of it comes from the module: another thread may import it at the same time, and another
    version of eth_account may need more, and is slower then.
    """

    def __getattr__(self, name: str) -> Any:
        if name in _FUNCTIONS:
            return _deferred(name)
        if name == _TYPE:
            return str
        if name.startswith("__"):
            raise AttributeError(name)
        _withdraw()
        return getattr(_imported(self.__name__), name)


def _deferred(name: str) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        return getattr(_imported(_KEYSTORES), name)(*args, **kwargs)

    return call


def _imported(name: str) -> Any:
    with recursion_limit_kept():
        return importlib.import_module(name)


def _withdraw() -> None:
    for name in (_KEYSTORES, _MODULE):
        if isinstance(sys.modules.get(name), _Deferred):
            del sys.modules[name]


def _account() -> Any:
    spec = None if {"eth_account", _KEYSTORES} & set(sys.modules) else importlib.util.find_spec(_KEYSTORES)
    if spec is not None:
        stand_ins = {name: _Deferred(name) for name in (_KEYSTORES, _MODULE)}
        stand_ins[_KEYSTORES].__path__ = list(spec.submodule_search_locations or ())
        sys.modules.update(stand_ins)
    try:
        return _imported("eth_account").Account
    finally:
        _withdraw()


Account: Any = _account()
