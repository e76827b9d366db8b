"""Functions in a turn: on the devnet, and with a gateway that says what it is told to say."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel, field_validator

import og_magics
from og_magics.conversation import Options, Run, follow
from og_magics.core.errors import AnswerError, GatewayError, ToolRoundsExceeded
from og_magics.core.progress import Call
from og_magics.devnet import Devnet
from og_magics.session import Session

if TYPE_CHECKING:
    pass


def add(a: int, b: int = 2) -> int:
    """Add two numbers."""
    return a + b


async def upper(text: str) -> str:
    """Make it large."""
    await asyncio.sleep(0)
    return text.upper()


def fails(x: int) -> None:
    """Fail."""
    raise LookupError(f"there is no {x}")


@pytest.fixture
def app(app_of: Callable[..., Session], devnet: Devnet) -> Session:
    return app_of(devnet)


def ran(app: Session, prompt: str, **options: Any) -> Run:
    run = app.start(app.build_turn(prompt, Options(**options)))
    run.wait_ended(60)
    return run


def results(run: Run) -> list[str]:
    return [message["content"] for message in run.result().messages if message["role"] == "tool"]


def states(run: Run) -> list[tuple[str, str]]:
    return [(part.name, part.state) for part in run.progress.parts if isinstance(part, Call)]


def linked(app: Session, rounds: int) -> bool:
    """Whether the ledger holds one turn of so many rounds, and nothing else, each proven."""
    receipts = app.ledger.receipts()
    assert [receipt.turn for receipt in receipts] == [receipts[0].receipt_id] * rounds
    assert app.ledger.audit().ok
    return all(receipt.enclave_ok for receipt in receipts)


class TestOnTheDevnet:
    @pytest.mark.parametrize("stream", [True, False])
    def test_a_function_is_called_and_the_model_goes_on(self, app: Session, stream: bool) -> None:
        run = ran(app, '[[call:add({"a": 40})]] how much?', tools=[add], stream=stream)
        answer = run.result()
        assert "The tool add returned 42." in answer.text
        assert [message["role"] for message in answer.messages] == ["user", "assistant", "tool", "assistant"]
        assert answer.messages[1]["tool_calls"][0]["id"] == answer.messages[2]["tool_call_id"]
        assert (answer.note, len(answer.rounds), len(answer.receipts)) == ("", 2, 2)
        assert answer.usage is not None
        assert answer.usage["total_tokens"] == sum((one.usage or {})["total_tokens"] for one in answer.rounds)
        assert linked(app, 2)

    def test_parallel_calls_are_made_at_once_and_told_in_their_order(self, app: Session) -> None:
        together = threading.Barrier(2)
        meeting = asyncio.Event()

        def wait(n: int) -> int:
            together.wait(30)  # only if the other one runs, too
            return n

        async def first() -> str:
            await meeting.wait()
            return "met"

        async def second() -> str:
            meeting.set()
            return "set"

        calls = '[[call:wait({"n": 1})]][[call:first]][[call:wait({"n": 2})]][[call:second]] go'
        run = ran(app, calls, tools=[wait, first, second])
        assert results(run) == ["1", "met", "2", "set"]
        assert linked(app, 2)

    def test_what_goes_wrong_is_told_to_the_model_and_shown(self, app: Session) -> None:
        calls = '[[call:fails({"x": 7})]][[call:add({"a": "x"})]][[call:add({)]][[call:nothing]][[call:upper({"text": "ok"})]]'
        run = ran(app, calls, tools=[fails, add, upper])
        given = results(run)
        assert json.loads(given[0]) == {"error": "LookupError: there is no 7"}
        assert "Bad arguments: a: Input should be a valid integer" in json.loads(given[1])["error"]
        assert "not JSON" in json.loads(given[2])["error"]
        assert json.loads(given[3]) == {"error": "There is no function 'nothing'. There is: fails, add, upper."}
        assert given[4] == "OK"
        assert states(run) == [
            ("fails", "failed"), ("add", "failed"), ("add", "failed"), ("nothing", "failed"), ("upper", "done"),
        ]  # fmt: skip
        assert "Traceback" not in "".join(given)
        assert linked(app, 2)

    @pytest.mark.timeout(60)
    def test_a_function_that_never_returns_is_given_up(self, app: Session) -> None:
        never = threading.Event()

        def hang() -> None:
            never.wait()

        async def sleep() -> None:
            while True:  # not even when it is cancelled
                try:
                    await asyncio.sleep(3600)
                except asyncio.CancelledError:
                    if never.is_set():
                        raise

        run = ran(app, "[[call:hang]][[call:sleep]]", tools=[hang, sleep], tool_timeout=0.2)
        try:
            assert ["longer than 0.2 seconds" in one for one in results(run)] == [True, True]
            assert states(run) == [("hang", "failed"), ("sleep", "failed")]
            assert linked(app, 2)
        finally:
            never.set()

    def test_a_result_with_the_wallets_key_is_not_sent(self, app: Session, devnet: Devnet) -> None:
        key = devnet.accounts[0]["private_key"]

        def leak() -> dict[str, str]:
            return {"key": key.upper().removeprefix("0X")}

        run = ran(app, "leak it", tools=[leak])
        assert json.loads(results(run)[0]) == {"error": "The result holds this wallet's private key. It was not sent."}
        assert key[2:].lower() not in str(run.result().messages + list(run.progress.parts)).lower()

    def test_an_exit_in_a_function_ends_nothing_else(self, app: Session) -> None:
        def leave() -> None:
            raise SystemExit(3)

        async def leave_too() -> None:
            raise asyncio.CancelledError

        run = ran(app, "[[call:leave]][[call:leave_too]]", tools=[leave, leave_too])
        assert [json.loads(one) for one in results(run)] == [{"error": "SystemExit: 3"}, {"error": "CancelledError"}]

    @pytest.mark.parametrize("rounds", [1, 5, None])
    def test_the_rounds_have_an_end(self, app: Session, rounds: int | None) -> None:
        made: list[int] = []

        def step() -> int:
            made.append(1)
            return len(made)

        run = ran(app, "[[rounds:99]][[say:Let me look. ]][[call:step]]", tools=[step], rounds=rounds)
        answer = run.result()
        allowed = 5 if rounds is None else rounds
        assert (answer.text, answer.finish_reason) == ("Let me look. ", "tool_calls")
        assert "no round was left" in answer.note
        assert len(answer.tool_calls) == 1
        assert len(made) == allowed - 1
        assert linked(app, allowed)

    def test_rounds_without_a_word_end_in_an_error_that_has_them(self, app: Session) -> None:
        run = ran(app, "[[rounds:99]]add", tools=[add], rounds=3)
        with pytest.raises(ToolRoundsExceeded, match=r"after 3 rounds.*paid for.*--rounds") as caught:
            run.result()
        assert len(caught.value.answer.receipts) == 3
        assert linked(app, 3)

    def test_calls_that_are_only_shown_are_not_made(self, app: Session) -> None:
        def never() -> None:
            raise AssertionError

        answer = ran(app, "[[call:never]]", tools=[never], tools_show=True).result()
        assert [call["function"]["name"] for call in answer.tool_calls] == ["never"]
        form = {"type": "function", "function": {"name": "elsewhere", "parameters": {"type": "object"}}}
        answer = ran(app, "[[call:elsewhere]][[call:never]]", tools=[form, never]).result()
        assert len(answer.tool_calls) == 2
        assert len(app.ledger.receipts()) == 2

    def test_an_interrupt_in_a_function_asks_nothing_more(self, app: Session) -> None:
        begun, cancelled = threading.Event(), threading.Event()

        async def wait() -> None:
            begun.set()
            try:
                await asyncio.sleep(3600)
            finally:
                cancelled.set()

        def block() -> None:
            cancelled.wait(30)

        run = app.start(app.build_turn("[[call:wait]][[call:block]]", Options(tools=[wait, block])))
        for _ in follow([run], 0.1):
            if begun.is_set():
                break
        assert cancelled.wait(30)
        assert run.wait_ended(30)
        assert states(run) == [("wait", "stopped"), ("block", "stopped")]
        assert linked(app, 1)


class TestConfirmation:
    def ask(self, app: Session, person: Callable[[Call], bool | None] | None, **options: Any) -> tuple[Run, list[str]]:
        made: list[str] = []

        def erase(name: str) -> str:
            made.append(name)
            return "gone"

        run = app.start(
            app.build_turn("erase it", Options(tools=[og_magics.tool(writes=True)(erase)], **options)),
            listening=bool(person),
        )
        for _ in follow([run], 0.05, person):
            pass
        return run, made

    def test_what_writes_is_called_when_the_person_says_yes(self, app: Session) -> None:
        asked: list[tuple[str, bool, str]] = []
        here = threading.current_thread()

        def yes(call: Call) -> bool:
            assert threading.current_thread() is here
            asked.append((call.name, call.guarded, call.state))
            return True

        run, made = self.ask(app, yes)
        assert asked == [("erase", True, "waiting")]
        assert (made, states(run)) == (["name"], [("erase", "done")])
        assert linked(app, 2)

    @pytest.mark.parametrize(
        ("person", "reason"),
        [(lambda _: False, "did not allow"), (lambda _: None, "nobody to ask"), (None, "nobody to ask")],
    )
    def test_without_a_yes_it_is_not(self, app: Session, person: Any, reason: str) -> None:
        run, made = self.ask(app, person)
        assert (made, states(run)) == ([], [("erase", "refused")])
        assert reason in json.loads(results(run)[0])["error"]
        assert linked(app, 2)


class TestSchemas:
    def test_an_answer_that_does_not_fit_is_repaired_once(self, app: Session) -> None:
        class City(BaseModel):
            name: str
            people: int

        answer = ran(app, "[[words:5]] a city", schema=City).result()
        assert answer.parsed == City(name="name", people=1)
        assert answer.json() == {"name": "name", "people": 1}
        assert [message["role"] for message in answer.messages] == ["user", "assistant", "user", "assistant"]
        assert linked(app, 2)

    def test_a_second_misfit_is_an_error_that_has_the_answer(self, app: Session) -> None:
        class Never(BaseModel):
            name: str

            @field_validator("name")
            @classmethod
            def refuse(cls, name: str) -> str:
                raise ValueError("no name is good enough")

        run = ran(app, "a name", schema=Never)
        with pytest.raises(
            AnswerError, match=r"does not fit Never: name: .*no name is good enough.*paid for"
        ) as caught:
            run.result()
        assert caught.value.answer.json() == {"name": "name"}
        assert linked(app, 2)

    def test_functions_and_a_schema_go_together(self, app: Session) -> None:
        class Total(BaseModel):
            total: int

        answer = ran(app, "add", tools=[add], schema=Total).result()
        assert (answer.parsed, len(answer.rounds)) == (Total(total=1), 2)
        assert linked(app, 2)

    @pytest.mark.parametrize("provider", ["openai", "anthropic"])
    def test_any_json_is_parsed(self, app: Session, provider: str) -> None:
        assert isinstance(ran(app, "hello", format="json", provider=provider).result().parsed, dict)


class Scripted:
    """A gateway that gives these answers, one after another; each is a message, or a status."""

    def __init__(self, offer: str, reply: Any, *answers: dict[str, Any] | int) -> None:
        self._offer, self._reply, self._answers = offer, reply, list(answers)
        self.bodies: list[dict[str, Any]] = []

    def __call__(self, asked: Any) -> Any:
        if asked.method == "GET":
            return self._reply(404)
        if "payment-signature" not in asked.headers and "x-upto-session" not in asked.headers:
            return self._reply(402, headers={"PAYMENT-REQUIRED": self._offer})
        self.bodies.append(json.loads(asked.body))
        answer = self._answers.pop(0)
        if isinstance(answer, int):
            return self._reply(answer, b"{}")
        reason = "tool_calls" if answer.get("tool_calls") else "stop"
        body = {"choices": [{"message": answer, "finish_reason": reason}], "model": "gpt-5"}
        return self._reply(200, json.dumps(body).encode(), headers={"X-Upto-Session": "s1"})


def asking(*calls: tuple[str, str], content: str | None = None) -> dict[str, Any]:
    """A message that asks for functions, as a provider writes it."""
    asked = [
        {"id": f"call_{place}", "type": "function", "function": {"name": name, "arguments": arguments}}
        for place, (name, arguments) in enumerate(calls)
    ]
    return {"role": "assistant", "content": content, "tool_calls": asked}


class TestWithAScript:
    @pytest.fixture
    def play(
        self, app_of: Any, devnet: Devnet, serve: Any, reply: Any, offer: str
    ) -> Callable[..., tuple[Session, Scripted]]:
        def make(*answers: dict[str, Any] | int) -> tuple[Session, Scripted]:
            script = Scripted(offer, reply, *answers)
            return app_of(devnet, gateway_url=serve(script).url, stream=False, watch=False), script

        return make

    def test_what_the_model_said_goes_back_exactly_as_it_came(self, play: Any) -> None:
        odd = '{ "a":1,\n"b" :\t2 }'
        app, script = play(asking(("add", odd), ("nothing", "")), {"role": "assistant", "content": "3"})
        run = ran(app, "how much?", tools=[add])
        assert run.result().text == "3"
        first, second = script.bodies
        assert second["messages"][: len(first["messages"])] == first["messages"]
        said, one, two = second["messages"][len(first["messages"]) :]
        assert said["tool_calls"] == asking(("add", odd), ("nothing", ""))["tool_calls"]
        assert (one["tool_call_id"], one["content"], two["tool_call_id"]) == ("call_0", "3", "call_1")
        assert second["tools"] == first["tools"]
        assert len(app.ledger.receipts()) == len(script.bodies) == 2

    def test_several_rounds_each_have_a_receipt(self, play: Any) -> None:
        app, script = play(
            *[asking(("add", f'{{"a": {n}}}')) for n in range(3)], {"role": "assistant", "content": "done"}
        )
        run = ran(app, "go on", tools=[add])
        assert results(run) == ["2", "3", "4"]
        receipts = app.ledger.receipts()
        assert {receipt.turn for receipt in receipts} == {receipts[0].receipt_id}
        assert len(receipts) == len(script.bodies) == 4

    def test_a_gateway_that_fails_in_a_later_round_leaves_a_receipt_for_each(self, play: Any) -> None:
        app, script = play(asking(("add", '{"a": 1}')), 500)
        run = ran(app, "go on", tools=[add])
        with pytest.raises(GatewayError):
            run.result()
        receipts = app.ledger.receipts()
        assert [receipt.status for receipt in receipts][1:] == ["failed"]
        assert [receipt.turn for receipt in receipts] == [receipts[0].receipt_id] * 2
        assert len(script.bodies) == 2

    def test_calls_of_no_form_are_failures_like_others(self, play: Any) -> None:
        broken = {"role": "assistant", "content": "", "tool_calls": [{"id": "x", "type": "function"}]}
        app, _ = play(broken, {"role": "assistant", "content": "sorry"})
        run = ran(app, "go on", tools=[add])
        assert run.result().text == "sorry"
        assert "There is no function ''" in results(run)[0]

    def test_a_call_where_none_was_offered_is_returned(self, play: Any) -> None:
        app, script = play(asking(("add", "{}")))
        answer = ran(app, "hello").result()
        assert len(answer.tool_calls) == 1
        assert len(script.bodies) == 1
