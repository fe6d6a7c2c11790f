//! The syntax that people know from other tools and write inside braces, and our equivalents.

use super::aliases::HELPER_WORDS;
use super::expression::{Expression, Token};
use super::format::translated;
use super::list::HELPERS;
use crate::expr::field::ROOTS;
use crate::text::nearest::nearest;
use crate::text::span;
use crate::yaml::fields::Item;

/// Our helper for another tool's name.
fn ours(theirs: &str) -> Option<&'static str> {
    let lower = theirs.to_ascii_lowercase();
    HELPER_WORDS.iter().find(|(t, _)| *t == lower).map(|(_, ours)| *ours)
}

/// The arguments of another tool's helper as ours are written: separated by spaces, with our date formats.
fn rewritten(helper: &str, arguments: &str) -> String {
    let mut words = Vec::new();
    let mut rest = arguments;
    while let Some(at) = rest.find(['\'', '"']) {
        let (before, quoted) = (span::before(rest, at), span::from(rest, at));
        let quote = if quoted.starts_with('"') { '"' } else { '\'' };
        let (text, behind) = span::from(quoted, 1).split_once(quote).unwrap_or((span::from(quoted, 1), ""));
        words.extend(before.split([',', ';', ' ']).map(str::to_owned));
        let ours = if text.contains('%') || !helper.contains("date") { None } else { translated(text) };
        words.push(format!("'{}'", ours.as_deref().unwrap_or(text)));
        rest = behind;
    }
    words.extend(rest.split([',', ';', ' ']).map(str::to_owned));
    words.retain(|word| !word.is_empty());
    words.join(" ")
}

/// `{% … %}`, the syntax for blocks in other tools. Returns whether there was one.
pub(super) fn percent_blocks(text: &str, item: &Item) -> bool {
    let Some(at) = text.find("{%") else { return false };
    let rest = span::from(text, at);
    let tag = rest.find("%}").map_or(rest, |n| span::before(rest, n + 2));
    let words: Vec<&str> = tag.trim_matches(['{', '%', '}', '-', ' ']).split_whitespace().collect();
    let label = match words.as_slice() {
        ["for", name, "in", list] => format!("write {{{{#each {list} as |{name}|}}}}…{{{{/each}}}}"),
        ["if", rest @ ..] => format!("write {{{{#if {}}}}}…{{{{/if}}}}", rest.join(" ")),
        _ => "write {{#if body.x}}…{{/if}} or {{#each body.list}}…{{/each}}".to_owned(),
    };
    item.problem("`{% … %}` is syntax from another tool").within(tag).label(label).add();
    true
}

impl Expression<'_, '_> {
    /// Reports `upper(body.x)`, if it is that.
    pub(super) fn is_call(&self, tokens: &[Token]) -> bool {
        let (Some(Token::Word(name)), Some(Token::Open)) = (tokens.first(), tokens.get(1)) else { return false };
        if !self.inner.contains(&format!("{name}(")) {
            return false;
        }
        let helper = HELPERS.iter().map(|h| h.name).find(|h| h == name).or_else(|| ours(name));
        let Some(helper) = helper else { return false };
        let arguments = rewritten(helper, self.inner.strip_prefix(name.as_str()).unwrap_or("").trim_matches(['(', ')', ' ']));
        self.wrong("the arguments of a helper are not written in brackets", format!("write {{{{ {helper} {arguments} }}}}"));
        true
    }

    pub(super) fn no_helper(&self, name: &str, next: Option<&Token>, depth: usize) {
        let field = |n: &str| ROOTS.iter().any(|r| n == *r || n.starts_with(&format!("{r}."))) || n.contains(['.', '[']);
        if let Some(Token::Word(sign)) = next
            && depth == 0
        {
            let helper = match sign.as_str() {
                "|" | "|>" => {
                    let filter = self.inner.split('|').nth(1).unwrap_or("").split_whitespace().next().unwrap_or("upper");
                    let filter = filter.split(':').next().unwrap_or(filter);
                    let fix = ours(filter).or_else(|| nearest(filter, HELPERS.iter().map(|h| h.name))).unwrap_or("upper");
                    let behind = self.inner.split('|').nth(1).and_then(|f| f.split_once(':')).map_or("", |(_, a)| a.trim());
                    let behind = rewritten(fix, behind);
                    self.wrong(
                        "a `|` is syntax from another tool",
                        format!("write {}", format!("{{{{ {fix} {name} {behind} }}}}").replace("  ", " ")),
                    );
                    return;
                }
                "+" => "add",
                "-" => "subtract",
                "*" => "multiply",
                "/" => "divide",
                "||" | "??" | "or" => "default",
                "?" => {
                    let parts: Vec<&str> = self.inner.split(['?', ':']).map(str::trim).collect();
                    let label = match parts.as_slice() {
                        [a, b, c] => format!("write {{{{#if {a}}}}}{{{{ {b} }}}}{{{{else}}}}{{{{ {c} }}}}{{{{/if}}}}"),
                        _ => "write {{#if body.x}}…{{else}}…{{/if}}".to_owned(),
                    };
                    self.wrong("`?` is syntax from another tool", label);
                    return;
                }
                "==" | "===" | "!=" | ">" | "<" | ">=" | "<=" => {
                    let test = match sign.as_str() {
                        "==" | "===" => "eq",
                        "!=" => "ne",
                        ">" => "gt",
                        "<" => "lt",
                        ">=" => "gte",
                        _ => "lte",
                    };
                    let other = self.inner.rsplit(' ').next().unwrap_or("1");
                    let label = format!("write {{{{#if ({test} {name} {other})}}}}…{{{{/if}}}}, or put it under `if:`");
                    self.wrong(format!("`{sign}` is syntax from another tool"), label);
                    return;
                }
                "if" if self.inner.contains(" else ") => {
                    let label = match self.inner.split_once(" if ").and_then(|(a, rest)| rest.split_once(" else ").map(|(b, c)| (a, b, c)))
                    {
                        Some((a, b, c)) => {
                            format!("write {{{{#if {}}}}}{{{{ {} }}}}{{{{else}}}}{{{{ {} }}}}{{{{/if}}}}", b.trim(), a.trim(), c.trim())
                        }
                        None => "write {{#if body.x}}…{{else}}…{{/if}}".to_owned(),
                    };
                    self.wrong("`if` is a block", label);
                    return;
                }
                _ => "",
            };
            if !helper.is_empty() {
                let other = self.inner.rsplit(' ').next().unwrap_or("1");
                self.wrong(format!("`{sign}` is not known in templates"), format!("write {{{{ {helper} {name} {other} }}}}"));
                return;
            }
        }
        if name.starts_with('$') && !name.starts_with("$.") && !name.starts_with("$[") || name.contains("$json") {
            self.wrong(format!("`{name}` is what another tool calls the content of the webhook"), "in Doorbell it is `body`");
        } else if field(name) {
            let first = next.map(Token::shown).unwrap_or_default();
            let label = match (next, name.rsplit_once('.')) {
                (Some(Token::Word(word)), Some((before, last))) => {
                    format!("for a name with a space, write {before}['{last} {word}']; a helper comes first: {{{{ default {name} 'y' }}}}")
                }
                _ => "write the helper first: {{ default body.x 'y' }}".to_owned(),
            };
            self.wrong(format!("`{name}` is a field and cannot be followed by {first}"), label);
        } else if matches!(name, "if" | "unless" | "each" | "with") {
            let body =
                format!("write {{{{#{name} {}}}}}…{{{{/{name}}}}}", next.map_or("body.x".to_owned(), |n| n.shown().replace('`', "")));
            self.wrong(format!("`{name}` is a block"), body);
        } else {
            let label = match ours(name).or_else(|| nearest(name, HELPERS.iter().map(|h| h.name))) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "write names with spaces as body['First name']".to_owned(),
            };
            let names: Vec<&str> = HELPERS.iter().map(|h| h.name).collect();
            self.item
                .problem(format!("there is no helper called `{name}`"))
                .within(self.source)
                .label(label)
                .note(format!("helpers: {}", names.join(", ")))
                .add();
        }
    }
}
