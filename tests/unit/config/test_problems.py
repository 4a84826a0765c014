"""Every mistake is told, all at once, each in one sentence that names its key."""

# ruff: noqa: E501  the sentences are whole

from collections.abc import Callable
from pathlib import Path

import pytest

from ocn_permission_agent.config import Config, load
from ocn_permission_agent.errors import ConfigError

Loading = Callable[..., Config]
Complaining = Callable[..., list[str]]


def test_all_problems_are_told_at_once(complaining: Complaining) -> None:
    problems = complaining(
        {"chain": "confirmations = -1\npoll_secs = 5", "log": 'level = "loud"'}, OCN_AGENT_PROXY_STRICT="perhaps"
    )

    assert problems == [
        "chain.poll_secs: there is no such key; did you mean poll_seconds?",
        "proxy.strict (OCN_AGENT_PROXY_STRICT): must be true or false, not 'perhaps'.",
        "chain.confirmations: must be a whole number from 0 to 10000, not -1.",
        'log.level: must be "debug" or "info" or "warning" or "error", not \'loud\'.',
    ]


def test_an_empty_configuration_names_everything_that_is_needed(complaining: Complaining) -> None:
    problems = complaining(toml="")

    assert [problem.partition(":")[0] for problem in problems] == [
        "proxy.public_url",
        "node.url",
        "operator.key_file",
        "chain.rpc_urls",
        "chain.network",
    ]
    assert problems[2] == (
        "operator.key_file: is missing; give it in the file or as OCN_AGENT_OPERATOR_KEY or OCN_AGENT_OPERATOR_KEY_FILE."
    )


@pytest.mark.parametrize(
    ("added", "problem"),
    [
        ({"proxi": "strict = true"}, "[proxi]: there is no such section; did you mean proxy?"),
        ({"proxy": "lisen = 1"}, "proxy.lisen: there is no such key; did you mean listen?"),
        ({"delivery.window": 'cdrs = "1d"'}, "delivery.window: there is no such key."),
        ({"proxy": "listen = 8080"}, "proxy.listen: must be \"host:port\", not 8080."),
        ({"node": 'own_party = "DECPO"'}, "node.own_party: must be a party such as \"DE*CPO\", not 'DECPO'."),
        ({"node": 'version = "3"'}, 'node.version: must be "1" or "2" or "auto", not \'3\'.'),
        ({"node": 'version = "2"'}, 'node.own_party: is needed with a 2.x node: its own party, as in "DE*XXX".'),
        ({"chain": 'genesis_hash = "0x12"'}, "chain.genesis_hash: must be empty or 0x and 64 hexadecimal digits, not '0x12'."),
        ({"delivery.windows": "cdrs = 14"}, 'delivery.windows.cdrs: must be a duration such as "60s", "30m", "12h" or "14d", not 14.'),
        ({"network": 'allow_addresses = ["10.0.0.1/8"]'}, "network.allow_addresses: holds '10.0.0.1/8', which is not a network such as 10.0.0.0/8."),
        ({"store": 'url = "agent.db"'}, 'store.url: must be "sqlite:///file.db" (relative), "sqlite:////folder/file.db" (absolute) or "postgresql://user@host/database".'),
        ({"store": 'url = "postgresql://u:p4ss@db"'}, 'store.url: must name a database, as in "postgresql://user@host/database" (its value is not repeated here).'),
        ({"store": 'url = "postgresql://u:p4ss@[db/agent"'}, 'store.url: must name a database, as in "postgresql://user@host/database" (its value is not repeated here).'),
        ({"store": 'spool_folder = "spool"'}, "store.spool_folder: is for PostgreSQL; with SQLite these files lie beside the store."),
        ({"admin": 'token = "in-the-open-in-the-file"'}, "admin.token: a secret does not belong into this file; name a file with admin.token_file, or set OCN_AGENT_ADMIN_TOKEN."),
        ({"admin": 'token_file = "nowhere"'}, "admin.token_file: names {folder}/nowhere, which does not exist."),
        ({"admin": 'token_file = "."'}, "admin.token_file: names {folder}, which is a folder."),
        ({"admin": 'token_file = "empty"'}, "admin.token_file: names {folder}/empty, which is empty."),
        ({"admin": 'token_file = "short"'}, "admin.token_file: is too short; a token needs 16 characters or more."),
        ({"admin": 'listen = "127.0.0.1:8080"'}, "admin.listen: needs a port of its own, 0.0.0.0:8080 is the proxy's (proxy.listen)."),
        ({"proxy": 'listen = "127.0.0.1:8081"'}, "node.url: is the proxy itself (proxy.listen); it must be the node behind it."),
        ({"proxy": "buffer_total_bytes = 1024"}, "proxy.buffer_total_bytes: must be at least proxy.body_limit_bytes (8388608), or no large body could ever be copied."),
        ({"chain": "chain_id = 246"}, 'chain.chain_id: 246 is not that of the network "volta" (73799); give either chain.network or all three of chain.chain_id, chain.registry and chain.permissions.'),
        ({'delivery.services."DE*PAY"': 'notary = "sometimes"'}, 'delivery.services."DE*PAY".notary: must be "auto" or "always" or "never", not \'sometimes\'.'),
        ({'delivery.services."DE*PAY"': 'url = "https://pay.example"'}, 'delivery.services."DE*PAY".url: needs token_file, the token that the service gave you.'),
        ({'delivery.services."DE*PAY"': 'token_file = "short"'}, 'delivery.services."DE*PAY".token_file: is of use only together with url.'),
        ({'delivery.services."DE*PAY"': 'url = "https://pay.example"\ntoken_file = "odd"'}, 'delivery.services."DE*PAY".token_file: must be one line of ASCII characters.'),
        ({'delivery.services."DE*PAY"': 'notray = "auto"'}, 'delivery.services."DE*PAY".notray: there is no such key; did you mean notary?'),
        ({'delivery.services."PAY"': 'notary = "auto"'}, 'delivery.services."PAY": must be named after a party, as in [delivery.services."DE*PAY"].'),
    ],
)  # fmt: skip
def test_a_mistake_is_told_in_one_sentence(
    complaining: Complaining, folder: Path, added: dict[str, str], problem: str
) -> None:
    (folder / "empty").write_text(" \n")
    (folder / "short").write_text("0123456789")
    (folder / "odd").write_text("tök en")

    assert complaining(added) == [problem.replace("{folder}", str(folder))]


@pytest.mark.parametrize(
    ("variable", "value", "problem"),
    [
        ("OCN_AGENT_CHAIN_POLL_SECOND", "5", "there is no such variable; did you mean OCN_AGENT_CHAIN_POLL_SECONDS?"),
        ("OCN_AGENT_NODE_URL", "ftp://node", "must be an http:// or https:// URL with a host"),
        ("OCN_AGENT_NODE_URL", "http://n.example/path", "must end with host or port: no path."),
        ("OCN_AGENT_NODE_URL", "https://node.example", "equals proxy.public_url, where platforms reach the proxy"),
        ("OCN_AGENT_PROXY_PUBLIC_URL", "https://node.example?x=1", "must end with host or path"),
        ("OCN_AGENT_PROXY_LISTEN", "::1:8080", 'must be "host:port", as in "127.0.0.1:8080" or "[::1]:8080"'),
        ("OCN_AGENT_PROXY_LISTEN", "127.0.0.1:99999", "has no such port: 99999 is above 65535."),
        ("OCN_AGENT_DELIVERY_SCHEDULE_SECONDS", "5,soon", "must be a list of one or more pauses in seconds"),
        ("OCN_AGENT_DELIVERY_MAX_RATE", "nan", "must be a number above 0 to 10000, not nan."),
        (
            "OCN_AGENT_ADMIN_TOKEN",
            "white space in a long token",
            "must be one line of ASCII characters without spaces.",
        ),
        ("OCN_AGENT_OPERATOR_KEY", "", "is empty."),
        ("OCN_AGENT_CHAIN_RPC_URLS", "https://a.example,https://a.example", "names one URL twice."),
        ("OCN_AGENT_CHAIN_REGISTRY", "0x12", "must be 0x and 40 hexadecimal digits, not '0x12'."),
    ],
)
def test_a_mistake_in_the_environment_names_the_variable(
    complaining: Complaining, variable: str, value: str, problem: str
) -> None:
    problems = complaining({}, **{variable: value})

    matching = [each for each in problems if variable in each]
    assert matching
    assert problem in matching[0]


def test_a_secret_given_twice_is_refused(complaining: Complaining, folder: Path) -> None:
    (folder / "token").write_text("a-token-of-enough-length")

    [problem] = complaining({}, OCN_AGENT_ADMIN_TOKEN="x" * 16, OCN_AGENT_ADMIN_TOKEN_FILE=str(folder / "token"))

    assert problem.startswith("admin.token: is given twice")


def test_a_variable_that_is_emptied_gives_way_to_its_file(loading: Loading, folder: Path) -> None:
    (folder / "store.url").write_text("postgresql://agent@db/agent")

    config = loading({}, OCN_AGENT_STORE_URL="", OCN_AGENT_STORE_URL_FILE=str(folder / "store.url"))

    assert config.store.postgres_url == "postgresql://agent@db/agent"


def test_without_a_network_all_three_of_its_keys_are_needed(complaining: Complaining) -> None:
    problems = complaining({}, OCN_AGENT_CHAIN_NETWORK="", OCN_AGENT_CHAIN_CHAIN_ID="1337")

    assert problems == [
        "chain.registry: is missing; without chain.network all three must be given.",
        "chain.permissions: is missing; without chain.network all three must be given.",
    ]


@pytest.mark.parametrize("text", ["zz" * 32, "0x1f", '{"version": 3}', "0" * 64])
def test_an_unusable_operator_key_is_told_without_being_shown(
    complaining: Complaining, folder: Path, text: str
) -> None:
    (folder / "operator.key").write_text(text)

    [problem] = complaining()

    assert problem.startswith("operator.key_file: ")
    assert text not in problem


@pytest.mark.parametrize("url", ["https://user:p4ssw0rd@", "wss://rpc.example/p4ssw0rd", "https://x y/p4ssw0rd"])
def test_a_malformed_rpc_url_is_never_shown(complaining: Complaining, url: str) -> None:
    [problem] = complaining({}, OCN_AGENT_CHAIN_RPC_URLS=url)

    assert problem.startswith("chain.rpc_urls (OCN_AGENT_CHAIN_RPC_URLS): must be")
    assert "p4ssw0rd" not in problem


def test_broken_toml_is_told_with_its_line(complaining: Complaining) -> None:
    [problem] = complaining(toml='[proxy]\npublic_url = "https://x.example"\nlisten 8080\n')

    assert "is not valid TOML" in problem
    assert "line 3" in problem


def test_a_file_that_is_no_text_is_told(folder: Path) -> None:
    (folder / "agent.toml").write_bytes(b"[proxy]\n\xff\xfe")

    with pytest.raises(ConfigError, match=r"agent.toml is not UTF-8 text \(byte 8\)"):
        load(folder / "agent.toml", environ={})


def test_a_missing_file_is_told(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"^There is no configuration file .*nowhere.toml\.$"):
        load(folder / "nowhere.toml", environ={})


def test_a_folder_in_place_of_the_file_is_told(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be read: Is a directory\.$"):
        load(folder, environ={})


def test_certificate_and_key_go_together(complaining: Complaining) -> None:
    assert complaining({"proxy": 'tls_certificate_file = "chain.pem"'}) == [
        "proxy.tls_certificate_file: needs proxy.tls_key_file too."
    ]
    assert complaining(OCN_AGENT_PROXY_TLS_KEY_FILE="key.pem") == [
        "proxy.tls_key_file (OCN_AGENT_PROXY_TLS_KEY_FILE): needs proxy.tls_certificate_file too."
    ]


def test_certificates_are_read_as_at_the_start(complaining: Complaining, folder: Path) -> None:
    (folder / "ca.pem").write_text("no certificate")
    problems = complaining(
        {"proxy": 'tls_certificate_file = "chain.pem"\ntls_key_file = "key.pem"', "node": 'ca_file = "ca.pem"'},
        OCN_AGENT_NODE_URL="https://node.internal",
    )
    assert problems == [
        f"proxy.tls_certificate_file: names {folder}/chain.pem, which cannot be read: No such file or directory.",
        f"node.ca_file: {folder}/ca.pem holds no certificate in PEM form.",
    ]


def test_a_ca_for_a_node_that_speaks_plain_http_is_a_mistake(complaining: Complaining, folder: Path) -> None:
    assert complaining({"node": 'ca_file = "ca.pem"'}) == [
        "node.ca_file: is of use only with an https:// URL of the node."
    ]
