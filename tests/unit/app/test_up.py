"""What `ringdesk up` tells about itself."""

import pytest

from app.up import _broker_note


@pytest.mark.parametrize(
    ("wanted", "serves", "is_configured", "is_installed", "which", "how"),
    [
        ("auto", False, False, False, "local", "install rabbitmq-server"),
        ("local", False, False, True, "local", "leave out --broker local"),
        ("auto", False, False, True, "local", "did not start"),
        ("auto", True, False, True, "RabbitMQ", "add --broker local"),
        ("local", True, True, False, "RabbitMQ", "unset RINGDESK_RABBITMQ_URL"),
    ],
)
def test_the_broker_line_says_which_and_how_to_get_the_other(
    wanted: str, serves: bool, is_configured: bool, is_installed: bool, which: str, how: str
) -> None:
    note = _broker_note(wanted=wanted, serves=serves, is_configured=is_configured, is_installed=is_installed)
    assert note.startswith(which)
    assert how in note
