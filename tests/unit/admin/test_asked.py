"""Questions to the index: what people write, and the path that it becomes."""

from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocn_permission_agent.admin.asked import Asked, BadQuestion, read_question

PARTIES = st.tuples(st.text(min_size=2, max_size=2), st.text(min_size=3, max_size=3)).map("*".join)


def test_a_path_names_everything_that_was_chosen() -> None:
    question = read_question(Asked.AGREEMENTS, {"customer": "DE*CPO", "standing": "open", "color": "green"})

    assert question.path == "/api/v1/agreements?customer=DE%2ACPO&standing=open"
    assert read_question(Asked.AGREEMENT, {"customer": "DE*CPO", "provider": "NL*B/L"}).path == (
        "/api/v1/agreements/DE*CPO/NL*B%2FL"
    )


@given(PARTIES.filter(lambda text: text.index("*") == 2))
def test_whatever_a_party_is_called_its_path_leads_back_to_it(party: str) -> None:
    question = read_question(Asked.AGREEMENT, {"customer": party, "provider": party})
    parts = urlsplit(question.path)

    assert parts.path.split("/")[:4] == ["", "api", "v1", "agreements"]
    assert [unquote(name) for name in parts.path.split("/")[4:]] == [party, party]
    assert parse_qsl(parts.query) == []


@pytest.mark.parametrize(
    "written", [{"customer": "DECPO"}, {"provider": "0x12"}, {"standing": "OPEN"}, {"customer": ""}]
)
def test_what_cannot_be_read_is_refused(written: dict[str, str]) -> None:
    with pytest.raises(BadQuestion):
        read_question(Asked.AGREEMENTS, written)
