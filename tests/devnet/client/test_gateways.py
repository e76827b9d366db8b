"""Which gateway is asked, and which certificates are accepted."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from web3 import HTTPProvider, Web3

from og_magics import LLM
from og_magics.core.errors import ChainError, GatewayUnreachable, OGError, ProofError
from og_magics.core.runtime import runtime
from og_magics.devnet import Devnet, chain
from og_magics.devnet.accounts import OPERATOR

if TYPE_CHECKING:
    from .conftest import Identity, LLMOf

ASK = [{"role": "user", "content": "What is x402?"}]


class Registry:
    """Writes to a devnet's registry."""

    def __init__(self, devnet: Devnet) -> None:
        self._devnet = devnet
        self._web3 = Web3(HTTPProvider(devnet.rpc_url))
        self._functions = chain.contract(self._web3, "TEERegistry").functions

    def only(self, *entries: tuple[str, bytes]) -> None:
        """These (endpoint, certificate) are the active gateways from now on."""
        self._send(self._functions.disableTEE(bytes.fromhex(self._devnet.tee_id[2:])))
        for endpoint, certificate in entries:
            told = (self._devnet.pay_to, endpoint, os.urandom(32), certificate, b"\0" * 32, 0)
            self._send(self._functions.registerTEE(*told, (0, 0, 0, 0, b"", b"", 0)))

    def certificate(self) -> bytes:
        """The devnet's own."""
        return bytes(self._functions.getTEE(bytes.fromhex(self._devnet.tee_id[2:])).call()[4])

    def enable(self) -> None:
        """Make the devnet's own entry active again."""
        self._send(self._functions.enableTEE(bytes.fromhex(self._devnet.tee_id[2:])))

    def _send(self, call: Any) -> None:
        chain.transact(self._web3, OPERATOR, call)


@pytest.fixture
def own(devnet_with: Callable[..., Devnet]) -> Devnet:
    """A devnet whose registry a test may rewrite."""
    return devnet_with(settle_after=30)


class Listener:
    """A TLS server that notes what it can read after the handshake, and answers nothing."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self._socket.getsockname()[1]}"
        self.connections = 0
        self.read: list[bytes] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            with connection:
                connection.settimeout(5)
                try:
                    with self._context.wrap_socket(connection, server_side=True) as secure:
                        self.read.append(secure.recv(1))
                except OSError:
                    self.read.append(b"")

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()


class TestByURL:
    @pytest.mark.parametrize("secure", [True, False])
    def test_a_gateway_may_be_named(
        self, devnet: Devnet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, secure: bool
    ) -> None:
        monkeypatch.setenv("OG_DEVNET", json.dumps(devnet.info))
        monkeypatch.setenv("OG_LEDGER", str(tmp_path / "l.db"))
        url = devnet.gateway_url if secure else devnet.gateway_url_http
        llm = LLM.from_url(devnet.accounts[0]["private_key"], url, verify=not secure, network="devnet")
        result = llm.chat_sync("openai/gpt-5", ASK)
        assert result.tee_endpoint == url
        assert (result.tee_id, result.receipt.enclave_ok) == (devnet.tee_id, True)
        runtime.wait(llm.close())

    def test_a_certificate_that_nobody_vouches_for_is_refused_by_default(self, devnet: Devnet, llm_of: LLMOf) -> None:
        llm = llm_of(devnet, gateway_url=devnet.gateway_url)
        with pytest.raises(GatewayUnreachable, match=r"does not hold.*nothing was paid.*OG_GATEWAY_VERIFY") as caught:
            llm.chat_sync("openai/gpt-5", ASK)
        assert "self-signed certificate" in caught.value.details
        (receipt,) = llm.journal.receipts()
        assert (receipt.status, receipt.authorization_hash) == ("failed", None)
        assert "self-signed" in (receipt.error or "")

    @pytest.mark.parametrize("url", ["127.0.0.1:9", "ftp://gateway", "https://"])
    def test_a_url_that_is_none_is_told(self, devnet: Devnet, llm_of: LLMOf, url: str) -> None:
        with pytest.raises(OGError, match=r"is not the URL of a gateway.*%og use --no-gateway"):
            llm_of(devnet, gateway_url=url).chat_sync("openai/gpt-5", ASK)


class TestPinned:
    def test_the_registered_certificate_is_accepted_and_another_is_not_sent_a_byte(
        self, own: Devnet, llm_of: LLMOf, identity: type[Identity], tmp_path: Path
    ) -> None:
        registry = Registry(own)
        assert llm_of(own).chat_sync("openai/gpt-5", ASK).tee_endpoint == own.gateway_url
        impostor = Listener(identity.make().context(tmp_path))
        registry.only((impostor.url, registry.certificate()))
        llm = llm_of(own)
        with pytest.raises(GatewayUnreachable, match=r"No trusted connection.*nothing was paid.*do not go on"):
            llm.chat_sync("openai/gpt-5", ASK)
        impostor.close()
        assert impostor.connections >= 1
        assert set(impostor.read) == {b""}
        (receipt,) = llm.journal.receipts()
        assert receipt.status == "failed"
        assert "No trusted connection" in (receipt.error or "")

    def test_a_certificate_that_the_pinned_one_has_signed_is_not_accepted(
        self, own: Devnet, llm_of: LLMOf, identity: type[Identity], tmp_path: Path
    ) -> None:
        authority = identity.make(authority=True)
        impostor = Listener(identity.make(authority).context(tmp_path))
        Registry(own).only((impostor.url, authority.der))
        with pytest.raises(GatewayUnreachable, match="Its certificate is not the one") as caught:
            llm_of(own).chat_sync("openai/gpt-5", ASK)
        assert "not the one that is known for it" in caught.value.details
        impostor.close()
        assert set(impostor.read) == {b""}

    def test_a_certificate_that_is_pinned_needs_no_host_name(
        self,
        own: Devnet,
        llm_of: LLMOf,
        identity: type[Identity],
        tmp_path: Path,
        serve: Callable[..., Any],
        reply: Any,
    ) -> None:
        pinned = identity.make()
        server = serve(lambda _: reply(500, b'{"error": "nothing here"}'), pinned.context(tmp_path))
        Registry(own).only((server.url, pinned.der))
        with pytest.raises(OGError, match="nothing here"):
            llm_of(own).chat_sync("openai/gpt-5", ASK)
        assert len(server.posts) == 1


class TestRegistry:
    def test_where_none_is_active_the_network_and_the_way_on_are_named(self, own: Devnet, llm_of: LLMOf) -> None:
        Registry(own).only()
        llm = llm_of(own)
        with pytest.raises(GatewayUnreachable, match=r"No gateway is active on devnet.*nothing was paid"):
            llm.chat_sync("openai/gpt-5", ASK)
        (receipt,) = llm.journal.receipts()
        assert "No gateway is active" in (receipt.error or "")

    def test_where_the_test_network_has_none_the_main_network_is_named(
        self, devnet_with: Callable[..., Devnet], llm_of: LLMOf
    ) -> None:
        own = devnet_with(chain_id=84532)
        Registry(own).only()
        settings = {
            "network": "base-sepolia",
            "rpc_url": own.rpc_url,
            "registry_rpc_url": own.rpc_url,
            "registry_address": own.tee_registry,
        }
        with pytest.raises(GatewayUnreachable, match=r"active on base-sepolia.*real money: OG_NETWORK=base"):
            llm_of(own, **settings).chat_sync("openai/gpt-5", ASK)

    def test_a_gateway_that_cannot_be_reached_is_left_for_another(
        self, own: Devnet, llm_of: LLMOf, closed_port: int, signed: Callable[[LLM], Any]
    ) -> None:
        registry = Registry(own)
        registry.only(
            (f"https://127.0.0.1:{closed_port}", registry.certificate()), (own.gateway_url, registry.certificate())
        )
        for _ in range(4):
            llm = llm_of(own, attest="off")  # the registry has another key for it than its enclave
            assert llm.chat_sync("openai/gpt-5", ASK, max_tokens=3).tee_endpoint == own.gateway_url
            assert len(signed(llm)) == 1

    def test_an_rpc_that_is_down_is_told_with_a_receipt(self, devnet: Devnet, llm_of: LLMOf, closed_port: int) -> None:
        llm = llm_of(devnet, registry_rpc_url=f"http://127.0.0.1:{closed_port}")
        with pytest.raises(OGError, match=str(closed_port)) as caught:
            llm.chat_sync("openai/gpt-5", ASK)
        assert type(caught.value).__name__ == "ChainError"
        assert caught.value.remedy
        (receipt,) = llm.journal.receipts()
        assert receipt.status == "failed"
        assert str(receipt.error).startswith("ChainError: ")

    @pytest.mark.ci
    def test_calls_at_once_ask_a_failing_registry_once_and_are_all_told(
        self, devnet: Devnet, llm_of: LLMOf, serve: Callable[..., Any], reply: Any
    ) -> None:
        def fail_slowly(_: Any) -> Any:
            time.sleep(1)  # while it is asked, all calls come to wait for it
            return reply(500)

        rpc = serve(fail_slowly)

        def asked(calls: int) -> int:
            async def ask(llm: LLM) -> list[Any]:
                return await asyncio.gather(
                    *(llm.chat("openai/gpt-5", ASK) for _ in range(calls)), return_exceptions=True
                )

            before = len(rpc.asked)
            told = asyncio.run(ask(llm_of(devnet, registry_rpc_url=rpc.url)))
            assert {type(error).__name__ for error in told} == {"ChainError"}
            assert len(told) == calls
            return len(rpc.asked) - before

        assert asked(12) == asked(1)

    def test_a_caller_that_goes_away_while_the_registry_is_read_stops_no_other(
        self, own: Devnet, llm_of: LLMOf, eventually: Callable[..., Any]
    ) -> None:
        llm = llm_of(own)

        async def ask() -> str:
            first = asyncio.create_task(llm.chat("openai/gpt-5", ASK))
            second = asyncio.create_task(llm.chat("openai/gpt-5", ASK))
            await asyncio.to_thread(eventually, llm.journal.receipts)
            first.cancel()
            return (await second).text

        assert asyncio.run(ask())


class TestChangedKeys:
    """A gateway that was restarted has another key, registered anew, under the same certificate."""

    @pytest.fixture
    def stale(self, own: Devnet, llm_of: LLMOf) -> LLM:
        """An LLM that has read the registry while another key was registered at the gateway's address."""
        registry = Registry(own)
        registry.only((own.gateway_url, registry.certificate()))
        llm = llm_of(own)
        enclave, _ = runtime.wait(llm.gateway(), 20)
        assert enclave.tee_id != own.tee_id
        return llm

    @pytest.mark.parametrize("stream", [False, True])
    def test_it_is_looked_up_again_before_an_answer_is_called_false(
        self, own: Devnet, stale: LLM, stream: bool
    ) -> None:
        Registry(own).enable()
        if stream:
            assert list(stale.chat_sync("openai/gpt-5", ASK, stream=True))
        else:
            assert stale.chat_sync("openai/gpt-5", ASK).text
        (receipt,) = stale.journal.receipts()
        assert (receipt.enclave_ok, receipt.tee_id) == (True, own.tee_id)
        assert "signed this request and this answer" in receipt.enclave_reason
        assert runtime.wait(stale.gateway(), 20)[0].tee_id == own.tee_id

    def test_a_key_that_nobody_registered_is_sent_nothing_where_its_hardware_tells(self, stale: LLM) -> None:
        with pytest.raises(ProofError, match=r"was not asked.*names another key.*nothing was paid"):
            stale.chat_sync("openai/gpt-5", ASK)

    def test_a_key_that_nobody_registered_is_called_false(self, stale: LLM) -> None:
        stale.settings = stale.settings.replace(attest="off")
        assert stale.chat_sync("openai/gpt-5", ASK).text
        (receipt,) = stale.journal.receipts()
        assert receipt.enclave_ok is False

    def test_where_it_cannot_be_looked_up_nothing_is_called_false(
        self, stale: LLM, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def away(_: Any) -> Any:
            raise ChainError("The blockchain node at registry cannot be reached.")

        monkeypatch.setattr("og_magics.chain.active_enclaves", away)
        stale.settings = stale.settings.replace(attest="off")
        assert stale.chat_sync("openai/gpt-5", ASK).text
        (receipt,) = stale.journal.receipts()
        assert receipt.enclave_ok is None
        assert "could not be looked up" in receipt.enclave_reason
