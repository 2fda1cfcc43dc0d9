// Bundles the page, its server and its test into dist/.

import { copyFile, mkdir, rm } from "node:fs/promises";
import { build } from "esbuild";

await rm("dist", { recursive: true, force: true });
await mkdir("dist");
const common = { bundle: true, format: "esm", outdir: "dist", logLevel: "warning" };
await build({
  ...common,
  entryPoints: ["src/page.ts"],
  target: "es2023",
  minify: true,
  sourcemap: false,
});
await build({
  ...common,
  entryPoints: { serve: "server/serve.ts", test: "test/browser.ts" },
  outExtension: { ".js": ".mjs" },
  platform: "node",
  target: "node20",
  packages: "external",
});
for (const file of ["index.html", "page.css"]) await copyFile(file, `dist/${file}`);
