// Makes the editor's script and the list of the licences in it: `node build.mjs FOLDER`. The same packages give the same bytes.

import { build } from "esbuild";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const folder = process.argv[2];
if (!folder) throw new Error("say where to write: node build.mjs FOLDER");

const { metafile, outputFiles } = await build({
  entryPoints: ["src/editor.js"],
  bundle: true,
  minify: true,
  format: "iife",
  target: "es2022",
  charset: "utf8",
  legalComments: "none",
  metafile: true,
  write: false,
});

// What is in the script, not what was installed.
const names = new Set();
for (const file of Object.keys(metafile.inputs)) {
  const found = /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(file);
  if (found) names.add(found[1]);
}
const packages = [...names].sort().map((name) => {
  const at = join("node_modules", name);
  const { version, license } = JSON.parse(readFileSync(join(at, "package.json"), "utf8"));
  const text = readFileSync(join(at, "LICENSE"), "utf8").trim();
  if (license !== "MIT") throw new Error(`${name} has the licence ${license}; look whether it can be part of Doorbell`);
  const [, owner] = /^(Copyright .*)$/m.exec(text);
  return { name, version, license, owner, terms: text.slice(text.indexOf("Permission is hereby granted")) };
});
const terms = [...new Set(packages.map((one) => one.terms.replace(/\s+/g, " ")))];
if (terms.length !== 1) throw new Error("the packages have different licence texts; list each of them");

const list = packages.map((one) => `${one.name} ${one.version} (${one.license}) - ${one.owner}`).join("\n");
const notice = `The editor of rule files (editor.js) contains these packages. How it is made is in tools/editor/README.md.\n\n${list}\n\nThe MIT licence, which holds for each of them:\n\n${packages[0].terms}\n`;
writeFileSync(join(folder, "editor.js"), `/*\n${notice}*/\n${outputFiles[0].text}`);
writeFileSync(join(folder, "editor.LICENSES"), notice);
