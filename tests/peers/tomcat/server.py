"""A real Tomcat, with the servlet of Reporter.java beside this file."""

import asyncio
import base64
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.peers.presence import missing
from tests.smuggling import Said

SERVLET = Path(__file__).with_name("Reporter.java")
JARS = sorted(Path("/usr/share/java").glob("tomcat10-*.jar"))
_START_SECONDS = 60


@dataclass
class Tomcat:
    """Where it listens, and what it has read."""

    port: int = 0
    read: list[Said] = field(default_factory=list)


@asynccontextmanager
async def a_tomcat(folder: Path) -> AsyncIterator[Tomcat]:
    """A running one; `read` is complete when the context has ended."""
    java, jars = shutil.which("java"), JARS
    if java is None or shutil.which("javac") is None or not jars:
        missing("no JDK, or no Tomcat 10 in /usr/share/java (Debian: default-jdk-headless, libtomcat10-java)")
    tomcat = Tomcat()
    with (folder / "tomcat.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            java,
            *("-Xshare:auto", "-XX:TieredStopAtLevel=1", "-Xmx192m", "-cp", ":".join(map(str, jars))),
            *(str(SERVLET), str(folder)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
        )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        async with asyncio.timeout(_START_SECONDS):
            first = await process.stdout.readline()
        assert first, (folder / "tomcat.log").read_text()
        tomcat.port = int(first)
        async with asyncio.TaskGroup() as group:
            group.create_task(_read(process.stdout, tomcat))
            yield tomcat
            process.stdin.close()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _read(lines: asyncio.StreamReader, tomcat: Tomcat) -> None:
    async for line in lines:
        method, target, body = (b"" if word == b"-" else base64.b64decode(word) for word in line.split())
        tomcat.read.append(Said(method.decode(), target.decode(), body))
