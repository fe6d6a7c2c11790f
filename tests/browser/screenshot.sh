#!/usr/bin/env bash
# Makes docs/console.png anew: starts Doorbell with a few rules, sends an order, and takes a picture of its page.
# PLAYWRIGHT names the folder with playwright-core, CHROMIUM the browser; DOORBELL the program, target/release/doorbell by default.
set -euo pipefail
here="$(cd "$(dirname "$0")/../.." && pwd)"
program="${DOORBELL:-$here/target/release/doorbell}"
folder="$(mktemp -d)"
trap 'kill "$serving" 2>/dev/null || true; rm -rf "$folder"' EXIT
mkdir "$folder/rules"
cat > "$folder/rules/orders.yaml" <<'RULES'
webhooks:
  /orders: { verify: none }
rules:
  Every order to the spreadsheet:
    when: { webhook: /orders }
    then:
      - add_row: orders.xlsx
        columns: { Number: "{{ body.id }}", Customer: "{{ body.customer.name }}", Total: "{{ body.total }}" }
  Big orders to the chat:
    when: { webhook: /orders }
    if:
      body.total: { over: 1000 }
      body.customer.vip: true
    then:
      - post: http://127.0.0.1:9/hooks/sales
        json: { text: "Order {{ body.id }} for {{ body.total }}" }
  Orders without a customer to the boss:
    when: { webhook: /orders }
    if: { body.customer.name: { empty: true } }
    then:
      - log: "order {{ body.id }} has no customer"
RULES
cd "$folder"
"$program" serve --listen 127.0.0.1:7091 --console 127.0.0.1:7092 --allow-network 127.0.0.0/8 >/dev/null 2>&1 &
serving=$!
until "$program" console >/dev/null 2>&1; do sleep 0.2; done
node "$here/tests/browser/screenshot.mjs" "$("$program" console)" http://127.0.0.1:7091 "$here/docs/console.png"
