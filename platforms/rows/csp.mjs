import { cpSync } from "node:fs";
import { openBrowser, outcomeOf } from "../lib/browser.mjs";
import { faultOf } from "../lib/checks.mjs";
import { Project } from "../lib/project.mjs";
import { serve } from "../lib/serve.mjs";

/** A page whose Content-Security-Policy does not let it compile WebAssembly, and one whose policy does. */
export async function run({ tarballs, check }) {
  const project = Project.install("webpack-5", tarballs, "page");
  project.run("webpack", ["--mode", "production", "--entry", "./main.js", "--output-path", "dist-csp"]);
  cpSync(project.path("index.html"), project.path("dist-csp", "index.html"));
  const policies = [
    ["default-src 'self'", /^scalar$/],
    ["default-src 'none'; script-src 'self'; connect-src 'self'; require-trusted-types-for 'script'", /^scalar$/],
    ["default-src 'self'; script-src 'self' 'wasm-unsafe-eval'", /^(simd|relaxed)$/],
  ];
  const browser = await openBrowser();
  try {
    for (const [policy, kernels] of policies) {
      const server = await serve(project.path("dist-csp"), { headers: { "content-security-policy": policy } });
      await check(`Chromium, Content-Security-Policy: ${policy}`, async () =>
        faultOf(await outcomeOf(browser, `${server.origin}/`), { kernels }),
      );
      server.stop();
    }
  } finally {
    await browser.close();
  }
}
