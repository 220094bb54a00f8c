import { execFileSync, spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { pathToFileURL } from "node:url";
import { build } from "esbuild";
import { afterAll, describe, expect, test } from "vitest";
import { expectRejection } from "../base/refusals.test-support.js";
import { loadWith, replaceFiles, type Saveable, save } from "../node.js";

const root = mkdtempSync(join(tmpdir(), "microlora-places-"));
afterAll(() => rmSync(root, { recursive: true }));
const home = () => mkdtempSync(join(root, "home-"));
const stateOf = (text: string): Saveable => ({ toBytes: () => Buffer.from(text) });
const textOf = (path: string) => readFileSync(path, "utf8");
const isRoot = process.getuid?.() === 0;

describe.runIf(process.platform !== "win32")("on POSIX", () => {
  test.each([0o600, 0o640, 0o644, 0o666, 0o755, 0o400, 0o4711])("mode %o is kept", async (mode) => {
    // Only the superuser may write where the mode forbids it.
    if (!isRoot && (mode & 0o200) === 0) return;
    const path = join(home(), "file");
    writeFileSync(path, "old");
    chmodSync(path, mode);
    await save(stateOf("new"), path);
    expect([textOf(path), statSync(path).mode & 0o7777]).toEqual(["new", mode]);
  });

  test("while it is written, nobody else can read what will be private", async () => {
    const folder = home();
    const path = join(folder, "file");
    writeFileSync(path, "old", { mode: 0o600 });
    const modes: number[] = [];
    const look = () => modes.push(...readdirSync(folder).map((name) => statSync(join(folder, name)).mode & 0o777));
    await replaceFiles([{ path, write: (append) => append(Buffer.from("new")).then(() => void look()) }]);
    expect(modes).toEqual([0o600, 0o600]);
  });

  test("a new file gets the mode of the process's mask", async () => {
    const [ours, others] = [join(home(), "ours"), join(root, "others")];
    writeFileSync(others, "");
    await save(stateOf("new"), ours);
    expect(statSync(ours).mode).toBe(statSync(others).mode);
  });

  test.runIf(isRoot)("owner and group are kept", async () => {
    const path = join(home(), "file");
    writeFileSync(path, "old", { mode: 0o640 });
    chownSync(path, 1234, 5678);
    await save(stateOf("new"), path);
    expect(textOf(path)).toBe("new");
    expect(statSync(path)).toMatchObject({ uid: 1234, gid: 5678 });
    expect(statSync(path).mode & 0o777).toBe(0o640);
  });

  test.runIf(isRoot)("a user who may not give the file its owner back, or not write it, is refused", async () => {
    const folder = home();
    const program = join(folder, "save.mjs");
    const contents = `import { save } from "./node.js";
      const bytes = Buffer.from("new");
      await save({ toBytes: () => bytes }, process.argv[2]).then(() => console.log("saved"), (e) => console.log(e.name, e.code, e.message));`;
    const stdin = { contents, resolveDir: join(import.meta.dirname, "..") };
    await build({ stdin, outfile: program, bundle: true, platform: "node", format: "esm", logLevel: "error" });
    chmodSync(root, 0o755);
    chmodSync(folder, 0o777);
    const outcomeAt = (name: string, uid: number, mode: number) => {
      const path = join(folder, name);
      writeFileSync(path, "old");
      chownSync(path, uid, 1000);
      chmodSync(path, mode);
      const options = { uid: 1000, gid: 1000, encoding: "utf8" } as const;
      const { stdout } = spawnSync(process.execPath, [program, path], options);
      return [stdout.replace(folder, "").trim(), textOf(path)];
    };
    expect(outcomeAt("own", 1000, 0o600)).toEqual(["saved", "new"]);
    expect(outcomeAt("read-only", 1000, 0o444)).toEqual([
      expect.stringMatching(/^MicroLoraError cannot-write .*may not be written/),
      "old",
    ]);
    expect(outcomeAt("of-another", 0, 0o666)).toEqual([
      expect.stringMatching(/^MicroLoraError cannot-write .*belongs to user 0/),
      "old",
    ]);
    expect(readdirSync(folder).sort()).toEqual(["of-another", "own", "read-only", "save.mjs"]);
  });

  test("symbolic links are followed, through links and folders, to a file that need not be there yet", async () => {
    const folder = home();
    mkdirSync(join(folder, "real", "deep"), { recursive: true });
    writeFileSync(join(folder, "real", "file"), "old");
    symlinkSync("real", join(folder, "to-folder"));
    symlinkSync("to-folder/file", join(folder, "first"));
    symlinkSync(join(folder, "first"), join(folder, "second"));
    symlinkSync("real/deep", join(folder, "to-deep"));
    // As the system reads it, `..` is the parent of what to-deep points to.
    symlinkSync("to-deep/../file", join(folder, "past-a-link"));
    symlinkSync("real/new", join(folder, "dangling"));
    for (const [i, name] of ["first", "second", "to-folder/file", "past-a-link", "to-deep/../file"].entries()) {
      await save(stateOf(`new ${i}`), `${folder}/${name}`);
      expect(textOf(join(folder, "real", "file")), name).toBe(`new ${i}`);
    }
    await save(stateOf("made"), join(folder, "dangling"));
    expect(textOf(join(folder, "real", "new"))).toBe("made");
    const links = ["to-folder", "first", "second", "past-a-link", "dangling"];
    for (const name of links) expect(lstatSync(join(folder, name)).isSymbolicLink(), name).toBe(true);
    expect(readlinkSync(join(folder, "second"))).toBe(join(folder, "first"));
    expect(readdirSync(join(folder, "real")).sort()).toEqual(["deep", "file", "new"]);
  });

  test("a link that leads back to itself is refused, for reading too", async () => {
    const folder = home();
    symlinkSync("b", join(folder, "a"));
    symlinkSync("a", join(folder, "b"));
    await expectRejection(save(stateOf("new"), join(folder, "a")), "cannot-write", join(folder, "a"));
    await expectRejection(
      loadWith(join(folder, "a"), (bytes) => bytes),
      "cannot-read",
    );
  });

  test("another hard link keeps the old contents", async () => {
    const folder = home();
    writeFileSync(join(folder, "file"), "old");
    linkSync(join(folder, "file"), join(folder, "backup"));
    await save(stateOf("new"), join(folder, "file"));
    expect([textOf(join(folder, "file")), textOf(join(folder, "backup"))]).toEqual(["new", "old"]);
  });

  test("pipes, devices, sockets and folders are refused, through links too, and stay what they are", async () => {
    const folder = home();
    execFileSync("mkfifo", [join(folder, "pipe")]);
    mkdirSync(join(folder, "folder"));
    symlinkSync("/dev/null", join(folder, "device"));
    symlinkSync("pipe", join(folder, "to-pipe"));
    const server = createServer().listen(join(folder, "socket"));
    await new Promise((resolve) => server.once("listening", resolve));
    const before = readdirSync(folder);
    for (const name of ["pipe", "to-pipe", "folder", "folder/", "folder/.", "device", "socket"]) {
      await expectRejection(save(stateOf("new"), `${folder}/${name}`), "cannot-write", `${folder}/${name}`);
      await expectRejection(
        loadWith(`${folder}/${name}`, (bytes) => bytes),
        "cannot-read",
      );
    }
    expect(readdirSync(folder)).toEqual(before);
    expect(lstatSync(join(folder, "pipe")).isFIFO()).toBe(true);
    expect(statSync("/dev/null").isCharacterDevice()).toBe(true);
    await new Promise((resolve) => server.close(resolve));
  });
});

test("names of 255 bytes are saved, longer ones refused", async () => {
  const folder = home();
  for (const name of ["a".repeat(255), "é".repeat(127), "\u{1f600}".repeat(63)]) {
    await save(stateOf(name), join(folder, name));
    await save(stateOf(name), join(folder, name));
    expect(textOf(join(folder, name))).toBe(name);
  }
  await expectRejection(save(stateOf("new"), join(folder, "a".repeat(256))), "cannot-write");
  await expectRejection(save(stateOf("new"), join(folder, "é".repeat(128))), "cannot-write");
  expect(readdirSync(folder)).toHaveLength(3);
});

test("paths that name no file are refused", async () => {
  const folder = home();
  writeFileSync(join(folder, "file"), "old");
  for (const path of ["", "/", `${folder}/new/`, `${folder}/file/`, `${folder}/file/below`, `${folder}/a\0b`]) {
    await expectRejection(save(stateOf("new"), path), "cannot-write");
  }
  expect(readdirSync(folder)).toEqual(["file"]);
  for (const path of [undefined, 5, null, new URL("https://example.org/file")]) {
    await expectRejection(save(stateOf("new"), path as unknown as string), "invalid-config", "path");
  }
});

test("a file: URL and a relative path name the file as well", async () => {
  const path = join(home(), "a b#c");
  await save(stateOf("by URL"), pathToFileURL(path));
  expect(textOf(path)).toBe("by URL");
  await save(stateOf("relative"), relative(process.cwd(), path));
  expect(textOf(path)).toBe("relative");
});

test("what has no bytes is refused, and nothing is made", async () => {
  const path = join(home(), "file");
  for (const state of [undefined, null, {}, "text", { toBytes: 5 }, { toBytes: () => "text" }]) {
    await expectRejection(save(state as unknown as Saveable, path), "invalid-config");
  }
  await expectRejection(save(stateOf("new"), path, { over: "none" } as unknown as object), "invalid-config");
  await expectRejection(save(stateOf("new"), path, { force: true } as unknown as object), "invalid-config");
  expect(existsSync(path)).toBe(false);
});

test("a file that is passed twice, by any name, is refused", async () => {
  const folder = home();
  writeFileSync(join(folder, "file"), "old");
  symlinkSync("file", join(folder, "link"));
  const write = (append: (bytes: Uint8Array) => Promise<void>) => append(Buffer.from("new"));
  const files = ["file", "link"].map((name) => ({ path: join(folder, name), write }));
  await expectRejection(replaceFiles(files), "invalid-config");
  expect(textOf(join(folder, "file"))).toBe("old");
});
