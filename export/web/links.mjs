// What the page links to: card and license beside it, course and code where this clone came from.
// `npm run build` runs it.

import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";

// as plain text every server and browser shows them; the mark in front says it is UTF-8
for (const [from, to] of [["../MODEL_CARD.md", "card.txt"], ["../../LICENSE", "license.txt"]]) {
  writeFileSync(`dist/${to}`, "\ufeff" + readFileSync(from, "utf8"));
}

/** The address of git's origin for a browser, without any password in it; or null. */
function origin() {
  let remote;
  try {
    remote = execFileSync("git", ["remote", "get-url", "origin"], { stdio: "pipe" }).toString();
  } catch {
    return null; // no clone, or one from nowhere
  }
  const [, host, path] =
    /^(?:\w+:\/\/)?(?:[^@/]*@)?([\w.-]+\.[a-z]+)(?::\d+)?[:/]([^\s?#]+?)(?:\.git)?\/?\s*$/.exec(remote) ?? [];
  return path ? `https://${host}/${path}` : null;
}

const address = origin();
const html = readFileSync("dist/index.html", "utf8");
const linked = address
  ? html.replaceAll("{origin}", address)
  : html.replace(/ *<a [^>]*\{origin\}.*\n/g, "");
writeFileSync("dist/index.html", linked);
