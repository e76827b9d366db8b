"""Sources that a gateway names: a stranger's words."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from og_magics.core.citations import citations_of

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
