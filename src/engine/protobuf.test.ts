import { expect, test } from "vitest";
import { ProtobufWriter } from "./protobuf.ts";

const hex = (writer: ProtobufWriter) => Buffer.from(writer.finish()).toString("hex");

// The examples of https://protobuf.dev/programming-guides/encoding/
test.each([
  ["150 in field 1", new ProtobufWriter().varint(1, 150n), "089601"],
  ["the string testing in field 2", new ProtobufWriter().string(2, "testing"), "120774657374696e67"],
  [
    "a message with 150 in field 3",
    new ProtobufWriter().message(3, (inner) => inner.varint(1, 150n)),
    "1a03089601",
  ],
  ["-2, as ten bytes", new ProtobufWriter().varint(1, -2n), "08feffffffffffffffff01"],
  ["0 and 127 and 128", new ProtobufWriter().varint(1, 0n).varint(1, 127n).varint(1, 128n), "0800087f088001"],
  ["the largest 64-bit number", new ProtobufWriter().varint(1, 2n ** 63n - 1n), "08ffffffffffffffff7f"],
  ["a float, little-endian", new ProtobufWriter().float(2, 1.5), "150000c03f"],
  ["a field number beyond 15", new ProtobufWriter().varint(20, 7n), "a00107"],
  ["text beyond ASCII", new ProtobufWriter().string(1, "é"), "0a02c3a9"],
  ["nothing", new ProtobufWriter(), ""],
])("%s", (_, writer, expected) => {
  expect(hex(writer)).toBe(expected);
});

test("bytes are written as they are, whatever came before", () => {
  const payload = Uint8Array.from({ length: 300 }, (_, i) => i);
  const written = new ProtobufWriter().varint(1, 1n).bytes(9, payload).varint(1, 2n).finish();
  expect([...written.subarray(0, 5)]).toEqual([0x08, 1, 0x4a, 0xac, 0x02]);
  expect(written.subarray(5, 305)).toEqual(payload);
  expect([...written.subarray(305)]).toEqual([0x08, 2]);
});
