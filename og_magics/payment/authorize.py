"""One authorization: the official package builds it, the journal has it before anything can be sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..core.accounts import Committed, WalletCheck
from ..core.errors import GatewayProtocolError, OGError, PaymentRefused
from ..core.protocols import Clock, Journal
from ..core.receipt import Authorization
from ..core.secret import Secret, origin_of
from ..core.untrusted_json import recursion_limit_kept
from .policy import Budget, Policy
from .wallet import Wallet

if TYPE_CHECKING:
    from x402.schemas import PaymentRequired, PaymentRequirements

SIGNATURE_HEADER = "PAYMENT-SIGNATURE"
CHALLENGE_HEADER = "PAYMENT-REQUIRED"

_OTHER_GATEWAY = "Name another gateway with OG_GATEWAY_URL, or ask later."


@dataclass(frozen=True, slots=True)
class Payment:
    """An authorization and the header that carries it. The header is a secret until it is sent, so no repr."""

    authorization: Authorization
    header: Secret

    def __repr__(self) -> str:
        return f"<Payment {self.authorization.hash}>"


class Authorizer:
    """A signer of payments that the policy allows; each is written down before it is returned."""

    def __init__(self, wallet: Wallet, journal: Journal, clock: Clock) -> None:
        self._wallet = wallet
        self._journal = journal
        self._clock = clock

    @property
    def payer(self) -> str:
        """The wallet's address."""
        return self._wallet.address

    def check_budgets(self, offer: PaymentRequirements, policy: Policy) -> None:
        """Refuse an offer that goes over a budget, with what may still be taken of open sessions.

        Raises:
            PaymentRefused: it does.
            LedgerError: what the budgets count was changed by hand, or cannot be read.
        """
        journal, account = self._journal, policy.account(self.payer)
        if policy.budgets:
            journal.check_money()
        self._check(offer, policy.budgets_of(wallet=False))(lambda since: journal.commitment(policy.network, since))
        self._check(offer, policy.budgets_of(wallet=True))(lambda since: journal.wallet_commitment(account, since))

    def _check(self, offer: PaymentRequirements, budgets: Sequence[Budget]) -> Callable[[Committed], None]:
        def refuse_over(committed: Committed) -> None:
            for budget in budgets:
                found = committed(None if budget.seconds is None else self._clock() - budget.seconds)
                budget.refuse(int(offer.amount), found.total, found.open)

        return refuse_over

    def authorize(
        self, required: PaymentRequired, offer: PaymentRequirements, policy: Policy, *, gateway: str, path: str,
        reason: str,
    ) -> Payment:  # fmt: skip
        """Return the payment for one offer of a challenge, which the policy has chosen.

        Raises:
            PaymentRefused: a budget does not allow it (another kernel may have been first), or it cannot be signed.
            LedgerError: it could not be written down; it is thrown away unsent.
        """
        from x402.http.utils import encode_payment_signature_header
        from x402.schemas import PaymentPayload

        self.check_budgets(offer, policy)
        signer = _RecordingSigner(self._wallet)
        # The server's extension offers (gas-sponsored approvals) are not passed on: nothing but the payment is signed.
        try:
            payload = _scheme(offer.scheme)(signer).create_payment_payload(offer)
            authorization = signer.authorization(
                offer, gateway=gateway, path=path, created=int(self._clock()), reason=reason
            )
            header = encode_payment_signature_header(
                PaymentPayload(payload=payload, accepted=offer, resource=required.resource)
            )
        except OGError:
            raise
        except Exception as error:  # noqa: BLE001 - untrusted details: an address that is none, a domain without a name
            raise PaymentRefused(
                f"The payment that the gateway asks for cannot be signed: {str(error)[:200]}.",
                money="Nothing was sent and nothing was paid.",
                remedy="Its offer is malformed; use another gateway.",
            ) from None
        own, shared = policy.budgets_of(wallet=False), policy.budgets_of(wallet=True)
        self._journal.authorize(
            authorization,
            self._check(offer, own) if own else None,
            WalletCheck(policy.account(self.payer), self._check(offer, shared)) if shared else None,
        )
        return Payment(authorization, Secret(header, lasting=False))


def decode_challenge(header: str) -> PaymentRequired:
    """Return the decoded PAYMENT-REQUIRED header.

    Raises:
        GatewayProtocolError: it is not one of x402 version 2.
    """
    from x402.http.utils import decode_payment_required_header
    from x402.schemas import PaymentRequired

    try:
        required = decode_payment_required_header(header)
    except Exception as error:  # noqa: BLE001 - untrusted input; the package raises many kinds
        raise GatewayProtocolError(
            "The gateway asks for a payment in a form that cannot be read.",
            status=402,
            body=f"{type(error).__name__}: {error}"[:500],
            money="Nothing was signed.",
            remedy=_OTHER_GATEWAY,
        ) from None
    if not isinstance(required, PaymentRequired):
        raise GatewayProtocolError(
            "The gateway speaks x402 version 1.", status=402, money="Nothing was signed.", remedy=_OTHER_GATEWAY
        )
    return required


def is_paid_by_permit2(offer: PaymentRequirements) -> bool:
    """Return True where an offer is paid through Permit2, which needs an allowance; else by the token itself."""
    return offer.scheme == "upto" or (offer.extra or {}).get("assetTransferMethod") == "permit2"


def _scheme(name: str) -> Callable[[Any], Any]:
    from . import accounts  # noqa: F401 - first: x402 imports eth_account too

    with recursion_limit_kept():
        from x402.mechanisms.evm.exact.client import ExactEvmScheme
        from x402.mechanisms.evm.upto.client import UptoEvmScheme
    return UptoEvmScheme if name == "upto" else ExactEvmScheme


class _RecordingSigner:
    """The signer that the official package is given: it notes what it signs, and signs only payments."""

    def __init__(self, wallet: Wallet) -> None:
        self._wallet = wallet
        self._message: Mapping[str, Any] = {}
        self._digest = b""

    @property
    def address(self) -> str:
        return self._wallet.address

    def sign_typed_data(
        self, domain: Any, types: Mapping[str, Sequence[Any]], primary_type: str, message: Mapping[str, Any]
    ) -> bytes:
        if primary_type not in ("PermitWitnessTransferFrom", "TransferWithAuthorization"):
            raise PaymentRefused(
                f"A signature of type {primary_type} was asked for.", money="Nothing was signed.", remedy=_OTHER_GATEWAY
            )
        if not isinstance(domain, Mapping):
            domain = {
                "name": domain.name,
                "version": domain.version,
                "chainId": domain.chain_id,
                "verifyingContract": domain.verifying_contract,
            }
        plain = {
            name: [f if isinstance(f, Mapping) else {"name": f.name, "type": f.type} for f in fields]
            for name, fields in types.items()
        }
        self._message = message
        self._digest, signature = self._wallet.sign(domain, plain, message)
        return signature

    def authorization(
        self, offer: PaymentRequirements, *, gateway: str, path: str, created: int, reason: str
    ) -> Authorization:
        """Return the authorization that was signed, read from the signed message itself and not from the offer."""
        message = self._message
        permit = message.get("permitted")
        witness = message.get("witness", {})
        nonce = message["nonce"]
        return Authorization(
            hash="0x" + self._digest.hex(),
            scheme=offer.scheme,
            network=str(offer.network),
            payer=self.address,
            pay_to=str(witness["to"] if permit else message["to"]),
            token=str(permit["token"] if permit else offer.asset),
            cap=int(permit["amount"] if permit else message["value"]),
            nonce=int.from_bytes(nonce, "big") if isinstance(nonce, bytes) else int(nonce),
            deadline=int(message["deadline"] if permit else message["validBefore"]),
            gateway=origin_of(gateway),
            path=path,
            created=created,
            spender=str(message.get("spender", "")),
            facilitator=str(witness.get("facilitator", "")),
            reason=reason,
        )
