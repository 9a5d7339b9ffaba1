"""Makes `demo/customers.csv`: 500 invented customers in the United States, Germany and China. Same file at every run.

    python3 demo/make_customers.py

Numbers are from ranges kept for fiction where a country has some (US 555-01XX, the German regulator's drama numbers). In China
there is no such range; the demo never calls anybody. The first rows are those that the guided demo speaks of.
"""

import csv
import io
import random
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Final

TARGET: Final = Path(__file__).with_name("customers.csv")
COLUMNS: Final = (
    "external_id", "name", "company", "tier", "language", "region", "phone", "phone2", "shared_phone", "email", "note",
)  # fmt: skip
COUNT: Final = 500
SEED: Final = 20260101

US_FIRST = """Maria James Linda Robert Patricia John Jennifer Michael Elizabeth David Barbara William Susan Richard Jessica Joseph
Sarah Thomas Karen Charles Nancy Daniel Lisa Matthew Betty Anthony Sandra Mark Ashley Donald Emily Steven Kimberly Andrew""".split()  # noqa: SIM905
US_LAST = """Smith Johnson Williams Brown Jones Garcia Miller Davis Rodriguez Martinez Hernandez Gonzalez Wilson Anderson Thomas
Taylor Moore Jackson Martin Lee Perez Thompson White Harris Sanchez Clark Ramirez Lewis Robinson Walker Young Allen King""".split()  # noqa: SIM905
DE_FIRST = """Anna Ben Clara David Emma Felix Greta Hannes Ida Jonas Katharina Lukas Mia Niklas Olivia Paul Ronja Sebastian Theresa
Uwe Viktoria Werner Yvonne Zoë Jürgen Käthe Björn Günther Sören Änne""".split()  # noqa: SIM905
DE_LAST = """Müller Schmidt Schneider Fischer Weber Meyer Wagner Becker Schulz Hoffmann Schäfer Koch Bauer Richter Klein Wolf
Schröder Neumann Schwarz Zimmermann Braun Krüger Hofmann Hartmann Lange Groß Weiß Jäger Vogel Köhler""".split()  # noqa: SIM905
CN_LAST = "王 李 张 刘 陈 杨 赵 黄 周 吴 徐 孙 胡 朱 高 林 何 郭 马 罗".split()  # noqa: SIM905
CN_GIVEN = """伟 芳 娜 敏 静 丽 强 磊 军 洋 勇 艳 杰 娟 涛 明 超 秀英 霞 平 刚 桂英 建国 建华 志强 雪梅 文博 思远 子涵 雨桐
欣怡 浩然 宇轩 梓萱 海燕 晓东 国庆 春梅 丹丹 小红""".split()  # noqa: SIM905
US_COMPANY = ["Northwind Traders", "Blue Harbor Logistics", "Cedar & Stone", "Granite Peak Dental", "Lakeside Books"]
DE_COMPANY = ["Becker & Partner", "Spree Optik GmbH", "Hanse Kontor KG", "Alpenblick Reisen", "Rheinwerk Druck GmbH"]
CN_COMPANY = ["星河科技有限公司", "东方茶业", "云帆物流", "江南纺织厂", "蓝海旅行社"]
SWITCHBOARDS: Final = {
    "US": [f"+1312555010{n}" for n in range(5)],
    "DE": ["+4930555100", "+493023125010", "+494066969010", "+498999998010", "+492214710010"],
    "CN": ["+862155550200", "+861055550200", "+862055550200", "+865715555020", "+862855550200"],
}
COMPANIES: Final = {"US": US_COMPANY, "DE": DE_COMPANY, "CN": CN_COMPANY}
US_AREAS = ("212", "305", "312", "404", "415", "512", "617", "702", "713", "206", "303", "503")
DE_AREAS = ("3023125", "4066969", "2214710", "8999998", "6990009")

Customer = dict[str, str]

FIXED: Final[list[Customer]] = [
    {"name": "Maria Lopez", "company": "Northwind Traders", "tier": "vip", "language": "en", "region": "US",
     "phone": "+14155550123", "email": "maria.lopez@northwind.example", "note": "Prefers a call back in the afternoon."},
    {"name": "Anna Becker", "company": "Becker & Partner", "tier": "gold", "language": "de", "region": "DE",
     "shared_phone": "+4930555100", "phone": "+493023125001", "email": "anna@becker-partner.example"},
    {"name": "Jonas Becker", "company": "Becker & Partner", "tier": "standard", "language": "de", "region": "DE",
     "shared_phone": "+4930555100", "email": "jonas@becker-partner.example"},
    {"name": "王小明", "company": "星河科技有限公司", "tier": "gold", "language": "zh-CN", "region": "CN",
     "phone": "+8613800138000", "email": "xiaoming.wang@xinghe.example", "note": "请用普通话服务。"},
]  # fmt: skip


def customers() -> list[Customer]:
    """All rows. Nobody but the two Beckers has the number +4930555100, so that it always gives two candidates."""
    rng = random.Random(SEED)  # noqa: S311 - invented people, not secrets
    numbers = {region: _numbers(region, rng) for region in ("US", "DE", "CN")}
    rows = [dict(row) for row in FIXED]
    while len(rows) < COUNT:
        region = rng.choices(("US", "DE", "CN"), weights=(45, 30, 25))[0]
        rows.append(_invented(region, numbers[region], rng))
    for number, row in enumerate(rows, 1):
        row["external_id"] = f"C-{number:05}"
        row.setdefault("email", f"{_ascii(row['name'])}.{number}@mail.example")
    return rows


def _invented(region: str, numbers: Iterator[str], rng: random.Random) -> Customer:
    row = {"region": region, "phone": next(numbers)}
    row["tier"] = rng.choices(("standard", "gold", "vip"), weights=(80, 15, 5))[0]
    if region == "US":
        row["name"] = f"{rng.choice(US_FIRST)} {rng.choice(US_LAST)}"
        row["language"] = rng.choices(("en", "es"), weights=(9, 1))[0]
    elif region == "DE":
        row["name"] = f"{rng.choice(DE_FIRST)} {rng.choice(DE_LAST)}"
        row["language"] = "de"
    else:
        row["name"] = rng.choice(CN_LAST) + rng.choice(CN_GIVEN)
        row["language"] = "zh-CN"
    if rng.random() < 0.2:
        row["phone2"] = next(numbers)
    if rng.random() < 0.15:
        firm = rng.randrange(1, 5)
        row["company"] = COMPANIES[region][firm]
        row["shared_phone"] = SWITCHBOARDS[region][firm]
    return row


def _numbers(region: str, rng: random.Random) -> Iterator[str]:
    """Numbers of a country, each once, in a shuffled order, without those of the fixed rows, switchboards and our own lines."""
    if region == "US":
        pool = [f"+1{area}55501{n:02}" for area in US_AREAS for n in range(100)]
    elif region == "DE":
        pool = [f"+49{area}{n:03}" for area in DE_AREAS for n in range(1000)]
    else:
        pool = [f"+8613800138{n:03}" for n in range(1000)]
    taken = {row[column] for row in FIXED for column in ("phone", "shared_phone") if column in row}
    taken |= {number for numbers in SWITCHBOARDS.values() for number in numbers} | {"+14155550199"}
    pool = [number for number in pool if number not in taken]
    rng.shuffle(pool)
    return iter(pool)


def _ascii(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name.lower().replace("ß", "ss")).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z]+", ".", plain).strip(".") or "customer"


def render() -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(customers())
    return out.getvalue()


if __name__ == "__main__":
    TARGET.write_text(render(), encoding="utf-8")
