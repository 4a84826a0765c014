"""The one error of the sandbox chain: a JSON-RPC error object, raised where it is known and sent as it is."""

INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL = -32603
PARSE_ERROR = -32700
#: The node understood and refuses (geth's general code).
REFUSED = -32000
#: A block that is not on the chain (EIP-1898's recommended code).
NOT_FOUND = -32001
#: A call that the contract reverted; `data` holds the revert data (geth).
REVERTED = 3


class RpcFault(Exception):
    """A JSON-RPC error object.

    Args:
        code: one of the codes above.
        message: the sentence a caller sees.
        data: hex text with more, such as revert data.
    """

    def __init__(self, code: int, message: str, data: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data
