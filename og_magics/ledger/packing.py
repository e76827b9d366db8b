"""Compression of what a ledger's file repeats: entries of the journal, and long texts of receipts that have ended.

What many of them have in common (names of columns, a prompt's unchanging part) stands in a dictionary, a row of its
own that is made now and then of what was written last, and is never changed. A packed value is bytes, where a plain one
is text: a mark, the number of its dictionary (0: none), and what zlib made of it. Of a value that cannot be unpacked
the bytes are returned, which nobody takes for what was written. A server compresses for itself, and gets texts.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from .database import Connection, known_in

TABLE = "CREATE TABLE IF NOT EXISTS dictionaries (id INTEGER PRIMARY KEY, content BLOB NOT NULL)"

PLAIN = 64
"""Entries at the beginning of a journal that are never packed: the first dictionary is made of them."""
_BLOCK = 1024
"""Entries after which another dictionary is made."""
_LONG = 256
"""Characters of a text that is worth packing without a dictionary."""
_SAMPLE, _TEXT = 9, 3000
"""Entries that a dictionary is made of; and characters of each of the texts beside them."""
_LARGEST = 512 << 20
"""Bytes of an unpacked value."""
_MARK = b"\x01"
_LEVEL = 6


class Unpacker:
    """Reads packed values of one connection; dictionaries are read once."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._dictionaries: dict[int, bytes] = {}

    def text(self, value: Any) -> Any:
        """Return the text of a packed value; any other value, and bytes that are none, as they are."""
        if not isinstance(value, bytes) or value[:1] != _MARK:
            return value
        try:
            inflate = zlib.decompressobj(zdict=self._dictionary(int.from_bytes(value[1:4], "big")))
            found = inflate.decompress(value[4:], _LARGEST)
            return found.decode() if inflate.eof and not inflate.unused_data else value
        except (zlib.error, UnicodeDecodeError):
            return value

    def hash(self, value: Any) -> Any:
        """Return the hex digits of a hash that is held as bytes; any other value as it is."""
        return value.hex() if isinstance(value, bytes) and len(value) == 32 else value

    def _dictionary(self, number: int) -> bytes:
        if (known := known_in(self._connection).dictionaries.get(number)) is not None:
            return known
        if number not in self._dictionaries:
            row = self._connection.execute("SELECT content FROM dictionaries WHERE id = ?", (number,)).fetchone()
            content = b"" if row is None else row[0]
            self._dictionaries[number] = content if isinstance(content, bytes) else b""
        return self._dictionaries[number]


def packed_entry(connection: Connection, seq: int, body: str, hashes: tuple[str, str]) -> tuple[Any, Any, Any]:
    """Return an entry's body and its two hashes as a file holds them, within the transaction that writes it."""
    if seq <= PLAIN or not isinstance(connection, sqlite3.Connection):
        return body, *hashes
    number = seq // _BLOCK + 1
    known = known_in(connection).dictionaries
    dictionary = known.get(number)
    if dictionary is None:
        found = connection.execute("SELECT content FROM dictionaries WHERE id = ?", (number,)).fetchone()
        dictionary = known[number] = found[0] if found is not None else _new_dictionary(connection, number)
    return _packed(body, number, dictionary), bytes.fromhex(hashes[0]), bytes.fromhex(hashes[1])


def packed_text(connection: Connection, text: Any) -> Any:
    """Return a text as a file holds it; a short one, or what is no text, as it is."""
    if not isinstance(text, str) or len(text) < _LONG or not isinstance(connection, sqlite3.Connection):
        return text
    known = known_in(connection).dictionaries
    if not known:
        last = connection.execute("SELECT id, content FROM dictionaries ORDER BY id DESC LIMIT 1").fetchone()
        known[0 if last is None else last[0]] = b"" if last is None else last[1]
    number, dictionary = max(known.items())
    packed = _packed(text, number, dictionary)
    return packed if len(packed) < len(text.encode("utf-8", "surrogatepass")) else text


def _packed(text: str, number: int, dictionary: bytes) -> bytes | str:
    try:
        content = text.encode()
    except UnicodeEncodeError:  # half a character: it stays as it is
        return text
    deflate = _compressor(dictionary).copy()
    return _MARK + number.to_bytes(3, "big") + deflate.compress(content) + deflate.flush()


@lru_cache(maxsize=4)
def _compressor(dictionary: bytes) -> zlib._Compress:
    """Return a compressor that has read the dictionary, to be copied: to read it takes longer than most entries do."""
    return zlib.compressobj(_LEVEL, zlib.DEFLATED, 15, zlib.DEF_MEM_LEVEL, zlib.Z_DEFAULT_STRATEGY, dictionary)


def _new_dictionary(connection: Connection, number: int) -> bytes:
    """Make a dictionary of what was written last; what is likeliest to be met again stands at its end."""
    unpack = Unpacker(connection)
    texts = connection.execute(
        "SELECT request, text FROM receipts WHERE ended IS NOT NULL ORDER BY rowid DESC LIMIT 2"
    ).fetchall()
    bodies = connection.execute("SELECT body FROM journal ORDER BY seq DESC LIMIT ?", (_SAMPLE,)).fetchall()
    parts = [unpack.text(value) for row in reversed(texts) for value in (row["text"], row["request"])]
    parts = [part[:_TEXT] for part in parts if isinstance(part, str)]
    parts += [part for row in reversed(bodies) if isinstance(part := unpack.text(row["body"]), str)]
    content = "".join(parts).encode("utf-8", "replace")[-32_000:]
    connection.execute("INSERT INTO dictionaries (id, content) VALUES (?, ?)", (number, content))
    return content


def entries(connection: Connection, where: str = "1 = 1", parameters: tuple[Any, ...] = ()) -> Iterator[dict[str, Any]]:
    """Yield the journal's entries as they were written, in order: `seq`, `time`, `kind`, `body`, `previous`, `hash`."""
    unpack = Unpacker(connection)
    cursor = connection.execute(
        f"SELECT seq, time, kind, body, previous, hash FROM journal WHERE {where} ORDER BY seq",  # noqa: S608 - our own
        parameters,
    )
    cursor.row_factory = None
    for seq, time, kind, body, previous, hash in cursor:
        yield {
            "seq": seq, "time": time, "kind": kind, "body": unpack.text(body), "previous": unpack.hash(previous),
            "hash": unpack.hash(hash),
        }  # fmt: skip
