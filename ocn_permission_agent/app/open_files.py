"""Room for connections: each of a platform may need one to the node, and a process may open only so many files."""

import contextlib
import resource
from dataclasses import replace

from ocn_permission_agent.config import Config
from ocn_permission_agent.log import Log

#: for the store, the admin listener, RPC endpoints and deliveries
RESERVE = 512


def with_room(config: Config, *, log: Log) -> Config:
    """The configuration with no more connections than files can be open; the process's limit is raised before."""
    wanted = files_for(config.proxy.max_connections)
    room = _raised(wanted)
    if room >= wanted:
        return config
    fitting = connections_for(room)
    log.warning(
        "configuration.doubted",
        reason=f"proxy.max_connections: {room} files may be open, which is enough for {fitting} connections only; "
        "raise the hard limit (LimitNOFILE, ulimit -n)",
    )
    return replace(config, proxy=replace(config.proxy, max_connections=fitting))


def _raised(wanted: int) -> int:
    """How many files may be open, after the limit was raised as far as is wanted and allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if resource.RLIM_INFINITY in (soft, hard):
        hard = wanted
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    # A sandbox such as systemd's may forbid to change limits at all; then what was given must do.
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def files_for(connections: int) -> int:
    """Open files that so many connections of platforms may need."""
    return 2 * connections + RESERVE


def connections_for(files: int) -> int:
    """Connections that so many open files are enough for, at least one."""
    return max((files - RESERVE) // 2, 1)
