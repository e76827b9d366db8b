"""Where the server listens: loopback unless it is told, and then with TLS, or with a warning."""

from __future__ import annotations

import datetime
import http.client
import ipaddress
import ssl
import threading
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from og_magics.devnet import Devnet

from ..serving import ASK, Server, serving


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Files of a certificate for 127.0.0.1, and of its key."""
    folder, key = tmp_path_factory.mktemp("tls"), ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "class")]), datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    (folder / "cert.pem").write_bytes(made.public_bytes(pem))
    (folder / "key.pem").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    return folder / "cert.pem", folder / "key.pem"


def test_by_itself_it_listens_on_loopback_alone_and_warns_of_nothing(server: Server) -> None:
    assert str(server.client.base_url).startswith("http://127.0.0.1:")
    assert "WARNING" not in server.output
    assert server.client.get("/v1/models", headers={"Host": "class.example"}).status_code == 403


@pytest.mark.ci
def test_a_connection_that_was_idle_as_long_as_clients_keep_theirs_is_answered(server: Server) -> None:
    url = server.client.base_url
    connection = http.client.HTTPConnection(url.host, url.port or 0, timeout=30)
    used = []
    for pause in (0, 5.5):  # httpx, and so openai-python, takes one that was idle for up to 5 s
        time.sleep(pause)
        connection.request("GET", "/v1/models", headers={"Authorization": server.client.headers["Authorization"]})
        used.append(connection.sock)
        response = connection.getresponse()
        assert (response.status, bool(response.read())) == (200, True)
    assert used[0] is used[1] is not None
    connection.close()


@pytest.mark.ci
def test_beyond_loopback_it_answers_other_names_and_warns_without_a_certificate(devnet: Devnet, tmp_path: Path) -> None:
    with serving(devnet, tmp_path, "--host", "0.0.0.0") as server:
        server.client.base_url = str(server.client.base_url).replace("0.0.0.0", "127.0.0.1")
        assert server.post(ASK, headers={"Host": "class.example"}).status_code == 200
        assert server.client.get("/v1/models", headers={"Origin": "https://attacker.example"}).status_code == 403
        assert server.post(ASK, headers={"Authorization": ""}).status_code == 401
        for _ in range(100):
            if "WARNING: 0.0.0.0 is open to other machines" in "".join(server.lines):
                break
            threading.Event().wait(0.1)
        else:
            pytest.fail("".join(server.lines))


@pytest.mark.ci
def test_with_a_certificate_it_answers_by_tls_alone(
    devnet: Devnet, tmp_path: Path, certificate: tuple[Path, Path]
) -> None:
    cert, key = certificate
    trusted = ssl.create_default_context(cafile=str(cert))
    with serving(devnet, tmp_path, "--tls-cert", str(cert), "--tls-key", str(key), verify=trusted) as server:
        assert str(server.client.base_url).startswith("https://127.0.0.1:")
        assert server.post(ASK).status_code == 200


def test_a_certificate_without_its_key_is_refused(
    certificate: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    from og_magics.cli import main

    assert main(["serve", "--tls-cert", str(certificate[0])]) == 1
    assert "Give both --tls-cert and --tls-key" in capsys.readouterr().err


def test_files_that_are_no_certificate_and_a_port_that_is_none_are_refused(
    certificate: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    from og_magics.cli import main

    cert, key = map(str, certificate)
    for wrong in (["--tls-cert", key, "--tls-key", cert], ["--tls-cert", f"{cert}.gone", "--tls-key", key]):
        assert main(["serve", *wrong]) == 1
        assert "cannot be used with the key" in capsys.readouterr().err
    assert main(["serve", "--port", "70000"]) == 1
    assert "There is no port 70000." in capsys.readouterr().err
