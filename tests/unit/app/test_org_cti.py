"""Telephone systems in the organisation file: a connection that cannot work is refused with its line and place."""

import pytest

from app.org import OrgFileInvalid, parse_org

GOOD = """\
queues:
  - {key: support, name: {en: Support}}
agents:
  - {email: ava@example.com, name: Ava, extensions: ["201", Ava]}
  - {email: ben@example.com, name: Ben, extensions: ["202"]}
cti_connections:
  - key: office
    dialect: zammad
    token_env: RINGDESK_CTI_OFFICE
    queue: support
    numbers: {style: international, region: DE}
    queues: {Vertrieb: support}
  - key: cloud
    dialect: generic
    secret_env: RINGDESK_CTI_CLOUD
    queue: support
    numbers: {style: national, region: CN}
    mapping:
      event: {path: type, values: {ring: new_call}}
      call: data.id
      from: data.from
      at: {path: at, format: unix}
"""


def faults_of(text: str) -> list[tuple[int, str]]:
    with pytest.raises(OrgFileInvalid) as refused:
        parse_org(text)
    return [(fault.line, fault.place) for fault in refused.value.faults]


def test_the_good_file_is_read() -> None:
    org = parse_org(GOOD)
    assert [connection.key for connection in org.cti_connections] == ["office", "cloud"]
    assert org.agents[0].extensions == ["201", "Ava"]


@pytest.mark.parametrize(
    ("old", "new", "line", "place"),
    [
        ("dialect: zammad", "dialect: sip", 7, "cti_connections[0]"),
        ("RINGDESK_CTI_OFFICE", "DATABASE_URL", 9, "cti_connections[0].token_env"),
        ("RINGDESK_CTI_OFFICE", "s3cret-token-in-plain", 9, "cti_connections[0].token_env"),
        ("region: DE", "region: XX", 11, "cti_connections[0].numbers.region"),
        ("style: international", "style: american", 11, "cti_connections[0].numbers.style"),
        ("{Vertrieb: support}", "{Vertrieb: sales}", 12, "cti_connections[0].queues.Vertrieb"),
        ("key: cloud", "key: office", 13, "cti_connections[1].key"),
        ("secret_env: RINGDESK_CTI_CLOUD", "token_env: RINGDESK_CTI_CLOUD", 15, "cti_connections[1].token_env"),
        ("{ring: new_call}", "{ring: newcall}", 19, "cti_connections[1].mapping.event"),
        ("call: data.id", "call: data..id", 20, "cti_connections[1].mapping.call"),
        ("call: data.id", "called: data.id", 20, "cti_connections[1].mapping.called"),
        ("from: data.from", "from: data[x]", 21, "cti_connections[1].mapping.from"),
        ("format: unix", "format: DD.MM.", 22, "cti_connections[1].mapping.at"),
        ('"202"', '"201"', 5, "agents[1].extensions[0]"),
        ('"202"', "AVA", 5, "agents[1].extensions[0]"),
        ('"202"', "ava@example.com", 5, "agents[1].extensions[0]"),
    ],
)
def test_a_fault_has_its_line_and_place(old: str, new: str, line: int, place: str) -> None:
    assert GOOD.count(old) == 1
    assert (line, place) in faults_of(GOOD.replace(old, new))


def test_queue_of_a_connection_must_be_there() -> None:
    lines = GOOD.splitlines()
    lines[9] = "    queue: sales"
    assert faults_of("\n".join(lines)) == [(10, "cti_connections[0].queue")]


def test_a_secret_in_plain_is_not_repeated() -> None:
    with pytest.raises(OrgFileInvalid) as refused:
        parse_org(GOOD.replace("RINGDESK_CTI_OFFICE", "s3cret-token-in-plain"))
    assert "s3cret" not in str(refused.value)
