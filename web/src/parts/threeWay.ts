/** Two people changed the same thing: what follows from the value before, theirs and mine, field by field. */
export interface Conflict<Fields> {
  field: keyof Fields;
  base: Fields[keyof Fields];
  theirs: Fields[keyof Fields];
  yours: Fields[keyof Fields];
}

const isSame = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);

/** Fields that both have changed, each to something else. The rest merges by itself. */
export function conflictsOf<Fields extends object>(base: Fields, theirs: Fields, yours: Fields): Conflict<Fields>[] {
  return (Object.keys(yours) as (keyof Fields)[])
    .filter(
      (field) =>
        !isSame(yours[field], base[field]) && !isSame(theirs[field], base[field]) && !isSame(yours[field], theirs[field]),
    )
    .map((field) => ({ field, base: base[field], theirs: theirs[field], yours: yours[field] }));
}

/** What I have changed, as a request says it. */
export function changedFields<Fields extends object>(from: Fields, to: Fields): Partial<Fields> {
  const fields = (Object.keys(to) as (keyof Fields)[]).filter((field) => !isSame(from[field], to[field]));
  return Object.fromEntries(fields.map((field) => [field, to[field]])) as Partial<Fields>;
}

/** Newer values arrive under a form: fields not touched follow them, touched ones keep what was typed and what it was typed over. */
export function follow<Fields extends object>(base: Fields, yours: Fields, theirs: Fields): { base: Fields; yours: Fields } {
  const next = { base: { ...theirs }, yours: { ...theirs } };
  for (const field of Object.keys(changedFields(base, yours)) as (keyof Fields)[]) {
    if (isSame(yours[field], theirs[field])) continue;
    next.base[field] = base[field];
    next.yours[field] = yours[field];
  }
  return next;
}
