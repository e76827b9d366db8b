"""Sources and moderation that a gateway adds beside an answer: a stranger's words."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from og_magics.core.gateway_notes import citations_of, gateway_notes, moderation_of, note_lines, read_notes

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["title", "url", "published_date", "x"]), inner),
)
SOURCE = st.fixed_dictionaries({}, optional={
    "title": JSON, "url": st.text().map(lambda text: f"https://a.org/{text}") | JSON, "published_date": JSON,
})  # fmt: skip


@given(JSON | st.lists(SOURCE | JSON))
def test_whatever_comes_what_is_kept_is_bounded_and_drives_no_terminal(value):
    found = citations_of(value)
    assert len(found) <= 20
    for source in found:
        assert set(source) <= {"title", "url", "published_date"}
        assert source["url"].startswith(("http://", "https://"))
        assert all(text.isprintable() and 0 < len(text) <= 2100 for text in source.values())


def test_a_source_is_kept_as_it_is_and_one_without_a_page_is_left_out():
    good = {"title": "Über x402", "url": "https://a.org/b?c=d#e", "published_date": "2026-11-01"}
    bad = [{"url": "javascript:alert(1)"}, {"url": "https://a.org/\x1b]52;c;aGk=\x07"}, {"title": "none"}, "text", None]
    assert citations_of([good, *bad]) == [good]
    assert citations_of([{"title": "a\x1b[31m\nb", "url": "http://a"}]) == [{"title": "a[31m b", "url": "http://a"}]
    assert citations_of([{"url": "http://a"}]) == [{"title": "http://a", "url": "http://a"}]


@given(JSON | st.fixed_dictionaries({}, optional={"flagged": JSON, "blocked": JSON, "categories": JSON}))
def test_a_moderation_of_any_form_is_one_short_line(value):
    found = moderation_of(value)
    assert len(found) <= 200
    assert found.isprintable()


def test_a_moderation_that_found_nothing_says_nothing():
    for value in (None, {}, {"flagged": False, "categories": {"violence": False}}, {"categories": []}, "", [], 1):
        assert moderation_of(value) == ""
    assert moderation_of({"flagged": True, "categories": {"violence": True, "hate": False}}) == "flagged: violence"
    assert moderation_of({"flagged": True, "blocked": True}) == "flagged and blocked"
    assert moderation_of({"categories": ["self-harm", 3, "a\nb"]}) == "flagged: self-harm, a b"
    headers = {"X-Moderation-Flagged": "true", "X-Moderation-Categories": "violence, hate"}
    assert gateway_notes({}, headers) == {"moderation": "flagged: violence, hate"}
    assert gateway_notes({}, {"X-Moderation-Flagged": "false"}) == {}


@given(JSON | st.dictionaries(st.sampled_from(["citations", "moderation"]), JSON | st.lists(SOURCE)))
@example({"moderation": "0\r\x08"})
@example({"moderation": 199 * "a" + " b"})
def test_notes_of_a_file_are_read_in_their_form_and_shown_in_short_lines(value):
    notes = read_notes(value)
    assert set(notes) <= {"citations", "moderation"}
    assert read_notes(notes) == notes
    lines = note_lines(notes)
    assert len(lines) <= 22
    assert all(line.isprintable() and len(line) <= 400 for line in lines)
