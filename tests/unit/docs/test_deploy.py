"""What deploy/ ships for several agents is what the tools that read it understand."""

import re
import subprocess
import sys
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from ocn_permission_agent.config import load
from ocn_permission_agent.sandbox.serving import free_ports
from tests.peers.nginx import find

DEPLOY = Path(__file__).parents[3] / "deploy"


def test_the_compose_file_is_one() -> None:
    """By the schema of the Compose specification, as check-jsonschema ships it."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    subprocess.run([*command, str(DEPLOY / "compose.yaml")], check=True)


def test_every_file_that_compose_mounts_is_there_or_a_secret() -> None:
    text = (DEPLOY / "compose.yaml").read_text()
    named = set(re.findall(r"\./(compose/[\w./-]+)", text))
    assert {name for name in named if "/secrets/" not in name} == {"compose/agent.toml", "compose/agents.conf"}
    assert all((DEPLOY / name).is_file() for name in named if "/secrets/" not in name)
    secrets = {name.rpartition("/")[2] for name in named if "/secrets/" in name}
    assert secrets == {"operator.key", "admin.token", "store.url", "postgres.password"}
    assert set(re.findall(r"/run/secrets/([\w.]+)", text)) == secrets


def test_the_agents_configuration_is_complete_with_what_compose_adds(tmp_path: Path) -> None:
    text = (DEPLOY / "compose.yaml").read_text()
    (tmp_path / "operator.key").write_text("11" * 32)
    (tmp_path / "admin.token").write_text("a-token-of-some-length")
    (tmp_path / "store.url").write_text("postgresql://agent:secret@postgres/agent")
    told = dict(re.findall(r"(OCN_AGENT_\w+): (\S+)", text))
    image = dict(re.findall(r"(OCN_AGENT_\w+)=(\S+)", (DEPLOY.parent / "Dockerfile").read_text()))
    environ = image | {name: value.strip('"').replace("/run/secrets", str(tmp_path)) for name, value in told.items()}
    environ["OCN_AGENT_STORE_SPOOL_FOLDER"] = str(tmp_path)
    config = load(DEPLOY / "compose" / "agent.toml", environ=environ)
    assert config.store.beside("spool") == tmp_path / "agent.spool"


def test_nginx_finds_each_agent_at_its_own_address() -> None:
    text = (DEPLOY / "compose.yaml").read_text()
    fixed = dict(re.findall(r"(agent-\d):\n(?: +.*\n)*? +outside: {ipv4_address: ([\d.]+)}", text))
    assert dict(re.findall(r'"(agent-\d):([\d.]+)"', text)) == fixed
    assert re.findall(r"server (agent-\d):8080", (DEPLOY / "compose" / "agents.conf").read_text()) == sorted(fixed)
    (subnet,) = re.findall(r"subnet: ([\d./]+)", text)
    assert len(set(fixed.values())) == len(fixed)
    assert all(ip_address(each) in ip_network(subnet) for each in fixed.values())


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    """nginx's whole configuration, as in its container but for the names, which only Compose can resolve."""
    folder = tmp_path / "nginx"
    folder.mkdir()
    content = (DEPLOY / "compose" / "agents.conf").read_text()
    ports = list(free_ports(3))
    content = content.replace("listen 8080", f"listen 127.0.0.1:{ports[0]}")
    for number in (1, 2):
        content = content.replace(f"server agent-{number}:8080", f"server 127.0.0.1:{ports[number]}")
    path = folder / "nginx.conf"
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    path.write_text(f"pid {folder}/pid;\nevents {{}}\nhttp {{\naccess_log off;\n{temporary}{content}}}\n")
    return path


def test_nginx_understands_its_configuration(configuration: Path) -> None:
    done = subprocess.run(
        [find(), "-t", "-q", "-p", str(configuration.parent), "-e", "stderr", "-c", str(configuration)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
