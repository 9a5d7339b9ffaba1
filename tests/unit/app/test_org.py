"""The organisation file: every fault with its line, whatever the file holds; and which queues are one pool."""

import contextlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.org import AgentIn, OrgFile, OrgFileInvalid, QueueIn, parse_org, pools_of, read_org

ROOT = Path(__file__).resolve().parents[3]
GOOD = """\
organisation: {name: Test, time_zone: Europe/Berlin}
queues:
  - key: support
    name: {en: Support, zh-CN: 客服}
    service_level: {within_s: 20, target: 0.8}
    wrap_up: {mode: timed, seconds: 30}
  - key: sales
    name: {en: Sales}
skills:
  - {key: billing, name: {en: Billing}}
agents:
  - email: ava@example.com
    name: Ava
    skills: {billing: 4}
    queues: [support,
             sales]
  - {email: sam@example.com, name: Sam, role: supervisor}
numbers:
  - number: "+14155550199"
    region: US
    queue: support
    voice: {language: en, texts: {greeting: Hello}}
dispositions:
  - {key: resolved, name: {en: Resolved}, digit: 1}
  - {key: sold, name: {en: Sold}, digit: 2, queue: sales}
rules:
  - name: VIP
    when:
      all:
        - {field: customer.tier, op: "==", value: vip}
        - {field: ticket.tags,
           op: has, value: urgent}
    then:
      queue: support
      steps:
        - {after_s: 0, require: [{skill: billing, level: 3}]}
  - name: Everybody
"""


def faults_of(text: str) -> list[tuple[int, str]]:
    with pytest.raises(OrgFileInvalid) as refused:
        parse_org(text)
    return [(fault.line, fault.place) for fault in refused.value.faults]


def after(old: str, new: str) -> list[tuple[int, str]]:
    """The faults of the good file with one thing changed."""
    assert GOOD.count(old) == 1, old
    return faults_of(GOOD.replace(old, new))


def test_the_good_file_is_read() -> None:
    org = parse_org(GOOD)
    assert [queue.key for queue in org.queues] == ["support", "sales"]
    assert (org.queues[1].offer_timeout_s, org.queues[1].wrap_up.mode) == (20, "timed")
    assert org.agents[0].skills == {"billing": 4}
    assert org.agents[1].role == "supervisor"
    assert org.numbers[0].voice.texts == {"greeting": "Hello"}
    assert len(org.rules) == 2


def test_the_result_when_nobody_chose_one_leaves_the_ticket_open() -> None:
    default = GOOD.replace("seconds: 30", "default_disposition: resolved")
    assert parse_org(default).queues[0].wrap_up.default_disposition == "resolved"
    faults = faults_of(default.replace("digit: 1", "digit: 1, resolves_ticket: true"))
    assert faults == [(6, "queues[0].wrap_up.default_disposition")]


def test_the_demos_file_is_good() -> None:
    org = read_org(ROOT / "demo" / "org.yaml")
    assert {queue.key for queue in org.queues} == {"support", "de", "sales", "office"}


def test_a_telephone_is_one_that_may_be_rung_and_one_agents_own() -> None:
    sam = "{email: sam@example.com, name: Sam, role: supervisor}"

    def with_telephone(telephone: str, more: str = "") -> str:
        return GOOD.replace(sam, f'{{email: sam@example.com, name: Sam, telephone: "{telephone}"}}{more}')

    assert parse_org(with_telephone("+49 151 12345678")).agents[1].telephone == "+4915112345678"
    assert parse_org(with_telephone("sip:sam@pbx.example.com")).agents[1].telephone == "sip:sam@pbx.example.com"
    for bad in ("+14155550199", "+49112", "+19005550123", "0151 12345678", "sip:sam"):
        assert faults_of(with_telephone(bad)) == [(17, "agents[1].telephone")], bad
    twice = '\n  - {email: tom@example.com, name: Tom, telephone: "+4915112345678"}'
    assert faults_of(with_telephone("+4915112345678", twice)) == [(18, "agents[2].telephone")]


def test_the_smallest_file_is_one_queue() -> None:
    org = parse_org("queues: [{key: all, name: {en: All}}]")
    assert (org.agents, org.rules, org.organisation.time_zone) == ([], [{"name": "default"}], "UTC")


def test_an_agent_serves_the_queues_of_the_group_or_its_own() -> None:
    group = "groups:\n  - key: front\n    queues: {sales: {rank: 1}, support: {rank: 2, delay_s: 30}}\nagents:\n"
    text = GOOD.replace("agents:\n", group).replace("role: supervisor", "role: supervisor, group: front")
    org = parse_org(text)
    ava, sam = org.agents
    assert {key: (s.rank, s.delay_s) for key, s in org.served_by(ava).items()} == {"support": (1, 0), "sales": (1, 0)}
    assert {key: (s.rank, s.delay_s) for key, s in org.served_by(sam).items()} == {"support": (2, 30), "sales": (1, 0)}
    assert not org.warnings
    alone = text.replace("[support,\n             sales]", "[sales]")
    assert (3, "queues[0].key") in [(fault.line, fault.place) for fault in parse_org(alone).warnings]
    both = text.replace("group: front", "group: front, queues: [sales]")
    assert [place for _, place in faults_of(both)] == ["agents[1].queues"]


@pytest.mark.parametrize(
    ("old", "new", "line", "place"),
    [
        ("time_zone: Europe/Berlin", "time_zone: Europe/Atlantis", 1, "organisation.time_zone"),
        ("time_zone: Europe/Berlin", "time_zone: ../etc/passwd", 1, "organisation.time_zone"),
        ("name: Test", "nmae: Test", 1, "organisation.nmae"),
        ("key: support\n    name", "key: Support\n    name", 3, "queues[0].key"),
        ("key: support\n    name", "kee: support\n    name", 3, "queues[0].kee"),
        ("{en: Support, zh-CN: 客服}", "{zh-CN: 客服}", 4, "queues[0].name"),
        ("{en: Support, zh-CN: 客服}", "Support", 4, "queues[0].name"),
        ("{en: Support, zh-CN: 客服}", "{en: 5}", 4, "queues[0].name.en"),
        ("within_s: 20", "within_s: 0", 5, "queues[0].service_level.within_s"),
        ("within_s: 20", "within_s: soon", 5, "queues[0].service_level.within_s"),
        ("target: 0.8", "target: 1.1", 5, "queues[0].service_level.target"),
        ("target: 0.8", "target: .nan", 5, "queues[0].service_level.target"),
        ("target: 0.8", "target: .inf", 5, "queues[0].service_level.target"),
        ("mode: timed", "mode: fixed", 6, "queues[0].wrap_up.mode"),
        ("seconds: 30", "seconds: 3601", 6, "queues[0].wrap_up.seconds"),
        ("seconds: 30", "extension_s: -1", 6, "queues[0].wrap_up.extension_s"),
        ("seconds: 30", "default_disposition: nothing", 6, "queues[0].wrap_up.default_disposition"),
        ("seconds: 30", "default_disposition: sold", 6, "queues[0].wrap_up.default_disposition"),
        ("{en: Sales}\n", "{en: Sales}\n    cool_downs: {reject_s: 0}\n", 9, "queues[1].cool_downs.reject_s"),
        ("{en: Sales}\n", "{en: Sales}\n    misses_before_not_responding: 0\n", 9, "queues[1].misses_before_not_responding"),
        ("key: sales\n", "key: support\n", 7, "queues[1].key"),
        ("    name: {en: Sales}\n", "", 7, "queues[1].name"),
        ("{key: billing, name: {en: Billing}}", "{key: billing}", 10, "skills[0].name"),
        ("email: ava@example.com", "email: ava", 12, "agents[0].email"),
        ("email: ava@example.com", 'email: "a b@example.com"', 12, "agents[0].email"),
        ("{email: sam@example.com", "{email: AVA@example.com", 17, "agents[1].email"),
        ("name: Ava", "name: ''", 13, "agents[0].name"),
        ("{billing: 4}", "{billing: 11}", 14, "agents[0].skills.billing"),
        ("{billing: 4}", "{biling: 4}", 14, "agents[0].skills.biling"),
        ("    queues: [support,\n", "    queues: [suport,\n", 15, "agents[0].queues[0]"),
        ("             sales]", "             sale]", 16, "agents[0].queues[1]"),
        ("             sales]", "             support]", 16, "agents[0].queues[1]"),
        ("role: supervisor", "role: boss", 17, "agents[1].role"),
        ("agents:\n", "groups: [{key: a, queues: {sale: {}}}]\nagents:\n", 11, "groups[0].queues.sale"),
        ("agents:\n", "groups: [{key: a, queues: {}}]\nagents:\n", 11, "groups[0].queues"),
        ("agents:\n", "groups: [{key: a, queues: {sales: {rank: 0}}}]\nagents:\n", 11, "groups[0].queues.sales.rank"),
        ("agents:\n", "groups: [{key: a, queues: {sales: {delay_s: 10000}}}]\nagents:\n", 11, "groups[0].queues.sales.delay_s"),
        ("role: supervisor", "role: supervisor, group: nobody", 17, "agents[1].group"),
        ("name: Sam", "name: Sam, capacity: {voice: 2}", 17, "agents[1].capacity.voice"),
        ("name: Sam", "name: Sam, language: fr", 17, "agents[1].language"),
        ('"+14155550199"', '"4155550199"', 19, "numbers[0].number"),
        ('"+14155550199"', '"+1415"', 19, "numbers[0].number"),
        ('"+14155550199"', '"+1 415 555 0199"', 19, "numbers[0].number"),
        ('"+14155550199"', "+14155550199", 19, "numbers[0].number"),
        ("region: US", "region: us", 20, "numbers[0].region"),
        ("region: US", "region: UK", 20, "numbers[0].region"),
        ("    queue: support\n    voice", "    queue: nowhere\n    voice", 21, "numbers[0].queue"),
        ("greeting: Hello", "greting: Hello", 22, "numbers[0].voice.texts.greting.[key]"),
        ("language: en, texts", "language: english, texts", 22, "numbers[0].voice.language"),
        ("digit: 1}", "digit: 0}", 24, "dispositions[0].digit"),
        ("digit: 2, queue", "digit: 1, queue", 25, "dispositions[1].digit"),
        ("digit: 2, queue: sales", "digit: 2, queue: sale", 25, "dispositions[1].queue"),
        ("key: sold", "key: resolved", 25, "dispositions[1].key"),
        ("name: VIP", "nam: VIP", 27, "rules[0].name"),
        ('{field: customer.tier, op: "==", value: vip}', '{field: customer.teir, op: "==", value: vip}', 30, "rules[0].when.all[0].field"),
        ("op: has, value", "op: hass, value", 32, "rules[0].when.all[1].op"),
        ("op: has, value: urgent", "op: has, value: [urgent]", 32, "rules[0].when.all[1].value"),
        ("      queue: support\n", "      queue: nowhere\n", 34, "rules[0].then.queue"),
        ("skill: billing", "skill: biling", 36, "rules[0].then.steps[0].require[0]"),
        ("level: 3", "level: 30", 36, "rules[0].then.steps[0].require[0].level"),
        ("after_s: 0", "after_s: 5", 36, "rules[0].then.steps[0].after_s"),
        ("after_s: 0", "after_s: .inf", 36, "rules[0].then.steps[0].after_s"),
        ("  - name: Everybody\n", "  - {name: Everybody, when: {field: call.to, op: exists}}\n", 37, "rules[1].when"),
        ("  - name: Everybody\n", "  - name: VIP\n", 37, "rules[1].name"),
        ("rules:\n", "ruels: 1\nrules:\n", 26, "ruels"),
        ("Hello", '"a\\0b"', 22, ""),
        ("Hello", '"\\ud800"', 22, ""),
    ],
)  # fmt: skip
def test_a_fault_has_its_line_and_place(old: str, new: str, line: int, place: str) -> None:
    assert (line, place) in after(old, new)


def test_a_key_given_twice_is_named() -> None:
    assert after("    name: Ava\n", "    name: Ava\n    name: Eva\n")[0][0] == 14


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", 1),
        ("# nothing\n", 1),
        ("42", 1),
        ("- queues", 1),
        ("queues:\n  - {key: a, name: {en: A}}\n bad", 3),
        ("queues: [", 1),
        ("queues:\n\t- x", 2),
        ("a: &a 1\nb: *c", 2),
        ("--- 1\n--- 2\n", 2),
        ("queues: !!python/object:os.system x", 1),
        ("queues: []", 1),
        ("queues: null", 1),
        ("queues: {}", 1),
        ("{}", 1),
    ],
)
def test_what_is_no_organisation_is_refused(text: str, line: int) -> None:
    assert faults_of(text)[0][0] in (line, line + 1)


@pytest.mark.parametrize(
    "value",
    [
        "2026-99-99",
        "2026-01-01",
        "9" * 5000,
        "!!int x",
        "!!timestamp x",
        "!!set {a}",
        "!foo {a: 1}",
        "!!binary x",
        "0o9",
    ],
)
def test_values_that_are_not_what_they_look_like_are_refused(value: str) -> None:
    assert faults_of(f"queues: [{{key: a, name: {{en: A}}}}]\norganisation: {{time_zone: {value}}}")


def test_all_faults_are_told_at_once() -> None:
    text = GOOD.replace("target: 0.8", "target: 2").replace("digit: 1}", "digit: 0}")
    assert faults_of(text) == [(5, "queues[0].service_level.target"), (24, "dispositions[0].digit")]
    text = GOOD.replace("  - {key: billing, name: {en: Billing}}", "  []").replace("queue: sales}", "queue: nowhere}")
    assert faults_of(text) == [
        (14, "agents[0].skills.billing"),
        (25, "dispositions[1].queue"),
        (36, "rules[0].then.steps[0].require[0]"),
    ]


def test_the_message_names_the_file_and_the_line() -> None:
    with pytest.raises(OrgFileInvalid) as refused:
        parse_org(GOOD.replace("target: 0.8", "target: 2"), "my/org.yaml")
    assert str(refused.value) == (
        "my/org.yaml: line 5: queues[0].service_level.target: Input should be less than or equal to 1"
    )


@pytest.mark.parametrize("depth", [100, 1_000])
def test_nesting_without_end_is_refused(depth: int) -> None:
    for opening, closing in (("[", "]"), ("{not: ", "}")):
        text = f"queues: [{{key: a, name: {{en: A}}}}]\nrules: {opening * depth}{closing * depth}"
        (fault,) = faults_of(text)
        assert fault[1] == ""


def test_aliases_that_multiply_are_refused() -> None:
    lines = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 20)]
    assert len(faults_of("\n".join(lines))) == 1


def test_an_alias_inside_itself_is_refused() -> None:
    assert len(faults_of("queues: &q [*q]")) == 1


def test_anchors_and_merge_keys_are_fine() -> None:
    org = parse_org(
        "queues: [{key: a, name: {en: A}, wrap_up: &w {mode: none}}, {key: b, name: {en: B}, wrap_up: *w}]\n"
        "rules:\n  - &all {name: x, when: {field: ticket.is_new, op: '==', value: &yes true}}\n  - {name: y}\n"
    )
    assert org.queues[1].wrap_up.mode == "none"
    assert org.rules[0]["when"]["value"] is True


def test_a_condition_may_be_text_and_is_kept_as_a_tree() -> None:
    begin = "queues: [{key: a, name: {en: A}}]\nrules:\n"
    org = parse_org(
        f"{begin}  - {{name: x, when: 'customer.tier == \"vip\"'}}\n"
        "  - name: y\n    when: >\n      ticket.is_new == true AND\n      call.language IN ['de', 'en']\n  - {name: z}\n"
    )
    assert org.rules[0] == {"name": "x", "when": {"field": "customer.tier", "op": "==", "value": "vip"}}
    assert [leaf["field"] for leaf in org.rules[1]["when"]["all"]] == ["ticket.is_new", "call.language"]
    with pytest.raises(OrgFileInvalid) as refused:
        parse_org(f"{begin}  - {{name: x, when: 'customer.tier = vip'}}\n  - {{name: y}}\n")
    assert [(fault.line, fault.place, fault.message) for fault in refused.value.faults] == [
        (3, "rules[0].when", "column 17: there is no field 'vip'; texts stand in quotes")
    ]
    unreachable = "customer.tier == 'a' AND customer.tier == 'b'"
    assert faults_of(f'{begin}  - {{name: x, when: "{unreachable}"}}\n  - {{name: y}}\n')[0] == (3, "rules[0].when")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    def said(path: Path) -> str:
        with pytest.raises(OrgFileInvalid) as refused:
            read_org(path)
        return str(refused.value)

    assert said(tmp_path / "none.yaml").endswith("none.yaml: there is no such file")
    assert "cannot be read" in said(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"queues: [\xe9]")
    assert said(tmp_path / "latin.yaml").endswith("is not UTF-8 text")


WORDS = st.sampled_from(
    [
        "queues",
        "key",
        "name",
        "en",
        "agents",
        "rules",
        "when",
        "all",
        "not",
        "field",
        "then",
        "steps",
        "support",
        "*a",
        "&a",
        "!!int",
        "<<",
    ]
)
SCRAPS = st.lists(
    st.one_of(WORDS, st.sampled_from(list("{}[]:,-?|>#'\"&*!%@\n\t ")), st.sampled_from(["\n  ", "\n    - ", ": ", "- "]), st.text(max_size=4)),
    max_size=40,
).map("".join)  # fmt: skip


@settings(deadline=None, max_examples=150)
@given(SCRAPS)
def test_whatever_the_file_holds_it_is_read_or_refused(text: str) -> None:
    for document in (text, f"queues: [{{key: a, name: {{en: A}}}}]\nrules: {text}"):
        with contextlib.suppress(OrgFileInvalid):
            parse_org(document)


# --- pools ---------------------------------------------------------------------------------------------------------------------


def organisation(queues: list[str], served: list[list[str]]) -> OrgFile:
    return OrgFile(
        queues=[QueueIn(key=key, name={"en": key}) for key in queues],
        agents=[AgentIn(email=f"a{n}@example.com", name="A", queues=list(own)) for n, own in enumerate(served)],
    )


@pytest.mark.parametrize(
    ("served", "pools"),
    [
        ([], {"a": "pool_a", "b": "pool_b", "c": "pool_c"}),
        ([["a"], ["b"], []], {"a": "pool_a", "b": "pool_b", "c": "pool_c"}),
        ([["a", "b"]], {"a": "pool_a", "b": "pool_a", "c": "pool_c"}),
        ([["b", "a"], ["c"]], {"a": "pool_a", "b": "pool_a", "c": "pool_c"}),
        ([["a", "b"], ["c", "b"]], {"a": "pool_a", "b": "pool_a", "c": "pool_a"}),
        ([["c", "b"]], {"a": "pool_a", "b": "pool_b", "c": "pool_b"}),
        ([["a", "b", "c"]], {"a": "pool_a", "b": "pool_a", "c": "pool_a"}),
    ],
)
def test_queues_that_share_agents_are_one_pool(served: list[list[str]], pools: dict[str, str]) -> None:
    assert pools_of(organisation(["a", "b", "c"], served)) == pools


KEYS = ["a", "b", "c", "d", "e", "f"]
SERVED = st.lists(st.lists(st.sampled_from(KEYS), max_size=3, unique=True), max_size=6)


@settings(deadline=None)
@given(SERVED, st.randoms(use_true_random=False))
def test_pools_are_the_connected_components_in_any_order(served: list[list[str]], random: Any) -> None:
    """Compared with flooding: a pool is what can be reached over shared agents, named after its first key."""
    expected = {}
    for key in KEYS:
        reached, grown = {key}, True
        while grown:
            more = {other for own in served if reached & set(own) for other in own}
            grown = not more <= reached
            reached |= more
        expected[key] = f"pool_{min(reached)}"
    assert pools_of(organisation(KEYS, served)) == expected
    shuffled = [random.sample(own, len(own)) for own in random.sample(served, len(served))]
    assert pools_of(organisation(random.sample(KEYS, len(KEYS)), shuffled)) == expected


# --- before an agent: hours, messages --------------------------------------------------------------------------------------

BEFORE = """
queues: [{key: support, name: {en: Support}}]
calendars: [{key: office, weekly: {%s}, %s}]
numbers: [{number: "+14155550199", region: US, queue: support, calendar: %s, voicemail: {%s}}]
"""


def test_a_calendar_is_kept_as_seven_days_and_those_that_differ() -> None:
    text = BEFORE % (
        "mon-thu: ['09:00-17:00'], fri: ['09:00-12:00', '13:00-15:00']",
        "holidays: [2026-12-25], other_hours: {2026-12-24: ['09:00-12:00']}",
        "office",
        "key: '9', max_s: 60",
    )
    org = parse_org(text)
    settings = org.calendars[0].settings("Europe/Berlin")
    assert settings["zone"] == "Europe/Berlin"
    assert settings["weekly"] == [["09:00-17:00"]] * 4 + [["09:00-12:00", "13:00-15:00"], [], []]
    assert settings["other"] == {"2026-12-24": ["09:00-12:00"], "2026-12-25": []}
    voicemail = org.numbers[0].voicemail
    assert voicemail is not None
    assert (voicemail.key, voicemail.max_s, voicemail.after_hours) == ("9", 60, True)


@pytest.mark.parametrize(
    ("week", "other", "calendar", "voicemail", "place"),
    [
        ("mon: ['9-17']", "", "office", "", "calendars[0].weekly.mon"),
        ("monday: []", "", "office", "", "calendars[0].weekly"),
        ("mon-fri: [], fri: []", "", "office", "", "calendars[0].weekly"),
        ("", "holidays: [soon]", "office", "", "calendars[0].holidays[0]"),
        ("", "time_zone: Nowhere", "office", "", "calendars[0].time_zone"),
        ("", "", "none", "", "numbers[0].calendar"),
        ("", "", "office", "key: '#'", "numbers[0].voicemail.key"),
        ("", "", "office", "max_s: 1", "numbers[0].voicemail.max_s"),
    ],
)
def test_what_is_wrong_with_hours_and_messages_is_said_with_its_place(
    week: str, other: str, calendar: str, voicemail: str, place: str
) -> None:
    with pytest.raises(OrgFileInvalid) as caught:
        parse_org(BEFORE % (week, other, calendar, voicemail))
    assert place in [fault.place for fault in caught.value.faults]
    assert all(fault.line for fault in caught.value.faults)


def test_a_queue_lets_go_to_the_recorder_or_to_another_queue_and_only_when_it_lets_go() -> None:
    text = "queues: [{key: a, name: {en: A}, overflow: {%s}}, {key: b, name: {en: B}}]"
    assert parse_org(text % "max_waiting: 2, voicemail: true").queues[0].overflow.voicemail
    for overflow, place in (("voicemail: true", "voicemail"), ("max_waiting: 2, voicemail: true, to: b", "to")):
        with pytest.raises(OrgFileInvalid) as caught:
            parse_org(text % overflow)
        assert [fault.place for fault in caught.value.faults] == [f"queues[0].overflow.{place}"]


# --- menus of more levels ------------------------------------------------------------------------------------------------

MENUS = """\
queues: [{key: support, name: {en: Support}}]
menus:
"""


def menu(key: str, *options: str, more: str = "") -> str:
    """Two lines: the menu, and its options."""
    numbered = ", ".join(f"{{key: o{n}, digit: '{n}', {option}}}" for n, option in enumerate(options, 1))
    return f"  - {{key: {key}, prompt: {{en: '?'}},{more}\n     options: [{numbered}]}}\n"


def test_menus_below_menus_are_stored_by_name() -> None:
    org = parse_org(
        MENUS + menu("main", "menu: shop", "voicemail: true") + menu("shop", "queue: support", more=" main: '*',")
    )
    first, second = (each.settings() for each in org.menus)
    assert [(o["menu"], o["queue"]) for o in first["options"]] == [("shop", None), (None, None)]
    assert (second["back"], second["main"]) == ("0", "*")


@pytest.mark.parametrize(
    ("menus", "faults"),
    [
        ([menu("main", "menu: none")], [(4, "menus[0].options[0].menu")]),
        ([menu("main", "menu: main")], [(4, "menus[0].options[0].menu")]),
        (
            [menu("a", "queue: support", "menu: b"), menu("b", "menu: c"), menu("c", "menu: a")],
            [(4, "menus[0].options[1].menu"), (6, "menus[1].options[0].menu"), (8, "menus[2].options[0].menu")],
        ),
        ([menu("main", "menu: main, queue: support")], [(4, "menus[0].options[0]"), (4, "menus[0].options[0].menu")]),
        ([menu("main", "words: [x]")], [(4, "menus[0].options[0]")]),
        (
            [menu(f"m{n}", f"menu: m{n + 1}") for n in range(5)] + [menu("m5", "queue: support")],
            [(3, "menus[0].key")],
        ),
        ([menu("main", "menu: shop"), menu("shop", "queue: support", more=" back: '1',")], [(5, "menus[1].back")]),
        ([menu("main", "menu: shop"), menu("shop", "queue: support", more=" main: '0',")], [(5, "menus[1].main")]),
    ],
)
def test_menus_that_nobody_could_walk_through_are_refused(menus: list[str], faults: list[tuple[int, str]]) -> None:
    assert faults_of(MENUS + "".join(menus)) == faults


def test_a_circle_of_menus_is_named() -> None:
    with pytest.raises(OrgFileInvalid, match="goes round in a circle: a → b → a"):
        parse_org(MENUS + menu("a", "menu: b") + menu("b", "menu: a"))


def test_five_menus_one_below_the_other_and_one_reached_by_two_ways_are_fine() -> None:
    deep = [menu(f"m{n}", f"menu: m{n + 1}", "menu: m4") for n in range(4)] + [menu("m4", "queue: support")]
    assert len(parse_org(MENUS + "".join(deep)).menus) == 5


def test_the_key_back_of_a_menu_that_no_other_leads_to_may_be_an_option() -> None:
    assert parse_org(MENUS + menu("main", "queue: support", more=" back: '1',"))


# --- what a queue says for itself ----------------------------------------------------------------------------------------

OF_QUEUE = """\
calendars: [{key: office, weekly: {}}]
queues:
  - {key: support, name: {en: Support}, %s}
"""


@pytest.mark.parametrize(
    ("said", "place"),
    [
        ("calendar: none", "queues[0].calendar"),
        ("calendar: office, channel: ticket", "queues[0].calendar"),
        ("recording: {}, channel: ticket", "queues[0].recording"),
        ("recording: false, channel: ticket", "queues[0].recording"),
        ("recording: {decline_key: '#'}", "queues[0].recording.decline_key"),
        ("recording: true", "queues[0].recording"),
    ],
)
def test_hours_and_recording_of_a_queue_that_cannot_be_are_refused(said: str, place: str) -> None:
    assert (3, place) in faults_of(OF_QUEUE % said)


def test_a_queue_says_nothing_about_recording_or_that_it_is_not() -> None:
    assert [parse_org(OF_QUEUE % said).queues[0].recording for said in ("pick: round_robin", "recording: false")] == [
        None,
        False,
    ]
