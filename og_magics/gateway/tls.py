"""TLS with one certificate: the one that the registry holds for an enclave."""

from __future__ import annotations

import ssl


def pinned_context(certificate: bytes) -> ssl.SSLContext:
    """Return a client context that accepts this certificate (DER) and no other.

    The host name is not checked: enclaves are reached by address, and the certificate itself is the anchor. Trusting it
    as an authority would also let in what it may have signed, so the handshake compares the peer's bytes as well,
    before a byte of the request is sent.

    Raises:
        ssl.SSLError: not a certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    # A leaf that an authority issued is an anchor too when it is the pinned one.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(cadata=ssl.DER_cert_to_PEM_cert(certificate))

    class PinnedObject(ssl.SSLObject):
        def do_handshake(self) -> None:
            super().do_handshake()
            if self.getpeercert(binary_form=True) != certificate:
                raise ssl.SSLCertVerificationError("the server's certificate is not the one that is known for it")

    class PinnedSocket(ssl.SSLSocket):
        def do_handshake(self, block: bool = False) -> None:
            super().do_handshake(block)
            if self.getpeercert(binary_form=True) != certificate:
                raise ssl.SSLCertVerificationError("the server's certificate is not the one that is known for it")

    context.sslobject_class = PinnedObject
    context.sslsocket_class = PinnedSocket
    return context
