"""Before the first request is taken: whether store and chain can be the right ones."""

import asyncio
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

from ocn_permission_agent.app.engine_room import EngineRoom
from ocn_permission_agent.app.surroundings import Surroundings
from ocn_permission_agent.errors import ChainUnavailable, ContractMismatch, StoreUnavailable

#: for the endpoint to answer; the proxy listens afterwards whatever came of it
_CHAIN_SECONDS = 5.0


async def make_contact(room: EngineRoom, around: Surroundings) -> None:
    """Refuse a store that is not ours and, while the store knows nothing, a chain that is not the configured one.

    What is only unreachable is waited for later, behind a proxy that works.

    Raises:
        ContractMismatch: not the contracts we were told of, and the store is empty.
        StoreMismatch: the store was made for others, or by another version.
    """
    log = around.log
    # What may be shown of the RPC endpoint.
    endpoint = urlsplit(around.config.chain.rpc_urls[0]).netloc.rpartition("@")[2]
    try:
        async with AsyncExitStack() as opened:
            engine = await room.open(opened)
            watcher = engine.watch.watcher
            await watcher.restore()
            if engine.together is not None:
                await engine.together.arrive()
            if around.view.index.block_number > 0:
                return
            async with asyncio.timeout(_CHAIN_SECONDS):
                findings = await watcher.check()
    except StoreUnavailable as error:
        log.error("store.unavailable", reason=str(error))
    except ChainUnavailable as error:
        log.error("chain.unavailable", endpoint=endpoint, reason=str(error))
    except TimeoutError:
        log.error("chain.unavailable", endpoint=endpoint, reason="no answer in time")
    else:
        if findings.sentence is not None:
            raise ContractMismatch(findings.sentence)
