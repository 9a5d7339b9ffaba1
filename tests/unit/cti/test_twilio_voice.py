"""TwiML: every document in every language we ship, held to files, to XML and to the provider's limits.

A wanted change: RINGDESK_WRITE_GOLDEN=1 pytest tests/unit/cti/test_twilio_voice.py, then read the diff.
"""

import os
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cti import twilio_voice as twiml
from cti.menu import Menu, Option, Way
from cti.twilio_voice import Line, Recorder
from simulator.provider import twiml as provider
from tests.unit.cti.laws import LAWS

GOLDEN: Final = Path(__file__).parents[2] / "golden" / "twiml"
BASE: Final = "https://ring.example.com"
LINES: Final = {
    "en": Line("+14155550199", "US", "support", "en"),
    "de": Line("+4930901820", "DE", "de", "de"),
    "zh-CN": Line("+862155550123", "CN", "sales", "zh-CN"),
}
MENU: Final = Menu(
    "main",
    {"en": "For billing press 1.", "de": "Für Rechnungen drücken Sie die 1.", "zh-CN": "账单请按1。"},
    (Option("billing", "1", "support", ("billing", "账单")),),
)
BELOW: Final = replace(MENU, key="billing", back="0", main="*")
RECORDER: Final = Recorder(is_offered=True, key="2", after_hours=True)
DOCUMENTS: Final[dict[str, Callable[[Line], str]]] = {
    "enqueue": lambda line: twiml.enqueue(line, BASE),
    "enqueue_again": lambda line: twiml.enqueue(line, BASE, greet=False),
    "wait_position": lambda line: twiml.wait(line, 3),
    "wait_next": lambda line: twiml.wait(line, 1),
    "wait_nobody": lambda line: twiml.wait(line, 2, nobody=True),
    "wait_unknown": lambda line: twiml.wait(line, None),
    "conference_customer": lambda _: twiml.conference(
        BASE, "call_7", offer_id=11, label="customer", ends_with_caller=True
    ),
    "conference_agent": lambda _: twiml.conference(
        BASE, "call_7", offer_id=11, label="agent_3", ends_with_caller=False
    ),
    "conference_telephone": lambda _: twiml.conference(
        BASE, "call_7", offer_id=11, label="agent_3", ends_with_caller=False, is_telephone=True
    ),
    "press_to_take": lambda line: twiml.press_to_take(line, BASE, "Support", offer_id=11),
    "press_to_take_again": lambda line: twiml.press_to_take(line, BASE, "Support", offer_id=11, tries=2),
    "press_to_take_last": lambda line: twiml.press_to_take(line, BASE, "Support", offer_id=11, tries=3),
    "back_to_queue": lambda line: twiml.back_to_queue(line, BASE),
    "back_to_queue_again": lambda line: twiml.back_to_queue(line, BASE, tries=2),
    "hold": twiml.hold,
    "hold_music": lambda line: twiml.hold(replace(line, music="https://ring.example.com/music.mp3")),
    "transfer": lambda line: twiml.back_to_queue(line, BASE, says="transfer"),
    "not_reached": lambda line: twiml.back_to_queue(line, BASE, says="not_reached"),
    "put_through": lambda line: twiml.put_through(line, BASE, "+14155550111", transfer_id=5),
    "not_yours": twiml.not_yours,
    "goodbye": twiml.goodbye,
    "emergency": lambda line: twiml.emergency(line, BASE, 0),
    "emergency_quiet": lambda line: twiml.emergency(line, BASE, 1),
    "emergency_last": lambda line: twiml.emergency(line, BASE, twiml.MAX_RETRIES),
    "emergency_of_agent": lambda line: twiml.emergency_of_agent(line, BASE, 0, "7"),
    "emergency_of_agent_quiet": lambda line: twiml.emergency_of_agent(line, BASE, 4, "7"),
    "emergency_of_agent_last": lambda line: twiml.emergency_of_agent(line, BASE, twiml.MAX_AGENT_RETRIES, "7"),
    "emergency_of_telephone": lambda _: twiml.emergency_of_telephone(BASE, 0, 11, 1),
    "emergency_of_telephone_last": lambda _: twiml.emergency_of_telephone(BASE, twiml.MAX_AGENT_RETRIES, 11, 1),
    "wait_with_key": lambda line: twiml.wait(replace(line, recorder=RECORDER), 3, base=BASE),
    "wait_short": lambda line: twiml.wait(line, 2, minutes=(0, 1)),
    "wait_up_to": lambda line: twiml.wait(line, 2, minutes=(0, 4)),
    "wait_range": lambda line: twiml.wait(line, 2, minutes=(2, 4)),
    "record": lambda line: twiml.record(replace(line, recorder=RECORDER), BASE),
    "closed": lambda line: twiml.closed(line, BASE),
    "closed_record": lambda line: twiml.closed(replace(line, recorder=RECORDER), BASE),
    "thanks": lambda line: twiml.farewell(line, "voicemail_thanks"),
    "reject": lambda _: twiml.reject(),
    "menu": lambda line: twiml.menu(line, BASE, Way((MENU,)), greet=True),
    "menu_again": lambda line: twiml.menu(line, BASE, Way((MENU,)), tries=1),
    "menu_below": lambda line: twiml.menu(line, BASE, Way((MENU, BELOW)), step=3),
    "menu_below_again": lambda line: twiml.menu(line, BASE, Way((MENU, BELOW)), tries=2, step=3),
    "empty": lambda _: twiml.EMPTY,
}
SENT_OVER_REST: Final = ("conference_customer", "back_to_queue", "transfer", "put_through", "press_to_take")
CASES: Final = [(name, language) for name in DOCUMENTS for language in LINES]


def play(document: str) -> provider.Document:
    """Read it as the provider does; it may not even warn."""
    read = provider.read("text/xml", document.encode(), "utf-8", f"{BASE}/twilio/voice")
    assert not read.warnings
    return read


def verbs(document: str) -> list[str]:
    return [verb.name for verb in play(document).verbs]


@pytest.mark.parametrize(("name", "language"), CASES)
def test_document_is_as_written_down(name: str, language: str) -> None:
    document = DOCUMENTS[name](LINES[language])
    path = GOLDEN / f"{name}.{language}.xml"
    if os.environ.get("RINGDESK_WRITE_GOLDEN") == "1":
        path.write_text(document + "\n", encoding="utf-8")
    assert document + "\n" == path.read_text(encoding="utf-8")


@pytest.mark.parametrize(("name", "language"), CASES)
def test_document_can_be_played(name: str, language: str) -> None:
    document = DOCUMENTS[name](LINES[language])
    play(document)
    root = ET.fromstring(document)
    assert root.tag == "Response"
    for say in root.iter("Say"):
        assert say.attrib["language"] == {"en": "en-US", "de": "de-DE", "zh-CN": "zh-CN"}[language]
        assert say.text


def test_no_golden_file_is_left_over() -> None:
    assert {path.name for path in GOLDEN.iterdir()} == {f"{name}.{language}.xml" for name, language in CASES}


def test_texts_differ_between_languages() -> None:
    for name in ("enqueue", "wait_position", "wait_next", "wait_nobody", "back_to_queue", "goodbye", "emergency"):
        assert len({DOCUMENTS[name](line) for line in LINES.values()}) == 3


def test_wait_documents_hold_only_what_the_provider_allows_there() -> None:
    for name in ("wait_position", "wait_next", "wait_nobody", "wait_unknown", "wait_with_key", "wait_range"):
        document = play(DOCUMENTS[name](LINES["en"]))
        provider.require(document, provider.WAITING_VERBS, "a wait document")
        assert document.verbs[-1].name == "Pause", "a document without length would be asked for without end"


def test_position_is_said_in_numbers_that_the_language_reads() -> None:
    assert "number 3 in line" in twiml.wait(LINES["en"], 3)
    assert "Platz 3" in twiml.wait(LINES["de"], 3)
    assert "第3位" in twiml.wait(LINES["zh-CN"], 3)


def test_emergency_sends_round_until_it_gives_up() -> None:
    for retry in range(twiml.MAX_RETRIES):
        document = twiml.emergency(LINES["de"], BASE, retry)
        assert verbs(document)[-2:] == ["Pause", "Redirect"]
        assert f"/twilio/voice?r={retry + 1}<" in document
        assert ("Say" in verbs(document)) == (retry % 4 == 0)
    assert verbs(twiml.emergency(LINES["de"], BASE, twiml.MAX_RETRIES)) == ["Say", "Hangup"]
    assert verbs(twiml.emergency(LINES["de"], BASE, 10**17)) == ["Say", "Hangup"]


def test_emergency_of_an_agent_never_leads_to_the_customers_door() -> None:
    for retry in range(twiml.MAX_AGENT_RETRIES + 2):
        for call_id in ("", "7", "call_7", "<&\"'>"):
            document = twiml.emergency_of_agent(LINES["en"], BASE, retry, call_id)
            play(document)
            assert "/twilio/voice" not in document
    assert verbs(twiml.emergency_of_agent(LINES["en"], BASE, twiml.MAX_AGENT_RETRIES, "7")) == ["Hangup"]


def test_the_telephone_of_an_agent_never_leads_to_the_customers_door() -> None:
    for retry in range(twiml.MAX_AGENT_RETRIES + 2):
        for offer_id in (None, 0, 11):
            document = twiml.emergency_of_telephone(BASE, retry, offer_id, 2)
            play(document)
            assert "/twilio/voice" not in document
    assert "/twilio/" not in twiml.conference(
        BASE, "call_7", offer_id=11, label="agent_3", ends_with_caller=False, is_telephone=True
    ).replace("/twilio/conference", "")


def test_a_telephone_is_asked_three_times_in_all() -> None:
    for tries in range(6):
        document = twiml.press_to_take(LINES["en"], BASE, "Support", offer_id=11, tries=tries)
        assert verbs(document) == ["Gather"] * max(0, 3 - tries) + ["Hangup"]
        assert (f"n={tries + 1}" in document) == (tries < 3)


def test_own_texts_of_a_number_win() -> None:
    line = Line(
        "+1", "US", "support", "en", {"greeting": "Ahoy <you> & yours", "wait": "{position} {position} {other}"}
    )
    assert "Ahoy &lt;you&gt; &amp; yours" in twiml.enqueue(line, BASE)
    assert "4 4 {other}" in twiml.wait(line, 4)


@pytest.mark.parametrize(
    ("language", "said"), [("en-GB", "en-GB"), ("de-AT", "de-AT"), ("zh", "zh-CN"), ("fr", "fr"), ("en", "en-US")]
)
def test_language_of_the_voice(language: str, said: str) -> None:
    assert f'language="{said}"' in twiml.enqueue(Line("+1", "US", "support", language), BASE)


@pytest.mark.parametrize(("language", "heard"), [("zh-CN", "cmn-Hans-CN"), ("zh", "cmn-Hans-CN"), ("zh-HK", "yue-Hant-HK"), ("de", "de-DE"), ("en-GB", "en-GB")])  # fmt: skip
def test_language_that_is_listened_for(language: str, heard: str) -> None:
    document = twiml.menu(Line("+1", "US", "support", language), BASE, Way((MENU,)))
    assert (
        f'<Gather action="{BASE}/twilio/ivr?n=0" hints="billing, 账单" input="dtmf speech" language="{heard}"'
        in document
    )


def test_language_without_texts_of_ours_speaks_english() -> None:
    assert "Welcome." in twiml.enqueue(Line("+1", "US", "support", "fr-FR"), BASE)
    assert "Willkommen." in twiml.enqueue(Line("+1", "US", "support", "de-AT"), BASE)


texts = st.dictionaries(
    st.sampled_from(["greeting", "wait", "next", "nobody", "emergency", "sorry", "goodbye"]),
    st.text(st.characters(exclude_categories=()), max_size=60).map(lambda text: text * 90),
)


@given(texts=texts, position=st.none() | st.integers(1, 10**6), retry=st.integers(0, 80), label=st.integers(1, 10**15))
@LAWS
def test_whatever_a_number_says_can_be_played_within_the_limits(
    texts: dict[str, str], position: int | None, retry: int, label: int
) -> None:
    line = Line("+1", "US", "support", "en", texts)
    documents = [
        twiml.enqueue(line, BASE),
        twiml.wait(line, position),
        twiml.wait(line, position, nobody=True),
        twiml.emergency(line, BASE, retry),
        twiml.emergency_of_agent(line, BASE, retry, str(label)),
        twiml.goodbye(line),
        twiml.not_yours(line),
    ]
    over_rest = [
        twiml.back_to_queue(line, BASE),
        twiml.conference(BASE, f"call_{label}", offer_id=label, label=f"agent_{label}", ends_with_caller=True),
        twiml.press_to_take(line, BASE, "<&>界" * 25, offer_id=label),
    ]
    for document in (*documents, *over_rest):
        play(document)
        assert len(document.encode()) <= provider.MAX_DOCUMENT_BYTES
        assert all(len(say.text or "") <= provider.MAX_SAY for say in ET.fromstring(document).iter("Say"))
    assert all(len(document) <= twiml.INLINE_LIMIT for document in over_rest)
