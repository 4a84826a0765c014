"""Real Java: JDKs of this machine, and the program in Peer.java beside this file."""

import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ocn_permission_agent.ocn.version import NodeVersion

JARS = tuple(Path("/usr/share/java") / f"jackson-{name}.jar" for name in ("core", "annotations", "databind"))
PEER = Path(__file__).with_name("Peer.java")
_RELEASE = re.compile(r'version "(?:1\.)?([0-9]+)')
_LIMIT_SECONDS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Jdk:
    """A JDK and its feature release."""

    java: Path
    release: int

    @property
    def version(self) -> NodeVersion:
        """The node line whose doubles look like this JDK's: Double.toString was mended in 19."""
        return NodeVersion.V1 if self.release < 19 else NodeVersion.V2

    def answers(self, lines: Iterable[str]) -> list[str]:
        """What the program says to these lines."""
        jars = ":".join(map(str, JARS))
        run = subprocess.run(
            [str(self.java), "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", jars, str(PEER)],
            input="".join(f"{line}\n" for line in lines),
            capture_output=True,
            text=True,
            check=True,
            timeout=_LIMIT_SECONDS,
        )
        return run.stdout.splitlines()


def find_jdk(version: NodeVersion) -> Jdk | None:
    """A JDK of this machine that prints doubles as that node line does."""
    on_path = shutil.which("java")
    places = [Path(on_path)] if on_path else []
    places += sorted(Path("/usr/lib/jvm").glob("*/bin/java"))
    for java in places:
        if not java.with_name("javac").exists() and not java.resolve().with_name("javac").exists():
            continue
        told = subprocess.run([str(java), "-version"], capture_output=True, text=True, check=False, timeout=30).stderr
        release = _RELEASE.search(told)
        if release is None:
            continue
        jdk = Jdk(java=java, release=int(release[1]))
        if jdk.release >= 11 and jdk.version is version:
            return jdk
    return None
