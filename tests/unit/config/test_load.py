"""What an operator writes is what the agent gets."""

import codecs
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from ocn_permission_agent.config import Config, load, load_admin_access, load_chain_access
from ocn_permission_agent.errors import ConfigError
from ocn_permission_agent.ocn.version import NodeVersion
from ocn_permission_agent.ocpi.party import Party
from ocn_permission_agent.outbox.settings import CdrUnknownOutcome, NotaryUse

Loading = Callable[..., Config]


def test_few_keys_suffice_and_the_rest_has_defaults(loading: Loading, folder: Path) -> None:
    config = loading()

    assert config.public_url == "https://node.example"
    assert (config.proxy.listen_host, config.proxy.listen_port) == ("0.0.0.0", 8080)
    assert (config.admin.listen_host, config.admin.listen_port, config.admin.token) == ("127.0.0.1", 9090, None)
    assert config.node_version is None
    assert config.store.path == folder / "agent.db"
    assert config.operator_key.address.startswith("0x")
    assert config.warnings == ()


def test_the_environment_wins_over_the_file(loading: Loading) -> None:
    config = loading({"log": 'level = "debug"'}, OCN_AGENT_LOG_LEVEL="error", OCN_AGENT_PROXY_LISTEN="[::1]:8181")

    assert config.log.level == "error"
    assert (config.proxy.listen_host, config.proxy.listen_port) == ("::1", 8181)


def test_everything_can_come_from_the_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    config = load(
        None,
        environ={
            "OCN_AGENT_PROXY_PUBLIC_URL": "https://node.example/",
            "OCN_AGENT_PROXY_PRESERVE_HOST": "no",
            "OCN_AGENT_PROXY_DRAIN_SECONDS": "0",
            "OCN_AGENT_NODE_URL": "http://127.0.0.1:8081",
            "OCN_AGENT_NODE_VERSION": "2",
            "OCN_AGENT_NODE_OWN_PARTY": "DE*OCN",
            "OCN_AGENT_NODE_API_PREFIX": "/ocn/",
            "OCN_AGENT_OPERATOR_KEY": "0x" + "1f" * 32,
            "OCN_AGENT_CHAIN_NETWORK": "prod",
            "OCN_AGENT_CHAIN_RPC_URLS": "https://one.example, https://two.example/v3/0123456789abcdef",
            "OCN_AGENT_CONSENT_COPY_COMMANDS": "DE*PAY,NL*FLT",
            "OCN_AGENT_NETWORK_ALLOW_ADDRESSES": "10.0.0.0/8,fd00::/8",
            "OCN_AGENT_STORE_URL": "sqlite:////var/lib/agent.db",
        },
    )

    assert config.public_url == "https://node.example"
    assert config.drain_seconds == 0
    assert not config.proxy.preserve_host
    assert config.node_version is NodeVersion.V2
    assert (config.node.own_party, config.node.api_prefix) == (Party("DE", "OCN"), "ocn")
    assert config.consent.copy_commands == {Party("DE", "PAY"), Party("NL", "FLT")}
    assert [str(each) for each in config.network.allow_addresses] == ["10.0.0.0/8", "fd00::/8"]
    assert config.store.path == Path("/var/lib/agent.db")


def test_a_service_has_a_section_of_its_own_in_any_letter_case(loading: Loading) -> None:
    config = loading(
        {'delivery.services."de*pay"': 'cdr_unknown_outcome = "park"'},
        OCN_AGENT_DELIVERY_SERVICES_DE_PAY_MAX_RATE="2.5",
        OCN_AGENT_DELIVERY_SERVICES_DE_PAY_SCHEDULE_SECONDS="7, 70",
        OCN_AGENT_DELIVERY_SERVICES_NL_FLT_MAX_RATE="1",
        OCN_AGENT_DELIVERY_WINDOWS_CDRS="36h",
        OCN_AGENT_DELIVERY_SCHEDULE_SECONDS="0.5, 1",
    )

    assert config.delivery.of(Party("DE", "PAY")).cdr_unknown_outcome is CdrUnknownOutcome.PARK
    assert config.delivery.max_rate_of(Party("DE", "PAY")) == 2.5
    assert config.delivery.max_rate_of(Party("NL", "FLT")) == 1
    assert config.delivery.max_rate_of(Party("NL", "OTH")) == 20
    assert config.delivery.windows.cdrs == timedelta(hours=36)
    assert config.delivery.schedule_seconds == (0.5, 1.0)
    assert config.delivery.towards(Party("DE", "pay")).schedule_seconds == (7.0, 70.0)
    assert config.delivery.towards(Party("NL", "FLT")).schedule_seconds == (0.5, 1.0)


def test_a_service_may_be_reached_directly_with_a_token_from_a_file(loading: Loading, folder: Path) -> None:
    (folder / "pay.token").write_text("s3cr3t-of-the-service\n")
    lines = 'url = "https://pay.example/ocpi/2.2/"\ntoken_file = "pay.token"\ntoken_style = "base64"\nnotary = "never"'
    config = loading({'delivery.services."DE*PAY"': lines})

    service = config.delivery.of(Party("DE", "PAY"))
    assert service.notary is NotaryUse.NEVER
    assert service.direct is not None
    assert service.direct.url == "https://pay.example/ocpi/2.2"
    assert service.direct.authorization == "Token czNjcjN0LW9mLXRoZS1zZXJ2aWNl"
    assert "s3cr3t-of-the-service" in config.secrets
    assert "s3cr3t" not in repr(config)
    assert config.delivery.of(Party("NL", "FLT")).direct is None


def test_a_network_is_known_by_its_name(loading: Loading) -> None:
    chain = loading(OCN_AGENT_CHAIN_NETWORK="prod", OCN_AGENT_CHAIN_CHAIN_ID="246").chain

    assert (chain.chain_id, chain.rpc_urls) == (246, ("https://rpc.example",))
    assert chain.registry == "0x184aed70f2aab0cd1fc62261c1170560cbfd0776"
    assert chain.permissions == "0x9a59513f0c9aa56cb4d3f3bae0513868907bb978"


def test_any_other_chain_is_known_by_three_keys(loading: Loading) -> None:
    chain = loading(
        OCN_AGENT_CHAIN_NETWORK="",
        OCN_AGENT_CHAIN_CHAIN_ID="1337",
        OCN_AGENT_CHAIN_REGISTRY="0x" + "Aa" * 20,
        OCN_AGENT_CHAIN_PERMISSIONS="0x" + "Bb" * 20,
        OCN_AGENT_CHAIN_POLL_SECONDS="0.2",
        OCN_AGENT_CHAIN_CONFIRMATIONS="2",
    ).chain

    assert (chain.chain_id, chain.registry, chain.permissions) == (1337, "0x" + "aa" * 20, "0x" + "bb" * 20)
    assert (chain.poll_seconds, chain.confirmations) == (0.2, 2)


def test_orchestrator_variables_are_not_taken_for_ours(loading: Loading) -> None:
    config = loading(
        OCN_AGENT_SERVICE_HOST="10.0.0.1",
        OCN_AGENT_SERVICE_PORT="8080",
        OCN_AGENT_SERVICE_PORT_HTTP="8080",
        OCN_AGENT_PORT="tcp://10.0.0.1:8080",
        OCN_AGENT_PORT_8080_TCP_ADDR="10.0.0.1",
        OCN_AGENT_ADMIN_PORT="tcp://10.0.0.1:9090",
        OCN_AGENT_CONFIG="agent.toml",
    )

    assert config.proxy.listen_port == 8080


def test_secrets_come_from_files_beside_the_configuration_or_from_the_environment(
    loading: Loading, folder: Path
) -> None:
    (folder / "token").write_text("a-token-of-enough-length\n")
    (folder / "urls").write_text("https://one.example\nhttps://two.example\n")

    from_file = loading({"admin": 'token_file = "token"'})
    from_variable = loading(OCN_AGENT_ADMIN_TOKEN="another-token-of-length")
    from_named_file = loading(OCN_AGENT_ADMIN_TOKEN_FILE=str(folder / "token"))

    assert from_file.admin.token == from_named_file.admin.token == "a-token-of-enough-length"
    assert from_variable.admin.token == "another-token-of-length"


def test_what_a_windows_editor_puts_before_and_between_lines_does_not_matter(folder: Path) -> None:
    for name in ("agent.toml", "operator.key"):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(codecs.BOM_UTF8 + content.replace(b"\n", b"\r\n"))

    assert load(folder / "agent.toml", environ={}).public_url == "https://node.example"


def test_secrets_are_collected_for_the_redactor_and_never_shown(loading: Loading) -> None:
    config = loading(
        OCN_AGENT_ADMIN_TOKEN="a-token-of-enough-length",
        OCN_AGENT_CHAIN_RPC_URLS="https://user:p4ssw0rd@one.example/v3/0123456789abcdef?key=k3yk3y",
    )

    assert config.secrets >= {"1f" * 32, "a-token-of-enough-length", "p4ssw0rd", "0123456789abcdef", "k3yk3y"}
    assert "one.example" not in config.secrets
    shown = repr(config)
    assert not [secret for secret in config.secrets if secret in shown]


def test_the_store_may_be_a_postgresql_database_whose_password_is_never_shown(loading: Loading, folder: Path) -> None:
    url = "postgresql://agent:s%2Fcret@db.example:5433/ocn?sslmode=verify-full"
    (folder / "store.url").write_text(url + "\n")
    config = loading({"store": 'spool_folder = "spool"'}, OCN_AGENT_STORE_URL_FILE=str(folder / "store.url"))

    assert config.store.postgres_url == url
    assert config.store.beside("spool") == folder / "spool" / "agent.spool"
    assert str(config.store) == "ocn at db.example:5433 (PostgreSQL)"
    assert {"s/cret", "s%2Fcret"} <= config.secrets
    assert "cret" not in repr(config)


def test_the_files_of_an_agent_lie_beside_a_sqlite_store_or_in_the_folder_of_the_configuration(
    loading: Loading, folder: Path
) -> None:
    assert loading().store.beside("spool") == folder / "agent.db.spool"
    on_postgres = loading({"store": 'url = "postgresql:///ocn?host=/run/postgresql"'}).store
    assert on_postgres.beside("spool") == folder / "agent.spool"
    assert str(on_postgres) == "ocn (PostgreSQL)"
    either = loading({"store": 'url = "postgresql://u:pass@a:1,b:2/ocn?target_session_attrs=read-write"'}).store
    assert str(either) == "ocn at a:1,b:2 (PostgreSQL)"


def test_a_key_that_everybody_may_read_brings_a_warning(loading: Loading, folder: Path) -> None:
    (folder / "operator.key").chmod(0o644)

    [warning] = loading().warnings

    assert warning.startswith("operator.key_file: every account")


def test_asking_for_the_status_needs_no_operator_key(folder: Path) -> None:
    (folder / "operator.key").unlink()

    access = load_admin_access(folder / "agent.toml", environ={"OCN_AGENT_ADMIN_LISTEN": "127.0.0.1:9191"})

    assert (access.admin.listen_port, access.store.path) == (9191, folder / "agent.db")


def test_asking_for_the_status_is_refused_when_its_own_keys_are_wrong(folder: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        load_admin_access(folder / "agent.toml", environ={"OCN_AGENT_ADMIN_LISTEN": "nowhere"})

    [problem] = refused.value.problems
    assert problem.startswith("admin.listen (OCN_AGENT_ADMIN_LISTEN): must be")


def test_writing_to_the_contracts_needs_nothing_but_the_chain(tmp_path: Path) -> None:
    chain = load_chain_access(
        None,
        environ={
            "OCN_AGENT_CHAIN_NETWORK": "volta",
            "OCN_AGENT_CHAIN_RPC_URLS": "https://rpc.example",
            "OCN_AGENT_WALLET_KEY": "secret",
        },
    )

    assert (chain.chain_id, chain.rpc_urls, chain.confirmations) == (73799, ("https://rpc.example",), 12)


def test_problems_of_the_chain_section_are_told_without_those_of_others(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text("[proxy]\nlisten = 1\n[chain]\nconfirmations = -1\n")

    with pytest.raises(ConfigError) as refused:
        load_chain_access(file, environ={"OCN_AGENT_CHAIN_REGISTRI": "0x"})

    assert [problem.partition(":")[0] for problem in refused.value.problems] == [
        "OCN_AGENT_CHAIN_REGISTRI",
        "chain.rpc_urls",
        "chain.confirmations",
        "chain.network",
    ]


def test_a_wallet_in_the_environment_is_nothing_unknown(loading: Loading) -> None:
    assert loading(OCN_AGENT_WALLET_KEY_FILE="/run/secrets/wallet", OCN_AGENT_WALLET_PASSWORD="x").warnings == ()
