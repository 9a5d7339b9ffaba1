"""What a caller's number is: a labelled table (CN, DE, US, shared forms, substring traps, hidden callers, extensions) and laws."""

from typing import NamedTuple

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.phone import NumberKind
from infra.phone import (
    WITHHELD_NUMBERS,
    is_emergency,
    normalise,
    parse_number,
    parse_typed,
    same_line,
    telephone_address,
)

E164, SHORT, SIP, CLIENT = NumberKind.E164, NumberKind.SHORT, NumberKind.SIP, NumberKind.CLIENT
WITHHELD, INVALID = NumberKind.WITHHELD, NumberKind.INVALID


class Row(NamedTuple):
    label: str
    raw: str
    region: str
    kind: NumberKind
    value: str | None = None
    extension: str | None = None
    suspect: bool = False


MARIA, BERLIN, XIAOMING = "+14155550123", "+4930123456", "+8613800138000"

TABLE = [
    # United States
    Row("us international", "+14155550123", "US", E164, MARIA),
    Row("us national", "(415) 555-0123", "US", E164, MARIA),
    Row("us dots", "415.555.0123", "US", E164, MARIA),
    Row("us bare", "4155550123", "US", E164, MARIA),
    Row("us with its 1", "1-415-555-0123", "US", E164, MARIA),
    Row("us dialled from Germany", "001 415 555 0123", "DE", E164, MARIA),
    Row("us on a German line", "+1 415 555 0123", "DE", E164, MARIA),
    Row("us toll-free", "+18005550199", "US", E164, "+18005550199"),
    Row("us seven digits", "5550123", "US", INVALID),
    Row("us nine digits", "+1415555012", "US", INVALID),
    Row("us eleven digits", "+141555501234", "US", INVALID),
    Row("us test number, not valid but possible", "+15005550006", "US", E164, "+15005550006"),
    # Germany
    Row("de slash and dash", "030/123456-7", "DE", E164, "+49301234567"),
    Row("de optional zero", "+49 (0)30 123456", "DE", E164, BERLIN),
    Row("de 00", "0049 30 123456", "DE", E164, BERLIN),
    Row("de national", "030 123456", "DE", E164, BERLIN),
    Row("de en dash", "030 – 123456", "DE", E164, BERLIN),
    Row("de mobile with slash", "0170/1234567", "DE", E164, "+491701234567"),
    Row("de direct dial", "+49 30 12345678-90", "DE", E164, "+49301234567890"),
    Row("de area and slash after country code", "+49 30/123456", "DE", E164, BERLIN),
    Row("de service number", "01805123456", "DE", E164, "+491805123456"),
    Row("de without its plus on a German line", "4930123456", "DE", E164, BERLIN),
    Row("de short local number", "030123", "DE", E164, "+4930123"),
    # China
    Row("cn mobile", "+8613800138000", "CN", E164, XIAOMING),
    Row("cn mobile national", "138 0013 8000", "CN", E164, XIAOMING),
    Row("cn mobile 00", "0086 138 0013 8000", "CN", E164, XIAOMING),
    Row("cn mobile without its plus", "8613800138000", "CN", E164, XIAOMING),
    Row("cn Beijing", "010-65529988", "CN", E164, "+861065529988"),
    Row("cn Shanghai", "+862155550123", "CN", E164, "+862155550123"),
    Row("cn 400", "4008001234", "CN", E164, "+864008001234"),
    Row("cn hotline", "10086", "CN", SHORT, "10086"),
    Row("cn hotline as carriers send it", "+8610086", "CN", SHORT, "10086"),
    Row("cn bank", "95588", "CN", SHORT, "95588"),
    # elsewhere
    Row("mx today", "+525512345678", "MX", E164, "+525512345678"),
    Row("mx old mobile 1", "+5215512345678", "MX", E164, "+525512345678"),
    Row("mx old mobile 1 with blanks", "+52 1 55 1234 5678", "US", E164, "+525512345678"),
    Row("ar with 9", "+5491123456789", "AR", E164, "+5491123456789"),
    Row("ar without 9", "+541123456789", "AR", E164, "+541123456789"),
    Row("it leading zero stays", "+39 06 1234567", "IT", E164, "+39061234567"),
    Row("gb mobile", "07911 123456", "GB", E164, "+447911123456"),
    Row("international without a region", "+14155550123", "ZZ", E164, MARIA),
    Row("national without a region", "4155550123", "ZZ", INVALID),
    # writing
    Row("full-width digits", "＋４９３０１２３４５６", "DE", E164, BERLIN),
    Row("arabic digits", "+٤٩٣٠١٢٣٤٥٦", "DE", E164, BERLIN),
    Row("bidi marks", "\u202a+14155550123\u202c", "US", E164, MARIA),
    Row("no-break and thin blanks", "+1\u00a0415\u2009555\u202f0123", "US", E164, MARIA),
    Row("blanks around", "  +14155550123\n", "US", E164, MARIA),
    Row("lower-case region", "4155550123", "us", E164, MARIA),
    Row("tel", "tel:+14155550123", "DE", E164, MARIA),
    Row("tel in capitals", "TEL:+1-415-555-0123", "DE", E164, MARIA),
    Row("tel with context", "tel:030123456;phone-context=+49", "US", E164, BERLIN),
    Row("whatsapp", "whatsapp:+14155550123", "US", E164, MARIA),
    Row("sip that is a phone", "sip:+14155550123@pbx.example;user=phone", "US", E164, MARIA),
    # extensions
    Row("ext.", "+1 415 555 0100 ext. 42", "US", E164, "+14155550100", "42"),
    Row(";ext=", "tel:+14155550100;ext=42", "US", E164, "+14155550100", "42"),
    Row("x42", "+1 (415) 555-0100 x42", "US", E164, "+14155550100", "42"),
    Row("x42 without a blank", "+1 415 555 0100x42", "US", E164, "+14155550100", "42"),
    Row("extension", "415-555-0100 Extension: 4711", "US", E164, "+14155550100", "4711"),
    Row("pause", "+14155550100,,42", "US", E164, "+14155550100", "42"),
    Row("hash", "+14155550100#42", "US", E164, "+14155550100", "42"),
    Row("durchwahl", "+49 30 123456 Durchwahl 7", "DE", E164, BERLIN, "7"),
    Row("分机", "+86 10 6552 9988 分机 12", "CN", E164, "+861065529988", "12"),
    # wrong and yet "valid": flagged
    Row("p 12", "+4930 1234567 p 12", "DE", E164, "+4930123456712", None, True),
    Row("/8", "+491511234567/8", "DE", E164, "+4915112345678", None, True),
    Row("/89", "+49 30 1234567/89", "DE", E164, "+4930123456789", None, True),
    Row("German number without plus on an American line", "4930123456", "US", E164, "+14930123456", None, True),
    Row("local digits that only fit by length", "1234567", "DE", E164, "+491234567", None, True),
    Row("two numbers", "030 123456, 030 654321", "DE", INVALID),
    Row("words between", "+49 30 123456 oder 7", "DE", INVALID),
    Row("name behind", "+1 415 555 0123 Maria", "US", INVALID),
    Row("emoji inside", "+1415555🎉0123", "US", INVALID),
    Row("vanity letters from a provider", "1-800-FLOWERS", "US", INVALID),
    Row("alphanumeric sender", "TWILIO", "US", INVALID),
    Row("alphanumeric sender with digits", "BANK24", "US", INVALID),
    Row("markup", "<script>1</script>", "US", INVALID),
    # short codes
    Row("us short code", "80808", "US", SHORT, "80808"),
    Row("the same digits in Germany", "80808", "DE", SHORT, "80808"),
    Row("internal extension", "42", "DE", SHORT, "42"),
    Row("de 116117", "116117", "DE", SHORT, "116117"),
    Row("zero", "0", "DE", INVALID),
    Row("plus and too short", "+49", "DE", INVALID),
    # emergency numbers: never a value
    Row("us 911", "911", "US", SHORT, None, None, True),
    Row("us +911", "+911", "US", SHORT, None, None, True),
    Row("de 112", "112", "DE", SHORT, None, None, True),
    Row("de +49112 is possible for the parser", "+49112", "DE", SHORT, None, None, True),
    Row("de 110", "110", "DE", SHORT, None, None, True),
    Row("cn 110", "110", "CN", SHORT, None, None, True),
    Row("cn 120 full-width", "１２０", "CN", SHORT, None, None, True),
    Row("cn 112", "112", "CN", SHORT, None, None, True),
    Row("gb 999", "999", "GB", SHORT, None, None, True),
    Row("au 000", "000", "AU", SHORT, None, None, True),
    # hidden callers
    Row("ANONYMOUS on a keypad", "+266696687", "US", WITHHELD),
    Row("RESTRICTED", "+7378742833", "US", WITHHELD),
    Row("UNAVAILABLE", "+86282452253", "CN", WITHHELD),
    Row("BLOCKED", "+2562533", "US", WITHHELD),
    Row("UNKNOWN as seen", "+8656696", "US", WITHHELD),
    Row("UNKNOWN as seen, too", "+8566696", "US", WITHHELD),
    Row("stand-in dialled with 00", "002562533", "DE", WITHHELD),
    Row("stand-in grouped", "+266 696 687", "US", WITHHELD),
    Row("word", "anonymous", "US", WITHHELD),
    Row("word in capitals", "ANONYMOUS", "US", WITHHELD),
    Row("word in quotes", '"Anonymous"', "US", WITHHELD),
    Row("restricted", "Restricted", "US", WITHHELD),
    Row("unavailable", "unavailable", "US", WITHHELD),
    Row("unknown", "Unknown", "US", WITHHELD),
    Row("private", "private", "US", WITHHELD),
    Row("private number", "Private Number", "US", WITHHELD),
    Row("unbekannt", "Unbekannt", "DE", WITHHELD),
    Row("未知号码", "未知号码", "CN", WITHHELD),
    Row("blank", "", "US", WITHHELD),
    Row("blanks", " \t ", "US", WITHHELD),
    Row("only a plus", "+", "US", WITHHELD),
    Row("hidden behind sip", "sip:anonymous@anonymous.invalid", "US", WITHHELD),
    Row("hidden behind sip, numbered", "sip:+14155550123@anonymous.invalid", "US", WITHHELD),
    Row("hidden behind tel", "tel:anonymous", "US", WITHHELD),
    Row("hidden behind whatsapp", "whatsapp:+266696687", "US", WITHHELD),
    # substring traps
    Row("word that begins like one", "privately", "US", INVALID),
    Row("stand-in inside a longer number", "+12666966870", "US", E164, "+12666966870"),
    Row("stand-in with a country code before", "+17378742833", "US", E164, "+17378742833"),
    Row("stand-in without plus may be Austin", "7378742833", "US", E164, "+17378742833", None, True),
    Row("stand-in without plus in Germany", "266696687", "DE", E164, "+49266696687", None, True),
    Row("emergency digits inside a number", "+4930112112", "DE", E164, "+4930112112"),
    Row("911 at the end", "+14155550911", "US", E164, "+14155550911"),
    # other addresses
    Row("sip", "sip:alice@example.com", "US", SIP, "sip:alice@example.com"),
    Row("sip with port and parameters", "sip:alice@Example.COM:5060;transport=tls", "US", SIP, "sip:alice@example.com"),
    Row("sips", "SIPS:Bob@HOST", "US", SIP, "sip:Bob@host"),
    Row("sip with digits is no phone", "sip:14155550123@pbx.example", "US", SIP, "sip:14155550123@pbx.example"),
    Row("sip without host", "sip:bob@", "US", INVALID),
    Row("client", "client:agent_7", "US", CLIENT, "client:agent_7"),
    Row("client named like a number", "client:+14155550123", "US", CLIENT, "client:+14155550123"),
]


@pytest.mark.parametrize("row", TABLE, ids=[row.label for row in TABLE])
def test_number_is_what_the_table_says(row: Row) -> None:
    number = parse_number(row.raw, row.region)
    found = (number.kind, number.value, number.extension, number.is_suspect)
    assert found == (row.kind, row.value, row.extension, row.suspect)
    assert number.raw == row.raw


def test_table_is_long_enough_and_labelled() -> None:
    assert len(TABLE) >= 80
    assert len({row.label for row in TABLE}) == len(TABLE)


@pytest.mark.parametrize(
    ("typed", "region", "e164"),
    [
        ("1-800-FLOWERS", "US", "+18003569377"),
        ("(415) 555-0123", "US", MARIA),
        ("030 123456", "DE", BERLIN),
        ("138 0013 8000", "CN", XIAOMING),
        ("+491511234567/8", "DE", None),
        ("4930123456", "US", None),
        ("911", "US", None),
        ("anonymous", "US", None),
        ("+266696687", "US", None),
        ("Hallo 5", "DE", None),
        ("sip:alice@example.com", "US", None),
        ("", "US", None),
        ("call me later", "US", None),
        ("555-0123", "US", None),
    ],
)
def test_typed_number_is_normalised_or_refused(typed: str, region: str, e164: str | None) -> None:
    assert normalise(typed, region) == e164


def test_typed_extension_is_kept() -> None:
    number = parse_typed("+1 415 555 0100 ext 42", "US")
    assert (number.e164, number.extension) == ("+14155550100", "42")


def test_emergency_numbers_depend_on_the_country() -> None:
    assert is_emergency("119", "CN")
    assert not is_emergency("119", "US")
    assert is_emergency("112", "ZZ")
    assert not is_emergency("", "US")


@pytest.mark.parametrize(
    ("e164", "forms"),
    [
        ("+5491123456789", ("+5491123456789", "+541123456789")),
        ("+541123456789", ("+541123456789", "+5491123456789")),
        ("+4930123456", ("+4930123456",)),
        ("sip:alice@example.com", ("sip:alice@example.com",)),
    ],
)
def test_same_line_is_looked_for_under_every_form(e164: str, forms: tuple[str, ...]) -> None:
    assert same_line(e164) == forms


# --- laws ----------------------------------------------------------------------------------------------------------

REGIONS = st.sampled_from(["US", "DE", "CN", "GB", "MX", "AR", "AU", "ZZ", "", "xx"])
EXAMPLES = [
    phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    for region in ("US", "DE", "CN", "GB", "FR", "JP", "IN", "BR", "ZA", "IT")
    for kind in (phonenumbers.PhoneNumberType.FIXED_LINE, phonenumbers.PhoneNumberType.MOBILE)
    if (number := phonenumbers.example_number_for_type(region, kind)) is not None
]


@given(st.text(max_size=300), REGIONS)
def test_any_text_is_classified_and_kept(raw: str, region: str) -> None:
    number = parse_number(raw, region)
    assert number.raw == raw
    assert (number.value is None) or number.kind not in (WITHHELD, INVALID)
    assert number.kind is not E164 or (number.value or "").startswith("+")


@given(st.text(alphabet="0123456789+-() ./xp,;#*ext", max_size=30), REGIONS)
def test_number_like_text_never_raises_and_e164_is_clean(raw: str, region: str) -> None:
    number = parse_number(raw, region)
    if number.e164 is not None:
        assert number.e164[1:].isdecimal()
        assert 7 <= len(number.e164) <= 17


@given(st.sampled_from(EXAMPLES), REGIONS)
def test_parsing_what_was_parsed_changes_nothing(e164: str, region: str) -> None:
    number = parse_number(e164, region)
    assert (number.kind, number.value, number.is_suspect) == (E164, e164, False)


@given(st.sampled_from(EXAMPLES), REGIONS, st.lists(st.sampled_from([" ", "-", ".", "(", ")"]), max_size=12), st.data())
def test_grouping_does_not_matter(e164: str, region: str, marks: list[str], data: st.DataObject) -> None:
    text = e164
    for mark in marks:
        place = data.draw(st.integers(3, len(text)))
        text = text[:place] + mark + text[place:]
    assert parse_number(text, region).value == e164


@given(st.sampled_from(sorted(WITHHELD_NUMBERS)), REGIONS, st.sampled_from(["+", "00"]))
def test_stand_in_is_hidden_in_every_region(digits: str, region: str, prefix: str) -> None:
    assert parse_number(prefix + digits, region).kind is WITHHELD


@given(st.sampled_from(sorted(WITHHELD_NUMBERS)), st.text(alphabet="0123456789", min_size=1, max_size=4), REGIONS)
def test_longer_number_is_no_stand_in(digits: str, more: str, region: str) -> None:
    assert parse_number(f"+{digits}{more}", region).kind is not WITHHELD or digits + more in WITHHELD_NUMBERS
    assert normalise(f"+{digits}", region) is None


@given(st.text(max_size=60), REGIONS)
def test_client_and_sip_values_are_never_a_phone_number(name: str, region: str) -> None:
    for prefix, kind in (("client:", CLIENT), ("sip:", SIP)):
        number = parse_number(prefix + name, region)
        if number.kind is kind:
            assert (number.value or "").startswith(prefix)
            assert number.e164 is None


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("+4915112345678", "+4915112345678"),
        ("+49 (0)151 12345678", "+4915112345678"),
        ("+1 415 555 0100", "+14155550100"),
        ("sip:ava@pbx.example.com", "sip:ava@pbx.example.com"),
        ("sip:ava.chen-7@pbx.example.com:5061", "sip:ava.chen-7@pbx.example.com:5061"),
    ],
)
def test_a_telephone_of_an_agent_is_a_number_or_a_sip_address(text: str, address: str) -> None:
    assert telephone_address(text) == address
    assert telephone_address(address) == address


@pytest.mark.parametrize(
    "text",
    [
        "", "112", "+49112", "+49 112", "911", "+1911", "4915112345678", "0151 12345678", "80808", "+19005550123", "+499001234567",
        "+4930123456 ext. 7", "+", "ava", "anonymous", "+266696687", "client:agent_1", "tel:+4915112345678", "whatsapp:+4915112345678",
        "sip:", "sip:ava", "sip:@x.example", "sip:ava@", "sip:ava@host", "sip:ava@x..example", "sip:ava@-x.example", "sip:ava@x.example;transport=tcp",
        "sip:ava@x.example?X-Header=1", "sip:a b@x.example", "sip:ava@x.example\n", "sips:ava@x.example", "sip:" + "a" * 65 + "@x.example",
        "SIP:ava@x.example", "sip:ava@x.example:1", "sip:ava@" + "x." * 130 + "example", "sip:ava:secret@x.example",
    ],
)  # fmt: skip
def test_what_no_agent_is_rung_on(text: str) -> None:
    with pytest.raises(ValueError, match=r"this is|emergency"):
        telephone_address(text)


@given(st.text(max_size=60))
def test_whatever_a_telephone_is_said_to_be_it_is_read_or_refused(text: str) -> None:
    for each in (text, f"+{text}", f"sip:{text}"):
        try:
            address = telephone_address(each)
        except ValueError:
            continue
        assert address.isascii()
        assert telephone_address(address) == address
