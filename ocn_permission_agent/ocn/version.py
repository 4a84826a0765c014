"""The two lines of OCN node software, which cannot read each other's messages (ocn-protocol.md c.3 rule 8)."""

from enum import Enum


class NodeVersion(Enum):
    """Whose text has to be written: what is signed is what the *receiving* node writes after parsing."""

    #: OCN Node 1.1.2 and its like: OCPI 2.2, Java 8 to 17, a strict parser, Brotli in OCN-Signature
    V1 = "1"
    #: the 2.x fork: OCPI 2.2.1, Java 21, a lenient parser, GZIP in OCN-Signature
    V2 = "2"
