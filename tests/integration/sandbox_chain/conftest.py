from tests.chain_fixtures import chain_client, deployed, deployed_real, sandbox_chain

__all__ = ["chain_client", "deployed", "deployed_real", "sandbox_chain"]
