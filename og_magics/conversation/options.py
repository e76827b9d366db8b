"""How one thing is asked: what flags of a cell and keywords of a Python call have in common."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Options:
    """What is None comes from the notebook's settings.

    Attributes:
        model, provider: as a person types them.
        settlement: "private", "batch" or "individual".
        temperature: 0 to 2. max_tokens: of the answer, at most.
        system: a system prompt.
        stream: show the answer as it comes. web_search: let the model search the web.
        max_cost: base units that the call may cost at most.
    """

    model: str | None = None
    provider: str | None = None
    settlement: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    system: str | None = None
    stream: bool | None = None
    web_search: bool | None = None
    max_cost: int | None = None
