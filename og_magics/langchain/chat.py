"""`ChatOG`, LangChain's chat model over `LLM`."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Literal

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import ConfigDict, Field, PrivateAttr, SecretStr

from ..client.llm import LLM
from ..client.requests import chat_request
from ..core.amounts import parse_opg
from ..core.cell_context import execution, origin
from ..core.errors import ConfigError, LedgerError, OGError
from ..core.models import resolve_model
from ..core.progress import Progress
from ..core.receipt import Receipt
from ..core.runtime import runtime
from ..core.secret import Secret
from ..core.settings import Settings
from ..core.types import ChatRequest, StreamChunk, TextGenerationOutput
from .messages import PROVIDER, answer_metadata, last_piece, message_piece, sent_messages, whole_message
from .repetition import Repetitions
from .structured import call_parser, check_method, parsed_by, schema_format, schema_options, text_parser, titled

_OWN = ("model", "temperature", "max_tokens", "settlement", "max_cost")
_CALL = {"tools", "tool_choice", "response_format", *_OWN}
_IGNORED = {"stream", "stream_usage", "strict"}
"""Words that LangChain gives along, and that say nothing more here: tokens always come with a stream."""


class ChatOG(BaseChatModel):
    """A chat model whose calls are paid by x402, bounded by budgets, and leave receipts that can be verified.

    What is left out comes from the settings: the environment, or those of `llm`.

    Attributes:
        model: "openai/gpt-5", or a name of the catalogue.
        temperature, max_tokens, stop: as in `LLM.chat`.
        settlement: private, batch or individual: what of the call goes on chain.
        max_cost: OPG that a gateway may be allowed for one call; where it wants more, nothing is signed.
        pay_again: ask again what failed a moment ago after it may have been paid. Without it a repetition, as
            `.with_retry()` makes it, is refused, so that no question is paid twice unasked.
        streaming: let `invoke` stream, for callbacks that show tokens.
        llm: the LLM that asks; without it, one of its own, which the next four are for.
        private_key, network, timeout, max_retries: of that LLM. Its repetitions send the same payment again.

    Raises (from its calls):
        OGError: see `og_magics.errors`; a ConfigError or PaymentRefused came before anything was signed.
    """

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True, protected_namespaces=())

    model: str = ""
    temperature: float | None = None
    max_tokens: int | None = None
    stop: list[str] | None = None
    settlement: str | None = None
    max_cost: Decimal | float | str | None = None
    pay_again: bool = False
    streaming: bool = False
    llm: LLM | None = Field(default=None, exclude=True, repr=False)
    private_key: SecretStr | None = Field(default=None, exclude=True, repr=False)
    network: str | None = None
    timeout: float | None = None
    max_retries: int | None = None

    _llm: LLM = PrivateAttr()
    _asked: list[str] = PrivateAttr(default_factory=list)
    _on_their_way: dict[int, Progress] = PrivateAttr(default_factory=dict)
    _repetitions: Repetitions = PrivateAttr(default_factory=Repetitions)

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self._llm = self._shared_llm() if self.llm is None else self._given_llm(self.llm)
        self.model = resolve_model(self.model or self._llm.settings.model)

    def _shared_llm(self) -> LLM:
        key = None if self.private_key is None else Secret(self.private_key.get_secret_value())
        return _llm_of(
            Settings.from_env().replace(
                private_key=key, network=self.network, timeout=self.timeout, retries=self.max_retries
            )
        )

    def _given_llm(self, llm: LLM) -> LLM:
        of_its_own = ("private_key", "network", "timeout", "max_retries")
        if given := [name for name in of_its_own if getattr(self, name) is not None]:
            raise ConfigError(
                f"{given[0]} does not go with llm, which has its own.", remedy=f"Give {given[0]} to og.LLM."
            )
        return llm

    # -- receipts --------------------------------------------------------------------------------

    @property
    def receipts(self) -> list[Receipt]:
        """The receipts of all calls that this model made, oldest first, as they stand now."""
        on_their_way = [one for progress in list(self._on_their_way.values()) for one in progress.receipt_ids]
        return [self._receipt(receipt_id) for receipt_id in sorted({*self._asked, *on_their_way})]

    def receipt_of(self, message: BaseMessage) -> Receipt:
        """Return the receipt of an answer as it stands now: its `payment_hash` is there once it is settled.

        Raises:
            ConfigError: the message is no answer of this model.
            LedgerError: the ledger does not have it.
        """
        receipt_id = message.response_metadata.get("receipt_id")
        if not isinstance(receipt_id, str) or not receipt_id:
            raise ConfigError("The message has no receipt.", remedy="Give an answer of ChatOG.")
        return self._receipt(receipt_id)

    def _receipt(self, receipt_id: str) -> Receipt:
        return self._llm.replays.replayed_receipts.get(receipt_id) or self._llm.journal.receipt(receipt_id)

    # -- what LangChain calls ----------------------------------------------------------------------

    @property
    def _llm_type(self) -> str:
        return PROVIDER

    @property
    def _identifying_params(self) -> Mapping[str, Any]:
        names = ("model", "temperature", "max_tokens", "stop", "settlement")
        return {name: getattr(self, name) for name in names}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop or self.stop, **kwargs)
        params["ls_provider"] = PROVIDER
        return params

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        call = self._call(messages, stop, kwargs, stream=False)
        with self._watched(call):
            return _result(call, runtime.wait(self._llm.answer(call.request, call.progress)))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        call = self._call(messages, stop, kwargs, stream=False)
        with self._watched(call):
            return _result(call, await runtime.run(self._llm.answer(call.request, call.progress)))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        call = self._call(messages, stop, kwargs, stream=True)
        chunks: Any = runtime.iterate(self._llm.stream(call.request, call.progress))
        with self._watched(call), contextlib.closing(chunks):
            for chunk in chunks:
                yield _piece(call, chunk)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        call = self._call(messages, stop, kwargs, stream=True)
        chunks = runtime.stream(self._llm.stream(call.request, call.progress))
        with self._watched(call):
            async with contextlib.aclosing(chunks):
                async for chunk in chunks:
                    yield _piece(call, chunk)

    # -- tools and structured output ---------------------------------------------------------------

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | bool | dict[str, Any] | None = None,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Return the model with functions that it may call.

        Args:
            tools: functions, LangChain tools, pydantic models, or dicts in OpenAI's form.
            tool_choice: "auto", "none", "any" or "required", or the name of one function. Enclaves do not sign it.
            strict: the arguments must fit the schema.
        """
        converted = [convert_to_openai_tool(tool, strict=strict) for tool in tools]
        return super().bind(tools=converted, tool_choice=_choice(tool_choice), **kwargs)

    def with_structured_output(
        self,
        schema: dict[str, Any] | type | None = None,
        *,
        method: Literal["json_schema", "function_calling", "json_mode"] = "json_schema",
        include_raw: bool = False,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        """Return the model with answers that are objects of a schema.

        Args:
            schema: a pydantic model, a TypedDict, a JSON schema, or a function in OpenAI's form.
            method: how the model is asked for it. `json_mode` asks for any JSON object; the prompt says which.
            include_raw: return {"raw", "parsed", "parsing_error"}, so that what was paid is there in any case.
            strict: send it as a strict schema; None where it has such a form.
        """
        check_method(method, schema)
        about: dict[str, Any] = {"ls_structured_output_format": schema_options(schema, method, strict=strict)}
        if method == "function_calling":
            model = self.bind_tools([titled(schema)], tool_choice="any", strict=strict, **about, **kwargs)
            return parsed_by(model, call_parser(schema), include_raw=include_raw)
        form = {"type": "json_object"} if method == "json_mode" else schema_format(schema, self.model, strict=strict)
        model = super().bind(response_format=form, **about, **kwargs)
        return parsed_by(model, text_parser(schema), include_raw=include_raw)

    # -- a call ------------------------------------------------------------------------------------

    def _call(
        self, messages: list[BaseMessage], stop: list[str] | None, given: Mapping[str, Any], *, stream: bool
    ) -> _Call:
        """Return the call of a question.

        Raises:
            ConfigError: it makes no sense; nothing was sent.
            PaymentRefused: it failed a moment ago after it may have been paid.
        """
        asked = {name: value for name, value in given.items() if value is not None and name not in _IGNORED}
        pay_again = asked.pop("pay_again", self.pay_again)
        if unknown := sorted(asked.keys() - _CALL):
            raise ConfigError(
                f"ChatOG takes no {unknown[0]!r}, and leaving it out could change the answer.",
                remedy=f"Leave it out; a call takes {', '.join(sorted(_CALL))}, stop and pay_again.",
            )
        settings = self._llm.settings
        own = {name: getattr(self, name) for name in _OWN}
        said = {name: value for name, value in own.items() if value is not None} | asked
        request = chat_request(
            said["model"],
            sent_messages(messages),
            settlement=said.get("settlement", settings.settlement),
            parameters={
                "temperature": said.get("temperature", settings.temperature),
                "max_tokens": said.get("max_tokens", settings.max_tokens),
                "stream": stream,
            },
            origin=origin(),
            stop_sequence=stop or self.stop,
            tools=said.get("tools"),
            tool_choice=said.get("tool_choice"),
            response_format=said.get("response_format"),
        )
        most = said.get("max_cost")
        request = replace(
            request,
            execution=execution(),
            replay_from=settings.replay_from,
            max_cost=None if most is None else parse_opg(most),
        )
        call = _Call(request, request.fingerprint)
        if not pay_again:
            self._repetitions.check(call.question)
        return call

    @contextlib.contextmanager
    def _watched(self, call: _Call) -> Iterator[None]:
        """Keep the ids of a call's receipts, however it ends, and remember what may have been paid for nothing."""
        self._on_their_way[id(call)] = call.progress
        try:
            yield
        except OGError as error:
            receipt: Receipt | None = None
            with contextlib.suppress(LedgerError):
                receipt = self._receipt(call.receipt_id) if call.receipt_id else None
            self._repetitions.note(call.question, error, receipt)
            raise
        finally:
            self._asked += call.progress.receipt_ids
            del self._on_their_way[id(call)]


@functools.lru_cache(maxsize=32)
def _llm_of(settings: Settings) -> LLM:
    """Return one LLM for all models with the same settings: they share connections and payment sessions."""
    return LLM(settings=settings)


@dataclass
class _Call:
    """One call on its way; `question` is the fingerprint by which a repetition is known."""

    request: ChatRequest
    question: str
    progress: Progress = field(default_factory=Progress)

    @property
    def receipt_id(self) -> str:
        return self.progress.receipt_id or ""


def _choice(given: str | bool | dict[str, Any] | None) -> str | dict[str, Any] | None:
    """Return LangChain's `tool_choice` in OpenAI's form."""
    if given in ("any", True):
        return "required"
    if given is None or given is False or isinstance(given, dict) or given in ("auto", "none", "required"):
        return given or None
    return {"type": "function", "function": {"name": given}}


def _result(call: _Call, output: TextGenerationOutput) -> ChatResult:
    message = whole_message(output, answer_metadata(output, call.request.model, call.receipt_id))
    generation = ChatGeneration(message=message, generation_info={"finish_reason": output.finish_reason})
    return ChatResult(generations=[generation], llm_output={"model_name": call.request.model})


def _piece(call: _Call, chunk: StreamChunk) -> ChatGenerationChunk:
    if chunk.output is None:
        return ChatGenerationChunk(message=message_piece(chunk))
    metadata = answer_metadata(chunk.output, call.request.model, call.receipt_id)
    return ChatGenerationChunk(message=last_piece(chunk, chunk.output, metadata))
