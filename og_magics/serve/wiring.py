"""The parts of a server, put together: settings, ledger, wallet, users, budgets and routes."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from pathlib import Path

from starlette.routing import BaseRoute

from ..client.llm import LLM
from ..core.loopback import LocalOnly
from ..core.networks import Network
from ..core.settings import Settings, ledger_path
from ..ledger import Ledger
from .admission import Admission
from .app import make_app
from .budget_file import BudgetFile
from .hub_keys import Hub, HubKeys
from .keys import Askers, Keys, hash_of
from .openai_request import Payer
from .usage_page import UsagePage
from .users import User, UserFile


@dataclass(frozen=True, slots=True)
class Served:
    """A server that is ready to listen.

    Attributes:
        payer: the wallet's address is "" where nothing is paid. ledger: path of the receipts' file.
    """

    app: LocalOnly
    network: Network
    payer: Payer
    ledger: Path


def served(users: Path | None, key: str, *, beyond: bool, hub: Hub | None = None) -> Served:
    """Put a server together.

    Args:
        users: the file of users; without one, whoever has the key may ask.
        beyond: it listens beyond this machine. hub: whose tokens are the keys, with a file of users.

    Raises:
        OGError: a setting or a file of users that cannot be read, or no wallet for the network.
    """
    file = None if users is None else UserFile(users, keyless=hub is not None)
    settings = Settings.from_env()
    journal = Ledger(ledger_path(settings, None))
    llm = LLM(settings=settings, journal=journal)
    network = llm.network
    payer = Payer(llm.wallet.address if llm.paid else "", network.name)
    budgets = None if file is None else BudgetFile(file.path.with_suffix(".db"))
    price = (lambda: None) if file is None else (lambda: file.table.price)
    admission = Admission(budgets, journal, lambda: llm.settings, network.name, price)
    llm.on_settled = admission.look
    only = {hash_of(key): User()}
    keys: Askers = Keys(lambda: only if file is None else file.table.keys)
    of_hub = None if hub is None or file is None else HubKeys(hub, lambda: file.table)
    more: Sequence[BaseRoute] = ()
    if file is not None:
        more = UsagePage(admission, lambda: file.table).routes

    @contextlib.asynccontextmanager
    async def lifespan(_: object) -> AsyncGenerator[None, None]:
        await admission.recover()
        # What is imported stays: to look through it for garbage would hold up all streams, each time for longer.
        gc.collect()
        gc.freeze()
        yield
        await admission.close()
        if of_hub is not None:
            await of_hub.close()

    prefix = "/" if hub is None else hub.prefix
    app = make_app(llm, of_hub or keys, admission, payer, beyond=beyond, prefix=prefix, more=more, lifespan=lifespan)
    return Served(app, network, payer, journal.path)
