import pytest

from simulator.provider import twiml
from simulator.provider.twiml import DocumentFailed

URL = "https://example.org/twilio/voice"


def read(body: str, content_type: str = "text/xml") -> twiml.Document:
    return twiml.read(content_type, body.encode(), "utf-8", URL)


def test_a_document_is_its_verbs_in_order() -> None:
    document = read(
        '<Response><Say language="de-DE"> Guten Tag </Say><Gather numDigits="1"><Play>a.mp3</Play></Gather></Response>'
    )
    say, gather = document.verbs
    assert (say.name, say.text, say.get("language")) == ("Say", "Guten Tag", "de-DE")
    assert gather.whole("numDigits", 0) == 1
    assert [child.name for child in gather.children] == ["Play"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("", 12100),
        ("<Response><Say>", 12100),
        ("<Response>\x07</Response>", 12100),
        ("<Responses/>", 12200),
        ("<Response><Sya>typo</Sya></Response>", 12200),
        ("<Response><Gather><Dial>+1</Dial></Gather></Response>", 12200),
        ("<Response><Dial><Confrence>x</Confrence></Dial></Response>", 12200),
        (f"<Response><Say>{'x' * 4097}</Say></Response>", 13520),
        (f"<Response><!-- {'x' * 65536} --></Response>", 11750),
    ],
)
def test_what_cannot_be_played_has_the_providers_code(body: str, code: int) -> None:
    with pytest.raises(DocumentFailed) as failed:
        read(body)
    assert (failed.value.code, failed.value.url) == (code, URL)


def test_an_unknown_attribute_is_only_a_warning() -> None:
    assert read('<Response><Say lang="de">x</Say></Response>').warnings == ("<Say> has no attribute 'lang'",)


def test_plain_text_is_read_aloud_and_audio_is_played() -> None:
    assert [(v.name, v.text) for v in read("Hello", "text/plain").verbs] == [("Say", "Hello")]
    assert [(v.name, v.text) for v in read("", "audio/mpeg").verbs] == [("Play", URL)]


@pytest.mark.parametrize("content_type", ["application/json", ""])
def test_an_unknown_content_type_is_refused(content_type: str) -> None:
    with pytest.raises(DocumentFailed) as failed:
        read("<Response/>", content_type)
    assert failed.value.code == 12300


def test_speech_markup_inside_say_is_heard_as_text() -> None:
    assert read("<Response><Say>It is <emphasis>you</emphasis>.</Say></Response>").verbs[0].text == "It is you."


def test_a_number_that_is_none_counts_as_absent() -> None:
    assert read('<Response><Pause length="long"/></Response>').verbs[0].whole("length", 1) == 1
