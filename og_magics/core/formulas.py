"""Formulas in Markdown: where one begins and ends, and how it is written so that each front end draws it."""

from __future__ import annotations

import re

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline

_IN_DOLLARS = r"(?:\\[^\n]|[^$\\\n]|\n(?![ \t]*\n))+"
_IN_BRACKETS = r"(?:\\[^()\[\]\n]|[^\\\n]|\n(?![ \t]*\n))+"
_AMOUNT = r"\d[\d.,]*(?:[KMBkmb]n?)?\s+[A-Za-z]{2}"
FORMULA = re.compile(
    rf"\$\$(?!\$)(?P<displayed>{_IN_DOLLARS})\$\$"
    rf"|\$(?![\s$])(?!{_AMOUNT})(?P<inline>{_IN_DOLLARS})(?<!\s)\$(?![\dA-Z_{{(])"
    rf"|\\\[(?!\W{{0,20}}\\\])(?P<square>{_IN_BRACKETS})\\\]"
    rf"|\\\((?!\W{{0,20}}\\\))(?P<round>{_IN_BRACKETS})\\\)"
    r"|(?P<whole>\\begin\{(?P<name>(?:equation|align|gather|multline|alignat|eqnarray)\*?)\}"
    r"(?:(?!\\(?:begin|end)\{(?P=name)\}|\n[ \t]*\n).)+\\end\{(?P=name)\})",
    re.S,
)
"""By the rules of Pandoc, which keep amounts of dollars apart: none begins before a space or before "5 to"."""

ODD = re.compile(
    r"\\(?:href|url|html\w*|class|cssId|style|data|require|unicode|include\w*|input|def|newcommand|renewcommand|let|"
    r"newenvironment|loadext\w*|mml\w*|bbox|texttip|tooltip|toggle|mathtip|enclose)(?![A-Za-z])"
)
"""Commands that make a formula more than a formula: links, styles, extensions, names of its own."""
_LONGEST = 60
"""Lines of a formula that is a block: each line could begin one, so that without a bound it is a square."""
_COMMENT = re.compile(r"(?<!\\)%[^\n]*")
_READ_AS_TEXT = re.compile(r"(?<=\])(?=[(:\[])|(?<=!)(?=\[)|(?<=[a-z]:)(?=//)|(?<=[a-z]{2}):(?=[a-z])", re.I)
"""Places at which Markdown would see a link, an image or an address; an empty group changes nothing of a formula."""


def in_dollars(found: re.Match[str]) -> str | None:
    """Return a formula on one line, between dollars; None where it could be more than a formula.

    It holds no sign that HTML or Markdown could read: `<` is a command, and `&` stands before a space.
    """
    body, displayed = body_of(found)
    plain = tex(body)
    mark = "$$" if displayed else "$"
    return f"{mark}{plain}{mark}" if plain else None


def tex(body: str) -> str | None:
    """Return what stands in a formula, as `in_dollars` does."""
    body = " ".join(_COMMENT.sub("", body).replace("<", r" \lt ").replace(">", r" \gt ").replace('"', "''").split())
    if not body or ODD.search(body) or "`" in body or re.search(r"(?<!\\)\$", body):
        return None
    body = re.sub(r"&(?=[#\w])", "& ", body)
    return _READ_AS_TEXT.sub(lambda at: f"{at[0]}{{}}", body)


def body_of(found: re.Match[str]) -> tuple[str, bool]:
    """Return what stands in a formula, and whether it stands on lines of its own."""
    body = next(found[name] for name in ("displayed", "square", "whole", "inline", "round") if found[name] is not None)
    return body, found["inline"] is None and found["round"] is None


def with_formulas(parser: MarkdownIt) -> MarkdownIt:
    """Let a parser read formulas: tokens `formula`, whose content is the formula in dollars, or "" with its source."""
    parser.block.ruler.before("fence", "formula_block", _block, {"alt": ["paragraph", "blockquote", "list"]})
    parser.inline.ruler.before("escape", "formula", _inline)
    return parser


def _inline(state: StateInline, silent: bool) -> bool:
    if state.src[state.pos] not in "$\\":
        return False
    found = FORMULA.match(state.src, state.pos, state.posMax)
    if found is None:
        return False
    if not silent:
        token = state.push("formula", "", 0)
        token.content, token.markup = in_dollars(found) or "", found.group()
    state.pos = found.end()
    return True


def _block(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Read a formula that begins a line and ends one: no line of it is taken for a list or a heading."""
    if state.is_code_block(start):
        return False
    first = state.src[state.bMarks[start] + state.tShift[start] : state.eMarks[start]]
    if not first.startswith(("$$", r"\[", r"\begin{")):
        return False
    lines: list[str] = []
    for line in range(start, min(end, start + _LONGEST)):
        if state.isEmpty(line) or (line > start and state.sCount[line] < state.blkIndent):
            return False
        lines.append(state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]])
        if lines[-1].rstrip().endswith(("$$", r"\]", "}")):
            found = FORMULA.fullmatch("\n".join(lines).rstrip())
            if found is not None:
                break
    else:
        return False
    if not silent:
        state.line = line + 1
        for kind, tag, nesting in (("paragraph_open", "p", 1), ("inline", "", 0), ("paragraph_close", "p", -1)):
            token = state.push(kind, tag, nesting)  # type: ignore[arg-type]  # 1, 0 and -1
            token.map = [start, state.line]
            if kind == "inline":
                token.content, token.children = found.group(), []
    return True
