"""Code with colours, as HTML: the text is the same, and each piece of it is escaped."""

from __future__ import annotations

import re
from html import escape, unescape

from ..core.code_colors import COLORS

_BLOCK = re.compile(r'(<pre><code class="language-([\w+#.-]+)">)([^<]*)(?=</code></pre>)')
_LONGEST = 20_000
"""Characters of a block that is coloured."""
_KINDS = (
    ("Comment", "comment"), ("Literal.String", "string"), ("Literal.Number", "number"), ("Name.Function", "def"),
    ("Name.Class", "def"), ("Name.Builtin", "builtin"), ("Keyword", "keyword"), ("Operator", "operator"),
)  # fmt: skip
"""Kinds by the beginning of a Pygments token's name."""


def with_colors(html: str) -> str:
    """Return an answer's HTML, of `to_html`, with its blocks of code coloured where their language is known."""
    return _BLOCK.sub(lambda block: block[1] + _colored(block[3], block[2]), html)


def _colored(escaped: str, language: str) -> str:
    from pygments.lexers import get_lexer_by_name
    from pygments.util import ClassNotFound

    code = unescape(escaped)
    if len(code) > _LONGEST:
        return escaped
    try:
        lexer = get_lexer_by_name(language.lower(), stripnl=False, ensurenl=False)
    except ClassNotFound:
        return escaped
    pieces = [(str(kind).removeprefix("Token."), text) for kind, text in lexer.get_tokens(code)]
    if "".join(text for _, text in pieces) != code:  # a lexer may change line ends
        return escaped
    return "".join(_piece(kind, text) for kind, text in pieces)


def _piece(name: str, text: str) -> str:
    kind = next((kind for begin, kind in _KINDS if name.startswith(begin)), "")
    shown = escape(text)
    return f'<span style="color:{COLORS[kind]}">{shown}</span>' if kind and text.strip() else shown
