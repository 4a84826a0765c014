"""A stand-in OCN node: as much of OCN Node as its neighbours can see (ocn-protocol.md, "Stand-in node checklist").

From the outside in:

* `node`: `Node`: settings, listener, collaborators; what tests and the demo use
* `server`: which handler a path belongs to; errors become answers
* `binding`: a platform's request becomes a `Call`, with the complaints of the framework (b.1 rows 1-5)
* `typed`, `shapes`: bodies bound to the node's classes (b.5); `inbound`: the same for `/ocn/message`
* `handshake`: admin, versions, credentials, TOKEN_A/B/C (a.5)
* `engine`: the checks in their order, for platforms and for `/ocn/message` (b.1, c.4)
* `rules`, `seal`: white- and blacklists; message signing (b.2, d)
* `handover`, `forwarding`: on to the receiver and back; callbacks, links, proxy numbers (b.4, f)
* `outgoing`: calls to platforms and other nodes, and what goes wrong with them (b.1 rows 13-15)
* `relay`: replies read and written again
* `platforms`, `proxied`, `registry`: what the node knows: its platforms, its proxy numbers, the chain
* `dialect`: where 1.x and 2.x differ, as values
"""
