// Makes docs/console.png from a running Doorbell: the page of one event.
//
// node screenshot.mjs LINK WEBHOOKS FILE, with the variables of pages.mjs; see tests/browser/screenshot.sh.

import { createRequire } from "node:module";
import { join } from "node:path";
import process from "node:process";

const require = createRequire(join(process.env.PLAYWRIGHT, "package.json"));
const { chromium } = require("playwright-core");
const [link, webhooks, file] = process.argv.slice(2);

const order = { id: 1042, total: 1250, customer: { name: "Ada Lovelace", vip: true }, items: [{ sku: "MUG-01", quantity: 2 }] };
const answer = await fetch(`${webhooks}/orders`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(order) });
const id = answer.headers.get("doorbell-event");
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"] });
const page = await browser.newPage({ viewport: { width: 1000, height: 760 } });
await page.goto(link);
await page.goto(`${new URL(link).origin}/events/${id}`);
await page.getByText("waits until").first().waitFor();
await page.screenshot({ path: file });
await browser.close();
