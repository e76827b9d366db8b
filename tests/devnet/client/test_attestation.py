"""Before a prompt is sent: the attestation of the enclave that would get it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from og_magics import LLM
from og_magics.client.attestation import ATTESTED_FOR, UNKNOWN_FOR, Attestations
from og_magics.client.gateway_pool import GatewayPool
from og_magics.core.errors import GatewayUnreachable, OGError, ProofError
from og_magics.core.networks import DEVNET
from og_magics.core.settings import Settings
from og_magics.core.types import Enclave
from og_magics.devnet import Devnet
from og_magics.devnet.gateway.nitro import PCR_HASH, SimulatedNitro
from og_magics.gateway import GatewayClient
from og_magics.verification import tee_id_of
from tests.attestation_table import flipped

if TYPE_CHECKING:
    from .conftest import Identity, LLMOf, Server

ASK = [{"role": "user", "content": "What is x402?"}]
KEY = b"the key that signs"
HASH = "0x" + PCR_HASH.hex()


@dataclass
class Hardware:
    """A gateway of ours on simulated hardware: it attests what `answer` makes, and fails every paid request.

    Attributes:
        answer: from a nonce to a body; None for no such page.
    """

    serve: Callable[..., Server]
    reply: Any
    own: Identity
    folder: Path
    nitro: SimulatedNitro = field(default_factory=SimulatedNitro)
    answer: Callable[[bytes], bytes | None] | None = None

    def __post_init__(self) -> None:
        self.server = self.serve(self._respond, self.own.context(self.folder))
        self.enclave = Enclave(
            self.server.url, tee_id_of(KEY), KEY, self.own.der, registered=True, pcr_hash=HASH,
        )  # fmt: skip

    def document(self, nonce: bytes) -> bytes:
        return self.nitro.document(nonce, self.own.der, KEY)

    def _respond(self, asked: Any) -> Any:
        parts = urlsplit(asked.path)
        if asked.method == "POST":
            return self.reply(500, b'{"error": "nothing here"}')
        assert parts.path == "/enclave/attestation"
        nonce = bytes.fromhex(parse_qs(parts.query)["nonce"][0])
        assert len(nonce) == 20
        body = (self.answer or (lambda nonce: base64.b64encode(self.document(nonce)) + b"\n"))(nonce)
        return self.reply(404, b"404 page not found") if body is None else self.reply(200, body)

    @property
    def asked(self) -> list[str]:
        """Methods of the requests, in order."""
        return [one.method for one in self.server.asked]


@pytest.fixture
def hardware(serve: Callable[..., Server], reply: Any, identity: type[Identity], tmp_path: Path) -> Hardware:
    return Hardware(serve, reply, identity.make(), tmp_path)


@pytest.fixture
def asking(devnet: Devnet, llm_of: LLMOf, hardware: Hardware, monkeypatch: pytest.MonkeyPatch) -> Callable[..., LLM]:
    """A maker of LLMs on the devnet's chain whose registry names the hardware's gateway."""
    monkeypatch.setattr("og_magics.chain.active_enclaves", lambda _: [hardware.enclave])
    info = devnet.info | {"attestation_root": hardware.nitro.root}
    return lambda **settings: llm_of(devnet, devnet=json.dumps(info), **settings)


def ask(llm: LLM) -> str:
    """Return why a question failed."""
    with pytest.raises(OGError) as caught:
        llm.chat_sync("openai/gpt-5", ASK)
    return f"{type(caught.value).__name__}: {caught.value}"


class TestBeforeAPrompt:
    def test_the_hardware_is_asked_first_and_once(self, asking: Callable[..., LLM], hardware: Hardware) -> None:
        llm = asking()
        assert "nothing here" in ask(llm)
        assert "nothing here" in ask(llm)
        assert hardware.asked == ["GET", "POST", "POST"]

    def test_each_question_has_a_nonce_of_its_own(self, asking: Callable[..., LLM], hardware: Hardware) -> None:
        for _ in range(2):
            ask(asking())
        gets = [one.path for one in hardware.server.asked if one.method == "GET"]
        assert len(set(gets)) == len(gets) == 2

    @pytest.mark.parametrize("how", ["key", "certificate", "bit", "root", "nonce", "old", "garbage"])
    def test_a_document_that_contradicts_the_gateway_keeps_the_prompt_here(
        self, asking: Callable[..., LLM], hardware: Hardware, how: str
    ) -> None:
        own = hardware.own.der
        answers: dict[str, Callable[[bytes], bytes]] = {
            "key": lambda nonce: hardware.nitro.document(nonce, own, b"another key"),
            "certificate": lambda nonce: hardware.nitro.document(nonce, own[:-1], KEY),
            "bit": lambda nonce: flipped(hardware.document(nonce), -10),
            "root": lambda nonce: SimulatedNitro().document(nonce, own, KEY),
            "nonce": lambda nonce: hardware.document(nonce[::-1]),
            "old": lambda _: hardware.document(bytes(20)),
            "garbage": lambda nonce: nonce,
        }
        hardware.answer = lambda nonce: base64.b64encode(answers[how](nonce))
        llm = asking()
        error = ask(llm)
        assert error.startswith("ProofError: ")
        assert "was not asked" in error
        assert "Nothing was sent and nothing was paid." in error
        assert set(hardware.asked) == {"GET"}
        (receipt,) = llm.journal.receipts()
        assert (receipt.status, receipt.authorization_hash) == ("failed", None)

    def test_other_code_than_the_registry_has_keeps_the_prompt_here(
        self, asking: Callable[..., LLM], hardware: Hardware
    ) -> None:
        hardware.enclave = replace(hardware.enclave, pcr_hash="0x" + "07" * 32)
        assert "other code" in ask(asking())
        assert "POST" not in hardware.asked

    @pytest.mark.parametrize("body", [None, b"<html>hello</html>", b"{}", b""])
    def test_what_shows_no_document_is_asked_all_the_same_unless_one_is_required(
        self, asking: Callable[..., LLM], hardware: Hardware, body: bytes | None
    ) -> None:
        hardware.answer = lambda _: body
        marked = asking()
        assert "nothing here" in ask(marked)
        assert "nothing here" in ask(marked)
        assert hardware.asked == ["GET", "POST", "POST"]
        hardware.server.asked.clear()
        assert "OG_ATTEST=require" in ask(asking(attest="require"))
        assert set(hardware.asked) == {"GET"}
        hardware.server.asked.clear()
        assert "nothing here" in ask(asking(attest="off"))
        assert hardware.asked == ["POST"]

    def test_only_pinned_code_is_asked(self, asking: Callable[..., LLM], hardware: Hardware) -> None:
        assert "OG_PCR" in ask(asking(pcr=("00" * 32,), attest="off"))
        assert "POST" not in hardware.asked
        assert "nothing here" in ask(asking(pcr=("00" * 32, HASH)))
        hardware.server.asked.clear()
        hardware.answer = lambda _: None
        assert "OG_PCR pins" in ask(asking(pcr=(HASH,)))
        assert "POST" not in hardware.asked

    def test_another_gateway_of_the_registry_is_tried(
        self, asking: Callable[..., LLM], hardware: Hardware, devnet: Devnet, monkeypatch: pytest.MonkeyPatch,
        serve: Callable[..., Server], reply: Any, identity: type[Identity], tmp_path: Path,
    ) -> None:  # fmt: skip
        false = Hardware(serve, reply, identity.make(), tmp_path)  # under another root
        listed = [false.enclave, hardware.enclave]
        monkeypatch.setattr("og_magics.chain.active_enclaves", lambda _: listed)
        for _ in range(4):
            assert "nothing here" in ask(asking())
        assert len(hardware.server.posts) == 4
        assert false.server.posts == []


class TestOnTheDevnet:
    def test_its_enclave_is_attested(self, devnet: Devnet, llm_of: LLMOf) -> None:
        llm = llm_of(devnet, attest="require", pcr=(HASH,))
        receipt = llm.chat_sync("openai/gpt-5", ASK, max_tokens=3).receipt
        assert receipt.enclave_ok is True
        assert "ttested" not in receipt.enclave_reason

    def test_its_gateway_without_tls_is_marked(self, devnet: Devnet, llm_of: LLMOf) -> None:
        llm = llm_of(devnet, gateway_url=devnet.gateway_url_http)
        receipt = llm.chat_sync("openai/gpt-5", ASK, max_tokens=3).receipt
        assert receipt.enclave_ok is True
        assert "Not attested: The connection is not encrypted" in receipt.enclave_reason


@dataclass
class Clock:
    """A clock that a test moves, from the real time on."""

    ahead: float = 0.0

    def __call__(self) -> float:
        import time

        return time.time() + self.ahead


class TestRemembered:
    def attestations(self, hardware: Hardware, clock: Clock, **settings: Any) -> tuple[Attestations, GatewayClient]:
        network = replace(DEVNET, attestation_root=hardware.nitro.root)
        endpoint = GatewayClient(hardware.enclave, timeout=5, verify=False)
        pool = GatewayPool(replace(network, gateway_url=hardware.server.url), timeout=5, endpoint=endpoint)
        return Attestations(network, pool, lambda: Settings(**settings), clock), endpoint

    async def test_for_a_day(self, hardware: Hardware) -> None:
        clock = Clock()
        attestations, endpoint = self.attestations(hardware, clock)
        assert (await attestations.require(endpoint)).note == ""
        clock.ahead = 100.0
        assert (await attestations.require(endpoint)).note == ""
        assert len(hardware.asked) == 1
        clock.ahead = ATTESTED_FOR + 1
        with pytest.raises(ProofError, match="too far apart"):  # asked again, and its clock was not moved
            await attestations.require(endpoint)
        assert len(hardware.asked) == 2
        await endpoint.close()

    async def test_what_is_missing_for_ten_minutes_and_not_at_all_where_it_is_required(
        self, hardware: Hardware
    ) -> None:
        hardware.answer = lambda _: None
        clock = Clock()
        attestations, endpoint = self.attestations(hardware, clock)
        for _ in range(3):
            assert (await attestations.require(endpoint)).note.startswith("Not attested: ")
        assert len(hardware.asked) == 1
        clock.ahead = UNKNOWN_FOR + 1
        assert (await attestations.require(endpoint)).note
        assert len(hardware.asked) == 2
        await endpoint.close()
        attestations, endpoint = self.attestations(hardware, clock, attest="require")
        for _ in range(2):
            with pytest.raises(ProofError):
                await attestations.require(endpoint)
        assert len(hardware.asked) == 4
        await endpoint.close()

    async def test_another_root_than_awss_holds_on_no_other_network(self, hardware: Hardware) -> None:
        attestations, endpoint = self.attestations(hardware, Clock())
        public = replace(DEVNET, attestation_root=hardware.nitro.root, local=False)
        attestations = Attestations(public, attestations._pool, Settings, Clock())
        with pytest.raises(ProofError, match="root certificate is not the one that is pinned"):
            await attestations.require(endpoint)
        await endpoint.close()

    async def test_a_gateway_by_url_that_runs_pinned_code_keeps_its_certificate(self, hardware: Hardware) -> None:
        """The next connection leads to the enclave that was attested, whoever else has the address by then."""
        hardware.enclave = replace(hardware.enclave, tls_certificate=None, registered=False, pcr_hash="")
        attestations, endpoint = self.attestations(hardware, Clock(), pcr=(HASH,))
        assert (await attestations.require(endpoint)).note == ""
        assert endpoint.enclave.tls_certificate == hardware.own.der
        assert (await attestations.require(endpoint)).note == ""
        assert len(hardware.asked) == 1
        await endpoint.close()

    async def test_a_gateway_that_is_down_is_named_as_such(self, hardware: Hardware, closed_port: int) -> None:
        hardware.enclave = replace(hardware.enclave, endpoint=f"https://127.0.0.1:{closed_port}")
        attestations, endpoint = self.attestations(hardware, Clock(), attest="require")
        with pytest.raises(GatewayUnreachable, match="cannot be reached"):
            await attestations.require(endpoint)
        await endpoint.close()
