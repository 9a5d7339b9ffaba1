"""What a caller's number is. Wraps `phonenumbers`; the result types live in `core/phone.py`.

Policy (telephony reference §4). Stand-ins for a hidden caller are looked for first: two of them parse as numbers. Then the
prefix says the kind (`sip:`, `client:`, `tel:`, `whatsapp:`); then come emergency numbers and short codes; only then the
parser, whose gate is "possible", not "valid" (new ranges are assigned before the library knows them). A form that the
parser reads but people write for something else (`030 1234567 p 12`) is flagged `is_suspect`: shown, never matched silently.

`value` is unique across kinds, because identities are compared by it: sip and client values keep their prefix, so that
nobody becomes a customer by naming a client `+14155550123`.
"""

import re
import unicodedata
from dataclasses import replace
from typing import Final, Literal

import phonenumbers
from phonenumbers import CountryCodeSource, PhoneNumber, PhoneNumberFormat, PhoneNumberType, ValidationResult

from core.phone import Number, NumberKind

MAX_LENGTH: Final = 250
NumberStyle = Literal["e164", "international", "double_zero", "national"]
"""How a source writes numbers of other countries: +49 30…, 4930…, 004930…, or like the parser's own reading of national numbers."""
SHORT_DIGITS: Final = 6

WITHHELD_NUMBERS: Final = frozenset(
    {
        "266696687",  # ANONYMOUS on a keypad
        "7378742833",  # RESTRICTED
        "86282452253",  # UNAVAILABLE
        "2562533",  # BLOCKED
        "8656696",  # UNKNOWN, as it is seen
        "8566696",
    }
)
_WITHHELD_PHRASES: Final = """
    anonymous, anonymous caller, anonym, restricted, unavailable, not available, unknown, unknown number, unknown caller,
    private, private number, private caller, blocked, caller id blocked, no caller id, no number, withheld, number withheld,
    hidden, out of area, unbekannt, unterdrueckt, unterdrückt, privat, keine nummer,
    未知, 未知号码, 匿名, 私人号码, 无号码, 无主叫号码, 隐藏号码
"""
WITHHELD_WORDS: Final = frozenset(phrase.strip() for phrase in _WITHHELD_PHRASES.split(","))
EMERGENCY_ANYWHERE: Final = frozenset({"112", "911", "999", "000"})

_PREFIX = re.compile(r"(sips?|client|tel|whatsapp|sms|callto):", re.IGNORECASE)
_EXTENSION = re.compile(
    r"(?:;\s*ext=|,{1,2}\s*|(?<![a-z])(?:extension|extn?|durchwahl|dw|x)[.:=\s]*|分机\s*|转\s*|#\s*)(\d{1,7})#?\s*$",
    re.IGNORECASE,
)
_PLAIN = re.compile(r"[\d\s+().\-\u2010-\u2015/]*")  # what people put between the digits of one number
_DIGITS = re.compile(r"\d+")


def parse_number(raw: str, region: str) -> Number:
    """Classify a number as a provider sent it. `region` (`US`) is that of the called line. Never raises."""
    text = _clean(raw)
    if _is_withheld_word(text):
        return Number(NumberKind.WITHHELD, raw)
    match = _PREFIX.match(text)
    prefix, rest = (match[1].lower(), text[match.end() :].strip()) if match else ("", text)
    if prefix and _is_withheld_word(rest):
        return Number(NumberKind.WITHHELD, raw)
    if prefix in ("sip", "sips"):
        return _sip(raw, rest, region)
    if prefix == "client":
        return Number(NumberKind.CLIENT, raw, f"client:{rest}") if rest else Number(NumberKind.INVALID, raw)
    return _telephone(raw, rest, region.upper())


def parse_styled(raw: str, style: NumberStyle, region: str) -> Number:
    """Classify a number as a telephone system writes it. `style` says how those of other countries look; in each of them what begins
    with a plus or with two zeros is international, and what is as short as an extension is one."""
    text = _clean(raw)
    digits = "".join(_DIGITS.findall(text))
    if style == "e164" or not _PLAIN.fullmatch(text) or "+" in text or len(digits) <= SHORT_DIGITS:
        return parse_number(raw, region)
    if digits.startswith("00") and style in ("international", "double_zero"):
        return replace(parse_number(f"+{digits[2:]}", region), raw=raw)
    if style == "international" and not digits.startswith("0") and digits not in WITHHELD_NUMBERS:
        return replace(parse_number(f"+{digits}", region), raw=raw)
    return parse_number(raw, region)


def parse_typed(text: str, region: str) -> Number:
    """Classify what a person typed into a form: letters on the keypad (`1-800-FLOWERS`) count as digits."""
    number = parse_number(text, region)
    if number.kind is NumberKind.INVALID and len(_clean(text)) <= 40 and re.search(r"\d.*[A-Za-z]", text):
        return parse_number(phonenumbers.convert_alpha_characters_in_number(_clean(text)), region)
    return number


def normalise(user_input: str, region: str) -> str | None:
    """The E.164 form of a typed number; None when it is no number, a hidden one, or written so that we may misread it."""
    number = parse_typed(user_input, region)
    return None if number.is_suspect else number.e164


def is_premium(e164: str) -> bool:
    """Does whoever calls there pay more than for a call?"""
    parsed = _parse(e164, "")
    kinds = (PhoneNumberType.PREMIUM_RATE, PhoneNumberType.SHARED_COST)
    return parsed is not None and phonenumbers.number_type(parsed) in kinds


_SIP_ADDRESS: Final = re.compile(
    r"sip:[A-Za-z0-9][A-Za-z0-9._~+-]{0,63}@(?=[A-Za-z0-9.-]{1,253}(?::|$))"
    r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)+(?::[0-9]{2,5})?"
)


def telephone_address(text: str) -> str:
    """A telephone that we may ring: the E.164 form of a number that is written with its +, or `sip:user@host`. Raises ValueError."""
    if text.startswith("sip:"):
        if _SIP_ADDRESS.fullmatch(text) is None:
            raise ValueError("this is no SIP address of the form sip:user@host")
        return text
    number = parse_number(text, "US")
    if is_emergency_number(text, "US") or (number.kind is NumberKind.SHORT and number.value is None):
        raise ValueError("emergency services are rung by nobody")
    e164 = number.e164
    if (
        not text.startswith("+")
        or number.kind is not NumberKind.E164
        or e164 is None
        or number.is_suspect
        or number.extension
    ):
        raise ValueError("this is no telephone number of the form +4930901820")
    if is_emergency_number(e164, region_of(e164) or "US"):
        raise ValueError("emergency services are rung by nobody")
    if is_premium(e164):
        raise ValueError("this is a premium-rate number")
    return e164


def same_line(e164: str) -> tuple[str, ...]:
    """The forms under which the same line may have been stored, this one first.

    Argentina's mobile numbers are written with a 9 (from abroad) and without it; which one arrives depends on the carrier."""
    if e164.startswith("+549") and len(e164) == 14:
        return (e164, "+54" + e164[4:])
    if e164.startswith("+54") and len(e164) == 13:
        return (e164, "+549" + e164[3:])
    return (e164,)


def _clean(raw: str) -> str:
    """Full-width forms and foreign digits become plain ones; invisible characters go; blanks are single."""
    text = unicodedata.normalize("NFKC", raw[:MAX_LENGTH])
    kept = "".join(
        " " if char.isspace() else _plain_digit(char) for char in text if char.isspace() or char.isprintable()
    )
    return " ".join(kept.split())


def _plain_digit(char: str) -> str:
    return str(unicodedata.decimal(char)) if char.isdecimal() else char


def _is_withheld_word(text: str) -> bool:
    plain = " ".join(re.sub(r"[\"'<>()\[\]_.+-]+", " ", text).casefold().split())
    return plain in WITHHELD_WORDS or plain == ""


def _sip(raw: str, address: str, region: str) -> Number:
    """`sip:alice@example.com;transport=tls` → `sip:alice@example.com`. With `user=phone` the user part is a telephone number."""
    user, at, rest = address.partition("@")
    host, _, parameters = rest.partition(";")
    host = re.sub(r":\d+$", "", host.split("?")[0]).lower()
    if _is_withheld_word(user.split(";")[0]) or host == "anonymous.invalid":
        return Number(NumberKind.WITHHELD, raw)
    if not at or not user or not host or any(char.isspace() for char in user + host):
        return Number(NumberKind.INVALID, raw)
    if "user=phone" in parameters.lower().split(";"):
        return _telephone(raw, user, region.upper())
    return Number(NumberKind.SIP, raw, f"sip:{user}@{host}")


def _telephone(raw: str, text: str, region: str) -> Number:
    text = _without_parameters(text)
    digits = "".join(_DIGITS.findall(text))
    if digits.removeprefix("00") in WITHHELD_NUMBERS and _PLAIN.fullmatch(text):
        return _stand_in(raw, text, digits, region)
    if is_emergency(digits, region) and _PLAIN.fullmatch(text):
        return _emergency(raw)
    if text == digits and 0 < len(digits) <= SHORT_DIGITS and not digits.startswith("0"):
        return Number(NumberKind.SHORT, raw, digits)
    return _ordinary(raw, text, region)


def _without_parameters(text: str) -> str:
    """RFC 3966: `030123456;phone-context=+49;isub=1` → `+49030123456`; only `;ext=` stays."""
    context = re.search(r";phone-context=(\+\d+)", text)
    text = re.sub(r";(?!\s*ext=)[\w-]+=[^;]*", "", text, flags=re.IGNORECASE)
    return context[1] + text if context else text


def _stand_in(raw: str, text: str, digits: str, region: str) -> Number:
    """`+7378742833` says RESTRICTED. Without the plus it may be a real national number (737 is Austin): then flag it."""
    if text == digits and (parsed := _parse(text, region)) is not None and phonenumbers.is_valid_number(parsed):
        return Number(NumberKind.E164, raw, _e164(parsed), is_suspect=True)
    return Number(NumberKind.WITHHELD, raw)


def _emergency(raw: str) -> Number:
    """Nobody calls from there; no value, so it is never matched or dialled back."""
    return Number(NumberKind.SHORT, raw, None, is_suspect=True)


def is_emergency(digits: str, region: str) -> bool:
    """Is this an emergency number there, or one that reaches help nearly anywhere? Never matched, never dialled back."""
    return digits in EMERGENCY_ANYWHERE or (
        region in phonenumbers.SUPPORTED_SHORT_REGIONS and phonenumbers.is_emergency_number(digits, region)
    )


def is_emergency_number(text: str, region: str) -> bool:
    """Is what somebody typed an emergency number, however it is written?"""
    return is_emergency("".join(char for char in _clean(text) if char.isdigit()), region)


def region_of(e164: str) -> str | None:
    """Two letters; None where a number belongs to no country."""
    parsed = _parse(e164, "")
    found = None if parsed is None else phonenumbers.region_code_for_number(parsed)
    return None if found in (None, "001") else found


def _ordinary(raw: str, text: str, region: str) -> Number:
    body, extension = _split_extension(text)
    if sum(char.isalpha() for char in body) > 2:
        return Number(NumberKind.INVALID, raw)
    parsed = _parse(_without_mexican_one(body), region)
    if parsed is None:
        return Number(NumberKind.INVALID, raw)
    national = phonenumbers.national_significant_number(parsed)
    if is_emergency(national, phonenumbers.region_code_for_country_code(parsed.country_code or 0)):
        return _emergency(raw)
    if phonenumbers.is_possible_number_with_reason(parsed) != ValidationResult.IS_POSSIBLE:
        if len(national) <= SHORT_DIGITS and phonenumbers.is_valid_short_number(parsed):
            return Number(NumberKind.SHORT, raw, national)  # a hotline, sent by the carrier as +8610086
        return Number(NumberKind.INVALID, raw)
    return Number(NumberKind.E164, raw, _e164(parsed), extension, is_suspect=_is_suspect(body, parsed))


def _split_extension(text: str) -> tuple[str, str | None]:
    """`+1 415 555 0100 ext. 42` → the number and `42`. Also `;ext=42`, `x42`, `,,42`, `#42`, `Durchwahl 42`, `分机42`."""
    match = _EXTENSION.search(text)
    if match is None or len(_DIGITS.findall(text[: match.start()])) == 0:
        return text, None
    return text[: match.start()].rstrip(" ,;-"), match[1]


def _is_suspect(body: str, parsed: PhoneNumber) -> bool:
    """Several numbers, a tail that is not part of the number, or digits that fit the default region only by length.

    The last is `4930123456` on an American line: ten digits, so "possible", and yet a German number without its plus."""
    if not _PLAIN.fullmatch(body) or body.count("+") > 1:
        return True
    head, slash, tail = body.rpartition("/")
    if slash and (len("".join(_DIGITS.findall(tail))) < 4 or len("".join(_DIGITS.findall(head))) > 7):
        return True
    is_national = parsed.country_code_source == CountryCodeSource.FROM_DEFAULT_COUNTRY
    return is_national and (not phonenumbers.is_valid_number(parsed) or _has_two_readings(body, parsed))


def _has_two_readings(body: str, parsed: PhoneNumber) -> bool:
    """`491701234567` on a German line: a number of Leer (0491) without its zero, or a mobile without its plus."""
    digits, code = "".join(_DIGITS.findall(body)), str(parsed.country_code)
    other = _parse(f"+{digits}", "ZZ") if digits.startswith(code) else None
    return other is not None and phonenumbers.is_valid_number(other)


def _without_mexican_one(text: str) -> str:
    """+52 1 55 1234 5678, the mobile form of before 2019, is today's +52 55 1234 5678."""
    digits = "".join(_DIGITS.findall(text))
    if digits.startswith("521") and len(digits) == 13 and text.lstrip().startswith("+"):
        return "+52" + digits[3:]
    return text


def _parse(text: str, region: str) -> PhoneNumber | None:
    try:
        known = region if region in phonenumbers.SUPPORTED_REGIONS else None
        return phonenumbers.parse(text, known, keep_raw_input=True)
    except phonenumbers.NumberParseException:
        return None


def _e164(parsed: PhoneNumber) -> str:
    return phonenumbers.format_number(parsed, PhoneNumberFormat.E164)
