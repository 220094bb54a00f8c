// Prints the SHA-256 of the states that a fixed list of events leaves; needs a build.
import { createHash } from "node:crypto";
import * as core from "../../packages/microlora/dist/index.js";
import { play } from "./events.mjs";

const hash = createHash("sha256");
for (const bytes of await play(core)) hash.update(bytes);
console.log(hash.digest("hex"));
