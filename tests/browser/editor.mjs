// Edits a rule file in a real browser as people do: with completion, with the checker's problems at their place, by keyboard, in
// light, dark and on a phone, and without scripts. Prints a sentence and fails at the first thing that is not as it must be.
//
// node editor.mjs LINK WEBHOOKS: the link that `doorbell console` prints, and the address that senders call. `PLAYWRIGHT` names
// the folder of the packages playwright-core and axe-core, `CHROMIUM` the browser. The rule file is rules.yaml, with a rule that
// is called by /orders and has a line `body.total: …` below its `if:`.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import process from "node:process";

const require = createRequire(join(process.env.PLAYWRIGHT, "package.json"));
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core"), "utf8");
const [link, webhooks] = process.argv.slice(2);
const address = `${new URL(link).origin}/edit/rules.yaml`;

const check = (is, what) => {
  if (!is) throw new Error(what);
};

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM,
  args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--no-first-run"],
});
const complaints = [];

/// A page with the editor. Anything that the policy of the page forbids is a failure.
async function open(options = {}) {
  const context = await browser.newContext({ viewport: { width: 1200, height: 800 }, ...options });
  const page = await context.newPage();
  page.on("pageerror", (error) => complaints.push(`a script failed: ${error.message}`));
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(message.text());
  });
  await page.goto(link);
  await page.goto(address);
  return page;
}
const text = (page) => page.locator("textarea[name=text]").inputValue();
/// Puts the cursor at the end of the line that contains some words.
async function endOf(page, words) {
  await page.locator(".cm-line", { hasText: words }).first().click();
  await page.keyboard.press("End");
}
async function sees(page, where) {
  const found = await page.evaluate(`${axe}; axe.run()`);
  const said = found.violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html).join(" ")}`);
  check(said.length === 0, `${where}: ${said.join("; ")}`);
  const width = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  check(width <= 0, `${where}: the page is ${width} pixels too wide`);
}

try {
  for (const total of [150, 2000]) {
    const body = JSON.stringify({ total, customer: { name: "Ada" }, items: [{ sku: "A1" }] });
    const answer = await fetch(`${webhooks}/orders`, { method: "POST", headers: { "content-type": "application/json" }, body });
    check(answer.status === 200, `/orders answered ${answer.status}`);
  }

  const page = await open();
  const content = page.locator(".cm-content");
  await content.waitFor();
  const before = await text(page);
  check(await page.locator("textarea[name=text]").isHidden(), "the plain text field is still shown");
  check((await content.getAttribute("aria-label")) === "The rule file", "the editor has no name");

  // Fields that really came are offered, with their last value, and written into the form.
  await endOf(page, "body.total");
  await page.keyboard.press("Enter");
  await page.keyboard.type("body.cusna");
  const list = page.locator(".cm-tooltip-autocomplete");
  await list.getByText("body.customer.name").waitFor();
  check((await list.locator(".cm-completionDetail", { hasText: "Ada" }).count()) === 1, "the last value of a field is not shown");
  await page.locator(".cm-completionInfo").waitFor();
  await sees(page, "completion");
  await page.keyboard.press("Enter");
  await page.keyboard.type("{ contians: A");
  check((await text(page)).includes("      body.customer.name: { contians: A}"), `the text is not what was typed: ${await text(page)}`);

  // A problem is at its place, in the checker's words, and in the column beside it.
  const marked = page.locator(".cm-lintRange-error", { hasText: /^contians$/ });
  await marked.waitFor();
  await marked.hover();
  await page.locator(".cm-diagnostic").getByText("there is no test called `contians`").waitFor();
  await page.locator("#look").getByText("there is no test called `contians`").waitFor();
  await sees(page, "a problem");
  await page.mouse.move(5, 5);
  await page.getByRole("button", { name: "Go to line" }).first().click();
  check(await content.evaluate((node) => node.getRootNode().activeElement === node), "the button does not lead into the editor");

  // A proven correction is one click away, also when something else was typed since the check.
  check((await page.locator("#look").getByRole("button", { name: "Apply this correction" }).count()) === 1, "a correction has two buttons");
  await endOf(page, "body.total");
  await page.keyboard.type("  # é𝄞");
  await page.locator("#look").getByRole("button", { name: "Apply this correction" }).click();
  await page.locator("#look").getByText("No problems.").waitFor();
  check((await text(page)).includes("body.customer.name: { contains: A}"), "the correction was not applied");
  check((await marked.count()) === 0, "the corrected problem is still marked");
  await page.keyboard.press("Control+z");
  await marked.waitFor();
  await page.waitForTimeout(700);
  await page.keyboard.press("F8");
  await page.keyboard.press("Control+.");
  await page.locator("#look").getByText("No problems.").waitFor();

  // Words of the language are explained, by pointer and by keyboard.
  await page.locator(".cm-line", { hasText: "when:" }).first().getByText("when").hover();
  await page.locator(".cm-about").getByText("what starts the rule").waitFor();
  await sees(page, "an explanation");
  await page.mouse.move(5, 5);
  await endOf(page, "then:");
  await page.keyboard.press("ArrowLeft");
  await page.keyboard.press("Control+i");
  await page.locator(".cm-keys").getByText("what to do, step by step").waitFor();

  // Braces are not offered where text may be meant.
  const held = await text(page);
  await endOf(page, "body.total");
  await page.keyboard.press("Enter");
  await page.keyboard.type("body.kind: a");
  await page.waitForTimeout(500);
  check((await list.count()) === 0, "Enter would write braces in place of a text");
  await page.keyboard.press("Control+Space");
  await list.getByText("after", { exact: true }).waitFor();
  await page.keyboard.press("Escape");
  for (let n = 0; n < 9 && (await text(page)) !== held; n += 1) await page.keyboard.press("Control+z");
  check((await text(page)) === held, "undoing does not lead back");

  // Nothing is offered that nobody asked for; Ctrl+Space asks.
  await endOf(page, "then:");
  await page.keyboard.press("Enter");
  check((await list.count()) === 0, "a list opens although nothing was typed");
  await page.keyboard.press("Control+Space");
  await list.getByText("append", { exact: true }).waitFor();
  await page.keyboard.press("Escape");
  await page.keyboard.press("Control+z");

  // Tab indents; Escape, then Tab leaves.
  await endOf(page, "then:");
  await page.keyboard.press("Tab");
  check(await content.evaluate((node) => node.getRootNode().activeElement === node), "Tab leaves the editor");
  await page.keyboard.press("Control+z");
  await page.keyboard.press("Escape");
  await page.waitForTimeout(3000);
  await page.keyboard.press("Tab");
  check((await page.evaluate(() => document.activeElement.textContent)) === "Save", "Escape, then Tab does not lead to the button after the editor");

  // Keys of the pages are letters in the editor.
  await endOf(page, "then:");
  await page.keyboard.type(" # g n c / ?");
  check(page.url() === address, "a letter led to another page");

  // Ctrl+S saves, and it is used.
  await page.keyboard.press("Control+s");
  await page.getByText("Saved, and in use.").waitFor();
  check((await text(page)).includes("then: # g n c / ?"), "something else was saved");
  await page.keyboard.type("!");
  check((await text(page)).includes("then: # g n c / ?!"), "after saving, the cursor is not where it was");
  check((await page.getByText("Saved, and in use.").count()) === 0, "what is typed now is not saved");
  await page.getByText("Not saved yet.").waitFor();
  await page.keyboard.press("Backspace");
  await page.waitForFunction(() => document.getElementById("unsaved").textContent === "");

  // What another app would answer is typed beside the text, and stays while it is tried.
  const whole = await text(page);
  await content.fill(whole.replace("then: # g n c / ?", "then:\n      - get: https://crm.example.com/customers\n        save_as: customer"));
  await page.getByText("What if it answers …").first().click();
  const answer = page.getByLabel(/^Answer of step 1/).first();
  await answer.fill('{ "name": "Ad');
  await page.waitForTimeout(900);
  await page.keyboard.type('a" }');
  check((await answer.inputValue()) === '{ "name": "Ada" }', `the typed answer is lost: ${await answer.inputValue()}`);
  check(await answer.evaluate((field) => field === document.activeElement), "the field of the answer lost the focus");
  await content.fill(whole);
  await page.locator("#look").getByText("No problems.").waitFor();

  // Leaving with changes asks first.
  await endOf(page, "then:");
  await page.keyboard.type("x");
  let isAsked = false;
  page.on("dialog", (dialog) => {
    isAsked = dialog.type() === "beforeunload";
    dialog.accept();
  });
  await page.goto(new URL("/rules", address).href);
  check(isAsked, "unsaved changes are lost without a question");
  check(complaints.length === 0, complaints.join("\n"));

  for (const options of [{ colorScheme: "light" }, { colorScheme: "dark" }, { viewport: { width: 360, height: 740 } }]) {
    const looking = await open(options);
    await looking.locator(".cm-content").waitFor();
    await sees(looking, JSON.stringify(options));
    await endOf(looking, "body.total");
    await looking.keyboard.press("Enter");
    await looking.keyboard.type("body.");
    await looking.locator(".cm-tooltip-autocomplete").waitFor();
    await sees(looking, `completion, ${JSON.stringify(options)}`);
    await looking.keyboard.press("Escape");
    await looking.locator(".cm-lintRange-error").first().waitFor();
    await looking.keyboard.press("Control+f");
    await looking.locator(".cm-search").waitFor();
    await sees(looking, `a problem and the search, ${JSON.stringify(options)}`);
    await looking.context().close();
  }
  check(complaints.length === 0, complaints.join("\n"));

  // Without scripts it is a text field.
  const plain = await open({ javaScriptEnabled: false });
  const field = plain.locator("textarea[name=text]");
  await field.fill((await field.inputValue()).replace("contains: A", "contians: A"));
  await plain.getByRole("button", { name: "Check and try" }).click();
  await plain.getByText("there is no test called `contians`").waitFor();
  await plain.getByRole("button", { name: "Apply this correction" }).click();
  await plain.getByText("No problems.").waitFor();
  check((await field.inputValue()).includes("contains: A"), "the correction was not applied without scripts");
  await field.fill(before);
  await plain.getByRole("button", { name: "Save" }).click();
  await plain.getByText("Saved, and in use.").waitFor();
} catch (error) {
  process.stdout.write(`${error.stack ?? error}\n${complaints.join("\n")}\n`);
  process.exitCode = 1;
} finally {
  await browser.close();
}
