"""Reading of a request by a model: its messages, their texts, and the results of functions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .script import without_steering


def messages(body: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Return the messages of a chat; a completion's prompt is one of the user."""
    if "prompt" in body and "messages" not in body:
        return [{"role": "user", "content": body["prompt"]}]
    return [m for m in body.get("messages") or [] if isinstance(m, Mapping)]


def texts(body: Mapping[str, Any]) -> Iterator[str]:
    """Yield the text of each message."""
    return (content_text(message) for message in messages(body))


def content_text(message: Mapping[str, Any]) -> str:
    """Return a message's text; of a part without one, its type in brackets."""
    content = message.get("content")
    if isinstance(content, list):
        return " ".join(
            str(part.get("text") or f"({part.get('type')})") for part in content if isinstance(part, Mapping)
        )
    return "" if content is None else str(content)


def last_user_text(body: Mapping[str, Any]) -> str:
    """Return the last user message; "" where there is none."""
    return next((content_text(m) for m in reversed(messages(body)) if m.get("role") == "user"), "")


def question_of(body: Mapping[str, Any]) -> str:
    """Return the last user message, without the words that steer."""
    return without_steering(last_user_text(body))


def shortened(text: str, most_words: int) -> str:
    """Return the first words of a text, on one line."""
    words = text.split()
    return " ".join(words[:most_words]) + (" ..." if len(words) > most_words else "")


def rounds_of_results(body: Mapping[str, Any]) -> int:
    """Count the rounds of function results since the last question."""
    rounds, called = 0, False
    for message in messages(body):
        if message.get("role") == "user":
            rounds = 0
        rounds += called and message.get("role") == "tool"
        called = bool(message.get("tool_calls"))
    return rounds


def tool_results(body: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return (tool, result) of each tool message since the last question."""
    names: dict[Any, str] = {}
    results: list[tuple[str, str]] = []
    for message in messages(body):
        if message.get("role") == "user":
            results = []
        for call in message.get("tool_calls") or []:
            names[call.get("id")] = call["function"]["name"]
        if message.get("role") == "tool":
            results.append((names.get(message.get("tool_call_id"), "called"), content_text(message)))
    return results
