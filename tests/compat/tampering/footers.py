"""Changes of the line below an answer, and of what a reader does not see."""

from __future__ import annotations

import re

from og_magics.core.receipt import MIME

from .notebook import (
    Change,
    Notebook,
    data_of,
    other_answer,
    parts,
    replaced,
)

_NUMBER = re.compile(r"\d+(?= tokens)|\d+(?= more)|(?<=\+ )\d+")
_AMOUNT = re.compile(r"(?<=[\d.])\d(?= OPG)|(?<=\$0\.\d\d\d)\d")
_HASH = re.compile(r"0x[0-9a-f]{8}")


def _footer_of_another(content: Notebook, place: int) -> set[int] | None:
    other = other_answer(content, place)
    if other is None or "columns" in data_of(content, place)[MIME]:
        return None
    one, two = data_of(content, place), data_of(content, other)
    if one["text/plain"].split("\n\n")[-1] == two["text/plain"].split("\n\n")[-1]:
        return None
    for kind in ("text/markdown", "text/plain"):
        if kind in one and kind in two:
            one[kind] = parts(one[kind])[0] + parts(two[kind])[1]
    return {place}


def _wrapped(tag: str) -> Change:
    """Text that a reader does not see, in the footer of the representation that a front end prefers."""

    def change(content: Notebook, place: int) -> set[int] | None:
        data = data_of(content, place)
        kind = next((one for one in ("text/html", "text/markdown") if one in data), None)
        if kind is None:
            return None
        data[kind] = data[kind].replace("</small>", f"{tag}</small>", 1).replace("</sub>", f"{tag}</sub>", 1)
        return {place}

    return change


FOOTERS: dict[str, Change] = {
    "footer: tokens": replaced(_NUMBER, "999", footer=True),
    "footer: amount": replaced(_AMOUNT, lambda one: str((int(one[0]) + 5) % 10), footer=True),
    "footer: unit": replaced(" OPG", " USD", footer=True),
    "footer: hash": replaced(_HASH, "0xdeadbeef", footer=True),
    "footer: model": replaced(re.compile(r"(?:openai|anthropic|google)/\S+"), "openai/gpt-6", footer=True),
    "footer: settlement mode": replaced(
        re.compile("BATCH_HASHED|PRIVATE|INDIVIDUAL_FULL"),
        lambda one: "PRIVATE" if one[0] != "PRIVATE" else "INDIVIDUAL_FULL",
        footer=True,
    ),
    "footer: mark": replaced("proof ✓", "proof ✗", footer=True),
    "footer: a mark added": replaced("proof ✓", "proof ✓ ✅ audited", footer=True),
    "footer: a proof claimed": replaced("proof: none", "proof ✓", footer=True),
    "footer: simulated left out": replaced(" · devnet, simulated", "", footer=True),
    "footer: replayed left out": replaced(re.compile(r" · replayed: [^<]*"), "", footer=True),
    "footer: replayed claimed": replaced(re.compile(r"simulated(?! · replayed)"), "simulated · replayed", footer=True),
    "footer: another time": replaced(re.compile(r"20\d\d-\d\d-\d\d"), "2020-01-01", footer=True),
    "footer: a link added": _wrapped(' <a href="https://evil.example">paid</a>'),
    "footer: a sentence added": replaced("simulated", "simulated, refunded by our bank", footer=True),
    "footer: of another cell": _footer_of_another,
    "hidden: a comment": _wrapped("<!-- approved -->"),
    "hidden: display:none": _wrapped('<span style="display:none">approved</span>'),
    "hidden: white on white": _wrapped('<span style="color:#fff;background:#fff">approved</span>'),
    "hidden: an attribute": _wrapped("<span hidden>approved</span>"),
    "hidden: an unknown tag": _wrapped("<template>approved</template>"),
    "hidden: a zero-width character": _wrapped("\u200b"),
}
