"""Finding seed phrases: words of a BIP-39 list in a row, whose last bits are the checksum of the others."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

_LENGTHS = (24, 21, 18, 15, 12)
"""Words of a phrase."""
_WORD = re.compile(r"[^\W\d_]+(?:[\u0300-\u036f]+[^\W\d_]*)*")
_BETWEEN = re.compile(r"[\s\d.,;:|/\\\"'()\[\]{}*_#-]{1,24}")
"""May stand between two words: a line of a list, with its number and quotation marks."""
_LEAST = _LENGTHS[-1]


def seed_phrases(text: str) -> Iterator[tuple[int, int]]:
    """Yield the place of each seed phrase in a text."""
    if len(text) < _LEAST * 2:
        return
    numbers = _numbers()
    run: list[tuple[re.Match[str], dict[str, int]]] = []
    for word in _WORD.finditer(text):
        known = numbers.get(_plain(word.group()))
        if run and (known is None or not _BETWEEN.fullmatch(text, run[-1][0].end(), word.start())):
            yield from _in_run(run)
            run = []
        if known is not None:
            run.append((word, known))
    yield from _in_run(run)


def _in_run(run: list[tuple[re.Match[str], dict[str, int]]]) -> Iterator[tuple[int, int]]:
    at = 0
    while at + _LEAST <= len(run):
        for length in _LENGTHS:
            if at + length <= len(run) and _is_phrase([known for _, known in run[at : at + length]]):
                yield run[at][0].start(), run[at + length - 1][0].end()
                at += length
                break
        else:
            at += 1


def _is_phrase(words: list[dict[str, int]]) -> bool:
    """Return True where the words are of one language, and the checksum holds."""
    for language in words[0]:
        held = [word[language] for word in words if language in word]
        if len(held) == len(words) and _checksum_holds(held):
            return True
    return False


def _checksum_holds(numbers: list[int]) -> bool:
    whole = 0
    for number in numbers:
        whole = whole << 11 | number
    bits = len(numbers) * 11
    check = bits // 33
    entropy = (whole >> check).to_bytes((bits - check) // 8, "big")
    return hashlib.sha256(entropy).digest()[0] >> (8 - check) == whole & ((1 << check) - 1)


def _plain(word: str) -> str:
    return word.lower() if word.isascii() else unicodedata.normalize("NFKD", word).casefold()


@functools.cache
def _numbers() -> dict[str, dict[str, int]]:
    """Return the number of each word in each language that has it, from the lists that come with eth-account."""
    found = importlib.util.find_spec("eth_account")  # without importing it, which takes a while
    numbers: dict[str, dict[str, int]] = {}
    if found is None or found.origin is None:
        return numbers
    for path in sorted(Path(found.origin).parent.glob("hdaccount/wordlist/*.txt")):
        for number, word in enumerate(path.read_text(encoding="utf-8").split()):
            numbers.setdefault(_plain(word), {})[path.stem] = number
    return numbers
