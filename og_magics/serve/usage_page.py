"""The page that shows the owner what users spend, and the table of it for the bookkeeper.

Plain HTML that the server writes: no script, nothing from elsewhere, and each text escaped.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import hmac
import io
from collections.abc import Callable, Iterable, Sequence
from html import escape

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..core.amounts import format_opg, to_opg
from .admission import Admission
from .budget_file import Spent, day_of
from .keys import hash_of, key_in, unknown_key
from .users import User, UserTable

_STYLE = (
    "body{font-family:sans-serif;margin:2rem;color:#222;background:#fff}table{border-collapse:collapse;margin:1rem 0}"
    "th,td{padding:.3rem .8rem;border-bottom:1px solid #ccc;text-align:left}.n{text-align:right}"
)
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS = {
    "content-security-policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""Beginnings of a cell that a spreadsheet would calculate."""
_REALM = 'Basic realm="og-magics: any name, and the key of the owner", charset="UTF-8"'


class UsagePage:
    """The page and the table, for whoever has the owner's key.

    Args:
        users: returns the users, their limits and the owner's key, as they are now.
    """

    def __init__(self, admission: Admission, users: Callable[[], UserTable]) -> None:
        self._admission, self._users = admission, users

    @property
    def routes(self) -> list[Route]:
        """The places of both."""
        return [Route("/usage", self.page), Route("/usage.csv", self.table)]

    async def page(self, request: Request) -> Response:
        """Show spending by user, and by user and model."""
        spent = await self._spent(request)
        html = usage_html(spent, list(self._users().users.values()), day_of(self._admission.now()))
        return Response(html, media_type="text/html", headers=_HEADERS)

    async def table(self, request: Request) -> Response:
        """Return spending by user, day and model as CSV."""
        name = {"content-disposition": 'attachment; filename="usage.csv"'}
        return Response(usage_csv(await self._spent(request)), media_type="text/csv", headers=_HEADERS | name)

    async def _spent(self, request: Request) -> Sequence[Spent]:
        owner = self._users().owner
        given = hash_of(key_in(request.headers.get("authorization", "")))
        if not owner or not hmac.compare_digest(owner, given):
            raise unknown_key("This page needs the key of the owner ([owner] in the file of users).", _REALM)
        return await self._admission.spent()


def usage_html(spent: Sequence[Spent], users: Iterable[User], today: str) -> str:
    """Return the page: a table of users with their budgets, and one by user and model."""
    by_user: dict[str, list[Spent]] = {user.name: [] for user in users}
    limits = {user.name: user for user in users}
    for one in spent:
        by_user.setdefault(one.user, []).append(one)
    rows = []
    for name, held in by_user.items():
        user = limits.get(name, User(name))
        of_day = sum(one.amount for one in held if one.day == today)
        rows.append(
            (name, str(sum(one.calls for one in held)), _opg(of_day), _limit(user.day),
             _opg(sum(one.amount for one in held)), _limit(user.total))
        )  # fmt: skip
    models: dict[tuple[str, str], tuple[int, int]] = {}
    for one in spent:
        amount, calls = models.get((one.user, one.model), (0, 0))
        models[one.user, one.model] = amount + one.amount, calls + one.calls
    lines = [(user, model, str(calls), _opg(amount)) for (user, model), (amount, calls) in models.items()]
    every = _opg(sum(one.amount for one in spent))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Spending</title>'
        f"<style>{_STYLE}</style></head><body><h1>Spending</h1>"
        f"<p>In OPG; what is asked right now counts with what it can cost at most. Days are UTC; today is {today}. "
        f'In all: {every}. <a href="usage.csv">By user, day and model, as CSV</a></p>'
        + _table("By user", ("user", "calls", "today", "of a day", "in all", "of a total"), rows, 1)
        + _table("By user and model", ("user", "model", "calls", "OPG"), lines, 2)
        + "</body></html>"
    )


def usage_csv(spent: Sequence[Spent]) -> str:
    """Return a table for the bookkeeper: exact OPG by user, day and model; no cell is a formula."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(("user", "day", "model", "calls", "opg"))
    for one in spent:
        writer.writerow((_cell(one.user), one.day, _cell(one.model), one.calls, f"{to_opg(one.amount):f}"))
    return text.getvalue()


def _cell(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text


def _opg(amount: int) -> str:
    return format_opg(amount)


def _limit(amount: int | None) -> str:
    return "no limit" if amount is None else format_opg(amount)


def _table(title: str, heads: Sequence[str], rows: Iterable[Sequence[str]], texts: int) -> str:
    """Return a table whose first columns are texts, and whose others are numbers."""
    head = "".join(f'<th scope="col"{_class(i, texts)}>{escape(one)}</th>' for i, one in enumerate(heads))
    body = "".join(
        "<tr>" + "".join(f"<td{_class(i, texts)}>{escape(one)}</td>" for i, one in enumerate(row)) + "</tr>"
        for row in rows
    )
    return f"<h2>{escape(title)}</h2><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _class(column: int, texts: int) -> str:
    return ' class="n"' if column >= texts else ""
