import { expect, test } from "vitest";
import { ContentSet, hashContent } from "./deduplicate.ts";

test("hashes UTF-8 with SHA-256", () => {
  // FIPS 180-4 example for "abc".
  expect(hashContent("abc").toString("hex")).toBe(
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
  );
});

test("tells new from seen, also after growing", () => {
  const seen = new ContentSet();
  for (let i = 0; i < 20_000; i++) expect(seen.add(hashContent(`document ${i}`))).toBe(true);
  for (let i = 0; i < 20_000; i++) expect(seen.add(hashContent(`document ${i}`))).toBe(false);
  expect(seen.size).toBe(20_000);
});
