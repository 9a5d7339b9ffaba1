/**
 * Where the words of a search stand in a text, as the service finds them: without case, without accents, whatever the width of a
 * letter; a number by its digits.
 */
export interface Part {
  text: string;
  isFound: boolean;
}

const fold = (char: string) => char.toLowerCase().normalize("NFKD").replaceAll(/\p{M}/gu, "").replaceAll("ß", "ss");
const NUMBER = /^(?=.*\d)[\d\s+().\-/]+$/;

/** The words of a search, folded. */
export function wordsOf(q: string): string[] {
  return q
    .normalize("NFKC")
    .split(/\s+/)
    .map((word) => Array.from(word, fold).join(""))
    .filter((word) => word !== "");
}

/** For each character of `chars` whether it is part of one of the words; only those that `keep` are looked at. */
function marked(chars: readonly string[], words: readonly string[], keep: (char: string) => boolean): boolean[] {
  let line = "";
  const owner: number[] = [];
  chars.forEach((char, index) => {
    const part = keep(char) ? fold(char) : "";
    for (let unit = 0; unit < part.length; unit += 1) owner.push(index);
    line += part;
  });
  const marks = chars.map(() => false);
  for (const word of words) {
    for (let at = line.indexOf(word); at !== -1; at = line.indexOf(word, at + 1)) {
      const [first = 0, last = 0] = [owner[at], owner[at + word.length - 1]];
      marks.fill(true, first, last + 1);
    }
  }
  return marks;
}

/** The text in parts, found and not found, in order. */
export function partsOf(text: string, q: string): Part[] {
  const plain = q.normalize("NFKC").trim();
  const chars = Array.from(text);
  const digits = NUMBER.test(plain) ? plain.replace("(0)", "").replaceAll(/\D/g, "").replace(/^0+(?=\d)/, "") : "";
  let marks = marked(chars, wordsOf(plain), () => true);
  if (digits.length > 1 && !marks.includes(true)) marks = marked(chars, [digits], (char) => /\d/.test(char));
  const parts: Part[] = [];
  chars.forEach((char, index) => {
    const isFound = marks[index] ?? false;
    const last = parts.at(-1);
    if (last?.isFound === isFound) last.text += char;
    else parts.push({ text: char, isFound });
  });
  return parts;
}
