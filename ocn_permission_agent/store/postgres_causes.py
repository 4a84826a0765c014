"""Why PostgreSQL cannot be used, in our own words. Pure.

The words of the server, of asyncpg and of the network are never passed on: they name hosts, roles and files, and may
quote what was to be stored or a piece of the URL. The code beside ours can be looked up: SQLSTATE (PostgreSQL's
documentation, appendix A) or the name of an error of the operating system.
"""

import errno
import socket
import ssl
from collections.abc import Mapping

import asyncpg

_CODE_LENGTH = 5
#: by SQLSTATE
_BY_CODE: Mapping[str, str] = {
    "25006": "the server takes no writes: it is a standby, or was told to be read-only",
    "28000": "the server refuses this role, or connections from here",
    "28P01": "the server refuses the password",
    "3D000": "there is no such database",
    "3F000": "there is no such schema",
    "40001": "another transaction was in the way",
    "40P01": "two transactions waited for each other",
    "42501": "the role may not do this",
    "42P01": "a table is missing",
    "42P07": "a table of that name is there already",
    "53100": "the server's disk is full",
    "53200": "the server is out of memory",
    "53300": "the server has no connection left",
    "53400": "a limit of the server's configuration is reached",
    "55P03": "a lock was not to be had in time",
    "57014": "a statement took too long",
    "57P01": "the server is being shut down, or ended this connection",
    "57P02": "the server has crashed",
    "57P03": "the server is starting up or shutting down",
    "57P05": "the server ended an idle connection",
    "58030": "the server cannot read or write its files",
}
#: by the class of a SQLSTATE, its first two characters
_BY_CLASS: Mapping[str, str] = {
    "08": "the connection was lost",
    "22": "one of the values is not taken",
    "23": "one of the values breaks a rule of its table",
    "25": "the transaction is in a state that does not allow this",
    "42": "a statement is not understood: is the schema another program's?",
    "53": "the server lacks resources",
    "57": "an administrator has intervened",
    "58": "the server's system is in trouble",
    "XX": "the server is at fault, or its data are damaged",
}


def cause_of(error: BaseException) -> str:
    """One line about an error of asyncpg, or of the network below it.

    A connection that is lost has as its cause what the server said last, if it said anything.
    """
    if isinstance(error, asyncpg.PostgresError):
        last_words = error.__cause__
        return _of_server(last_words if isinstance(last_words, asyncpg.PostgresError) else error)
    if isinstance(error, OSError):
        return _of_system(error)
    return f"the connection to PostgreSQL cannot be used ({type(error).__name__})"


def _of_server(error: asyncpg.PostgresError) -> str:
    code = error.sqlstate or ""
    words = _BY_CODE.get(code) or _BY_CLASS.get(code[:2]) or "the server answers with an error"
    told = code if len(code) == _CODE_LENGTH and code.isalnum() else type(error).__name__
    return f"PostgreSQL: {words} ({told})"


def _of_system(error: OSError) -> str:
    match error:
        case TimeoutError():
            return "PostgreSQL did not answer in time"
        case ssl.SSLCertVerificationError():
            return "the certificate of the PostgreSQL server cannot be verified"
        case ssl.SSLError():
            return "TLS with the PostgreSQL server fails"
        case socket.gaierror():
            return "the name of the PostgreSQL server cannot be resolved"
        case ConnectionRefusedError():
            return "nothing listens where PostgreSQL should be (ECONNREFUSED)"
        case FileNotFoundError():
            return "PostgreSQL cannot be reached: there is no such socket, or no such certificate file (ENOENT)"
        case ConnectionError():
            return "the connection to PostgreSQL was lost"
        case _:
            code = errno.errorcode.get(error.errno or 0, type(error).__name__)
            return f"PostgreSQL cannot be reached ({code})"
