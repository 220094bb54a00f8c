import { MicroLora } from "microlora";
import { load, save } from "microlora/node";

const [path, what] = process.argv.slice(2);
if (what === "make") await save(await MicroLora.create({ hiddenSize: 16, targetModules: ["q_proj"] }), path);
console.log((await load(path)).adaptationCount);
