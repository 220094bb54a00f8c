import { mkdirSync } from "node:fs";
import { Project } from "../lib/project.mjs";

/**
 * React Native, as far as it runs without a phone: Metro bundles, today's Hermes compiles, and the core learns in the one Hermes that can
 * be had as a program. It is of 2022, and lacks a few methods (`polyfills.js`) and the Unicode classes of regular expressions.
 */
export async function run({ tarballs, check, tell }) {
  const project = Project.install("react-native", tarballs);
  project.useNode("node-22");
  mkdirSync(project.path("dist"), { recursive: true });
  const bundle = (entry, profile) => {
    const out = `dist/${entry}-${profile}.js`;
    const args = [
      "--config",
      "metro.config.cjs",
      "--platform",
      "android",
      "--dev",
      "false",
      "--reset-cache",
      "--out",
      out,
    ];
    project.run("metro", ["build", `${entry}.js`, ...args], { env: { HERMES_PROFILE: profile } });
    return out;
  };
  const compiler = project.path("node_modules/hermes-compiler/hermesc/linux64-bin/hermesc");
  const engine = project.path("node_modules/hermes-engine-cli/linux64-bin/hermes");
  const versions = [project.version("metro"), project.version("hermes-compiler")].join(", ");
  for (const [entry, what] of [
    ["core", "microlora"],
    ["bare", "@microlora/embed"],
    ["embed", "@microlora/embed/inline-128"],
  ]) {
    await check(`${versions}, ${what} is bundled and compiled`, () => {
      project.run(compiler, ["-w", "-emit-binary", "-out", `dist/${entry}.hbc`, bundle(entry, "hermes-stable")]);
    });
  }
  await check(`${project.version("hermes-engine-cli")}, without WebAssembly, microlora learns`, () => {
    const printed = project.run(engine, [bundle("core", "default")]);
    const { before, after, isSame, hasLearned } = JSON.parse(printed);
    return before === 4 && after === 1 && isSame && hasLearned ? undefined : printed;
  });
  tell("React Native: the embedder and a phone are not tried, since today's Hermes cannot be had as a program");
}
