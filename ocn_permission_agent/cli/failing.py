"""From errors to sentences and exit codes."""

import errno
import sys
from collections.abc import Iterator

import structlog

from ocn_permission_agent import logs
from ocn_permission_agent.errors import AgentError, ConfigError, ContractMismatch, StoreMismatch
from ocn_permission_agent.logs import LogSettings

FAILED = 1
MISCONFIGURED = 2
_PORT_ERRORS = {errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES}


class CommandFailed(AgentError):
    """A command could not do its work; the message is one sentence for the operator."""


def tell(error: BaseException) -> int:
    """Print one sentence for each thing that went wrong; returns the exit code.

    What nobody expected goes with its traceback to the log, which redacts it, and as one sentence to standard error.
    """
    code = FAILED
    for sentence, one_code in _sentences(error):
        print(sentence, file=sys.stderr)
        code = max(code, one_code)
    return code


def _sentences(error: BaseException) -> Iterator[tuple[str, int]]:
    match error:
        case BaseExceptionGroup():
            for part in error.exceptions:
                yield from _sentences(part)
        case ConfigError():
            yield from ((problem, MISCONFIGURED) for problem in error.problems)
        case StoreMismatch() | ContractMismatch():
            yield str(error), MISCONFIGURED
        case AgentError():
            yield str(error), FAILED
        case OSError() if error.errno in _PORT_ERRORS:
            yield f"Cannot listen: {error.strerror or error}.", MISCONFIGURED
        case _:
            if not structlog.is_configured():
                # Its own defaults would show local variables.
                logs.configure(LogSettings(format="console"))
            structlog.get_logger().critical("process.crashed", exc_info=error)
            yield f"Something unexpected went wrong ({type(error).__name__}); the log line above tells where.", FAILED
