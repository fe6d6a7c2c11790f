import assert from "node:assert/strict";
import { test } from "node:test";
import { indexOfByte, indexOfColumn, nextColumn, placeAt, template } from "../src/place.js";

/** The place of the `‸` in a text. */
function at(marked) {
  const before = marked.slice(0, marked.indexOf("‸")).split("\n");
  const lines = marked.replace("‸", "").split("\n");
  return placeAt((n) => lines[n], lines.length, before.length - 1, before[before.length - 1].length);
}
const shown = (marked) => {
  const place = at(marked);
  return `${place.kind} ${place.path.join("/")} ${place.word}|${[...place.siblings.keys()].join(",")}`;
};

test("the keys around a place", () => {
  const rule = "rules:\n  A:\n    when: { webhook: /a }\n";
  for (const [text, wanted] of [
    ["ru‸", "key  ru|"],
    ["rules:\n  ‸", "key rules |"],
    ["rules:\n  A:\n    wh‸", "key rules/A wh|"],
    ["rules:\n  A:\n    ‸\n    then: []\n  B:\n    if: x", "key rules/A |then"],
    [`${rule}    then:\n      - po‸`, "key rules/A/then/[] po|"],
    [`${rule}    then:\n      - post: x\n        ‸\n        json: 1\n      - log: y`, "key rules/A/then/[] |post,json"],
    [`${rule}    then:\n    - post: x\n      ‸`, "key rules/A/then/[] |post"],
    [`${rule}    then:\n      - do:\n          - log: ‸`, "value rules/A/then/[]/do/[]/log |"],
    [`${rule}    then:\n      - log: x\n    els‸`, "key rules/A els|then,when"],
    [`${rule}    then:\n      - log: x\n      ‸`, "key rules/A/then |"],
    [`${rule}    if:\n      body.total: { ov‸`, "key rules/A/if/body.total ov|"],
    [`${rule}    if:\n      body.total: { over: 5, ‸ }`, "key rules/A/if/body.total |over"],
    [`${rule}    if:\n      "body['a: b']": ‸`, "value rules/A/if/body['a: b'] |"],
    ["rules:\n  A:\n    when: { webhook: ‸", "value rules/A/when/webhook |webhook"],
    ["rules:\n  A:\n    when: { webhook: /a, method: [PO‸", "value rules/A/when/method/[] PO|"],
    ["rules:\n  A:\n    when: { webhook: /a }‸", "value rules/A/when { webhook: /a }|"],
    [`${rule}    tests:\n      - send:\n          json: {\n            "a": 1,\n            "b": { ‸`, "key rules/A/tests/[]/send/json/b |"],
    [`${rule}    then: [{ log: x, ‸`, "key rules/A/then/[] |log"],
    ["webhooks:\n  /a: { verify: { github: ‸", "value webhooks//a/verify/github |github"],
    ["webhooks:\n  /a:\n    verify:\n      gi‸", "key webhooks//a/verify gi|"],
    ["# a: ‸", "comment  |"],
    ["a: b # ‸", "comment  |"],
    ["a: 'b # ‸", "value a 'b # |"],
    [`${rule}    then:\n      - append: a\n        text: |\n          Hello: you\n          ‸`, "key rules/A/then/[]/text |Hello"],
    [`${rule}    set: { a: { b: 1 } }\n    ‸`, "key rules/A |set,when"],
  ]) {
    assert.equal(shown(text), wanted, text);
  }
});

test("what is inside of a template", () => {
  for (const [text, wanted] of [["a {{ body.‸ }}", " body."], ["a {{ x }} ‸", null], ["a {{‸", ""], ["{ a: 1 }‸", null], ["{{{ a‸", " a"]]) {
    assert.equal(template(text.replace("‸", ""), text.indexOf("‸")), wanted, text);
  }
});

test("the next line begins below or beside the key", () => {
  for (const [text, column] of [["    then:", 6], ["    then:  # steps", 6], ["      - append: a.log", 8], ["      - do:", 10], ["        text: |", 10], ["        text: x", 8], ["    when: { webhook: /a }", 4], ["  # a", 2], ["", 0]]) {
    assert.equal(nextColumn(text), column, text);
  }
});

test("columns and bytes become indexes of a string", () => {
  assert.equal(indexOfColumn("a𝄞é", 3), 3);
  assert.equal(indexOfColumn("ab", 9), 2);
  assert.equal(indexOfByte("é𝄞x", 6), 3);
  assert.equal(indexOfByte("é", 99), 1);
});
