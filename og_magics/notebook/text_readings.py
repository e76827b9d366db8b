"""Readings of a text: what it says when its escapes, its markup and its layout are undone."""

from __future__ import annotations

import base64
import binascii
import html
import re
import unicodedata
import urllib.parse
from collections.abc import Callable, Iterator

_MOST = 12
"""Readings of one text."""
_ANSI = re.compile(r"(?:\x1b|\\x1b|\\u001b|\\033)\[[0-9;?]*[A-Za-z]", re.IGNORECASE)
_ESCAPE = re.compile(
    r"(?P<bytes>(?:\\x[0-9a-fA-F]{2})+)|(?P<units>(?:\\u[0-9a-fA-F]{4})+)|\\U(?P<wide>[0-9a-fA-F]{8})"
    r"|\\(?P<one>[abfnrtv0'\"\\/])"
)
_TAG = re.compile(r"<[A-Za-z/!?][^<>]*>")
_TARGET = re.compile(r"\]\([^()\s]*\)")
"""Of a Markdown link: whoever renders it shows its text alone."""
_PERCENT = re.compile(r"%[0-9A-Fa-f]{2}")
_BASE64 = re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{24,}={0,2}")
_LARGEST_BASE64 = 2_000_000
_WRAPPED_BASE64 = re.compile(r"[A-Za-z0-9+/=\s]{24,}")
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060-\u2064\ufeff]")
_SPACELESS = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
"""Characters of scripts that put no space between words: each counts as a word."""
_WORD = re.compile(r"[^\W_]+")
_COLUMN = re.compile(r"[|│┃║¦]|\t|[ ]{2,}")
_RULE = re.compile(r"[\s|+=\-_─━═│┃┏┓┗┛┡┩├┤┼┬┴╇┳┻╞╡╪┌┐└┘╭╮╰╯╔╗╚╝╠╣╬╦╩:]*")
_MOST_COLUMNS = 100


def words_of(text: str) -> list[str]:
    """Return the words of a text in one form: no marks, no case, one form of each letter."""
    if not text.isascii():
        text = _INVISIBLE.sub("", unicodedata.normalize("NFKC", text))
        text = _SPACELESS.sub(r" \g<0> ", text)
    return _WORD.findall(text.casefold())


def readings(text: str) -> list[str]:
    """Return a text and its other readings, each once: escapes of Python, JSON and HTML, also one in another;
    without tags, colours and targets of links; what stands in it as base64; the columns of a wrapped table.
    """
    found = [_ANSI.sub("", text)]
    for one in found:  # which grows meanwhile
        for decode in _DECODERS:
            other = decode(one)
            if len(found) < _MOST and other != one and other not in found:
                found.append(other)
    return found + [columns for one in found if (columns := _by_columns(one))]


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(_character, text) if "\\" in text else text


def _character(found: re.Match[str]) -> str:
    if found["bytes"]:
        raw = bytes.fromhex(found["bytes"].replace("\\x", ""))
        try:
            return raw.decode()
        except UnicodeDecodeError:
            return raw.decode("latin-1")
    if found["units"]:
        units = bytes.fromhex(found["units"].replace("\\u", ""))
        return units.decode("utf-16-be", "replace")
    if found["wide"]:
        number = int(found["wide"], 16)
        return chr(number) if number <= 0x10FFFF else " "
    return found["one"] if found["one"] in "'\"\\/" else " "


def _without_tags(text: str) -> str:
    return _TAG.sub(" ", text) if "<" in text else text


def _without_targets(text: str) -> str:
    return _TARGET.sub("]", text) if "](" in text else text


def _unquoted(text: str) -> str:
    return urllib.parse.unquote_plus(text, errors="replace") if _PERCENT.search(text) else text


def _from_base64(text: str) -> str:
    whole = _WRAPPED_BASE64.fullmatch(text) and "\n" in text  # in lines of a fixed length, as MIME has it
    found = _BASE64.finditer("".join(text.split()) if whole else text)
    return "\n".join(filter(None, (_decoded(one.group()) for one in found))) or text


def _decoded(run: str) -> str:
    """Return the text that base64 holds; "" for what holds none."""
    run = run[:_LARGEST_BASE64].rstrip("=").replace("-", "+").replace("_", "/")
    try:
        raw = base64.b64decode(run[: len(run) // 4 * 4] if len(run) % 4 == 1 else run + "=" * (-len(run) % 4))
        text = raw.decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""
    return text if sum(map(str.isprintable, text[:200])) > len(text[:200]) * 0.8 else ""


_DECODERS: tuple[Callable[[str], str], ...] = (
    _without_tags, html.unescape, _unescaped, _without_targets, _unquoted, _from_base64,
)  # fmt: skip


def _by_columns(text: str) -> str:
    """Return the cells of each column one below the other, where lines are divided into columns: a text that a table
    wraps stands together there. "" where nothing is divided.
    """
    if "\n" not in text or not _COLUMN.search(text):
        return ""
    columns: dict[int, list[str]] = {}
    for line in text.splitlines():
        if not _RULE.fullmatch(line):
            for place, cell in enumerate(_cells(line)):
                columns.setdefault(min(place, _MOST_COLUMNS), []).append(cell)
    return "\n\n".join(" ".join(column) for column in columns.values()) if len(columns) > 1 else ""


def _cells(line: str) -> Iterator[str]:
    ruled = re.split(r"[|│┃║¦\t]", line)
    yield from (cell.strip() for cell in (ruled if len(ruled) > 1 else re.split(r" {2,}", line)))
