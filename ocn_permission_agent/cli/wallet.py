"""The keys of those who write to the contracts: from files or the environment, never from the command line."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import click

from ocn_permission_agent.chain.wallet import WalletKey
from ocn_permission_agent.config.secrets import read_secret, readable_by_everybody
from ocn_permission_agent.errors import ConfigError

KEY_VARIABLE = "OCN_AGENT_WALLET_KEY"
PASSWORD_VARIABLE = "OCN_AGENT_WALLET_PASSWORD"  # noqa: S105  a variable's name


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFiles:
    """What the command line named: a file with a key (hex or V3 keystore), and one with the keystore's password."""

    key: Path | None
    password: Path | None


def wallet_key(files: KeyFiles) -> WalletKey:
    """The key that signs: of the named file, else of the environment.

    Raises:
        ConfigError: there is none, or it cannot be used.
    """
    text = _named_or_given(files.key, "--key-file", KEY_VARIABLE, os.environ)
    if text is None:
        raise ConfigError([f"There is no key to sign with: give --key-file, {KEY_VARIABLE}_FILE or {KEY_VARIABLE}."])
    return _load(text, _named_or_given(files.password, "--password-file", PASSWORD_VARIABLE, os.environ))


def payer_key(files: KeyFiles) -> WalletKey | None:
    """The key that pays for somebody else's signature; None when no file was named."""
    if files.key is None:
        return None
    text = _read(files.key, "--payer-key-file")
    return _load(text, None if files.password is None else _read(files.password, "--payer-password-file"))


def _load(text: str, password: str | None) -> WalletKey:
    if text.lstrip().startswith("{") and password is None and sys.stdin.isatty():
        password = click.prompt("Password of the keystore", hide_input=True, err=True)
    try:
        return WalletKey.load(text, password=password)
    except ConfigError as error:
        raise ConfigError([f"{problem[:1].upper()}{problem[1:]}." for problem in error.problems]) from None


def _named_or_given(file: Path | None, option: str, variable: str, environ: Mapping[str, str]) -> str | None:
    if file is not None:
        return _read(file, option)
    if (named := environ.get(f"{variable}_FILE")) is not None:
        return _read(Path(named), f"{variable}_FILE")
    return environ.get(variable) or None


def _read(path: Path, option: str) -> str:
    if readable_by_everybody(path):
        click.echo(f"Warning: every account of this machine may read {path}; chmod 600 it.", err=True)
    try:
        return read_secret(path)
    except ValueError as error:
        raise ConfigError([f"{option}: {error}."]) from None
