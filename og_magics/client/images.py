"""Options and reference images of image models, checked before anything is paid, by what the catalogue knows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..core.errors import ConfigError
from ..core.models import known_model, offered

_RATIO = re.compile(r"[1-9]\d?:[1-9]\d?")
_OPTIONS = ("aspect_ratio", "resolution")


def check_images(model: str, body: dict[str, Any]) -> None:
    """Check a body's image options and reference images; an aspect ratio "auto" is left out, which means the same.

    Of a model that the catalogue does not have, the gateway is the judge.

    Raises:
        ConfigError: an option that the model does not have, or images that it does not take.
    """
    if body.get("aspect_ratio") == "auto":
        del body["aspect_ratio"]
    row = known_model(model)
    if row is not None and not row.draws:
        for option in _OPTIONS:
            if option in body:
                drawing = [id for id in offered() if (one := known_model(id)) is not None and one.draws]
                raise ConfigError(
                    f"{model} makes no images, so it has no {option}.", remedy=f"Image models are {', '.join(drawing)}."
                )
        return
    ratio, resolution = body.get("aspect_ratio"), body.get("resolution")
    if ratio is not None and not _RATIO.fullmatch(ratio):
        raise ConfigError(f"aspect_ratio is {ratio!r}.", remedy="Write it like 16:9, or auto.")
    if row is None or row.price is None:
        return
    sizes = row.price.image_at
    if resolution is not None and resolution not in sizes:
        remedy = f"Choose one of {', '.join(sizes)}." if sizes else "Leave it out."
        raise ConfigError(f"{model} has no resolution {resolution!r}.", remedy=remedy)
    _check_references(model, body, row.references)


def _check_references(model: str, body: Mapping[str, Any], most: int | None) -> None:
    """Check the images of the latest message of the user, which an image model starts from."""
    asked = [one for one in body["messages"] if one.get("role") == "user"]
    content = asked[-1].get("content") if asked else None
    parts = content if isinstance(content, list) else []
    images = [one for one in parts if isinstance(one, Mapping) and one.get("type") == "image_url"]
    if most is None or not images:
        return
    if most == 0:
        raise ConfigError(f"{model} draws from text alone.", remedy="Leave the images out, or choose another model.")
    if len(images) > most:
        raise ConfigError(f"{model} takes {most} reference images at most, and {len(images)} are given.")
    for image in images:
        held = image.get("image_url")
        url = held.get("url") if isinstance(held, Mapping) else held
        if not isinstance(url, str) or not url.startswith("data:image/"):
            raise ConfigError(
                f"{model} takes reference images as data: URIs only.", remedy="Encode the file: data:image/png;base64,…"
            )
