import { defineConfig } from "vite";
import { VitePWA } from "vite-plugin-pwa";

/** After the first visit everything comes from the cache, the icons too; the embedder keeps its own weights. */
const offline = VitePWA({
  registerType: "autoUpdate",
  injectRegister: "script-defer",
  manifest: {
    name: "MicroLoRA playground",
    short_name: "MicroLoRA",
    display: "standalone",
    start_url: ".",
    icons: [{ src: "icon.svg", sizes: "any", type: "image/svg+xml" }],
  },
  workbox: { globPatterns: ["**/*.{html,js,css,json,svg}"], navigateFallback: "index.html" },
});

export default defineConfig({
  base: "./",
  plugins: [offline],
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  worker: { format: "es" },
  build: { target: "es2022", assetsInlineLimit: 0 },
});
