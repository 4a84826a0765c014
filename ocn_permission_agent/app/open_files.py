"""Room for connections: each of a platform may need one to the node, and a process may open only so many files."""

import resource
from dataclasses import replace

from ocn_permission_agent.config import Config
from ocn_permission_agent.log import Log

#: for the store, the admin listener, RPC endpoints and deliveries
RESERVE = 512


def with_room(config: Config, *, log: Log) -> Config:
    """The configuration with no more connections than files can be open; the process's limit is raised before."""
    wanted = files_for(config.proxy.max_connections)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        hard = max(wanted, soft)
    if soft != resource.RLIM_INFINITY and soft < min(wanted, hard):
        soft = min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return config
    fitting = connections_for(soft)
    log.warning(
        "configuration.doubted",
        reason=f"proxy.max_connections: {soft} files may be open, which is enough for {fitting} connections only; "
        "raise the hard limit (LimitNOFILE, ulimit -n)",
    )
    return replace(config, proxy=replace(config.proxy, max_connections=fitting))


def files_for(connections: int) -> int:
    """Open files that so many connections of platforms may need."""
    return 2 * connections + RESERVE


def connections_for(files: int) -> int:
    """Connections that so many open files are enough for, at least one."""
    return max((files - RESERVE) // 2, 1)
