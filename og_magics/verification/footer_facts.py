"""The facts that stand beside an answer (amounts, counts, hashes, names, marks, links), held against a receipt.

The wording is free: each number, hash, name, mark and link must be explained by a field, and each word must be one of
the field's own words, so that no sentence can be added.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

from ..core.amounts import to_opg
from ..core.gateway_notes import PREPARED
from ..core.networks import NETWORKS, described
from ..core.receipt import Receipt
from .visible_text import LINK_END, LINK_START

_NEUTRAL = frozenset(
    """a about above after again all an and another answer answered answers any are as ask asked asks at batched be been
    before below both broke broken but by call called calls catalogue chain charge charged code complete completion
    completions confirmed cost costs count counted data date did does done each enclave end ended error estimate
    estimated fee first for form from function functions gateway had has hash have hold holds in incomplete input is it
    its json last later latency left link made mode model models money most network no none not nothing now of off
    on one only opg or other out output over paid part pay payer payment pending price prices prompt proof proofs
    received record registered reported request result results round rounds s said second seconds sent settle settlement
    settles several shown signature signed slowest so source spent still sum tee than that the their then there they
    this time to token tokens tok tool total tools transaction tx usd used utc valid verified verify was were whole will
    with without yet html fastest ms sec attestation attested authorization authorized authorised expired found replayed
    recorded replay recording simulated practice prepared devnet local testnet mainnet sepolia base free unpaid settled
    failed fails proven split cut content filter text up max_tokens max key checked
    reached larger limit provider go again refused refuse came words empty
    hardware practice mode details hashes
    invalid missing unsigned private batch hashed individual full x402 usage""".split()
)
_MODES = {"private": "private", "batch": "batch", "batched": "batch", "hashed": "batch", "individual": "individual"}
_NETWORKS = {
    word: [one.name for one in NETWORKS.values() if word in one.words]
    for word in {word for one in NETWORKS.values() for word in one.words}
}
_GOOD, _BAD = "✓✔✅☑", "✗✘❌"
_PUNCTUATION = frozenset(" \n\t·•,;:()+~$…→↗─-–—.↻|/?!'\"_=<>" + _GOOD + _BAD)
_NEGATIONS = frozenset(("no", "not", "none", "nothing", "never", "without", "missing", "unsigned", "unpaid", "free"))
_PROOF = frozenset(
    ("enclave", "proof", "proofs", "proven", "tee", "attestation", "attested", "signature", "verified", "valid")
)
_ATTESTED = frozenset(("attested", "attestation"))
_TOKENS = frozenset(("tokens", "token", "tok", "prompt", "completion", "in", "out", "input", "output"))
_PENDING = frozenset(("later", "will", "pending", "settles", "yet", "authorized", "authorised"))

_SEGMENTS = re.compile(r"[·•;|\n]+|,(?!\d)|──+")
_DATE = re.compile(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d)(:\d\d)?")
_HASH = re.compile(r"\b0x(\w+)(…?)")
_LINK = re.compile(f"{LINK_START}([^{LINK_END}]*){LINK_END}")
_NUMBER = re.compile(
    r"(?P<usd>\$\s?)?(?P<number>\d[\d,]*(?:\.\d+)?)(?:\s?(?P<unit>tokens/s|OPG|USD|ms|seconds|sec|s)\b)?", re.I
)
_WORD = re.compile(r"[^\W\d_]+(?:\d+)?")
_PAIR = re.compile(r"\d[\d,]*\s*\+\s*\d")


@dataclass
class Facts:
    """The values that may stand beside an answer, and the statements that are true of it.

    Attributes:
        names: texts that stand for themselves: the model's name.
        hashes: of which a beginning may be shown.
        tokens: of prompt and completion, None where not reported.
        opg, usd, seconds, counts, times: amounts, durations, numbers of calls or models, unix seconds.
        maker: who made the answer, by the gateway's note: `PREPARED`, a name that may be shown, or "".
        speeds: tokens a second.
        settlement, network, status, enclave_ok, replayed, paid: as in the receipt. attested: it names an attestation.
        marks: what a mark without a word about a proof says: an answer is complete (True) or not.
    """

    names: Sequence[str] = ()
    hashes: Sequence[str] = ()
    tokens: tuple[int | None, int | None] = (None, None)
    opg: Sequence[Decimal] = ()
    usd: Sequence[Decimal] = ()
    seconds: Sequence[float] = ()
    speeds: Sequence[float] = ()
    counts: Sequence[int] = ()
    times: Sequence[float] = ()
    settlement: str = ""
    network: str = ""
    maker: str = ""
    status: str = ""
    enclave_ok: bool | None = None
    attested: bool = False
    replayed: bool = False
    paid: str | None = None
    authorized: str | None = None
    marks: bool | None = None
    required: bool = True


@dataclass
class Findings:
    """Statements that no field explains.

    Attributes:
        wrong: a number, hash, name, mark, statement or link that differs from the receipt's, or is missing.
        more: words of which the receipt holds nothing.
        stated: kinds of facts that the text states. tokens: the numbers of tokens that it states.
    """

    wrong: list[str] = field(default_factory=list)
    more: list[str] = field(default_factory=list)
    stated: set[str] = field(default_factory=set)
    tokens: list[int] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.wrong or self.more)


def facts_of(receipts: Sequence[Receipt], *, named: bool = True) -> Facts:
    """Return the facts of one call, or of the calls of a turn together.

    Args:
        named: the model's name must be shown.
    """
    last = receipts[-1]
    prices = [one.usd for one in receipts]
    costs = [one.cost for one in receipts]
    known = [price for price in prices if price is not None]
    paid = [cost for cost in costs if cost is not None]
    verdicts = {one.enclave_ok for one in receipts}
    return Facts(
        names=[last.model] if named else [],
        hashes=[
            one
            for one in (last.payment_hash, last.authorization_hash, last.request_hash, last.output_hash, last.tee_id)
            if one
        ]
        + [one.paid_by.partition(" ")[0] for one in receipts if one.paid_by],
        tokens=(_sum([one.prompt_tokens for one in receipts]), _sum([one.completion_tokens for one in receipts])),
        opg=[to_opg(sum(paid))] if len(paid) == len(costs) else [],
        usd=[sum(known, Decimal(0))] if len(known) == len(prices) else [],
        seconds=[value for value in (last.latency_s, last.ttft_s, _added(receipts)) if value is not None],
        counts=[len(receipts)] if len(receipts) > 1 else [],
        times=[last.time],
        settlement=last.settlement if described(last.network).paid else "",
        network=last.network,
        maker=last.gateway_notes.get("answered_by", ""),
        status=last.status,
        enclave_ok=False if False in verdicts else None if None in verdicts else True,
        attested=all(one.attestation_hash for one in receipts),
        replayed=last.replayed,
        paid=last.payment_hash,
        authorized=last.authorization_hash,
    )


def findings(text: str, facts: Facts) -> Findings:
    """Hold visible text beside an answer against the facts."""
    found = Findings()
    if hidden := [c for c in text if c not in f"\n\t{LINK_START}{LINK_END}" and unicodedata.category(c)[0] == "C"]:
        found.wrong.append(f"an invisible character, U+{ord(hidden[0]):04X}")
    text = _LINK.sub(lambda link: _link(link[1], facts, found), text)
    text = _without_names(text, facts, found)
    text = _DATE.sub(lambda date: _date(date, facts, found), text)
    text = _HASH.sub(lambda hash: _hash(hash, facts, found), text)
    for segment in _SEGMENTS.split(text):
        _segment(segment, facts, found)
    if facts.required:
        found.wrong += [f"{missing} is not shown" for missing in _missing(facts, found)]
    return found


def is_neutral(text: str) -> bool:
    """Return True if a text has no number, name or sign, and only words of the field."""
    return (
        not any(c.isdigit() for c in text)
        and all(c.isalpha() or c in _PUNCTUATION for c in text)
        and all(word.lower() in _NEUTRAL for word in _WORD.findall(text))
    )


def flat(text: str) -> str:
    """Return a text on one line, without characters that nobody sees."""
    line = " ".join(text.split())
    return "".join(c for c in line if c.isprintable() or unicodedata.category(c) == "Zs")


def _without_names(text: str, facts: Facts, found: Findings) -> str:
    for name in facts.names:
        for form in (name, flat(name)):
            place = text.find(form) if form else -1
            if place >= 0 and not _inside_word(text, place, place + len(form)):
                text = f"{text[:place]} {text[place + len(form) :]}"
                found.stated.add("name")
                break
        else:
            for limit in (199, 599):
                if len(flat(name)) > limit and (cut := flat(name)[:limit] + "…") in text:
                    text = text.replace(cut, " ", 1)
                    found.stated.add("name")
    if facts.maker not in ("", PREPARED):
        text = text.replace(f"answered by {facts.maker}", "answered", 1)
    if facts.settlement and facts.settlement not in _MODES.values() and flat(facts.settlement) in flat(text):
        text = text.replace(facts.settlement, " ", 1)
        found.stated.add("settlement")
    return text


def _inside_word(text: str, start: int, end: int) -> bool:
    before, after = text[start - 1 : start] if start else "", text[end : end + 1]
    return any(c.isalnum() or c in "-_/." for c in (before, after) if c) and not (
        after == "." and not text[end + 1 : end + 2].isalnum() and not before.strip()
    )


def _link(target: str, facts: Facts, found: Findings) -> str:
    page = re.fullmatch(r"https?://[^\s/@\\?#]+(/[^\s@\\]*)", target, re.I)
    hash = facts.paid
    if page is None or not hash or not page[1].endswith(hash) or page[1][-len(hash) - 1] not in "/=":
        found.wrong.append(f"a link to {ascii(target)[1:-1][:60]}")
    return " "


def _date(date: re.Match[str], facts: Facts, found: Findings) -> str:
    shown = f"{date[1]} {date[2]}{date[3] or ''}"
    form = "%Y-%m-%d %H:%M:%S" if date[3] else "%Y-%m-%d %H:%M"
    if shown not in [datetime.fromtimestamp(time, UTC).strftime(form) for time in facts.times]:
        found.wrong.append(f"the time {shown}")
    return " "


def _hash(hash: re.Match[str], facts: Facts, found: Findings) -> str:
    shown = f"0x{hash[1]}"
    same = [one for one in facts.hashes if one == shown or (hash[2] and len(shown) >= 10 and one.startswith(shown))]
    if not same:
        found.wrong.append(f"the hash {shown[:20]}")
    found.stated |= {"hash"} if {facts.paid, facts.authorized} & set(same) else set()
    if facts.paid in same:
        return "\x02"
    return "\x01"  # a hash that is no payment's


def _segment(segment: str, facts: Facts, found: Findings) -> None:
    words = {word.lower() for word in _WORD.findall(segment.replace("_", " "))}
    spoken = segment.replace("\x01", " ").replace("\x02", " ")
    _numbers(spoken, words, facts, found)
    bare = _NUMBER.sub(" ", spoken)
    if unknown := [c for c in bare if not c.isalpha() and c not in _PUNCTUATION and not c.isspace()]:
        found.wrong.append(f"the sign {unknown[0]}")
    for word in _WORD.findall(bare.replace("_", " ")):
        if word.lower() not in _NEUTRAL:
            found.more.append(word[:40])
    found.wrong += list(_false_statements(segment, words, facts, found.stated))


def _numbers(segment: str, words: set[str], facts: Facts, found: Findings) -> None:
    tokens: list[int] = []
    for one in _NUMBER.finditer(segment):
        before = segment[: one.start()][-1:]
        if before.isalpha() or before in ("-", "/", ".", "−", "_"):
            found.wrong.append(f"{before}{one['number']}")
            continue
        value, unit = Decimal(one["number"].replace(",", "")), (one["unit"] or "").lower()
        places = len(one["number"].partition(".")[2])
        if one["usd"] or unit == "usd":
            good = _rounded(value, places, facts.usd)
        elif unit == "opg":
            good = _rounded(value, places, facts.opg)
        elif unit == "tokens/s":
            good = _rounded(value, places, [Decimal(str(one)) for one in facts.speeds])
        elif unit == "ms":
            good = _rounded(value, places, [Decimal(str(one * 1000)) for one in facts.seconds])
        elif unit:
            good = _rounded(value, places, [Decimal(str(one)) for one in facts.seconds])
        elif words & _TOKENS:
            tokens.append(int(value))
            good = not places and value in [*facts.tokens, _sum(facts.tokens)]
        else:
            good = value in facts.counts
        if not good:
            found.wrong.append(f"{one.group().strip()}")
    both = [one for one in facts.tokens if one is not None]
    if tokens and _PAIR.search(segment) and tokens != both:
        found.wrong.append("the numbers of tokens")
    found.tokens += tokens
    if found.tokens in (both, [sum(both)]):
        found.stated.add("tokens")


def _rounded(value: Decimal, places: int, exact: Sequence[Decimal]) -> bool:
    return any(abs(value - one) <= Decimal(5).scaleb(-places - 1) for one in exact)


def _false_statements(segment: str, words: set[str], facts: Facts, stated: set[str]) -> Iterator[str]:
    negated = bool(words & _NEGATIONS)
    yield from _false_marks(segment, words, facts, stated)
    if words & {"tokens", "token"} and negated:
        stated.add("tokens")
        if None not in facts.tokens:
            yield "the numbers of tokens"
    stated |= {"settlement"} if words & _MODES.keys() else set()
    if any(_MODES[word] != facts.settlement for word in words & _MODES.keys()) or (
        "full" in words and facts.settlement != "individual"
    ):
        yield "the settlement mode"
    for word in words & _NETWORKS.keys():
        stated.add("network")
        if facts.network not in _NETWORKS[word]:
            yield f"the network, {word}"
    if "prepared" in words:
        stated.add("prepared")
        if facts.maker != PREPARED or negated:
            yield "that the answer was prepared"
    if "expired" in words and facts.status != "expired":
        yield "that the authorization expired"
    if words & {"replayed", "recorded", "replay", "recording"}:
        stated.add("replayed")
        if facts.replayed is negated:
            yield "that it was replayed"
    yield from _false_payments(segment, words, facts, negated=negated)


def _false_marks(segment: str, words: set[str], facts: Facts, stated: set[str]) -> Iterator[str]:
    """Check the marks of a segment, and what its words say about the enclave's proof."""
    negated = bool(words & _NEGATIONS)
    good, bad = any(c in segment for c in _GOOD), any(c in segment for c in _BAD)
    if sum(c in _GOOD + _BAD for c in segment) > 1:
        yield "a mark more than once"
    if words & _ATTESTED and not words & (_PROOF - _ATTESTED):
        if negated is facts.attested or good or bad:
            yield "the statement about the hardware's attestation"
    elif words == {"enclave"} and "\x01" in segment and not good and not bad:
        return  # its id, of which nothing is said
    elif words & _PROOF or words & {"hold", "holds"}:
        states: set[bool | None] = {True}
        if bad or words & {"failed", "fails", "invalid"} or (negated and words & {"hold", "holds"}):
            states = {False}
        elif negated:
            states = {False, None} if words & {"verified", "proven", "valid", "attested"} else {None}
        if (bad and good) or (good and negated) or facts.enclave_ok not in states:
            yield "the statement about the enclave's proof"
        stated.add("proof")
    elif (good or bad) and (facts.marks is None or good is not facts.marks or bad is facts.marks):
        yield "a mark"


def _false_payments(segment: str, words: set[str], facts: Facts, *, negated: bool) -> Iterator[str]:
    if "pending" in words and not facts.authorized and not facts.paid:
        yield "that a payment is pending"
    if not words & {"paid", "settled", "unpaid", "free", "charged"}:
        return
    if "found" in words:
        if facts.status != "paid" and not facts.paid:  # a payment may have been found since
            yield "that its transaction was not found"
        return
    if negated:
        if facts.paid and not facts.replayed:
            yield "that nothing was paid"
        if facts.authorized and not facts.replayed and facts.status != "expired":
            yield "that nothing was paid"
    elif (not facts.paid and not words & _PENDING) or ("\x01" in segment and not words & _PENDING):
        yield "that it was paid"


def _missing(facts: Facts, found: Findings) -> Iterator[str]:
    stated = found.stated
    if facts.names and "name" not in stated:
        yield "the model"
    if "proof" not in stated:
        yield "whether the enclave's proof holds"
    if facts.settlement and "settlement" not in stated:
        yield "the settlement mode"
    if None not in facts.tokens and "tokens" not in stated:
        yield "the number of tokens"
    if (facts.paid or facts.authorized) and "hash" not in stated and not any("hash" in one for one in found.wrong):
        yield "the hash of the payment"
    if facts.replayed and "replayed" not in stated:
        yield "that it was replayed"
    if described(facts.network).local and "network" not in stated:
        yield "that the network is a simulated one"
    if facts.maker == PREPARED and "prepared" not in stated:
        yield "that the answer was prepared"


def _added(receipts: Sequence[Receipt]) -> float | None:
    times = [one.latency_s for one in receipts if one.latency_s is not None]
    return sum(times) if len(times) == len(receipts) else None


def _sum(values: Sequence[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None
