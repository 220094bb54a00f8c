// Hostile files of torch.save, each with the code that it has to be refused with: a zip archive, and a pickle in it.
import { cat, floats, u16, u32 } from "./bytes.mjs";

const text = (value) => Buffer.from(value, "latin1");
const byte = (...values) => Buffer.from(values);

/** Pickle: what pushes a value. */
const unicode = (value) => cat(byte(0x58), u32(value.length), text(value));
const int = (value) => cat(byte(0x4a), u32(value));
const global = (module, name) => text(`c${module}\n${name}\n`);
const tuple = (...values) => cat(byte(0x28), ...values, byte(0x74));
const call = (called, ...args) => cat(called, tuple(...args), byte(0x52));
const dict = (entries) =>
  cat(byte(0x7d, 0x28), ...Object.entries(entries).flatMap(([key, value]) => [unicode(key), value]), byte(0x75));
const pickle = (...parts) => cat(byte(0x80, 2), ...parts, byte(0x2e));

const storage = (key, length, type = "FloatStorage") =>
  cat(tuple(unicode("storage"), global("torch", type), unicode(key), unicode("cpu"), int(length)), byte(0x51));
const tensor = (key, length, sizes, strides, offset = 0, type = undefined) =>
  call(
    global("torch._utils", "_rebuild_tensor_v2"),
    storage(key, length, type),
    int(offset),
    tuple(...sizes.map(int)),
    tuple(...strides.map(int)),
    byte(0x89),
    call(global("collections", "OrderedDict")),
  );

/** A zip archive without compression; `edit` changes what an entry of the directory says. */
function zip(members, edit = {}) {
  const locals = [];
  const entries = [];
  let at = 0;
  for (const [name, data] of Object.entries(members)) {
    const said = { method: 0, size: data.length, offset: at, ...edit[name] };
    const sizes = cat(u32(said.size), u32(said.size));
    const local = cat(
      u32(0x04034b50),
      u16(20),
      u16(0),
      u16(said.method),
      u32(0),
      u32(0),
      sizes,
      u16(name.length),
      u16(0),
      text(name),
      data,
    );
    entries.push(
      cat(
        u32(0x02014b50),
        u16(20),
        u16(20),
        u16(0),
        u16(said.method),
        u32(0),
        u32(0),
        sizes,
        u16(name.length),
        u16(0),
        u16(0),
        u16(0),
        u16(0),
        u32(0),
        u32(said.offset),
        text(name),
      ),
    );
    locals.push(local);
    at += local.length;
  }
  const directory = cat(...entries);
  const count = edit.count ?? entries.length;
  const end = cat(
    u32(0x06054b50),
    u16(0),
    u16(0),
    u16(count),
    u16(count),
    u32(edit.size ?? directory.length),
    u32(edit.start ?? at),
    u16(0),
  );
  return cat(...locals, directory, end);
}

const M = "base_model.model.q_proj";
const A = tensor("0", 8, [2, 4], [4, 1]);
const B = tensor("1", 6, [3, 2], [2, 1]);
const archive = (data, more = {}, edit = {}) =>
  zip(
    { "m/data.pkl": data, "m/byteorder": text("little"), "m/data/0": floats(8), "m/data/1": floats(6), ...more },
    edit,
  );
const file = (entries) => archive(pickle(dict(entries)));
const PAIR = { "unet.q.lora_A.weight": A, "unet.q.lora_B.weight": B };

/** Lists that hold each other twice: 2^30 of them, if anybody looked. */
function nested() {
  const parts = [byte(0x5d, 0x71, 0)];
  for (let i = 1; i < 31; i++) parts.push(byte(0x5d), byte(0x68, i - 1, 0x61), byte(0x68, i - 1, 0x61), byte(0x71, i));
  return cat(...parts);
}

/** name: [code, bytes] */
export const pytorch = {
  // What the others are made from: nothing is wrong with it.
  sound: [null, file(PAIR)],
  "runs-a-command": ["unsupported-variant", archive(pickle(call(global("os", "system"), unicode("touch /tmp/owned"))))],
  "runs-eval-by-stack-global": [
    "unsupported-variant",
    archive(pickle(cat(unicode("builtins"), unicode("eval"), byte(0x93), tuple(unicode("1")), byte(0x52)))),
  ],
  "runs-what-data-may-not-call": [
    "unsupported-variant",
    archive(pickle(call(global("torch", "FloatStorage"), int(1)))),
  ],
  "calls-what-is-no-function": ["unsupported-variant", archive(pickle(call(unicode("print"), unicode("x"))))],
  "builds-an-instance": ["bad-header", archive(pickle(cat(byte(0x7d), byte(0x81))))],
  "sets-what-is-no-dictionary": ["bad-header", archive(pickle(cat(int(1), unicode("a"), int(2), byte(0x73))))],
  "takes-from-an-empty-stack": ["bad-header", archive(pickle(byte(0x85)))],
  "has-no-mark": ["bad-header", archive(pickle(byte(0x74)))],
  "recalls-nothing": ["bad-header", archive(pickle(byte(0x68, 9)))],
  "names-no-class": ["bad-header", archive(pickle(cat(nested(), nested(), byte(0x93))))],
  "lists-in-lists": ["missing-tensor", archive(pickle(nested()))],
  "without-an-end": ["truncated", archive(cat(byte(0x80, 2), dict({})))],
  "text-past-the-end": ["truncated", archive(cat(byte(0x80, 2, 0x58), u32(0xffff_ffff), text("a")))],
  "pickle-empty": ["truncated", archive(Buffer.alloc(0))],
  "no-tensors": ["missing-tensor", archive(pickle(dict({ a: int(1) })))],
  "storage-missing": ["missing-tensor", file({ ...PAIR, "unet.q.lora_B.weight": tensor("7", 6, [3, 2], [2, 1]) })],
  "storage-of-an-unknown-type": [
    "unsupported-variant",
    file({ ...PAIR, "unet.q.lora_B.weight": tensor("1", 6, [3, 2], [2, 1], 0, "QInt8Storage") }),
  ],
  "tensor-past-its-storage": ["bad-offset", file({ ...PAIR, "unet.q.lora_B.weight": tensor("1", 6, [3, 3], [3, 1]) })],
  "tensor-that-begins-past-its-storage": [
    "bad-offset",
    file({ ...PAIR, "unet.q.lora_B.weight": tensor("1", 6, [3, 2], [2, 1], 1) }),
  ],
  "strides-past-the-storage": [
    "bad-offset",
    file({ ...PAIR, "unet.q.lora_B.weight": tensor("1", 6, [3, 2], [1 << 30, 1 << 30]) }),
  ],
  "strides-of-nothing": [
    "too-large",
    file({ ...PAIR, "unet.q.lora_B.weight": tensor("1", 6, [1 << 20, 1 << 10], [0, 0]) }),
  ],
  "sizes-that-overflow": [
    "bad-shape",
    file({ ...PAIR, "unet.q.lora_B.weight": tensor("1", 6, [0x7fffffff, 0x7fffffff, 0x7fffffff], [0, 0, 0]) }),
  ],
  "sizes-negative": ["bad-header", file({ ...PAIR, "unet.q.lora_B.weight": tensor("1", 6, [-3, 2], [2, 1]) })],
  "whole-numbers": [
    "unsupported-dtype",
    archive(pickle(dict({ ...PAIR, "unet.q.lora_B.weight": tensor("1", 6, [3, 2], [2, 1], 0, "IntStorage") }))),
  ],
  "big-endian": ["unsupported-version", archive(pickle(dict(PAIR)), { "m/byteorder": text("big") })],
  "no-pickle": ["not-this-format", zip({ "m/data/0": floats(8) })],
  compressed: ["unsupported-variant", archive(pickle(dict(PAIR)), {}, { "m/data.pkl": { method: 8 } })],
  "member-past-the-end": ["truncated", archive(pickle(dict(PAIR)), {}, { "m/data/1": { size: 1_000_000 } })],
  "member-elsewhere": ["bad-offset", archive(pickle(dict(PAIR)), {}, { "m/data/1": { offset: 3 } })],
  "members-on-top-of-each-other": [
    "bad-offset",
    archive(
      pickle(dict(PAIR)),
      Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`m/x${i}`, Buffer.alloc(0)])),
      Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`m/x${i}`, { offset: 0, size: 400 }])),
    ),
  ],
  "directory-outside": ["bad-offset", archive(pickle(dict(PAIR)), {}, { start: 0x7fff_ffff })],
  "members-65534": ["bad-offset", archive(pickle(dict(PAIR)), {}, { count: 65_534 })],
  "zip64-without-its-end": ["bad-offset", archive(pickle(dict(PAIR)), {}, { count: 65_535 })],
  "end-missing": ["truncated", file(PAIR).subarray(0, -22)],
  "legacy-cut-off": [
    "truncated",
    byte(0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, 0x2e),
  ],
  "of-another-program": ["missing-config", file({ [`${M}.lora_A.weight`]: A, [`${M}.lora_B.weight`]: B })],
};
