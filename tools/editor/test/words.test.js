import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { placeAt } from "../src/place.js";
import { about, addressesAt, offers } from "../src/words.js";

const schema = JSON.parse(readFileSync(new URL("../../../rules/doorbell.schema.json", import.meta.url), "utf8"));
const words = {
  schema,
  field_keys: ["for_each", "once_per", "one_at_a_time", "value"],
  roots: ["body", "header", "item", "now", "secret"],
  loop_words: ["@index"],
  verbs: [{ name: "post", keys: ["json", "headers"] }, { name: "append", keys: ["text"] }],
  helpers: [{ name: "upper", usage: "upper TEXT", does: "in upper case", example: "{{ upper body.name }}", result: "ADA" }],
  senders: [{ name: "github", title: "GitHub", write: "{ github: \"{{ secret.GITHUB }}\" }", paste: "paste it", note: "" }],
  addresses: ["/orders", "/shop/{shop}"],
  secrets: ["GITHUB"],
  seen: [
    { address: "/orders", events: 4, fields: [{ name: "body.items[0].sku", example: "A1", events: 3 }, { name: "body.total", example: "150", events: 4 }] },
    { address: "/other", events: 1, fields: [{ name: "body.name", example: "Ada", events: 1 }] },
  ],
};
const RULE = "rules:\n  Orders:\n    when: { webhook: /orders }\n";

function read(marked) {
  const before = marked.slice(0, marked.indexOf("‸")).split("\n");
  const lines = marked.replace("‸", "").split("\n");
  const [number, column] = [before.length - 1, before[before.length - 1].length];
  return [placeAt((n) => lines[n], lines.length, number, column), (n) => lines[n], lines.length, number, column];
}
const offered = (marked) => offers(words, ...read(marked)).options;
const labels = (marked) => offered(marked).map((one) => one.label);
const applied = (marked, label) => offered(marked).find((one) => one.label === label)?.apply;

test("keys are those of the schema that are not there yet", () => {
  assert.deepEqual(labels("‸"), ["$schema", "timezone", "webhooks", "connections", "rules"]);
  const rule = labels(`${RULE}    ‸`);
  assert.ok(rule.includes("then") && rule.includes("if") && !rule.includes("when") && !rule.includes("post"), rule.join());
  assert.equal(offered(`${RULE}    ‸`).find((one) => one.label === "then").info, "what to do, step by step");
  assert.deepEqual(labels("rules:\n  A:\n    when: { ‸"), ["webhook", "method", "every", "at", "days", "failed", "silent", "for", "between_times", "on_days", "back", "called", "cron"]);
  assert.equal(applied("rules:\n  A:\n    when: ‸", "webhook"), "{ webhook: ");
});

test("a step begins with a verb, and has the keys of its verb", () => {
  const begun = labels(`${RULE}    then:\n      - ‸`);
  assert.ok(begun.includes("post") && begun.includes("append") && begun.includes("do"), begun.join());
  const after = labels(`${RULE}    then:\n      - post: https://a.example.com\n        ‸`);
  assert.ok(after.includes("json") && after.includes("tries") && !after.includes("append") && !after.includes("text"), after.join());
  assert.equal(applied(`${RULE}    then:\n      ‸`, "post"), "- post: ");
});

test("conditions have the fields of the rule's own address", () => {
  const all = labels(`${RULE}    if:\n      ‸`);
  assert.ok(all.includes("body.total") && all.includes("body.items") && all.includes("any") && !all.includes("body.name"), all.join());
  assert.equal(applied(`${RULE}    if:\n      ‸`, "body.total"), "body.total: ");
  assert.equal(applied(`${RULE}    if:\n      ‸`, "body.items[0].sku"), '"body.items[0].sku": ');
  assert.ok(labels(`${RULE}    if:\n      body.total: { ‸`).includes("over"));
  assert.equal(applied(`${RULE}    if:\n      body.total: ‸`, "over"), "{ over: ");
});

test("templates have helpers, fields, secrets and given names", () => {
  const all = labels(`${RULE}    set: { total: 1 }\n    then:\n      - log: "{{ ‸`);
  for (const name of ["upper", "body.total", "secret.GITHUB", "total", "now"]) assert.ok(all.includes(name), name);
  assert.ok(!labels(`${RULE}    then:\n      - log: "{{ upper ‸`).includes("upper"));
  const each = labels(`${RULE}    then:\n      - log: "{{ ‸"\n        for_each: body.items`);
  assert.ok(each.includes("item.sku"), each.join());
});

test("values: words, addresses, fields without braces, senders", () => {
  assert.deepEqual(labels(`${RULE}    enabled: ‸`), ["true", "false"]);
  assert.equal(applied("rules:\n  A:\n    when: { webhook: ‸", "/shop/{shop}"), '"/shop/{shop}"');
  assert.ok(labels("webhooks:\n  /mine: {}\nrules:\n  A:\n    when: { webhook: ‸").includes("/mine"));
  const once = labels(`${RULE}    once_per: ‸`);
  assert.ok(once.includes("body.total") && !once.includes("secret.GITHUB"), once.join());
  assert.equal(applied("webhooks:\n  /a:\n    verify: ‸", "none"), "none");
  assert.equal(applied("webhooks:\n  /a:\n    verify: ‸", "github"), "{ github: ");
  assert.equal(applied("webhooks:\n  /a:\n    verify: { ‸", "github"), "github: ");
  assert.equal(offers(words, ...read("# ‸")), null);
});

test("what a word means", () => {
  assert.match(about(words, ...read("rules:\n  A:\n    wh‸en: x")).info, /^what starts the rule: \{ webhook: \/path \}/);
  assert.equal(about(words, ...read(`${RULE}    then:\n      - po‸st: x`)).info, "calls another app over HTTP");
  assert.match(about(words, ...read(`${RULE}    if:\n      body.to‸tal: 1`)).info, /4 of the last 4 events at \/orders.\nLast: 150/);
  assert.match(about(words, ...read(`${RULE}    then:\n      - log: "{{ up‸per body.total }}"`)).info, /in upper case/);
  assert.match(about(words, ...read("webhooks:\n  /a:\n    verify: { git‸hub: x }")).info, /^GitHub\n/);
  assert.equal(about(words, ...read("rules:\n  My ru‸le:\n    when: x")), null);
});

test("the addresses of a rule are its own", () => {
  const two = `${RULE}  B:\n    when:\n      - webhook: "/x"\n      - { webhook: '/y' }\n    then: []\n  C:\n    when: { webhook: /z }`.split("\n");
  assert.deepEqual(addressesAt(["rules", "B", "then"], (n) => two[n], two.length, 7), ["/x", "/y"]);
});
