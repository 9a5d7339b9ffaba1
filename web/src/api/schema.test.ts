import { readFileSync } from "node:fs";
import { join } from "node:path";
import openapiTS, { astToString } from "openapi-typescript";
import { expect, test } from "vitest";

const root = join(import.meta.dirname, "../..");

test("the generated types are those of the service's document (else: npm run types)", async () => {
  const document = readFileSync(join(root, "openapi.json"), "utf8");
  const generated = astToString(await openapiTS(document, { defaultNonNullable: false }));
  const committed = readFileSync(join(root, "src/api/schema.d.ts"), "utf8");
  expect(committed.slice(committed.indexOf("export interface paths"))).toBe(
    generated.slice(generated.indexOf("export interface paths")),
  );
});
