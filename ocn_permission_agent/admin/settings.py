"""Settings of the admin listener."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminSettings:
    """`[admin]` of the configuration.

    Without a `token` only health and metrics are served. `allow_hosts` are names, besides `localhost`, the listen host
    and plain IP addresses, under which the listener may be called (it refuses others: DNS rebinding).
    """

    listen_host: str = "127.0.0.1"
    listen_port: int = 9090
    token: str | None = field(default=None, repr=False)
    allow_hosts: tuple[str, ...] = ()
