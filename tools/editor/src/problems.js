// The problems that Doorbell's own checker found: at their place in the text, in its own words, and with a button where it has
// proven a correction. The column beside the text shows the same problems; here they get buttons that lead to their place.

import { forEachDiagnostic, setDiagnostics } from "@codemirror/lint";
import { ChangeSet } from "@codemirror/state";
import { EditorView } from "@codemirror/view";
import { indexOfByte, indexOfColumn } from "./place.js";

const SEVERITY = { error: "error", warning: "warning", note: "info" };

/** Where a problem is in the text. */
function range(doc, problem) {
  if (problem.line < 1) return { from: 0, to: 0 };
  const line = doc.line(Math.min(problem.line, doc.lines));
  const from = indexOfColumn(line.text, problem.column);
  const to = indexOfColumn(line.text, problem.column + Math.max(problem.length, 1));
  return { from: line.from + from, to: line.from + Math.max(to, from) };
}

/** What to change so that a problem is gone; null if the checker has proven nothing. */
function change(text, correction) {
  if (!correction) return null;
  // The checker does not count the mark that some editors put at the beginning of a file.
  const mark = text.startsWith("\ufeff") ? 3 : 0;
  return { from: indexOfByte(text, correction.start + mark), to: indexOfByte(text, correction.end + mark), insert: correction.text };
}

/** The text that was checked last, and what has changed since then. */
let checked = { text: null, since: null };

/** Has to be told of every change. */
export function changed(update) {
  checked.since = checked.since ? checked.since.compose(update.changes) : update.changes;
}

/** Makes a change that was proven for `text`; nothing if something else was typed at its place in the meantime. */
function apply(view, text, correction) {
  const proven = change(text, correction);
  const isSame = view.state.doc.toString() === text;
  const since = checked.text === text ? checked.since : null;
  if (!isSame && (!since || since.touchesRange(proven.from, proven.to))) {
    view.dispatch({ effects: EditorView.announce.of("The text has changed since it was checked. It is checked again now.") });
    return;
  }
  const changes = ChangeSet.of(proven, text.length);
  const now = isSame ? changes : changes.map(since);
  const from = isSame ? proven.from : since.mapPos(proven.from);
  view.dispatch({ changes: now, selection: { anchor: from + proven.insert.length }, scrollIntoView: true, userEvent: "input.correction", effects: EditorView.announce.of("Corrected.") });
  view.focus();
}

function paragraph(text, kind) {
  const node = document.createElement("p");
  node.textContent = text;
  node.className = kind;
  return node;
}

/** Shows what the checker found in `text`. */
export function show(view, problems, text) {
  if (view.state.doc.toString() !== text) return;
  checked = { text, since: null };
  const diagnostics = problems.map((problem) => {
    const { message, help, notes, correction } = problem;
    const renderMessage = () => {
      const node = document.createElement("div");
      node.append(paragraph(message, ""), ...(help ? [paragraph(help, "")] : []), ...notes.map((note) => paragraph(note, "cm-note")));
      return node;
    };
    const actions = correction ? [{ name: "Apply this correction", apply: (view) => apply(view, text, correction) }] : [];
    return { ...range(view.state.doc, problem), severity: SEVERITY[problem.severity] ?? "error", message: [message, help, ...notes].filter(Boolean).join(". "), renderMessage, actions };
  });
  view.dispatch(setDiagnostics(view.state, diagnostics));
}

/** Gives the problems in the column beside the text their buttons. */
export function link(view, problems, text, column) {
  for (const [n, node] of [...column.querySelectorAll(".problem")].entries()) {
    const problem = problems[n];
    if (!problem) break;
    const deeds = document.createElement("div");
    deeds.className = "deeds";
    const add = (words, does) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = words;
      button.addEventListener("click", does);
      deeds.append(button);
    };
    if (problem.correction) add("Apply this correction", () => apply(view, text, problem.correction));
    if (problem.line > 0) {
      add(`Go to line ${problem.line}`, () => {
        const { from } = range(view.state.doc, problem);
        view.dispatch({ selection: { anchor: from }, effects: EditorView.scrollIntoView(from, { y: "center" }) });
        view.focus();
      });
    }
    node.append(deeds);
  }
}

/** Applies the correction of the problem at the cursor, or of the first one on its line. */
export function correctHere(view) {
  const { from, to } = view.state.doc.lineAt(view.state.selection.main.head);
  const head = view.state.selection.main.head;
  const found = [];
  forEachDiagnostic(view.state, (diagnostic, start, end) => {
    if (diagnostic.actions?.length && start <= to && end >= from) found.push({ diagnostic, start, end, isHere: start <= head && head <= end });
  });
  const best = found.find((one) => one.isHere) ?? found[0];
  if (best) best.diagnostic.actions[0].apply(view, best.start, best.end);
  else view.dispatch({ effects: EditorView.announce.of("There is no correction for this line.") });
  return true;
}
