"""The OCPI parties of the sandbox: they register by the real handshake, answer OCPI, and keep what they receive.

* `inbox`: what a party received, in order, and waiting for it
* `behaviour`: how a party fails when told to
* `platform`: `OcpiParty`: server, versions, handshake, client; all the others are one
* `cpo`, `receiver`: the parties of the story: CPO; eMSP and services, which keep objects by `keeping`
* `objects`: ordinary OCPI objects to send
* `client`: plain HTTP towards a node, and asking its operator for a TOKEN_A
"""
