// Writes into dist/worker.js which files the page has, and their digests. `npm run build` runs it.

import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";

const digest = (what) => createHash("sha256").update(what).digest("base64");

const files = {};
for (const name of readdirSync("dist").sort()) {
  if (name === "worker.js") continue;
  const address = name === "index.html" ? "./" : name; // as it is asked for
  files[address] = `sha256-${digest(readFileSync(`dist/${name}`))}`;
}
const list = JSON.stringify(files, null, 2);
const worker = readFileSync("dist/worker.js", "utf8")
  .replace('const VERSION = ""', `const VERSION = "${digest(list).slice(0, 12)}"`)
  .replace("const FILES = {}", `const FILES = ${list}`);
writeFileSync("dist/worker.js", worker);
