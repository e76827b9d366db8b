"""An answer as what it was asked to be: Markdown, plain text, JSON, code, a page or a formula. All of it untrusted."""

from __future__ import annotations

import json
import re
from html import escape

from ..core.formulas import FORMULA, body_of, tex
from ..core.untrusted_json import read_json
from .markdown import harmless
from .sanitize import fenced, safe_markdown
from .tool_calls import fold

PLAIN, MARKDOWN, HTML, LATEX = "text/plain", "text/markdown", "text/html", "text/latex"

_BLOCK = re.compile(
    r"^(?P<indent> {0,3})(?P<fence>`{3,}+|~{3,}+)[ \t]*+(?P<language>[\w+#.-]*+)[^\n]*+\n"
    r"(?P<code>.*?)(?:(?:\n|^) {0,3}(?P=fence)[`~]*+[ \t]*+$|\Z)",
    re.M | re.S,
)
"""Nothing in it gives back what it took, so that it reads each character once."""
_WORDS = re.compile(r"(?:(?<![\\A-Za-z])[A-Za-z]{2,}[,;:]?\s+){3}")
"""Words in a row, as in a sentence and not in a formula."""
_FETCHING = re.compile(r"<(?=(?:link|base|meta)\b)", re.I)
"""Tags that the policy does not cover all of; with another name they are nothing to a browser."""
_WHOLE = "The whole answer"
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'"


def shown_as_format(text: str, format: str) -> dict[str, str]:
    """Return an answer's text by media type in a format; plain text is always among them.

    - "text": as it is. "json": set out in lines; as code where it is none.
    - "code": its first block of code, and all of it folded below; as one block where there is none.
    - "html": a page in a frame of its own, in which no script runs and which fetches nothing; its source below.
    - "math": a formula, where it is one; as code where it could be more than a formula; else Markdown.
    - "md", "image": Markdown.
    """
    if format == "text":
        return {PLAIN: text}
    if format == "json":
        pretty = pretty_json(text)
        return {PLAIN: pretty, MARKDOWN: fenced(pretty, "json")}
    if format == "code":
        code, language = first_code(text)
        block = safe_markdown(fenced(code, language))
        alone = _alone(text) is not None or code == text.strip("\n")
        return {PLAIN: text, MARKDOWN: block if alone else f"{block}\n\n{fold(_WHOLE, [safe_markdown(text)])}"}
    if format == "html":
        return {PLAIN: text, HTML: page(text)}
    if format == "math":
        return _formula(text)
    return {PLAIN: text, MARKDOWN: safe_markdown(text)}


def pretty_json(text: str) -> str:
    """Return JSON in lines; the text as it is where it is no JSON."""
    block = _alone(text)
    code = text if block is None else block[0]
    try:
        return json.dumps(read_json(code.encode("utf-8", "surrogatepass")), indent=2, ensure_ascii=False)
    except ValueError:
        return text


def code_blocks(text: str) -> list[tuple[str, str]]:
    """Return the fenced blocks of code, each with its language, "" where it names none; the last may break off."""
    return [(block["code"], block["language"]) for block in _BLOCK.finditer(text)]


def first_code(text: str) -> tuple[str, str]:
    """Return the first fenced block of code and its language; where there is none, the whole text and ""."""
    return next(iter(code_blocks(text)), (text.strip("\n"), ""))


def _alone(text: str) -> tuple[str, str] | None:
    """Return the code and the language of a text that is one block of code and nothing else."""
    bare = text.strip()
    block = _BLOCK.match(bare)
    return (block["code"], block["language"]) if block and block.end() == len(bare) else None


def page(text: str) -> str:
    """Return HTML that shows untrusted HTML: in a frame without scripts, forms, or any address to fetch from."""
    block, language = first_code(text)
    source = block if language.lower() in ("html", "htm", "xml") else text
    inside = (
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f'<meta http-equiv="x-dns-prefetch-control" content="off">{_FETCHING.sub("<x-", source)}'
    )
    frame = f'<iframe sandbox="" referrerpolicy="no-referrer" srcdoc="{escape(inside)}" style="{_FRAME}"></iframe>'
    return f"{frame}<details><summary>HTML</summary><pre>{escape(text)}</pre></details>"


_FRAME = "width:100%;height:24em;border:1px solid #8884;background:#fff"


def _formula(text: str) -> dict[str, str]:
    block = _alone(text)
    bare = block[0] if block and block[1].lower() in ("latex", "tex", "math") else text.strip()
    whole = FORMULA.fullmatch(bare.strip())
    if whole is None and _WORDS.search(bare):
        return {PLAIN: text, MARKDOWN: safe_markdown(text)}
    source = body_of(whole)[0] if whole else bare
    body = tex(source)
    if body is None or not harmless(" ".join(source.replace("<", " ").split())):
        return {PLAIN: text, MARKDOWN: fenced(text)}
    latex = f"$${body}$$"
    return {PLAIN: text, MARKDOWN: latex, LATEX: latex}
