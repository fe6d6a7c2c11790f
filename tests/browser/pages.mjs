// Opens the console in a real browser and does what people do there. Prints a sentence and fails at the first thing that is not
// as it must be.
//
// node pages.mjs LINK WEBHOOKS: the link that `doorbell console` prints, and the address that senders call. `PLAYWRIGHT` names
// the folder of the packages playwright-core and axe-core, `CHROMIUM` the browser.

import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";

const require = createRequire(join(process.env.PLAYWRIGHT, "package.json"));
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core"), "utf8");
const [link, webhooks] = process.argv.slice(2);
const console_ = new URL(link).origin;

const check = (is, what) => {
  if (!is) throw new Error(what);
};

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM,
  args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--no-first-run"],
});

/// A browser window of somebody who has opened the link. Anything that the policy of the page forbids is a failure.
async function open(options = {}) {
  const context = await browser.newContext({ viewport: { width: 1200, height: 800 }, ...options });
  const page = await context.newPage();
  page.on("pageerror", (error) => complaints.push(`a script failed: ${error.message}`));
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(`${page.url()}: ${message.text()}`);
  });
  await page.goto(link);
  return page;
}
const complaints = [];
const calm = () => check(complaints.length === 0, complaints.join("\n"));
const deliver = async (path, body) => {
  const answer = await fetch(webhooks + path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
  check(answer.status === 200, `${path} answered ${answer.status}`);
  return answer.headers.get("doorbell-event");
};

try {
  const page = await open();

  // First start: a button shows that it works.
  await page.getByText("Nothing has arrived yet").waitFor();
  await page.getByRole("button", { name: "Send a test event" }).click();
  await page.getByText("It works: the test event arrived and is stored.").waitFor();
  await page.getByText("done", { exact: true }).first().waitFor();

  // An event is seen while one looks.
  await page.goto(console_ + "/");
  await page.getByText("Live.").waitFor();
  const seen = await deliver("/orders", { id: "seen-live", total: 5 });
  await page.locator(`#e-${seen}`).waitFor();
  await page.locator(`#e-${seen}`).getByText("done").waitFor();

  // A pause pauses, and going on shows what came.
  await page.getByRole("button", { name: "Pause" }).click();
  const later = await deliver("/orders", { id: "while-paused", total: 5 });
  await page.waitForTimeout(1500);
  check((await page.locator(`#e-${later}`).count()) === 0, "the list moved although it was paused");
  await page.getByRole("button", { name: "Go on" }).click();
  await page.locator(`#e-${later}`).waitFor();

  // A field can be copied.
  await page.context().grantPermissions(["clipboard-read", "clipboard-write"], { origin: console_ });
  await page.goto(`${console_}/events/${seen}`);
  await page.getByRole("button", { name: "total" }).click();
  check((await page.evaluate(() => navigator.clipboard.readText())) === "body.total", "the field was not copied");

  // The keyboard leads everywhere.
  await page.keyboard.press("Escape");
  await page.keyboard.press("g");
  await page.keyboard.press("e");
  await page.waitForURL("**/events");
  await page.keyboard.press("/");
  await page.keyboard.type("seen-live");
  await page.keyboard.press("Enter");
  await page.waitForURL("**text=seen-live**");
  check((await page.locator("tr[id]").count()) === 1, "the search found something else");
  await page.goto(console_ + "/events");
  await page.keyboard.press("Tab");
  check((await page.evaluate(() => document.activeElement.textContent)) === "Skip to the content", "the first stop is not the skip link");

  // A rule is edited: a mistake is shown while typing, saving puts it to use.
  await page.goto(console_ + "/edit/rules.yaml");
  const text = page.locator(".cm-content");
  await text.waitFor();
  const before = await page.locator("textarea[name=text]").inputValue();
  await text.fill(before.replace("over: 1000", "ovr: 10"));
  await page.getByText("there is no test called `ovr`").waitFor();
  await text.fill(before.replace("over: 1000", "over: 10"));
  await page.getByText("No problems.").waitFor();
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("Saved, and in use.").waitFor();
  await deliver("/orders", { id: "after-the-edit", total: 11 });

  // A rule from the first webhook.
  await page.goto(console_ + "/new");
  await page.getByLabel("Address").fill("/sign-up");
  await page.getByRole("button", { name: "Wait here" }).click();
  await page.getByText("Waiting …").waitFor();
  await deliver("/sign-up", { type: "signup", email: "ada@example.com" });
  await page.getByRole("link", { name: "Make a rule from this" }).click();
  await page.getByText("What it would do").waitFor();
  await page.getByLabel("Name of the file").fill("sign ups");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("Saved, and in use.").waitFor();
  check(page.url().endsWith("/edit/sign-ups.yaml"), `the file has another name: ${page.url()}`);

  // A call to an address that no rule uses is shown while one looks, with the one that was meant.
  await page.goto(console_ + "/");
  await page.getByText("Live.").waitFor();
  await fetch(`${webhooks}/ordes`, { method: "POST", body: "{}" });
  await page.getByText("Did you mean").waitFor();

  // A file is renamed, deleted and brought back.
  await page.goto(console_ + "/edit/sign-ups.yaml");
  await page.getByText("Rename or delete this file").click();
  await page.getByLabel("New name").fill("people");
  await page.getByRole("button", { name: "Rename" }).click();
  await page.waitForURL("**/edit/people.yaml");
  await page.getByText("Rename or delete this file").click();
  await page.getByRole("button", { name: "Delete this file" }).click();
  await page.getByText("people.yaml is deleted, and its rules do not run any more.").waitFor();
  await page.getByRole("link", { name: "Back to this one" }).first().click();
  await page.getByText("This is the earlier version.").waitFor();
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("Saved, and in use.").waitFor();
  calm();

  // Every page, for every eye.
  const paths = ["/", "/events", `/events/${seen}`, "/rules", "/rules/Big%20orders", "/edit/rules.yaml", "/edit/draft.yaml?empty=yes", "/history/people.yaml", "/events?text=SEEN-live", "/new", "/new/wait?path=/sign-up", "/recipes", "/recipes?search=slack", "/recipes/alerts-in-one-message", "/recipes/chat-slash-command", "/failed", "/waiting", "/servers", "/files/orders.log", "/senders", "/system", "/nothing-here"];
  for (const options of [{ colorScheme: "light" }, { colorScheme: "dark" }, { viewport: { width: 360, height: 740 } }]) {
    const looking = await open(options);
    for (const path of paths) {
      const answer = await looking.goto(console_ + path);
      check(answer.status() === (path === "/nothing-here" ? 404 : 200), `${path}: ${answer.status()}`);
      const width = await looking.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      check(width <= 0, `${path} is ${width} pixels too wide (${JSON.stringify(options)})`);
      const found = await looking.evaluate(`${axe}; axe.run()`);
      const said = found.violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html).join(" ")}`);
      check(said.length === 0, `${path} (${JSON.stringify(options)}): ${said.join("; ")}`);
    }
    await looking.context().close();
  }
  // The missing page is an error to the browser as well.
  complaints.splice(0, complaints.length, ...complaints.filter((c) => !c.includes("/nothing-here")));
  calm();

  // Without scripts everything can be read, and every button works.
  const plain = await open({ javaScriptEnabled: false });
  for (const path of paths) await plain.goto(console_ + path);
  await plain.goto(console_ + "/edit/rules.yaml");
  await plain.locator("textarea[name=text]").fill("rules: [");
  await plain.getByRole("button", { name: "Check and try" }).click();
  check((await plain.locator(".problem").count()) > 0, "the problem is not shown without scripts");
  await plain.goto(console_ + "/");
  check((await plain.getByText("Reload the page to see what came since.").count()) === 1, "the page does not say that it stands still");
  await plain.getByRole("button", { name: "Log out" }).click();
  await plain.goto(console_ + "/events");
  check(new URL(plain.url()).pathname === "/login", "logging out does not end the login");
} catch (error) {
  process.stdout.write(`${error.stack ?? error}\n${complaints.join("\n")}\n`);
  process.exitCode = 1;
} finally {
  await browser.close();
}
