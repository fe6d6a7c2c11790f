// The editor of rule files in the console. It takes the place of the text field where scripts run, and writes everything back into
// it: the form, its buttons and the column beside it are the same as without it. Checking, completion and explanations come from
// Doorbell.
//
// It lives in a shadow root, because only there CodeMirror adds its styles in a way that the console's content policy allows.

import { acceptCompletion, autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap, completionStatus } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { yaml } from "@codemirror/lang-yaml";
import { bracketMatching, indentOnInput, indentService, indentUnit } from "@codemirror/language";
import { lintGutter, lintKeymap } from "@codemirror/lint";
import { highlightSelectionMatches, search, searchKeymap } from "@codemirror/search";
import { EditorState } from "@codemirror/state";
import { EditorView, highlightActiveLine, highlightActiveLineGutter, hoverTooltip, keymap, lineNumbers, showPanel } from "@codemirror/view";
import { look } from "./look.js";
import { nextColumn, placeAt } from "./place.js";
import { changed, correctHere, link, show } from "./problems.js";
import { about, addressesIn, offers } from "./words.js";

/** How long after the last change of an address its fields are asked for. */
const PATIENCE = 500;
/** How long Tab leaves the editor after Escape, in milliseconds. */
const LEAVING = 10_000;

const form = document.getElementById("editor");
const field = document.getElementById("text");

// The words that can be written, and the addresses whose fields they contain.
let words = null;
let asked = null;
let timer = 0;
async function ask(doc) {
  const addresses = [...new Set([...doc.iterLines()].flatMap(addressesIn))].sort();
  const query = new URLSearchParams(addresses.map((address) => ["address", address])).toString();
  if (query === asked) return;
  asked = query;
  try {
    const answer = await fetch(`${form.dataset.words}?${query}`);
    if (answer.ok && asked === query) words = await answer.json();
  } catch {
    // The text can be edited without them; the next change asks again.
    asked = null;
  }
}

/** A place of the text, as `words.js` wants it. */
function around(state, pos) {
  const line = state.doc.lineAt(pos);
  const [lines, count, number, column] = [(n) => state.doc.line(n + 1).text, state.doc.lines, line.number - 1, pos - line.from];
  return [placeAt(lines, count, number, column), lines, count, number, column];
}

function complete(context) {
  if (!words) return null;
  const args = around(context.state, context.pos);
  const found = offers(words, ...args);
  if (!found || found.options.length === 0) return null;
  const [place, lines, , number, column] = args;
  const from = context.pos - column + found.from;
  const typed = lines(number).slice(found.from, column);
  // Nobody wants a list where nothing was begun, unless it is asked for.
  if (!context.explicit && typed === "" && !/\{\{\s*$/.test(lines(number).slice(0, column))) return null;
  // Nor one of braces where text may be meant: Enter would take its first entry.
  const isSure = context.explicit || place.path[place.path.length - 1] === "verify";
  const wanted = found.options.filter((one) => isSure || !one.after);
  if (wanted.length === 0) return null;
  const options = wanted.map(({ label, apply, after, kind, detail, info, boost }) => ({
    label,
    detail: detail || undefined,
    info: info || undefined,
    type: kind,
    boost,
    apply: (view, _, start, end) => {
      const rest = view.state.sliceDoc(end, end + 2);
      // A key that is already followed by its colon does not get another one.
      const text = apply.endsWith(": ") && rest.startsWith(":") ? apply.slice(0, -2) : apply;
      view.dispatch({ changes: { from: start, to: end, insert: text + (after ?? "") }, selection: { anchor: start + text.length }, userEvent: "input.complete" });
    },
  }));
  return { from, options, validFor: /^[\w.@$[\]'-]*$/ };
}

function explain(view, pos) {
  const found = words && about(words, ...around(view.state, pos));
  if (!found) return null;
  const start = view.state.doc.lineAt(pos).from;
  const create = () => {
    const dom = document.createElement("div");
    dom.className = "cm-about";
    dom.textContent = found.info;
    return { dom };
  };
  return { pos: start + found.from, end: start + found.to, above: true, create };
}

/** Says what the word at the cursor means, for those who have no pointer to hover with. */
function say(view) {
  const found = words && about(words, ...around(view.state, view.state.selection.main.head));
  const text = found ? found.info : "There is no explanation for this word.";
  view.dispatch({ effects: EditorView.announce.of(text) });
  const keys = view.dom.querySelector(".cm-keys");
  if (keys) keys.textContent = text;
  return true;
}

const mac = /Mac|iPhone|iPad/.test(navigator.platform);
const ctrl = mac ? "Cmd" : "Ctrl";
const KEYS = `Tab indents; Escape, then Tab leaves the editor. Ctrl+Space completes, ${ctrl}+I explains the word, F8 goes to the next problem, ${ctrl}+. applies its correction, ${ctrl}+S saves.`;
const KEYS_TO_READ = `This text can be read and copied, not changed. ${ctrl}+F searches, ${ctrl}+I explains the word.`;

function panel(text) {
  return () => {
    const dom = document.createElement("div");
    dom.className = "cm-keys";
    dom.id = "keys";
    dom.textContent = text;
    return { dom, update: (update) => { if (update.docChanged || update.selectionSet) dom.textContent = text; } };
  };
}

/** After saving, the page is loaded again: the cursor goes on where it was. */
function goOn(view) {
  const key = `doorbell:place:${location.pathname}`;
  form.addEventListener("submit", () => {
    sessionStorage.setItem(key, JSON.stringify({ head: view.state.selection.main.head, top: view.scrollDOM.scrollTop, length: view.state.doc.length }));
  });
  const place = JSON.parse(sessionStorage.getItem(key) ?? "null");
  sessionStorage.removeItem(key);
  if (place?.length !== view.state.doc.length) return;
  view.dispatch({ selection: { anchor: place.head } });
  view.requestMeasure({ read() {}, write: () => { view.scrollDOM.scrollTop = place.top; } });
  view.contentDOM.focus({ preventScroll: true });
}

function open() {
  const host = document.createElement("div");
  host.className = "code";
  field.before(host);
  const root = host.attachShadow({ mode: "open" });
  const label = form.querySelector(`label[for=${field.id}]`);
  const isFixed = field.readOnly;
  const editable = [
    history(),
    indentOnInput(),
    indentService.of((context, pos) => (context.simulatedBreak === pos ? nextColumn(context.lineAt(pos, -1).text) : undefined)),
    closeBrackets(),
    lintGutter(),
    autocompletion({ override: [complete], icons: false }),
    keymap.of([
      { key: "Mod-.", run: correctHere },
      { key: "Tab", run: acceptCompletion },
      ...closeBracketsKeymap, ...historyKeymap, ...completionKeymap, ...lintKeymap, indentWithTab,
    ]),
  ];
  const view = new EditorView({
    root,
    parent: root,
    state: EditorState.create({
      doc: field.value,
      extensions: [
        isFixed ? EditorState.readOnly.of(true) : editable,
        lineNumbers(),
        highlightActiveLineGutter(),
        highlightActiveLine(),
        bracketMatching(),
        highlightSelectionMatches(),
        search({ top: true }),
        yaml(),
        indentUnit.of("  "),
        EditorState.tabSize.of(2),
        look,
        hoverTooltip(explain),
        keymap.of([{ key: "Mod-i", run: say, preventDefault: true }, ...searchKeymap, ...defaultKeymap]),
        showPanel.of(panel(isFixed ? KEYS_TO_READ : KEYS)),
        EditorView.contentAttributes.of({ "aria-label": label?.textContent.trim() ?? "The rule file", "aria-describedby": "keys", tabindex: "0" }),
        EditorView.domEventHandlers({
          keydown(event, view) {
            // CodeMirror gives two seconds, which is short for those who type slowly.
            if (event.key === "Escape" && completionStatus(view.state) === null) setTimeout(() => view.setTabFocusMode(LEAVING));
          },
        }),
        EditorView.updateListener.of((update) => {
          if (!update.docChanged) return;
          changed(update);
          field.value = update.state.doc.toString();
          field.dispatchEvent(new Event("input", { bubbles: true }));
          clearTimeout(timer);
          timer = setTimeout(() => ask(update.state.doc), PATIENCE);
        }),
      ],
    }),
  });
  field.hidden = true;
  label?.addEventListener("click", () => view.focus());
  const column = document.getElementById("look");
  form.addEventListener("doorbell:looked", (event) => {
    const { problems, text } = event.detail;
    const sent = text.replace(/\r\n/g, "\n");
    show(view, problems, sent);
    link(view, problems, sent, column);
  });
  goOn(view);
  ask(view.state.doc);
  if (!isFixed) form.dispatchEvent(new Event("change"));
}

if (form && field) open();
