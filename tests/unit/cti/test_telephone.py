"""What is shown of an agent's telephone."""

import pytest

from cti.telephone import shown


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("+4915112345678", "+49…78"),
        ("+14155550100", "+14…00"),
        ("sip:ava@pbx.example.com", "av…@pbx.example.com"),
        ("sip:a@pbx.example.com:5061", "a…@pbx.example.com:5061"),
    ],
)
def test_its_owner_knows_which_it_is_and_nobody_could_call_it(address: str, words: str) -> None:
    assert shown(address) == words
