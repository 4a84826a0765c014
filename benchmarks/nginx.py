"""nginx beside the agent: as the node with a fixed reply, and as the proxy that the agent is compared with.

Each is a single process of its own (no master, one worker), with its own configuration in a folder of the caller.
"""

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

REPLY = '{"status_code":1000,"timestamp":"2026-03-01T10:00:00Z"}'
_START_SECONDS = 5.0

_FRAME = """
daemon off;
master_process off;
error_log stderr crit;
pid {folder}/nginx.pid;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  server_tokens off;
  tcp_nodelay on;
  keepalive_requests 1000000000;
  keepalive_timeout 600s;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  {content}
}}
"""

_NODE = """
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    default_type application/json;
    location / {{ return 200 '{reply}'; }}
  }}
"""

_FRONT = """
  upstream node {{ server {node}; keepalive 256; keepalive_requests 1000000000; }}
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  proxy_set_header Host $http_host;
  proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
  proxy_set_header X-Forwarded-Proto $scheme;
  proxy_set_header X-Forwarded-Host $http_host;
  server {{
    listen 127.0.0.1:{plain} backlog=4096;
    location / {{ proxy_pass http://node; }}
  }}
  server {{
    listen 127.0.0.1:{mirroring} backlog=4096;
    location / {{ mirror /copy; proxy_pass http://node; }}
    location = /copy {{ internal; proxy_pass http://node/ocn/message; }}
  }}
"""


@contextlib.contextmanager
def a_fixed_node(folder: Path) -> Iterator[str]:
    """nginx that gives every request the same accepted reply; its URL."""
    (port,) = _free_ports(1)
    with _running(folder / "node", _NODE.format(port=port, reply=REPLY), port):
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def a_front(folder: Path, node_url: str) -> Iterator[tuple[str, str]]:
    """nginx before a node; the URL where it only proxies, and the one where it sends a copy of everything as well."""
    plain, mirroring = _free_ports(2)
    node = node_url.removeprefix("http://")
    with _running(folder / "front", _FRONT.format(node=node, plain=plain, mirroring=mirroring), plain):
        yield f"http://127.0.0.1:{plain}", f"http://127.0.0.1:{mirroring}"


def version() -> str:
    """As it calls itself: ``nginx/1.22.1``."""
    told = subprocess.run([_binary(), "-v"], capture_output=True, text=True, check=True)
    return told.stderr.strip().removeprefix("nginx version: ")


def _binary() -> str:
    # Debian puts it where ordinary people's PATH does not lead.
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise FileNotFoundError("nginx")
    return found


@contextlib.contextmanager
def _running(folder: Path, content: str, port: int) -> Iterator[None]:
    folder.mkdir()
    configuration = folder / "nginx.conf"
    configuration.write_text(_FRAME.format(folder=folder, content=content))
    process = subprocess.Popen([_binary(), "-p", str(folder), "-c", str(configuration)])
    try:
        _wait_for(port)
        yield
    finally:
        process.terminate()
        process.wait(10)


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if time.monotonic() > deadline:
            raise RuntimeError("nginx does not listen")
        time.sleep(0.02)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as taken:
        probes = [taken.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
