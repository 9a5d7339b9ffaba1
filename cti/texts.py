"""What callers hear. Each number may bring its own texts; these are the ones we ship, in en, de and zh-CN."""

import re
from typing import Final

from core.texts import in_language

DEFAULTS: Final[dict[str, dict[str, str]]] = {
    "greeting": {
        "en": "Welcome. Your call will be answered by the next free colleague.",
        "de": "Willkommen. Ihr Anruf wird gleich vom nächsten freien Mitarbeiter angenommen.",
        "zh-CN": "您好，欢迎致电。下一位空闲的客服将为您服务。",
    },
    "wait": {
        "en": "You are number {position} in line. Please hold the line.",
        "de": "Sie sind auf Platz {position} der Warteschlange. Bitte bleiben Sie am Apparat.",
        "zh-CN": "您当前排在第{position}位，请不要挂机。",
    },
    "next": {
        "en": "You are next in line. Please hold the line.",
        "de": "Sie sind als Nächstes an der Reihe. Bitte bleiben Sie am Apparat.",
        "zh-CN": "马上就轮到您了，请不要挂机。",
    },
    "wait_short": {
        "en": "Most callers of the last hour waited less than a minute.",
        "de": "Die meisten Anrufer der letzten Stunde haben weniger als eine Minute gewartet.",
        "zh-CN": "过去一小时内，大多数来电的等待时间不到1分钟。",
    },
    "wait_up_to": {
        "en": "Most callers of the last hour waited up to {most} minutes.",
        "de": "Die meisten Anrufer der letzten Stunde haben bis zu {most} Minuten gewartet.",
        "zh-CN": "过去一小时内，大多数来电的等待时间不超过{most}分钟。",
    },
    "wait_range": {
        "en": "Most callers of the last hour waited {least} to {most} minutes.",
        "de": "Die meisten Anrufer der letzten Stunde haben {least} bis {most} Minuten gewartet.",
        "zh-CN": "过去一小时内，大多数来电的等待时间为{least}至{most}分钟。",
    },
    "nobody": {
        "en": "Nobody is available right now. Please stay on the line or call again later.",
        "de": "Im Moment ist niemand frei. Bitte bleiben Sie am Apparat oder rufen Sie später wieder an.",
        "zh-CN": "目前没有空闲的客服，请继续等待或稍后再拨。",
    },
    "emergency": {
        "en": "We are having a technical problem. Please stay on the line; we will connect you in a moment.",
        "de": "Wir haben gerade eine technische Störung. Bitte bleiben Sie am Apparat, wir verbinden Sie gleich.",
        "zh-CN": "系统暂时出现故障，请不要挂机，我们马上为您接通。",
    },
    "hold": {
        "en": "Please hold the line. We will be back with you in a moment.",
        "de": "Bitte bleiben Sie am Apparat. Wir sind gleich wieder für Sie da.",
        "zh-CN": "请稍候，不要挂机，我们马上回来。",
    },
    "transfer": {
        "en": "We are connecting you with a colleague. Please hold the line.",
        "de": "Wir verbinden Sie mit einer Kollegin oder einem Kollegen. Bitte bleiben Sie am Apparat.",
        "zh-CN": "正在为您转接，请不要挂机。",
    },
    "not_reached": {
        "en": "We could not reach them. We will connect you with somebody else in a moment.",
        "de": "Wir haben dort niemanden erreicht. Wir verbinden Sie gleich mit jemand anderem.",
        "zh-CN": "对方暂时无法接通，马上为您转接其他客服。",
    },
    "sorry": {
        "en": "We are sorry, something went wrong. We will connect you again.",
        "de": "Es tut uns leid, etwas ist schiefgegangen. Wir verbinden Sie erneut.",
        "zh-CN": "很抱歉，出现了问题，正在为您重新接通。",
    },
    "deflected": {
        "en": "We cannot take your call right now. We have noted it and will call you back. Goodbye.",
        "de": "Wir können Ihren Anruf gerade nicht annehmen. Wir haben ihn notiert und rufen Sie zurück. Auf Wiederhören.",
        "zh-CN": "目前无法接听您的来电，我们已做记录，稍后会给您回电。再见。",
    },
    "menu_again": {
        "en": "We did not understand that.",
        "de": "Das haben wir leider nicht verstanden.",
        "zh-CN": "抱歉，没有听清您的选择。",
    },
    "menu_back": {
        "en": "To go back, press {key}.",
        "de": "Zurück geht es mit der {key}.",
        "zh-CN": "返回上一级请按{key}。",
    },
    "menu_main": {
        "en": "For the main menu, press {key}.",
        "de": "Zum Hauptmenü geht es mit der {key}.",
        "zh-CN": "返回主菜单请按{key}。",
    },
    "unreachable": {
        "en": "We could not put you through.",
        "de": "Wir konnten Sie leider nicht verbinden.",
        "zh-CN": "抱歉，暂时无法为您接通。",
    },
    "closed": {
        "en": "We are closed at the moment. Please call again during our opening hours.",
        "de": "Wir sind im Moment nicht besetzt. Bitte rufen Sie während unserer Öffnungszeiten wieder an.",
        "zh-CN": "现在是非工作时间，请在工作时间再次来电。",
    },
    "voicemail": {
        "en": "Please leave a message after the tone. When you are done, press the hash key or hang up.",
        "de": "Bitte sprechen Sie nach dem Signalton. Wenn Sie fertig sind, drücken Sie die Rautetaste oder legen Sie auf.",
        "zh-CN": "请在提示音后留言，结束请按井号键或直接挂机。",
    },
    "voicemail_key": {
        "en": "To leave a message instead, press {key}.",
        "de": "Wenn Sie lieber eine Nachricht hinterlassen möchten, drücken Sie die {key}.",
        "zh-CN": "如需留言，请按{key}。",
    },
    "consent": {
        "en": "This call will be recorded.",
        "de": "Dieses Gespräch wird aufgezeichnet.",
        "zh-CN": "本次通话将被录音。",
    },
    "consent_key": {
        "en": "This call will be recorded. If you do not want that, press {key} now.",
        "de": "Dieses Gespräch wird aufgezeichnet. Wenn Sie das nicht möchten, drücken Sie jetzt die {key}.",
        "zh-CN": "本次通话将被录音。如果您不同意，请现在按{key}。",
    },
    "voicemail_thanks": {
        "en": "Thank you. We have your message and will get back to you. Goodbye.",
        "de": "Vielen Dank. Wir haben Ihre Nachricht und melden uns bei Ihnen. Auf Wiederhören.",
        "zh-CN": "感谢您的留言，我们会尽快与您联系。再见。",
    },
    "voicemail_empty": {
        "en": "We did not hear a message. Please call again. Goodbye.",
        "de": "Wir haben keine Nachricht gehört. Bitte rufen Sie wieder an. Auf Wiederhören.",
        "zh-CN": "没有听到您的留言，请再次来电。再见。",
    },
    "goodbye": {
        "en": "We could not connect you. Please call again later.",
        "de": "Wir konnten Sie nicht verbinden. Bitte rufen Sie später wieder an.",
        "zh-CN": "暂时无法为您接通，请稍后再拨。",
    },
    "take_key": {
        "en": "Call for {queue}. Press {key} to take it.",
        "de": "Anruf für {queue}. Zum Annehmen drücken Sie die {key}.",
        "zh-CN": "{queue}来电，接听请按{key}。",
    },
    "taken": {
        "en": "This call is no longer yours.",
        "de": "Dieser Anruf gehört Ihnen nicht mehr.",
        "zh-CN": "此通话已不属于您。",
    },
}

# Control characters make XML that the provider refuses (error 12100); directional ones reorder what people read.
_UNSPEAKABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u202a-\u202e\u2066-\u2069\ufffe\uffff\ud800-\udfff]")
SAY_LIMIT: Final = 4096


def speakable(text: str) -> str:
    """Without characters that break the document, cut to the provider's limit."""
    return _UNSPEAKABLE.sub(" ", text)[:SAY_LIMIT]


def text_for(own: dict[str, str], kind: str, language: str, **values: object) -> str:
    """The number's own text of that kind, else ours in the language. Unknown placeholders stay as they are."""
    text = own.get(kind) or in_language(DEFAULTS[kind], language)
    for name, value in values.items():
        text = text.replace("{" + name + "}", str(value))
    return speakable(text)
