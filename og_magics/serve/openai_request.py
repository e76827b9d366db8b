"""Requests in OpenAI's form: read, checked, and made into requests of a gateway."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..client.requests import chat_request, completion_request
from ..core.errors import ConfigError
from ..core.models import resolve_model
from ..core.options import BODY
from ..core.settings import Settings
from ..core.types import ChatRequest, x402SettlementMode

ORIGIN = ("", "serve")
"""Of a served request, where a notebook's has its cell and its name."""
SETTLEMENT = "settlement"
"""The one field of our own: what of the call goes on chain, by the names of `%%ogchat -s`."""

_RENAMED = {"max_completion_tokens": "max_tokens"}
_READ = {"model", "messages", "prompt", "stream", "stream_options", "stop", "tools", "tool_choice", "response_format"}
_WITHOUT_EFFECT = {
    "user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "prompt_cache_retention",
}  # fmt: skip
"""Fields that change nothing of the answer: they are not passed on, since gateways would not know them."""
_DEFAULTS: Mapping[str, Any] = {
    "n": 1, "best_of": 1, "top_p": 1, "presence_penalty": 0, "frequency_penalty": 0, "logprobs": False,
    "logit_bias": {}, "parallel_tool_calls": True, "echo": False, "modalities": ["text"],
}  # fmt: skip
"""Fields that gateways do not take, by the value that says no more than leaving them out."""


class UnsupportedParameter(ConfigError):
    """A field that the gateway cannot honor. Nothing was sent and nothing was paid.

    Attributes:
        name: of the field.
    """

    def __init__(self, name: str) -> None:
        super().__init__(
            f"The gateway has no parameter {name!r}, and leaving it out would change the answer.",
            money="Nothing was sent and nothing was paid.",
            remedy=f"Leave out {name}.",
        )
        self.name = name


@dataclass(frozen=True, slots=True)
class Payer:
    """The wallet that pays for a request, and the user for whom it does.

    Attributes:
        address: "" where nothing is paid. network: its name.
        user: "" where the server has one key for all.
    """

    address: str = ""
    network: str = ""
    user: str = ""

    def fields(self) -> dict[str, str]:
        """Return it as the fields that an answer carries; empty ones are left out."""
        values = {"payer": self.address, "network": self.network if self.address else "", "paid_for": self.user}
        return {name: value for name, value in values.items() if value}


@dataclass(frozen=True, slots=True)
class Asked:
    """A client's request, read.

    Attributes:
        request: as the gateway gets it.
        stream: the client wants events; gateways stream chats alone.
        with_usage: and a last event with the tokens.
        payer: who pays for whom.
    """

    request: ChatRequest
    stream: bool
    with_usage: bool
    payer: Payer


def read_chat(body: Mapping[str, Any], settings: Settings, payer: Payer) -> Asked:
    """Read the body of `/v1/chat/completions`.

    Args:
        body: the JSON object that was sent.
        settings: say what the client leaves out: temperature, tokens, settlement mode.
        payer: who pays, and for which user; the receipt has the user.

    Raises:
        UnsupportedParameter: a field that the gateway does not take.
        ConfigError: a field that makes no sense, or an unknown model.
    """
    parameters = _parameters(body, settings)
    request = chat_request(
        _model(body),
        body.get("messages"),  # type: ignore[arg-type]  # checked there
        settlement=_settlement(body, settings),
        parameters=parameters | {"stream": body.get("stream") is True},
        origin=ORIGIN,
        stop_sequence=body.get("stop"),
        tools=body.get("tools"),
        tool_choice=body.get("tool_choice") if body.get("tools") else None,
        response_format=_response_format(body.get("response_format")),
    )
    return _asked(request, body, payer, settings)


def read_completion(body: Mapping[str, Any], settings: Settings, payer: Payer) -> Asked:
    """Read the body of `/v1/completions`. Gateways do not stream completions; a client gets the whole as one event.

    Raises:
        UnsupportedParameter, ConfigError: as `read_chat`.
    """
    prompt = body.get("prompt")
    if isinstance(prompt, Sequence) and not isinstance(prompt, str) and len(prompt) == 1:
        prompt = prompt[0]
    if not isinstance(prompt, str):
        raise ConfigError("The field prompt is not a text.", remedy="Send one prompt in a request, as text.")
    request = completion_request(
        _model(body),
        prompt,
        settlement=_settlement(body, settings),
        parameters=_parameters(body, settings),
        origin=ORIGIN,
        stop_sequence=body.get("stop"),
    )
    return _asked(request, body, payer, settings)


def _asked(request: ChatRequest, body: Mapping[str, Any], payer: Payer, settings: Settings) -> Asked:
    options = body.get("stream_options")
    usage = isinstance(options, Mapping) and options.get("include_usage") is True
    request = replace(request, paid_for=payer.user, replay_from=settings.replay_from)
    return Asked(request, body.get("stream") is True, usage, payer)


def _model(body: Mapping[str, Any]) -> str:
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise ConfigError(
            "The field model is missing.", remedy="Name one, such as openai/gpt-5; /v1/models lists them."
        )
    return resolve_model(model)


def _settlement(body: Mapping[str, Any], settings: Settings) -> x402SettlementMode:
    return x402SettlementMode.parse(body.get(SETTLEMENT) or settings.settlement)


def _parameters(body: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """Return the parameters of the gateway's body; of what a client leaves out, the settings' own."""
    given = {_RENAMED.get(name, name): value for name, value in body.items() if value is not None}
    known = {name for name in BODY if name != "stream"}
    for name, value in given.items():
        if name in known or name in _READ or name in _WITHOUT_EFFECT or name == SETTLEMENT:
            continue
        if name not in _DEFAULTS or value != _DEFAULTS[name]:
            raise UnsupportedParameter(name)
    own = {"temperature": settings.temperature, "max_tokens": settings.max_tokens}
    return own | {name: given[name] for name in known if name in given}


def _response_format(given: Any) -> Mapping[str, Any] | None:
    if given is None or (isinstance(given, Mapping) and given.get("type") == "text"):
        return None
    if not isinstance(given, Mapping):
        raise ConfigError("The field response_format is not an object.", remedy='Send {"type": "json_object"}.')
    return given
