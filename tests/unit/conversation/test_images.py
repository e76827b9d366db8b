"""Pictures that go along with a prompt."""

from __future__ import annotations

import base64
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from og_magics.conversation.images import MOST_BYTES, content_with_images
from og_magics.core.errors import ConfigError

PNG = b"\x89PNG\r\n\x1a\n rest"
URI = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"


def uris(images, **names):
    content = content_with_images("Draw it.", images, names)
    assert content[0] == {"type": "text", "text": "Draw it."}
    return [part["image_url"]["url"] for part in content[1:]]


def test_a_picture_is_a_file_a_variable_bytes_an_image_or_an_earlier_answer(tmp_path):
    file = tmp_path / "a.png"
    file.write_bytes(PNG)
    for given_ in (str(file), file, PNG, URI, [PNG], SimpleNamespace(data=PNG), SimpleNamespace(images=[URI])):
        assert uris(given_) == [URI]
    assert uris(f"x, {file}", x=[PNG, URI]) == [URI, URI, URI]
    assert uris("x", x=str(file)) == [URI]


@pytest.mark.parametrize("none", [None, "", [], ()])
def test_without_pictures_the_prompt_is_all(none):
    assert content_with_images("Hello", none, {}) == "Hello"


@pytest.mark.parametrize(
    ("data", "kind"), [(b"\xff\xd8\xff\xe0", "jpeg"), (b"GIF89a", "gif"), (b"RIFF\0\0\0\0WEBPVP8 ", "webp")]
)
def test_its_kind_is_read_from_its_bytes(data, kind):
    assert uris(data)[0].startswith(f"data:image/{kind};base64,")


@pytest.mark.parametrize("wrong", ["nowhere.png", "a\0b", b"", b"<svg/>", 5, SimpleNamespace(data=None), "x"])
def test_what_is_no_picture_is_refused(wrong):
    with pytest.raises(ConfigError):
        uris(wrong, x="x")


@given(st.binary(max_size=40))
def test_bytes_are_sent_whole_or_refused(data):
    try:
        (uri,) = uris(data)
    except ConfigError:
        return
    assert base64.b64decode(uri.partition(",")[2]) == data


def test_too_many_bytes_are_refused(tmp_path):
    half = PNG.ljust(MOST_BYTES // 2 + 1, b"\0")
    assert uris(half)
    with pytest.raises(ConfigError, match="14 MB"):
        uris([half, half])
    with pytest.raises(ConfigError, match="14 MB"):
        uris(PNG.ljust(MOST_BYTES + 1, b"\0"))
