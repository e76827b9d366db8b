"""The environment's word on spending: a notebook may spend less than it allows, and never more.

A notebook may come from somebody else, or run where nobody looks. What `OG_REPLAY`, `OG_NETWORK` and the budgets'
variables said when og_magics was imported therefore holds for all of it, whatever its cells set.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from . import environment, networks
from .amounts import format_opg
from .errors import ConfigError
from .options import ENVIRONMENT, LIMITS, SETTINGS

_NOTHING = "Nothing was paid."


def read_environment(env: Mapping[str, str]) -> dict[str, Any]:
    """Return the options that an environment sets, by name.

    Raises:
        ConfigError: a variable that cannot be read, named.
    """
    values: dict[str, Any] = {}
    for variable, name in ENVIRONMENT.items():
        text = env.get(variable, "").strip()
        if text:
            try:
                values[name] = SETTINGS[name].parse(text)
            except ConfigError as error:
                raise ConfigError(f"{variable}: {error.what}", remedy=error.remedy) from None
    return values


@functools.cache
def allowed() -> Mapping[str, Any]:
    """Return what the environment set when og_magics was imported; what a cell sets there later changes nothing.

    Raises:
        ConfigError: as `read_environment`.
    """
    return read_environment(environment.AT_IMPORT)


def never_pays() -> bool:
    """Return True where the environment promises that only recorded answers are shown."""
    return allowed().get("replay") == "only"


def capped(name: str, amount: int | None) -> int | None:
    """Return a limit in base units, or the environment's where that is stricter; None for no limit."""
    most = allowed().get(name)
    return amount if most is None else most if amount is None else min(amount, most)


def stricter_attest(word: str) -> str:
    """Return a word of `attest`, or the environment's where that is stricter."""
    words = SETTINGS["attest"].choices
    least: str = allowed().get("attest", word)
    return max(word, least, key=words.index)


def pinned(measurements: tuple[str, ...]) -> tuple[str, ...]:
    """Return the measurements that may run: of those that are given the environment's, where it pins any."""
    most = allowed().get("pcr", ())
    return tuple(one for one in measurements if one in most) or most or measurements


def check_network(name: str) -> None:
    """Refuse a network where money is real if the environment chose one where it is not.

    Raises:
        ConfigError: it is refused.
    """
    chosen = allowed().get("network")
    if chosen and networks.network_by_name(name).real_money and not networks.network_by_name(chosen).real_money:
        raise ConfigError(
            f"OG_NETWORK is {chosen} where this process was started: nothing in it may pay on {name}.",
            money=_NOTHING,
            remedy=f"Set OG_NETWORK={name} where you start it, and start it again.",
        )


def check(changes: Mapping[str, Any]) -> None:
    """Refuse changes of settings that would allow more than the environment does.

    Raises:
        ConfigError: one would.
    """
    for name in LIMITS:
        most, new = allowed().get(name), changes.get(name)
        if most is not None and new is not None and new > most:
            raise _too_much(name, f"{format_opg(most)} OPG", "a notebook may lower it, and not raise it")
    if never_pays() and changes.get("replay") not in (None, "only"):
        raise _too_much("replay", "only", "nothing in it may pay")


def _too_much(name: str, value: str, rule: str) -> ConfigError:
    variable = SETTINGS[name].env[0]
    return ConfigError(
        f"{variable} is {value} where this process was started: {rule}.",
        money=_NOTHING,
        remedy=f"Change {variable} where you start it, and start it again.",
    )
