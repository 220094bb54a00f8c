/** Writes the linter's import rules, `biome.rooms.generated.json`, from the table in `rooms.mjs`. */
import { writeFileSync } from "node:fs";
import { NAMES, NODE_ONLY, PACKAGES } from "./rooms.mjs";

const NOT_TESTS = ["!**/*.test.ts", "!**/*.test-support.ts"];

/** One override per room and kind of file, since of several overrides that fit a file only the last one's options count. */
export function rules() {
  return Object.entries(PACKAGES).flatMap(([name, { packages, rooms, files }]) => {
    const source = `packages/${name}/src`;
    const foreign = Object.values(NAMES).filter((other) => other !== NAMES[name] && !packages.includes(other));
    const foreignPatterns = foreign.flatMap((other) => [other, `${other}/**`]);
    const message = `Imports go one way: ${[...rooms, ...files].join(" <- ")}. Move the thing, or hand it in.`;
    const inside = rooms.flatMap((room, place) => {
      const later = rooms.slice(place + 1).map((other) => `**/${other}/**`);
      const beside = [...files, "index"].flatMap((file) => [
        `../${file}.js`,
        `../../${file}.js`,
        `../../../${file}.js`,
      ]);
      const patterns = [...later, ...beside, ...foreignPatterns];
      return [
        override([`${source}/${room}/**`, "!**/node.ts"], [...patterns, "**/node.js"], message),
        override([`${source}/${room}/**/node.ts`], patterns, message),
      ];
    });
    const top = override(
      [`${source}/*.ts`, `!${source}/index.ts`, `!${source}/node.ts`],
      [...foreignPatterns, "./index.js", "**/node.js"],
      "Import the file that has the thing; index.ts and node.ts are for callers.",
    );
    const entries = override([`${source}/index.ts`], [...foreignPatterns, "**/node.js"], "Keep index.ts free of Node.");
    const browser = NODE_ONLY.includes(name)
      ? []
      : [
          {
            includes: [`${source}/**`, ...nodeRooms(name), "!**/node.ts", ...NOT_TESTS],
            linter: rule("correctness", "noNodejsModules", "error"),
          },
        ];
    return [...inside, top, entries, ...browser];
  });
}

/** Exceptions for the rooms of a package that run in Node only. */
function nodeRooms(name) {
  const rooms = NODE_ONLY.filter((each) => each.startsWith(`${name}/`));
  return rooms.map((each) => `!packages/${name}/src/${each.slice(name.length + 1)}/**`);
}

function override(includes, group, message) {
  const options = { patterns: [{ group, message }] };
  return {
    includes: [...includes, ...NOT_TESTS],
    linter: rule("style", "noRestrictedImports", { level: "error", options }),
  };
}

function rule(group, name, value) {
  return { rules: { [group]: { [name]: value } } };
}

if (import.meta.main ?? process.argv[1] === import.meta.filename) {
  writeFileSync("biome.rooms.generated.json", `${JSON.stringify({ overrides: rules() }, null, 2)}\n`);
}
