import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, expect, test } from "vitest";
import { expectRejection } from "../base/refusals.test-support.js";
import { loadWith, replaceFiles, type Saveable, save } from "../node.js";

const root = mkdtempSync(join(tmpdir(), "microlora-order-"));
afterAll(() => rmSync(root, { recursive: true }));
const home = () => mkdtempSync(join(root, "home-"));
const stateOf = (text: string): Saveable => ({ toBytes: () => Buffer.from(text) });
const textOf = (path: string) => readFileSync(path, "utf8");

test("saves of different states through any name of a file take effect in the order of the calls", async () => {
  const folder = home();
  const path = join(folder, "file");
  symlinkSync("file", join(folder, "link"));
  symlinkSync(".", join(folder, "here"));
  const names = [
    path,
    join(folder, "link"),
    join(folder, "here", "file"),
    `${folder}/./here/../${folder.split("/").at(-1)}/file`,
  ];
  const seen: string[] = [];
  const saves = Array.from({ length: 40 }, (_, i) =>
    save(stateOf(String(i)), names[(i * 7) % 4]!).then(() => seen.push(textOf(path))),
  );
  await Promise.all(saves);
  expect(seen).toEqual(Array.from({ length: 40 }, (_, i) => String(i)));
  expect(textOf(path)).toBe("39");
});

test("the state is taken when save is called", async () => {
  const path = join(home(), "file");
  let text = "first";
  const state: Saveable = { toBytes: () => Buffer.from(text) };
  const first = save(state, path);
  text = "second";
  await first;
  expect(textOf(path)).toBe("first");
});

test("a state whose bytes take long keeps its place", async () => {
  const path = join(home(), "file");
  const slow = save({ toBytes: () => delay(50, Buffer.from("slow")) }, path);
  const fast = save(stateOf("fast"), path);
  await slow;
  expect(textOf(path)).toBe("slow");
  await fast;
  expect(textOf(path)).toBe("fast");
});

test("a save that fails lets the next one through", async () => {
  const path = join(home(), "file");
  const broken = save({ toBytes: () => Promise.reject(new Error("no bytes")) }, path);
  const next = save(stateOf("next"), path);
  await expect(broken).rejects.toThrow("no bytes");
  await next;
  expect(textOf(path)).toBe("next");
});

test("saves of one state that wait are left out, and end with the last one", async () => {
  const folder = home();
  const path = join(folder, "file");
  let text = "";
  const state: Saveable = { toBytes: () => Buffer.from(text) };
  let writes = 0;
  const watcher = setInterval(() => {
    writes = Math.max(writes, readdirSync(folder).filter((name) => name.endsWith("tmp")).length);
  }, 0);
  const saves = Array.from({ length: 200 }, (_, i) => {
    text = String(i);
    return save(state, path);
  });
  await saves[0];
  await saves[100];
  expect(textOf(path)).toBe("199");
  await Promise.all(saves);
  clearInterval(watcher);
  expect(textOf(path)).toBe("199");
  expect(writes).toBeLessThanOrEqual(1);
});

test("several files and a save of one of them keep the order of the calls", async () => {
  const folder = home();
  const files = (text: string) =>
    ["a", "b"].map((name) => ({
      path: join(folder, name),
      write: async (append: (bytes: Uint8Array) => Promise<void>) => append(await delay(5, Buffer.from(text))),
    }));
  const both = () => [textOf(join(folder, "a")), textOf(join(folder, "b"))];
  const state = stateOf("saved");
  const done = [
    save(state, join(folder, "b")),
    replaceFiles(files("first")),
    save(state, join(folder, "b"), { over: "anything" }),
    replaceFiles(files("second").reverse()),
  ];
  await done[1];
  expect(both()).toEqual(["first", "first"]);
  await done[2];
  expect(both()).toEqual(["first", "saved"]);
  await done[3];
  expect(both()).toEqual(["second", "second"]);
});

test("a load waits for the saves that were called before it", async () => {
  const path = join(home(), "file");
  void save(stateOf("old"), path);
  void save({ toBytes: () => delay(20, Buffer.from("new")) }, path);
  const read = await loadWith(path, (bytes) => ({ text: Buffer.from(bytes).toString() }));
  expect(read.text).toBe("new");
});

test("two copies of one state: the second to save is told, until it has loaded again", async () => {
  const path = join(home(), "file");
  const decode = (bytes: Uint8Array) => {
    const state = { count: Number(Buffer.from(bytes).toString()), toBytes: () => Buffer.from(String(state.count)) };
    return state;
  };
  await save(stateOf("0"), path);
  const [one, two] = [await loadWith(path, decode), await loadWith(path, decode)];
  one.count++;
  await save(one, path);
  one.count++;
  await save(one, path);
  two.count++;
  await expectRejection(save(two, path), "conflict", path);
  await expectRejection(save(two, path), "conflict", path);
  expect(textOf(path)).toBe("2");
  const again = await loadWith(path, decode);
  again.count++;
  await save(again, path);
  expect(textOf(path)).toBe("3");
  await save(two, path, { over: "anything" });
  expect(textOf(path)).toBe("1");
  await save(two, path);
});

test("a file that was removed is not brought back", async () => {
  const path = join(home(), "file");
  const state = stateOf("mine");
  await save(state, path);
  rmSync(path);
  await expectRejection(save(state, path), "conflict", path);
  expect(readdirSync(join(path, ".."))).toEqual([]);
  await save(state, path, { over: "nothing" });
  expect(textOf(path)).toBe("mine");
});

test('over: "nothing" makes a file and never replaces one', async () => {
  const path = join(home(), "file");
  await save(stateOf("first"), path, { over: "nothing" });
  await expectRejection(save(stateOf("second"), path, { over: "nothing" }), "conflict", path);
  expect(textOf(path)).toBe("first");
});

test("a state knows each of its files", async () => {
  const [a, b] = [join(home(), "a"), join(home(), "b")];
  const state = stateOf("mine");
  await save(state, a);
  await save(state, b);
  writeFileSync(a, "of another program");
  await save(state, b);
  await expectRejection(save(state, a), "conflict", a);
  expect(textOf(a)).toBe("of another program");
});
