"""Pictures that go along with a prompt, as `data:` URIs: files, variables, and those of earlier answers."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..core.errors import ConfigError

MOST_BYTES = 14_000_000
"""Of all pictures of a request together: in base64, more would be over the 20 MiB that gateways take."""

_KINDS = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpeg", b"GIF8": "gif"}


def content_with_images(prompt: str, images: Any, names: Mapping[str, Any]) -> str | list[dict[str, Any]]:
    """Return the content of a message: the prompt, or a list of it and the pictures.

    Args:
        images: files or names of variables, with commas; or bytes, a path, an IPython image, an answer, or a list.
        names: the notebook's variables.

    Raises:
        ConfigError: a file that cannot be read or is no picture, or too many bytes.
    """
    uris = _uris(images, names)
    if not uris:
        return prompt
    if sum(map(len, uris)) > MOST_BYTES * 4 // 3:
        raise ConfigError(
            f"The pictures have more than {MOST_BYTES // 1_000_000} MB, over what gateways take.",
            remedy="Make them smaller, or send fewer.",
        )
    return [{"type": "text", "text": prompt}, *({"type": "image_url", "image_url": {"url": uri}} for uri in uris)]


def _uris(images: Any, names: Mapping[str, Any]) -> list[str]:
    if images is None:
        return []
    if isinstance(images, str) and images.startswith("data:image/"):
        return [images]
    if isinstance(images, str):
        words = filter(None, map(str.strip, images.split(",")))
        # A variable's text is a file or a data: URI, and not another variable's name.
        return [uri for word in words for uri in (_uris(names[word], {}) if word in names else [_of_file(word)])]
    if isinstance(images, (list, tuple)):
        return [uri for one in images for uri in _uris(one, names)]
    if isinstance(images, os.PathLike):
        return [_of_file(images)]
    held = getattr(images, "images", None) or getattr(images, "data", None)
    if isinstance(held, list):
        return _uris(held, {})
    data = images if isinstance(images, (bytes, bytearray)) else held
    if not isinstance(data, (bytes, bytearray)):
        raise ConfigError(
            f"A {type(images).__name__} is no picture.", remedy="Give a file, bytes, an IPython image or an answer."
        )
    return [_uri(bytes(data), "The picture")]


def _of_file(path: str | os.PathLike[str]) -> str:
    file = Path(path).expanduser()
    try:
        with file.open("rb") as opened:
            data = opened.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a path"
        raise ConfigError(f"The picture {str(path)!r} cannot be read: {reason}.", remedy="Name a file.") from None
    return _uri(data, f"The file {str(path)!r}")


def _uri(data: bytes, what: str) -> str:
    if len(data) > MOST_BYTES:
        raise ConfigError(f"{what} has more than {MOST_BYTES // 1_000_000} MB.", remedy="Make it smaller.")
    kind = next((kind for start, kind in _KINDS.items() if data.startswith(start)), "")
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        kind = "webp"
    if not kind:
        raise ConfigError(f"{what} is no picture.", remedy="Give a PNG, a JPEG, a WebP or a GIF.")
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
