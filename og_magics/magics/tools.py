"""`%og tools`: the functions that models may be allowed to call."""

from __future__ import annotations

from .parser import Parser

_NONE = """\
No tool yet. Make one of a function with type hints:
    @og.tool
    def price(symbol: str) -> float: ...
and let a model call it: %%ogchat --tools price (or all). A plain function of the notebook can be named, too."""


def tools(line: str) -> str:
    """Return the functions as text, one a line.

    Raises:
        UsageError: a flag, of which there is none.
    """
    from ..conversation.tools import registered
    from ..display import printable

    Parser("%og tools", "The functions that @og.tool registered.").parse(line, prompt=False)
    lines = []
    for _, tool in sorted(registered().items()):
        marks = [word for word, is_so in (("writes", tool.writes), ("spends", tool.spends)) if is_so]
        notes = [f"[{', '.join(marks)}: each call is confirmed]"] if marks else []
        notes += [f"[at most {tool.timeout:g} s]"] if tool.timeout is not None else []
        first = tool.description.partition("\n")[0]
        lines.append(printable(" ".join([tool.signature, *notes])))
        if first:
            lines.append(printable(f"    {first}"))
    return "\n".join(lines) or _NONE
