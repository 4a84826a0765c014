"""A real nginx in the node's place, which tells in its log what it has read."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ocn_permission_agent.sandbox.serving import free_ports
from tests.peers.nginx import nginx
from tests.smuggling import Said

_CONTENT = """
  log_format seen escape=json '{{"method":"$request_method","target":"$request_uri","body":"$request_body"}}';
  map $status $answered {{ 200 1; default 0; }}
  client_body_buffer_size 64k;
  client_body_in_single_buffer on;
  server {{
    listen 127.0.0.1:{port};
    access_log {folder}/seen.log seen if=$answered;
    location / {{ proxy_pass http://127.0.0.1:{inner}; proxy_set_header X-Seen $request_uri; }}
  }}
  server {{
    listen 127.0.0.1:{inner};
    location / {{
      add_header X-Seen $http_x_seen;
      return 200 '{{"status_code":1000,"timestamp":"2026-03-01T10:00:00Z"}}';
    }}
  }}
"""


@dataclass
class NginxNode:
    """Where it listens, and what it has read."""

    port: int
    read: list[Said] = field(default_factory=list)


@asynccontextmanager
async def an_nginx_node(folder: Path) -> AsyncIterator[NginxNode]:
    """A running one in a folder that does not exist yet; `read` is filled when the context has ended."""
    port, inner = free_ports(2)
    node = NginxNode(port)
    # A body only has a variable in the log where it is passed on, so nginx passes all on to itself.
    async with nginx(folder, _CONTENT.format(folder=folder, port=port, inner=inner), port=port):
        yield node
    for line in (folder / "seen.log").read_text().splitlines():
        seen = json.loads(line)
        node.read.append(Said(seen["method"], seen["target"], seen["body"].encode()))
