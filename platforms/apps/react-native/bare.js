import "./polyfills.js";
import { loadEmbedder } from "@microlora/embed";

loadEmbedder().then(
  () => print(JSON.stringify({ error: "loaded without weights" })),
  ({ name, code }) => print(JSON.stringify({ name, code })),
);
