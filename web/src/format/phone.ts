/**
 * Showing E.164 numbers: grouping for the eye and the time where they ring.
 *
 * Only for display. Who a number belongs to is the service's business, and it uses a complete metadata library.
 * A zone is given only where the country has one, or where a North American area code lies in one.
 */
const TWO_DIGITS =
  "20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 56 57 58 60 61 62 63 64 65 66 81 82 84 86 90 91 92 93 94 95 98";
const TWO = new Set(TWO_DIGITS.split(" "));

const ZONES: Record<string, string> = {
  "20": "Africa/Cairo",
  "27": "Africa/Johannesburg",
  "30": "Europe/Athens",
  "31": "Europe/Amsterdam",
  "32": "Europe/Brussels",
  "33": "Europe/Paris",
  "36": "Europe/Budapest",
  "39": "Europe/Rome",
  "40": "Europe/Bucharest",
  "41": "Europe/Zurich",
  "43": "Europe/Vienna",
  "44": "Europe/London",
  "45": "Europe/Copenhagen",
  "46": "Europe/Stockholm",
  "47": "Europe/Oslo",
  "48": "Europe/Warsaw",
  "49": "Europe/Berlin",
  "60": "Asia/Kuala_Lumpur",
  "63": "Asia/Manila",
  "65": "Asia/Singapore",
  "66": "Asia/Bangkok",
  "81": "Asia/Tokyo",
  "82": "Asia/Seoul",
  "84": "Asia/Ho_Chi_Minh",
  "86": "Asia/Shanghai",
  "90": "Europe/Istanbul",
  "91": "Asia/Kolkata",
  "353": "Europe/Dublin",
  "358": "Europe/Helsinki",
  "420": "Europe/Prague",
  "421": "Europe/Bratislava",
  "852": "Asia/Hong_Kong",
  "853": "Asia/Macau",
  "886": "Asia/Taipei",
  "971": "Asia/Dubai",
  "972": "Asia/Jerusalem",
};

const AREAS: Record<string, string> = {
  "America/New_York":
    "201 202 203 212 215 216 234 240 267 301 302 304 305 315 321 330 332 336 339 347 351 386 401 404 407 410 412 413 419 434 440 443 470 475 484 508 513 516 518 540 551 561 570 571 585 603 607 609 610 614 617 631 646 667 678 681 703 704 716 717 718 724 727 732 740 754 757 762 770 772 774 781 786 802 803 804 813 828 843 845 848 856 857 860 862 863 864 878 904 908 910 914 917 919 929 937 941 947 954 959 973 978 980 984",
  "America/Chicago":
    "205 214 217 218 224 225 251 254 256 262 281 309 312 314 316 318 319 320 331 334 337 346 361 402 405 409 414 417 430 432 469 479 501 504 507 512 515 563 573 580 608 612 615 618 630 636 641 651 660 662 682 708 712 713 715 737 763 769 773 779 806 815 816 817 830 832 847 870 872 901 903 913 918 920 936 940 952 956 972 979 985",
  "America/Denver": "303 307 385 406 435 505 575 719 720 801 970",
  "America/Phoenix": "480 520 602 623",
  "America/Los_Angeles":
    "206 209 213 253 310 323 360 408 415 424 425 442 503 509 510 530 559 562 619 626 628 650 657 661 669 702 707 714 725 747 760 805 818 831 858 909 916 925 949 951 971",
  "America/Toronto": "226 249 289 343 365 416 437 519 613 647 705 905",
  "America/Vancouver": "236 604 672 778",
  "Pacific/Honolulu": "808",
};
const ZONE_BY_AREA = new Map(
  Object.entries(AREAS).flatMap(([zone, codes]) => codes.split(" ").map((code) => [code, zone] as const)),
);

function split(e164: string): [country: string, rest: string] | null {
  if (!/^\+[1-9]\d{6,14}$/.test(e164)) return null;
  const digits = e164.slice(1);
  const length = digits.startsWith("1") || digits.startsWith("7") ? 1 : TWO.has(digits.slice(0, 2)) ? 2 : 3;
  return [digits.slice(0, length), digits.slice(length)];
}

function groups(digits: string): string {
  if (digits.length <= 4) return digits;
  const head = digits.length % 3 === 1 ? digits.length - 4 : digits.length - (digits.length % 3);
  const parts = digits.slice(0, head).match(/.{3}/g) ?? [];
  return [...parts, digits.slice(head)].filter(Boolean).join(" ");
}

export function formatPhone(number: string): string {
  const parts = split(number);
  if (!parts) return number;
  const [country, rest] = parts;
  if (country === "1" && rest.length === 10) {
    return `+1 (${rest.slice(0, 3)}) ${rest.slice(3, 6)}-${rest.slice(6)}`;
  }
  if (country === "86" && /^1[3-9]\d{9}$/.test(rest)) return `+86 ${rest.slice(0, 3)} ${rest.slice(3, 7)} ${rest.slice(7)}`;
  if (country === "49" && /^(30|40|69|89)/.test(rest)) return `+49 ${rest.slice(0, 2)} ${groups(rest.slice(2))}`;
  if (country === "86") {
    const area = /^(10|2\d)/.test(rest) ? 2 : 3;
    return `+86 ${rest.slice(0, area)} ${rest.slice(area, -4)} ${rest.slice(-4)}`;
  }
  return `+${country} ${groups(rest)}`;
}

/** What providers send in place of a number that the caller hides. */
const STAND_INS = new Set(["", "anonymous", "restricted", "unavailable", "unknown", "private", "blocked", "+266696687"]);

export function isWithheld(number: string): boolean {
  return STAND_INS.has(number.toLowerCase());
}

export function zoneOf(number: string): string | null {
  const parts = split(number);
  if (!parts) return null;
  const [country, rest] = parts;
  if (country === "1") return ZONE_BY_AREA.get(rest.slice(0, 3)) ?? null;
  return ZONES[country] ?? null;
}
