"""Our canonical text against the nodes' own libraries: real Jackson on real Java."""

import base64
import struct

import pytest

from ocn_permission_agent.errors import CanonicalError
from ocn_permission_agent.ocn.canonical import canonical
from ocn_permission_agent.ocn.java_double import double_text, single_text
from ocn_permission_agent.ocn.version import NodeVersion
from tests.peers.jackson.documents import documents, doubles
from tests.peers.jackson.jdk import JARS, Jdk, find_jdk
from tests.peers.presence import missing


@pytest.fixture(params=list(NodeVersion), ids=["older-java", "newer-java"])
def jdk(request: pytest.FixtureRequest) -> Jdk:
    absent = [str(jar) for jar in JARS if not jar.exists()]
    if absent:
        missing(f"{', '.join(absent)} not found (Debian: libjackson2-databind-java)")
    version: NodeVersion = request.param
    found = find_jdk(version)
    if found is None and version is NodeVersion.V2 and find_jdk(NodeVersion.V1) is not None:
        # Debian stable has no such JDK; the older one proves all but the digits, and those are Python's own.
        pytest.skip("no JDK of release 19 or later on this machine")
    if found is None:
        missing("no JDK on this machine (Debian: default-jdk-headless)")
    return found


def check_documents(jdk: Jdk, *, seed: int, count: int) -> None:
    texts = documents(seed, count)
    answers = jdk.answers(f"json {base64.b64encode(text.encode()).decode()}" for text in texts)
    different = [
        (text, theirs, ours)
        for text, theirs in zip(texts, map(read_answer, answers), strict=True)
        if (ours := written(text, jdk.version)) != theirs
    ]
    assert different == []
    assert 0.02 < sum(answer == "!" for answer in answers) / count < 0.3


def read_answer(answer: str) -> bytes | None:
    return None if answer == "!" else base64.b64decode(answer)


def written(text: str, version: NodeVersion) -> bytes | None:
    try:
        return canonical(text.encode(), version=version)
    except CanonicalError:
        return None


def check_numbers(jdk: Jdk, *, seed: int, count: int) -> None:
    numbers = doubles(seed, count)
    singles = [number for number in numbers if 1e-44 < number < 3e38][:: max(1, count // 20_000)]
    answers = jdk.answers(
        [f"double {struct.pack('>d', number).hex()}" for number in numbers]
        + [f"float {struct.pack('>f', number).hex()}" for number in singles]
    )
    ours = [double_text(number, jdk.version) for number in numbers]
    ours += [single_text(number, jdk.version) for number in singles]
    assert [pair for pair in zip(ours, answers, strict=True) if pair[0] != pair[1]] == []


def test_documents_are_read_and_written_as_by_jackson(jdk: Jdk) -> None:
    check_documents(jdk, seed=1, count=1_000)


def test_numbers_are_printed_as_by_java(jdk: Jdk) -> None:
    check_numbers(jdk, seed=1, count=20_000)


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(100, 105))
def test_many_documents_are_read_and_written_as_by_jackson(jdk: Jdk, seed: int) -> None:
    check_documents(jdk, seed=seed, count=10_000)


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(100, 103))
def test_many_numbers_are_printed_as_by_java(jdk: Jdk, seed: int) -> None:
    check_numbers(jdk, seed=seed, count=300_000)
