// How the editor looks: in the colours of the console's pages, which follow the system's setting. Icons are characters, so
// that nothing has to be loaded.

import { HighlightStyle, syntaxHighlighting } from "@codemirror/language";
import { Decoration, EditorView, MatchDecorator, ViewPlugin } from "@codemirror/view";
import { tags } from "@lezer/highlight";

const marked = (colour) => ({ backgroundImage: "none", textDecoration: `underline wavy var(--${colour})`, textDecorationSkipInk: "none", textUnderlineOffset: "3px" });
const sign = (text, colour) => ({ content: "normal", textAlign: "center", "&:before": { content: `"${text}"`, color: `var(--${colour})`, fontWeight: "700" } });
const button = { font: "inherit", padding: ".125rem .625rem", border: "1px solid var(--faint)", borderRadius: "6px", background: "var(--sheet)", backgroundImage: "none", color: "var(--ink)", cursor: "pointer" };

const theme = EditorView.theme({
  "&": { backgroundColor: "var(--sheet)", color: "var(--ink)", border: "1px solid var(--faint)", borderRadius: "6px", fontSize: ".875rem" },
  "&.cm-focused": { outline: "3px solid var(--accent)", outlineOffset: "2px" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.5", minHeight: "18rem", maxHeight: "calc(100vh - 12rem)", borderRadius: "6px 6px 0 0" },
  ".cm-content": { caretColor: "var(--ink)", padding: ".5rem 0" },
  ".cm-line": { padding: "0 .5rem" },
  ".cm-gutters": { backgroundColor: "var(--soft)", color: "var(--faint)", border: "0", borderRadius: "6px 0 0 0" },
  ".cm-activeLine": { backgroundColor: "transparent" },
  "&.cm-focused .cm-activeLine": { backgroundColor: "var(--soft)" },
  ".cm-activeLineGutter": { backgroundColor: "transparent", color: "var(--ink)", fontWeight: "700" },
  ".cm-template, .cm-template span, span .cm-template": { color: "var(--accent)", fontWeight: "600" },
  "&.cm-focused .cm-matchingBracket, .cm-matchingBracket": { backgroundColor: "transparent", outline: "1px solid var(--faint)" },
  "&.cm-focused .cm-nonmatchingBracket, .cm-nonmatchingBracket": { backgroundColor: "transparent", outline: "1px solid var(--bad)" },
  ".cm-searchMatch": { backgroundColor: "var(--wait-soft)", outline: "1px solid var(--wait)" },
  ".cm-searchMatch-selected": { backgroundColor: "var(--wait-soft)", outline: "2px solid var(--wait)" },
  ".cm-selectionMatch": { backgroundColor: "var(--off-soft)" },
  ".cm-lintRange-error": marked("bad"),
  ".cm-lintRange-warning": marked("wait"),
  ".cm-lintRange-info": marked("link"),
  ".cm-lintRange-active": { backgroundColor: "var(--wait-soft)" },
  ".cm-lintPoint:after": { borderBottomColor: "var(--bad)" },
  ".cm-gutter-lint": { width: "1.25rem" },
  ".cm-gutter-lint .cm-gutterElement": { padding: "0" },
  ".cm-lint-marker": { width: "auto", height: "auto" },
  ".cm-lint-marker-error": sign("✗", "bad"),
  ".cm-lint-marker-warning": sign("!", "wait"),
  ".cm-lint-marker-info": sign("i", "link"),
  ".cm-tooltip": { backgroundColor: "var(--sheet)", color: "var(--ink)", border: "1px solid var(--faint)", borderRadius: "6px", maxWidth: "min(30rem, 88vw)", boxShadow: "0 2px 8px rgb(0 0 0 / .2)" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul": { fontFamily: "var(--mono)", maxHeight: "14rem", maxWidth: "min(30rem, 88vw)" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul > li": { padding: ".125rem .5rem", color: "var(--ink)" },
  ".cm-tooltip-autocomplete ul li[aria-selected]": { background: "var(--accent) !important", color: "var(--on-accent) !important" },
  ".cm-completionDetail": { color: "inherit", fontStyle: "normal", marginLeft: "1rem" },
  ".cm-completionMatchedText": { textDecoration: "underline" },
  ".cm-tooltip .cm-completionInfo, .cm-tooltip.cm-completionInfo": { padding: ".375rem .625rem", whiteSpace: "pre-line", overflowWrap: "anywhere", overflow: "auto", maxHeight: "14rem" },
  ".cm-about": { padding: ".375rem .625rem", whiteSpace: "pre-line", overflowWrap: "anywhere" },
  ".cm-diagnostic": { padding: ".5rem .625rem", borderLeft: "4px solid var(--bad)", whiteSpace: "normal", overflowWrap: "anywhere" },
  ".cm-diagnostic-warning": { borderLeftColor: "var(--wait)" },
  ".cm-diagnostic-info": { borderLeftColor: "var(--link)" },
  ".cm-diagnostic p": { margin: "0 0 .25rem" },
  ".cm-diagnostic .cm-note": { color: "var(--faint)" },
  ".cm-diagnosticAction": { ...button, backgroundColor: "var(--accent)", borderColor: "var(--accent)", color: "var(--on-accent)", margin: ".25rem 0 0", fontWeight: "600" },
  ".cm-panels": { backgroundColor: "var(--soft)", color: "var(--ink)", fontFamily: "inherit" },
  ".cm-panels.cm-panels-bottom": { position: "static", borderTop: "1px solid var(--line)", borderRadius: "0 0 6px 6px" },
  ".cm-panels.cm-panels-top": { borderBottom: "1px solid var(--line)" },
  ".cm-keys": { padding: ".25rem .5rem", fontFamily: "system-ui, sans-serif", fontSize: ".8125rem", color: "var(--faint)" },
  ".cm-panel.cm-panel-lint ul": { maxHeight: "10rem" },
  ".cm-panel.cm-panel-lint ul [aria-selected]": { backgroundColor: "var(--sheet)" },
  "&.cm-focused .cm-panel.cm-panel-lint ul [aria-selected], .cm-panel.cm-panel-lint ul:focus [aria-selected]": { backgroundColor: "var(--sheet)", color: "var(--ink)" },
  ".cm-panel.cm-search": { padding: ".375rem 1.75rem .375rem .5rem", fontSize: ".875rem" },
  ".cm-panel.cm-search label": { fontSize: ".8125rem" },
  ".cm-textfield": { backgroundColor: "var(--sheet)", color: "var(--ink)", border: "1px solid var(--faint)", borderRadius: "6px", padding: ".125rem .375rem", fontSize: ".875rem" },
  ".cm-button": { ...button, fontSize: ".8125rem" },
  ".cm-panel.cm-search [name=close], .cm-panel.cm-panel-lint [name=close]": { color: "var(--ink)" },
  "button:focus-visible, input:focus-visible": { outline: "3px solid var(--accent)", outlineOffset: "1px" },
});

const colours = HighlightStyle.define([
  { tag: [tags.definition(tags.propertyName), tags.propertyName], color: "var(--link)" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--good)" },
  { tag: [tags.comment, tags.lineComment], color: "var(--faint)", fontStyle: "italic" },
  { tag: [tags.keyword, tags.typeName, tags.labelName, tags.meta, tags.attributeValue], color: "var(--wait)" },
]);

// What Doorbell fills in stands out from the text around it.
const matcher = new MatchDecorator({ regexp: /\{\{[^{}]*\}\}/g, decoration: Decoration.mark({ class: "cm-template" }) });
const templates = ViewPlugin.define((view) => ({ decorations: matcher.createDeco(view), update(update) { this.decorations = matcher.updateDeco(update, this.decorations); } }), { decorations: (plugin) => plugin.decorations });

export const look = [theme, syntaxHighlighting(colours), templates];
