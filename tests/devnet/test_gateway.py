"""The gateway over real HTTP: what it offers, what it answers, and how it fails."""

from __future__ import annotations

import base64
import json
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from eth_utils.crypto import keccak

from og_magics.chain import active_enclaves
from og_magics.core import networks
from og_magics.devnet import Devnet, contracts
from og_magics.devnet.gateway.nitro import SimulatedNitro
from og_magics.verification.attestation import Expected, check_attestation, read_document

if TYPE_CHECKING:
    from .conftest import Payer


def _weather(payer: Payer, content: str = "The weather?", **more: Any) -> dict[str, Any]:
    """A question with two functions."""
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    names = ("get_weather", "get_time")
    tools = [{"type": "function", "function": {"name": name, "parameters": schema}} for name in names]
    return payer.ask(content, tools=tools, **more)


class TestOffers:
    def test_an_unpaid_request_is_told_the_terms(self, payer: Payer) -> None:
        response = payer.post(payer.ask())
        required = json.loads(base64.b64decode(response.headers["PAYMENT-REQUIRED"]))
        assert response.json() == {}
        assert list(required) == ["x402Version", "error", "resource", "accepts", "extensions"]
        assert required["error"] == "Payment required"
        assert required["resource"]["url"] == payer.devnet.gateway_url_http + payer.CHAT
        assert required["accepts"] == [
            {
                "scheme": "upto",
                "network": "eip155:31337",
                "asset": payer.devnet.opg_token,
                "amount": str(int(payer.devnet.profile.cap * 10**18)),
                "payTo": payer.devnet.pay_to,
                "maxTimeoutSeconds": payer.devnet.profile.max_timeout,
                "extra": {
                    "name": "OpenGradient",
                    "version": "1",
                    "assetTransferMethod": "permit2",
                    "facilitatorAddress": required["accepts"][0]["extra"]["facilitatorAddress"],
                },
            }
        ]
        assert list(required["extensions"]["erc20ApprovalGasSponsoring"]) == ["info", "schema"]

    @pytest.mark.parametrize(
        ("account", "reason"), [(1, "permit2_allowance_required"), (2, "permit2_allowance_required")]
    )
    def test_a_wallet_that_cannot_pay_is_told_the_reason(self, payer: Payer, account: int, reason: str) -> None:
        with type(payer)(payer.devnet, account) as poor:
            assert payer.offered(poor.pay(payer.ask())).error == reason

    def test_a_signature_of_another_wallet_is_refused(self, payer: Payer) -> None:
        payload = json.loads(base64.b64decode(payer.signature()))
        payload["payload"]["permit2Authorization"]["from"] = payer.devnet.accounts[1]["address"]
        header = base64.b64encode(json.dumps(payload).encode()).decode()
        assert payer.offered(payer.post(payer.ask(), PAYMENT_SIGNATURE=header)).error == "invalid_permit2_signature"

    @pytest.mark.parametrize("header", ["not base64", base64.b64encode(b"[]").decode()])
    def test_a_payment_that_cannot_be_read_is_refused(self, payer: Payer, header: str) -> None:
        assert payer.offered(payer.post(payer.ask(), PAYMENT_SIGNATURE=header)).error == "Payment required"

    def test_a_payment_for_other_terms_is_refused(self, payer: Payer) -> None:
        payload = json.loads(base64.b64decode(payer.signature()))
        payload["accepted"]["amount"] = "1"
        header = base64.b64encode(json.dumps(payload).encode()).decode()
        assert (
            payer.offered(payer.post(payer.ask(), PAYMENT_SIGNATURE=header)).error == "No matching payment requirements"
        )


class TestAnswers:
    def test_a_paid_chat_is_answered_and_signed(self, payer: Payer) -> None:
        body = payer.ask([{"type": "text", "text": "Hello"}, {"type": "image_url", "image_url": {"url": "data:,"}}])
        response = payer.pay(body | {"max_tokens": 50, "web_search": True, "tool_choice": "none"})
        answer = response.json()
        assert response.status_code == 200
        assert "PAYMENT-RESPONSE" not in response.headers
        text = answer["choices"][0]["message"]["content"]
        assert text.startswith("Here is a direct answer")
        assert answer["answered_by"] == "prepared"
        newest = payer.devnet.profile.reads_parts
        parts = [{"type": "text", "text": "Hello"}, {"type": "image_url"}]
        hashed = parts if newest else str(body["messages"][0]["content"])
        canonical = payer.ask(hashed) | {"max_tokens": 50} | ({"web_search": True} if newest else {})
        payer.check_proof(answer, canonical, text)

    def test_a_paid_stream_ends_with_the_proof(self, payer: Payer) -> None:
        response = payer.pay(payer.ask(stream=True, max_tokens=9), mode="batch")
        assert response.headers["content-type"].startswith("text/event-stream")
        *pieces, final, done = payer.events(response)
        assert done == "[DONE]"
        assert list(pieces[0]) == ["choices", "model"]
        assert {piece["choices"][0]["delta"]["role"] for piece in pieces} == {"assistant"}
        # That it was cut is not told: only the count of tokens shows it.
        assert final["choices"] == [{"delta": {}, "index": 0, "finish_reason": "length"}]
        assert final["usage"]["completion_tokens"] == len(pieces) == 9
        payer.check_proof(final, payer.ask() | {"max_tokens": 9}, payer.streamed_text(pieces))

    @pytest.mark.parametrize("more", [{"temperature": 0.0, "max_tokens": 5}, {}])
    def test_a_completion_is_hashed_with_its_prompt_and_the_schemas_defaults(
        self, payer: Payer, more: dict[str, Any]
    ) -> None:
        answer = payer.pay({"model": "grok-4", "prompt": "Say hi", "stream": True} | more, "/v1/completions").json()
        canonical = {"model": "grok-4", "prompt": "Say hi", "temperature": 1.0, "max_tokens": 16} | more
        assert answer["object"] == "text_completion"
        payer.check_proof(answer, canonical, answer["choices"][0]["text"])

    @pytest.mark.parametrize(
        ("model", "deltas"),
        [
            ("gpt-5", [{"index": 0, "function": {"name": "get_weather", "arguments": '{"city": "city"}'}}]),
            (
                "gemini-2.5-flash",
                [{"index": None, "function": {"name": "get_weather", "arguments": '{"city": "city"}'}}],
            ),
            (
                "grok-4",
                [
                    {"index": 0, "function": {"name": "get_weather"}},
                    {"index": 0, "function": {"arguments": '{"city":'}},
                    {"index": 0, "function": {"arguments": ' "city"}'}},
                ],
            ),
        ],
    )
    def test_function_calls_stream_as_their_provider_gives_them(
        self, payer: Payer, model: str, deltas: list[dict[str, Any]]
    ) -> None:
        *pieces, final, _done = payer.events(payer.pay(_weather(payer, model=model, stream=True)))
        found = [piece["choices"][0]["delta"]["tool_calls"][0] for piece in pieces]
        assert [{name: call[name] for name in ("index", "function")} for call in found] == deltas
        call = {"id": found[0]["id"], "type": "function"}
        call["function"] = {"name": "get_weather", "arguments": '{"city": "city"}'}
        payer.check_proof(final, _weather(payer, model=model), json.dumps([call], sort_keys=True))
        assert final["choices"][0]["finish_reason"] == "tool_calls"

    def test_two_calls_of_gemini_in_a_stream_are_signed_as_one(self, payer: Payer) -> None:
        asked = {"model": "gemini-2.5-flash", "content": "[[call:get_weather]] [[call:get_time]]"}
        *pieces, final, _done = payer.events(payer.pay(_weather(payer, stream=True, **asked)))
        first, last = (piece["choices"][0]["delta"]["tool_calls"][0] for piece in pieces)
        arguments = first["function"]["arguments"] + last["function"]["arguments"]
        merged = {"id": last["id"], "type": "function", "function": {"name": "get_time", "arguments": arguments}}
        payer.check_proof(final, _weather(payer, **asked), json.dumps([merged], sort_keys=True))
        whole = payer.pay(_weather(payer, **asked)).json()["choices"][0]["message"]["tool_calls"]
        assert [call["function"]["name"] for call in whole] == ["get_weather", "get_time"]

    def test_an_image_model_answers_with_a_picture(self, payer: Payer) -> None:
        message = payer.pay(payer.ask(model="gpt-image-2")).json()["choices"][0]["message"]
        assert message["images"][0].startswith("data:image/png;base64,iVBOR")
        assert payer.events(payer.pay(payer.ask(model="seedream-4.0", stream=True)))[-2]["images"]

    def test_the_health_page_tells_the_price_of_opg(self, payer: Payer) -> None:
        assert payer.http.get("/health").json()["price_feed"]["price_usd"] == 0.2

    def test_the_registry_vouches_for_the_certificate_that_is_served(self, payer: Payer) -> None:
        registry = payer.web3.eth.contract(address=payer.devnet.tee_registry, abi=contracts.load("TEERegistry").abi)
        (info,) = registry.functions.getActiveTEEs(0).call()
        _owner, pay_to, endpoint, public_key, certificate = info[:5]
        assert (pay_to, endpoint) == (payer.devnet.pay_to, payer.devnet.gateway_url)
        assert "0x" + keccak(public_key).hex() == payer.devnet.tee_id
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.verify_flags |= ssl.VERIFY_X509_STRICT  # the default from Python 3.13 on
        context.load_verify_locations(cadata=ssl.DER_cert_to_PEM_cert(certificate))
        assert httpx.get(endpoint + "/health", verify=context).json()["status"] == "OK"
        host, port = endpoint.removeprefix("https://").split(":")
        assert ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate((host, int(port)))) == certificate


def _attested(devnet: Devnet, nonce: str) -> httpx.Response:
    return httpx.get(devnet.gateway_url_http + "/enclave/attestation", params={"nonce": nonce} if nonce else None)


class TestAttestation:
    def test_the_document_holds_under_the_devnets_root_and_under_no_other(self, payer: Payer) -> None:
        devnet, nonce = payer.devnet, "0123456789abcdef" + "0" * 24
        answer = _attested(devnet, nonce)
        assert answer.headers["content-type"].startswith("text/plain")
        document = base64.b64decode(answer.text.strip(), validate=True)
        (registered,) = active_enclaves(networks.devnet(devnet.info))
        expected = Expected(
            bytes.fromhex(nonce), registered.tls_certificate, registered.public_key, registered.pcr_hash
        )
        verdict = check_attestation(document, expected, root=devnet.attestation_root, at=time.time())
        assert verdict.ok is True, verdict.reason
        assert "simulated" in verdict.reason
        assert all(pcr.startswith(b"simulated") for number, pcr in read_document(document).pcrs.items() if number < 3)
        assert check_attestation(document, expected).ok is False
        assert check_attestation(document, expected, root=SimulatedNitro().root).ok is False

    @pytest.mark.parametrize("nonce", ["", "12", "g" * 40, "0123456789ABCDEF" + "0" * 24, "0" * 41])
    def test_another_nonce_than_forty_small_hex_digits_is_refused(self, payer: Payer, nonce: str) -> None:
        assert _attested(payer.devnet, nonce).status_code == 400


class TestFailures:
    def test_a_token_is_asked_for_after_the_payment(self, payer: Payer) -> None:
        assert payer.post(payer.ask(), Authorization="").status_code == 402
        assert payer.pay(payer.ask(), Authorization="").status_code == 401

    def test_an_unknown_model_or_body_is_told_after_the_payment(self, payer: Payer) -> None:
        session = payer.pay(payer.ask()).headers["X-Upto-Session"]
        unknown = payer.post(payer.ask(model="gpt-nope"), X_Upto_Session=session)
        assert (unknown.status_code, unknown.json()) == (400, {"error": "Model 'gpt-nope' is not supported"})
        assert unknown.headers["X-Upto-Session"] == session
        assert payer.post({"model": "gpt-5"}, X_Upto_Session=session).status_code == 400
        for broken in (
            {"messages": ["hi"]}, {"messages": "hi"}, {"messages": [], "temperature": "warm"}, {"messages": [None]},
            {"messages": [{"role": "user", "content": None}]}, {"messages": [{"role": "user", "content": [None]}]},
            {"messages": [{"role": "alien", "content": "x"}]}, {"messages": [{"role": ["user"], "content": "x"}]},
            payer.ask(stop=["a"] * 5), payer.ask() | {"temperature": 2.1}, payer.ask(stream="yes"),
            payer.ask(tools=[1]), payer.ask(max_tokens="9"), payer.ask(model=["gpt-5"]),
        ):  # fmt: skip
            refused = payer.post({"model": "gpt-5"} | broken, X_Upto_Session=session)
            assert (refused.status_code, refused.headers["content-type"]) == (400, "application/problem+json"), broken
            assert list(refused.json()) == ["detail", "status", "title", "type"]

    @pytest.mark.parametrize("mode", ["public", "", "BATCH", "In-Dividual"])
    def test_any_mode_is_served(self, payer: Payer, mode: str) -> None:
        answer = payer.pay(payer.ask(), mode=mode)
        assert answer.status_code == 200
        assert ("X-Settlement-Job-ID" in answer.headers) == (mode == "In-Dividual")

    def test_text_without_bytes_is_an_error_and_no_crash(self, payer: Payer) -> None:
        session = payer.pay(payer.ask()).headers["X-Upto-Session"]
        for content in (
            b'{"model": "gpt-5", "messages": [{"role": "user", "content": "\\ud800"}]}',
            b"[" * 10**5,
            b'{"a":' * 10**5,
            b"\xff",
        ):
            headers = {"Authorization": "Bearer x", "Content-Type": "application/json", "X-Upto-Session": session}
            answer = payer.http.post(payer.CHAT, content=content, headers=headers)
            assert answer.headers["content-type"] == "application/problem+json"

    @pytest.mark.parametrize("stream", [False, True])
    def test_failures_before_the_answer_have_a_status(self, payer: Payer, stream: bool) -> None:
        session = payer.pay(payer.ask()).headers["X-Upto-Session"]
        no_price = payer.post(payer.ask("[[fail:503]]", stream=stream), X_Upto_Session=session)
        assert no_price.status_code == 503
        assert no_price.json()["error"].startswith("Pricing unavailable: ")
        page = payer.post(payer.ask("[[fail:html]]", stream=stream), X_Upto_Session=session)
        assert page.status_code == 502
        assert page.headers["content-type"].startswith("text/html")

    def test_a_failing_model_is_a_500_or_an_event(self, payer: Payer) -> None:
        session = payer.pay(payer.ask()).headers["X-Upto-Session"]
        more = {"exception_type": "RuntimeError"} if payer.devnet.profile.tells_reasons else {}
        whole = payer.post(payer.ask("[[fail:500]]"), X_Upto_Session=session)
        assert (whole.status_code, whole.json()) == (500, {"error": "Request processing failed"} | more)
        broken_off = {"error": "Stream processing failed"} | more
        at_start = payer.post(payer.ask("[[fail:500]]", stream=True), X_Upto_Session=session)
        assert (at_start.status_code, payer.events(at_start)) == (200, [broken_off])
        midway = payer.events(payer.post(payer.ask("[[fail:stream]]", stream=True), X_Upto_Session=session))
        assert len(midway) > 2
        assert midway[-1] == broken_off

    @pytest.mark.parametrize("stream", [False, True])
    def test_a_connection_can_break_midway(self, payer: Payer, stream: bool) -> None:
        session = payer.pay(payer.ask()).headers["X-Upto-Session"]
        with pytest.raises(httpx.RemoteProtocolError):
            payer.post(payer.ask("[[fail:cut]]", stream=stream), X_Upto_Session=session)

    def test_a_stream_can_lack_its_final_event_or_carry_broken_json(self, payer: Payer) -> None:
        session = payer.pay(payer.ask()).headers["X-Upto-Session"]
        found = payer.events(payer.post(payer.ask("[[fail:nofinal]]", stream=True), X_Upto_Session=session))
        assert found[-1] == "[DONE]"
        assert not any("tee_signature" in event for event in found)
        with pytest.raises(json.JSONDecodeError):
            payer.events(payer.post(payer.ask("[[fail:badjson]]", stream=True), X_Upto_Session=session))
        with pytest.raises(json.JSONDecodeError):
            payer.post(payer.ask("[[fail:badjson]]"), X_Upto_Session=session).json()

    @pytest.mark.ci
    def test_a_reader_that_leaves_does_not_keep_its_session_from_settling(self, payer: Payer) -> None:
        signature = payer.signature()
        answered = payer.post(payer.ask(), PAYMENT_SIGNATURE=signature).json()
        headers = {"Authorization": "Bearer any", "PAYMENT-SIGNATURE": signature}
        body = payer.ask("[[words:20]] [[slow:0.2]]", stream=True)
        with payer.http.stream("POST", payer.CHAT, json=body, headers=headers) as response:
            assert response.status_code == 200
        assert payer.eventually(lambda: payer.payments)[0] >= payer.price(answered)


class _OpenAI(BaseHTTPRequestHandler):
    """A tiny OpenAI-compatible server that echoes the model's name."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert (self.path, body["stream"]) == ("/v1/chat/completions", True)
        if body["model"] == "broken":
            self.send_error(500)
            return
        usage = {"prompt_tokens": 7, "completion_tokens": 2}
        pieces = [{"choices": [{"delta": {"content": word}}]} for word in ("from ", body["model"])]
        pieces += [{"choices": [{"delta": {}, "finish_reason": "stop"}]}]
        pieces += [] if body["model"] == "uncounted" else [{"choices": [], "usage": usage}]
        content = "".join(f"data: {json.dumps(piece)}\n\n" for piece in pieces) + "data: [DONE]\n\n"
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content.encode())

    def log_message(self, *_args: Any) -> None:
        pass


def test_another_server_can_answer_in_place_of_the_simulation(payer_of: type[Payer]) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _OpenAI) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with Devnet(upstream=f"http://127.0.0.1:{server.server_port}") as running, payer_of(running) as payer:
            answered = payer.pay(payer.ask(model="llama3"))
            session, answer = answered.headers["X-Upto-Session"], answered.json()
            assert answer["choices"][0]["message"]["content"] == "from llama3"
            assert answer["usage"] == {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
            *pieces, final, _done = payer.events(
                payer.post(payer.ask(model="llama3", stream=True), X_Upto_Session=session)
            )
            assert payer.streamed_text(pieces) == "from llama3"
            payer.check_proof(final, payer.ask(model="llama3"), "from llama3")
            completed = payer.pay({"model": "a/b:c", "prompt": "hi"}, "/v1/completions").json()
            assert completed["choices"][0]["text"] == "from a/b:c"
            uncounted = payer.post(payer.ask(model="uncounted"), X_Upto_Session=session).json()
            assert "usage" not in uncounted
            broken = payer.post(payer.ask(model="broken"), X_Upto_Session=session).status_code
            assert broken == (502 if running.profile.tells_reasons else 500)
        server.shutdown()
