"""The agent's Prometheus metrics; their names are part of its public contract.

One `Metrics` is made by the composition root and handed to whoever counts. Labels are bounded: modules, roles, methods
and outcomes are closed sets, providers are those that a customer of this node agreed with.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

#: seconds; from a cheap local request to the longest attempt
_LATENCY_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 45.0)
#: seconds; from at once to two weeks
_DELIVERY_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 30, 60, 300, 1800, 7200, 43200, 86400, 604800, 1209600)


class Metrics:
    """All instruments, on a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()

        def counter(name: str, help_text: str, labels: tuple[str, ...] = ()) -> Counter:
            return Counter(f"ocn_agent_{name}", help_text, labels, registry=self.registry)

        def gauge(name: str, help_text: str, labels: tuple[str, ...] = ()) -> Gauge:
            return Gauge(f"ocn_agent_{name}", help_text, labels, registry=self.registry)

        def histogram(name: str, help_text: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(f"ocn_agent_{name}", help_text, registry=self.registry, buckets=buckets)

        self.requests = counter("requests", "OCPI requests proxied.", ("module", "interface_role", "method", "code"))
        self.proxy_overhead_seconds = histogram(
            "proxy_overhead_seconds",
            "Time the agent adds to a request, the node's own time left out.",
            _LATENCY_BUCKETS,
        )
        self.refusals = counter("refusals", "What the proxy answered in its own name, or cut, by cause.", ("cause",))
        self.copies = counter("copies", "Copies by what became of them.", ("provider", "module", "outcome"))
        self.not_copied = counter("not_copied", "Requests of a customer that were not copied, by reason.", ("reason",))
        self.delivery_attempts = counter("delivery_attempts", "Attempts to deliver a copy.", ("provider", "verdict"))
        self.delivery_seconds = histogram(
            "delivery_seconds", "From recording a copy to its delivery.", _DELIVERY_BUCKETS
        )
        self.backlog = gauge("backlog", "Deliveries that are owed, by what they wait for.", ("provider", "state"))
        self.backlog_oldest_seconds = gauge(
            "backlog_oldest_seconds", "Age of the oldest pending delivery.", ("provider",)
        )
        self.breaker_state = gauge("breaker_state", "0 closed, 1 probing, 2 open.", ("provider",))
        self.leases_lost = counter(
            "leases_lost", "Deliveries dropped because another agent has taken their lane over.", ("provider",)
        )
        self.consent_view_age_seconds = gauge("consent_view_age_seconds", "Age of what we know of the chain.")
        self.watches_chain = gauge("watches_chain", "1 while this agent follows the chain, for all on its store.")
        self.chain_head_lag_blocks = gauge(
            "chain_head_lag_blocks", "Blocks between the endpoint's head and the highest one seen.", ("endpoint",)
        )
        self.rpc_disagreements = counter("rpc_disagreements", "Times that two RPC endpoints contradicted each other.")
        self.consent_audit_differences = counter(
            "consent_audit_differences", "Entries of the contracts that differed from what we knew, found by audits."
        )
        self.revoke_to_stop_seconds = histogram(
            "revoke_to_stop_seconds", "From seeing that consent ended until nothing of it goes on.", _LATENCY_BUCKETS
        )
        self.held = gauge("held", "Deliveries held because our view is in doubt, by reason.", ("reason",))
        self.store_commit_seconds = histogram("store_commit_seconds", "Time of one group commit.", _LATENCY_BUCKETS)
        self.spool_bytes = gauge("spool_bytes", "Copies that wait beside the store, until it can be written again.")
        self.certificate_refused = gauge(
            "certificate_refused", "1 while the proxy's certificate files cannot be used and the former ones are."
        )
        self.gaps = counter("gaps", "Copies that were due and could not be recorded.", ("reason",))

    def gaps_counted(self) -> int:
        """All gaps of this run, whatever their reason."""
        samples = (sample for family in self.gaps.collect() for sample in family.samples)
        return int(sum(sample.value for sample in samples if sample.name.endswith("_total")))

    def exposition(self) -> bytes:
        """The text that `/metrics` answers with."""
        return generate_latest(self.registry)
