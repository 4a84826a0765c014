"""TLS on both sides of the proxy: 1.2 or later, HTTP/1.1 only, and never a node whose certificate was not verified.

The listener's certificate is renewed without ending a connection: each handshake asks for the newest context, and a
new one takes the place of the old only when certificate and key could be read, belong together and are complete.
"""

import asyncio
import hashlib
import ssl
from pathlib import Path

from ocn_permission_agent.clock import Clock
from ocn_permission_agent.errors import ConfigError
from ocn_permission_agent.log import Log
from ocn_permission_agent.metrics import Metrics
from ocn_permission_agent.proxy.settings import TlsFiles

#: of TLS 1.2: forward secrecy and authenticated encryption; those of 1.3 have nothing weak among them
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
_ALPN = ["http/1.1"]
#: how often the files are looked at
_LOOK_SECONDS = 2.0


def server_context(files: TlsFiles) -> ssl.SSLContext:
    """What the listener shows.

    Raises:
        ConfigError: the files cannot be read, hold no certificate or key, or do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.set_alpn_protocols(_ALPN)
    for name, path in (("tls_certificate_file", files.certificate), ("tls_key_file", files.key)):
        _readable(f"proxy.{name}", path)
    try:
        context.load_cert_chain(files.certificate, files.key, password=_no_password)
    except ssl.SSLError as error:
        raise ConfigError([f"proxy.tls_certificate_file, proxy.tls_key_file: {_explained(error)}."]) from error
    except _Encrypted as error:
        raise ConfigError(["proxy.tls_key_file: the key is encrypted; the agent knows no password for it."]) from error
    return context


def node_context(ca_file: Path | None) -> ssl.SSLContext:
    """How a node behind https is verified: by the certificates in `ca_file` alone, or by the system's.

    Raises:
        ConfigError: the file cannot be read or holds no certificate.
    """
    if ca_file is not None:
        _readable("node.ca_file", ca_file)
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except ssl.SSLError as error:
        raise ConfigError([f"node.ca_file: {ca_file} holds no certificate in PEM form."]) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(_ALPN)
    return context


class ServerCertificate:
    """The listener's certificate, following its files.

    Args:
        files: certificate chain and key, PEM.
        clock: paces the looks.
        metrics: tell whether the files on disk are in use.
        log: bound logger.

    Raises:
        ConfigError: the files cannot be used now.
    """

    def __init__(self, files: TlsFiles, *, clock: Clock, metrics: Metrics, log: Log) -> None:
        self._files = files
        self._clock = clock
        self._metrics = metrics
        self._log = log
        self._seen = _fingerprint(files)
        #: for the listening socket; each connection gets the newest
        self.context = self._newest = server_context(files)
        self.context.sni_callback = self._show_newest

    async def follow(self) -> None:
        """Look at the files for ever, and take over what can be used."""
        while True:
            await self._clock.sleep(_LOOK_SECONDS)
            await self.look()

    async def look(self) -> None:
        """Look once."""
        found = await asyncio.to_thread(_fingerprint, self._files)
        if found == self._seen:
            return
        # Read before they are loaded: if they change in between, the next look sees that.
        self._seen = found
        try:
            self._newest = await asyncio.to_thread(server_context, self._files)
        except ConfigError as error:
            self._metrics.certificate_refused.set(1)
            self._log.error("certificate.refused", reason=str(error))
        else:
            self._metrics.certificate_refused.set(0)
            self._log.info("certificate.renewed", file=str(self._files.certificate))

    def _show_newest(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        """Called in each handshake, with or without a server name."""
        connection.context = self._newest


class _Encrypted(Exception):
    """A key that needs a password."""


def _no_password() -> str:
    """Asked for when a key is encrypted; without it OpenSSL would ask at the terminal."""
    raise _Encrypted


def _readable(key: str, path: Path) -> None:
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise ConfigError([f"{key}: names {path}, which cannot be read: {error.strerror}."]) from error


def _explained(error: ssl.SSLError) -> str:
    if error.reason == "KEY_VALUES_MISMATCH":
        return "certificate and key do not belong together"
    return f"no certificate and key in PEM form that can be used ({error.reason or 'OpenSSL gives no reason'})"


def _fingerprint(files: TlsFiles) -> tuple[bytes, ...]:
    """What the files hold, as hashes; a file that cannot be read is told apart by its error."""
    found: list[bytes] = []
    for path in (files.certificate, files.key):
        try:
            found.append(hashlib.sha256(path.read_bytes()).digest())
        except OSError as error:
            found.append(str(error.errno).encode())
    return tuple(found)
