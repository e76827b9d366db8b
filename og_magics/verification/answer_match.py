"""A cursor over the visible text of an output: it finds the answer, the function calls and their results."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from html import unescape
from typing import Any

from ..core.formulas import tex
from ..core.receipt import Receipt
from ..core.untrusted_json import read_json
from .footer_facts import is_neutral
from .visible_text import LINK_END, LINK_START, answer_as_html, answer_as_markdown, answer_as_meant, clean, code_in

PLAIN, MARKDOWN, HTML, LATEX = "text/plain", "text/markdown", "text/html", "text/latex"

_ODD = re.compile(
    r"[<&\\\t$]|~~~|!\[|\]:|[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]"
    r"|^\s*(?:[>*+-]|\d+[.)])[^\n]*(?:```|~~~)|^[^`]*(?:`[^`]*`)*[^`]*`[^`]*$",
    re.M,
)
"""Parts of an answer that are escaped before Markdown is shown, so that parsers may differ about them."""
_INSIDE = r"((?:(?!\\[()\[\]]|\n[ \t]*\n).)+)"
_BRACKETS = re.compile(rf"(?<!\\)(?:(\\\(){_INSIDE}(\\\))|(\\\[){_INSIDE}(\\\]))", re.S)
_CUT = re.compile(r"\n\[[\d,]+ more characters\]")
_FORMULA = re.compile(r"\\[()\[\]]|\$\$?")
_FENCE = re.compile(r"\s*```\w*\n(.*?)\n?```\s*", re.S)


class Cursor:
    """A place in visible text.

    Attributes:
        text: all of it. position: up to which it was read.
        loose: Markdown's own characters may differ: the answer holds what had to be escaped.
    """

    def __init__(self, text: str, *, loose: bool = False) -> None:
        self.text = _unescaped(text) if loose else text
        self.position = 0
        self.loose = loose

    def copy(self) -> Cursor:
        """Return another one at the same place of the same text."""
        other = Cursor(self.text)
        other.position, other.loose = self.position, self.loose
        return other

    @property
    def rest(self) -> str:
        """Return the text that was not read yet."""
        return self.text[self.position :]

    def take(self, *forms: str, whole: bool = False) -> bool:
        """Read one of these texts, if it is next. True if it was; `whole`: a block must end behind it."""
        if self.loose:
            forms = tuple(map(_unescaped, forms))
        for loose in (False, True) if self.loose else (False,):
            ends = [self._end_of(form, loose=loose) for form in forms]
            good = [end for end in ends if not whole or end == len(self.text) or self.text[end : end + 1] == "\n"]
            if max(good, default=-1) >= 0:
                self.position = max(good)
                return True
        return False

    def skip_space(self) -> None:
        """Read white space."""
        while self.text[self.position : self.position + 1].isspace():
            self.position += 1

    def skip_to(self, *forms: str, longest: int = 300) -> str | None:
        """Read words of the field up to one of these texts; those words, or None where anything else stands there."""
        forms = tuple(map(_unescaped, forms)) if self.loose else forms
        window = self.text[self.position : self.position + longest + max(map(len, forms), default=0)]
        places = [place for form in forms if form and 0 <= (place := window.find(form)) <= longest]
        for place in sorted(places):
            if is_neutral(window[:place]):
                self.position += place
                return window[:place]
        return None

    def json(self) -> str | None:
        """Read a JSON value, if one is next; its compact form."""
        found = read_one_json(self.rest)
        if found is None:
            return None
        self.position += found[1]
        return found[0]

    def _end_of(self, form: str, *, loose: bool) -> int:
        if not loose:
            return self.position + len(form) if self.text.startswith(form, self.position) else -1
        text, at = self.text, self.position
        if not any(_counts(form, place) for place in range(len(form))):
            return -1
        for place, wanted in enumerate(form):
            if not _counts(form, place):
                continue
            while at < len(text) and not _counts(text, at):
                at += 1
            if at >= len(text) or text[at] != wanted:
                return -1
            at += 1
        end = text.find("\n", at)
        line_end = len(text) if end < 0 else end
        while at < line_end and not _counts(text, at):
            at += 1
        return at


def _unescaped(text: str) -> str:
    """Return a text as it was before it was escaped, for places in which Markdown shows the escapes."""
    return re.sub("</?(?:code|span)>|#blocked-", "", unescape(unescape(text)))


def _counts(text: str, place: int) -> bool:
    """Return True for a character that no escaping changes: of a word or a number, and any sign but ASCII's."""
    c = text[place]
    if c in "-+":
        return text[place + 1 : place + 2].isdigit()
    return not c.isspace() and c not in (LINK_START, LINK_END) and (c.isalnum() or not c.isascii())


def is_odd(*texts: str) -> bool:
    """Return True if one of these texts holds what is escaped before it is shown."""
    return any(_ODD.search(text) for text in texts)


def printable(text: str) -> str:
    """Return a text without characters that drive a terminal or that nobody sees."""
    return "".join(c for c in text if c in "\n\t" or c.isprintable() or unicodedata.category(c) == "Zs")


def forms_of(text: str, kind: str) -> list[str]:
    """Return the visible forms of a text in a representation: as it is, or as the Markdown that it is."""
    if kind == PLAIN:
        return [text, printable(text)]
    seen = answer_as_markdown(text) if kind == MARKDOWN else answer_as_html(text)
    raw = clean(text)
    meant = answer_as_meant(text)
    forms = [meant, meant.strip(), seen, seen.strip()]
    if kind == MARKDOWN:  # where a notebook draws formulas, they keep their brackets; Markdown alone takes them off
        drawn = answer_as_markdown(_BRACKETS.sub(_with_brackets, text))
        forms += [drawn, drawn.strip()]
    return list(dict.fromkeys((*forms, raw.rstrip("\n"), raw, raw.strip(), raw.lstrip(), printable(text))))


def _with_brackets(found: re.Match[str]) -> str:
    opened, inside, closed = filter(None, found.groups())
    return f"\\{opened}{inside}\\{closed}"


def calls_of(receipt: Receipt) -> str:
    """Return the function calls that an answer asks for, one a line."""
    lines = []
    for call in receipt.tool_calls:
        function = call.get("function")
        function = function if isinstance(function, Mapping) else {}
        lines.append(f"{function.get('name')}({function.get('arguments', '')})")
    return "\n".join(lines)


def take_answer(cursor: Cursor, receipt: Receipt, kind: str, format: str) -> bool:
    """Read the answer of a receipt as its format shows it. True if it stands there, whole."""
    text = receipt.text
    if receipt.tool_calls or not text or format in ("md", "image", "text"):
        return _take_text(cursor, text, kind) and _take_calls(cursor, receipt)
    if kind != PLAIN:
        cursor.skip_space()
        if not any(map(str.strip, forms_of(text, MARKDOWN))):
            return True
    if format == "json":
        return _take_json(cursor, text, kind)
    if format == "code" and kind == MARKDOWN:
        return _take_code(cursor, text)
    if format == "math" and kind in (MARKDOWN, LATEX):
        return _take_formula(cursor, text, kind)
    return _take_text(cursor, text, kind)


def _take_text(cursor: Cursor, text: str, kind: str) -> bool:
    if not text:
        return True
    if kind == PLAIN:
        return cursor.take(*forms_of(text, kind), whole=True)
    cursor.skip_space()
    forms = forms_of(text, kind)
    return cursor.take(*filter(str.strip, forms), whole=True) or not forms[0].strip()


def _take_calls(cursor: Cursor, receipt: Receipt) -> bool:
    calls = calls_of(receipt)
    if not calls:
        return True
    cursor.skip_space()
    return cursor.take(calls, clean(calls), printable(calls), whole=True)


def _take_json(cursor: Cursor, text: str, kind: str) -> bool:
    fenced = _FENCE.fullmatch(text)
    wanted = read_one_json(fenced[1] if fenced else text, repeated=True)
    start = cursor.position
    shown = cursor.json() if wanted else None
    if wanted is not None and shown is not None and shown == wanted[0]:
        return cursor.text[cursor.position : cursor.position + 1] in ("", "\n")
    cursor.position = start
    return _take_text(cursor, text, kind)


def _take_code(cursor: Cursor, text: str) -> bool:
    block = (code_in(text) or [clean(text).strip("\n")])[0]
    seen, start = answer_as_markdown(text), cursor.position
    if block.strip() and not cursor.take(block, block.lstrip(), block.strip(), clean(text).strip("\n"), whole=True):
        return _take_text(cursor, text, MARKDOWN)
    shown = cursor.text[start : cursor.position].strip()
    whole = [_unescaped(one) if cursor.loose else one for one in (seen, clean(text))]
    if block.strip() and shown in map(str.strip, whole):
        return True
    forms = [form for form in forms_of(text, MARKDOWN) if form.strip()]
    cursor.skip_space()
    label = cursor.rest.partition("\n")[0]  # of the whole answer, which is folded
    if is_neutral(label):
        cursor.position += len(label)
        cursor.skip_space()
        if cursor.take(*forms, whole=True) or not seen.strip():
            return True
    cursor.position = start
    return not block.strip() and not seen.strip()


def _take_formula(cursor: Cursor, text: str, kind: str) -> bool:
    fenced = _FENCE.fullmatch(text)
    body = fenced[1] if fenced else text
    start = cursor.position
    block = cursor.rest.partition("\n")[0]
    if _formula(block) in (_formula(body), _formula(text)) and block.strip():
        cursor.position = start + len(block)
        return True
    forms = [one for form in (text, body, _FORMULA.sub("$", body)) for one in forms_of(form, MARKDOWN)]
    forms.append(answer_as_markdown(f"$${body.strip()}$$").strip())  # as Markdown reads what stands in it
    if cursor.take(*filter(str.strip, forms), whole=True):
        return True
    backslash = str.maketrans("", "", "\\*_`")  # Markdown's own reading of a formula is no difference
    if kind == MARKDOWN and _formula(block).translate(backslash) == _formula(body).translate(backslash):
        cursor.position = start + len(block)
        return True
    return not forms[0].strip()


def _formula(text: str) -> str:
    """Return a formula without the marks around it, and without white space."""
    body = _FORMULA.sub("", text)
    return "".join((tex(body) or body.replace("<", r"\lt").replace(">", r"\gt")).split())


def take_result(cursor: Cursor, result: str) -> bool:
    """Read what a function returned; a long one may be cut, and says so."""
    if not result:
        return True
    for form in dict.fromkeys((result, clean(result), clean(result).rstrip("\n"), printable(result))):
        if cursor.take(form, whole=True):
            return True
    for form in (result, clean(result), printable(result)):
        for length in (2_000, 1_000, 500):
            if len(form) > length and cursor.rest.startswith(form[:length]):
                cut = _CUT.match(cursor.text, cursor.position + length)
                if cut:
                    cursor.position = cut.end()
                    return True
    return False


def read_one_json(text: str, *, repeated: bool = False) -> tuple[str, int] | None:
    """Return the compact form of the JSON at the start of a text, and where it ends; None where there is none.

    Args:
        repeated: of names that an object has twice, the last counts; else such JSON is none.
    """

    def pairs(found: Sequence[tuple[str, Any]]) -> dict[str, Any]:
        if not repeated and len(dict(found)) != len(found):
            raise ValueError("a name twice")
        return dict(found)

    bare = text.lstrip()
    skipped = len(text) - len(bare)
    try:
        if repeated:
            value, end = read_json(bare.strip().encode("utf-8", "surrogatepass")), len(bare)
        else:
            value, end = json.JSONDecoder(object_pairs_hook=pairs).raw_decode(bare)
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")), skipped + end
    except (ValueError, RecursionError):
        return None


def blocks_of(text: str) -> Iterator[str]:
    """Return the blocks of visible text: an empty line stands between two."""
    return (block for block in re.split(r"\n\n+", text) if block.strip())
