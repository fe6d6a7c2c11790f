//! The syntax that people know from other tools and write inside braces, and our equivalents.

use super::aliases::HELPER_WORDS;
use super::expression::{Expression, Token};
use super::format::translated;
use super::helper::Helper;
use super::list::HELPERS;
use crate::expr::calculation;
use crate::expr::doubt;
use crate::expr::field::ROOTS;
use crate::expr::names::Names;
use crate::text::nearest::nearest;
use crate::text::{span, trigger_path};
use crate::yaml::fields::Item;
use crate::yaml::place::scalar;

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
        ["for", ..] => "write {{#each body.list as |line|}}…{{/each}}",
        ["if", ..] => "write {{#if body.x}}…{{/if}}",
        _ => "write {{#if body.x}}…{{/if}} or {{#each body.list}}…{{/each}}",
    };
    item.problem("`{% … %}` is syntax from another tool").within(tag).label(label).add();
    true
}

/// Reports `${{ … }}`, a value in the workflows of GitHub, once for the whole text.
pub(super) fn dollars(text: &str, item: &Item, known: &Names) {
    let (mut ours, mut rest) = (String::new(), text);
    let mut is_secret = false;
    while let Some((before, (inner, after))) = rest.split_once("${{").and_then(|(before, tag)| Some((before, tag.split_once("}}")?))) {
        is_secret |= inner.trim().starts_with("secrets.");
        ours += before;
        ours += &dollar(inner.trim(), known);
        rest = after;
    }
    ours += rest;
    let example = if is_secret { "{{ secret.NAME }}" } else { "{{ body.name }}" };
    let draft = item.problem("`${{ … }}` is syntax from another tool").label(format!("write two braces without a `$`: {example}"));
    // Text that begins with braces needs quotes.
    draft.write(&scalar(&ours)).add();
}

/// What is in `${{ }}`, in our braces.
fn dollar(inner: &str, known: &Names) -> String {
    let theirs = ["github.event.", "json.", "$json.", "event.", "inputs."].iter().find_map(|start| inner.strip_prefix(start));
    let field = theirs.map(|field| format!("body.{field}"));
    let field = field.or_else(|| inner.strip_prefix("secrets.").map(|name| format!("secret.{name}")));
    let value = field.map(|field| format!("{{{{ {field} }}}}"));
    value.or_else(|| doubt::calculation(inner, known)).unwrap_or_else(|| format!("{{{{ {inner} }}}}"))
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
        let message = "the arguments of a helper are not written in brackets";
        self.instead(message, "write the helper, a space and its arguments", &format!("{{{{ {helper} {arguments} }}}}"));
        true
    }

    pub(super) fn no_helper(&self, name: &str, next: Option<&Token>, depth: usize) {
        let field = |n: &str| ROOTS.iter().any(|r| n == *r || n.starts_with(&format!("{r}."))) || n.contains(['.', '[']);
        if let Some(Token::Word(sign)) = next
            && depth == 0
            && self.is_sign(sign)
        {
            return;
        }
        if let Some((_, field)) = trigger_path::find(&format!("@{{{}}}", self.inner)) {
            self.instead("this is how another tool names a field", "write the field: {{ body.x }}", &format!("{{{{ {field} }}}}"));
            return;
        }
        if name.starts_with('$') && !name.starts_with("$.") && !name.starts_with("$[") || name.contains("$json") {
            self.wrong(format!("`{name}` is what another tool calls the content of the webhook"), "in Doorbell it is `body`");
        } else if field(name) {
            let first = next.map(Token::shown).unwrap_or_default();
            let message = format!("`{name}` is a field and cannot be followed by {first}");
            let label = "write the helper first: {{ default body.x 'y' }}; for a name with a space write body['First name']";
            let words: Vec<&str> = self.inner.split_whitespace().collect();
            let called = self.inner.strip_prefix(name).and_then(|rest| rest.trim().strip_prefix('(')?.strip_suffix(')'));
            match (words.as_slice(), name.rsplit_once('.')) {
                _ if called.is_some_and(|inside| inside.trim().is_empty()) => {
                    self.instead(message, "write the field without brackets", &format!("{{{{ {name} }}}}"));
                }
                _ if called.is_some_and(|inside| inside.starts_with(['\'', '"'])) => {
                    let inside = called.unwrap_or_default().trim_matches(['\'', '"']);
                    self.instead(message, "write the name after a dot", &format!("{{{{ {name}.{inside} }}}}"));
                }
                ([field, helper, rest @ ..], _) if !rest.is_empty() && HELPERS.iter().any(|h| h.name == *helper) => {
                    self.instead(message, label, &format!("{{{{ {helper} {field} {} }}}}", rest.join(" ")));
                }
                ([field, helper], _) if HELPERS.iter().any(|h| h.name == *helper) => {
                    self.instead(message, label, &format!("{{{{ {helper} {field} }}}}"));
                }
                ([_, word], Some((before, last))) if word.chars().all(char::is_alphanumeric) => {
                    self.instead(message, label, &format!("{{{{ {before}['{last} {word}'] }}}}"));
                }
                _ => {
                    self.wrong(message, label);
                }
            }
        } else if matches!(name, "if" | "unless" | "each" | "with") {
            self.wrong(format!("`{name}` is a block"), "begin with {{#…}} and end with {{/…}}, such as {{#if body.x}}…{{/if}}");
        } else {
            let names: Vec<&str> = HELPERS.iter().map(|h| h.name).collect();
            let draft = self.item.problem(format!("there is no helper called `{name}`")).within(self.source);
            let draft = draft.label("choose one of the helpers below; write names with spaces as body['First name']");
            let draft = match ours(name).or_else(|| nearest(name, HELPERS.iter().map(|h| h.name))) {
                Some(near) => draft.propose(format!("did you mean `{near}`?"), &self.source.replacen(name, near, 1)),
                None => draft,
            };
            draft.note(format!("helpers: {}", names.join(", "))).add();
        }
    }

    /// Reports a sign or word that stands between values in other tools; returns whether it is one.
    fn is_sign(&self, sign: &str) -> bool {
        let words = words_of(&self.inner.replace("||", " || "));
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match sign {
            "|" if self.inner.contains("||") => return self.is_sign("||"),
            "|" | "|>" => {
                let message = "a `|` is syntax from another tool";
                let helper = self.inner.rsplit('|').next().and_then(named_helper);
                let example = helper.map_or("{{ upper body.x }}", |helper| helper.usage);
                let label = format!("write the helper first, then the field: {example}");
                match piped(self.inner) {
                    Some(ours) => self.instead(message, label, &format!("{{{{ {ours} }}}}")),
                    None => self.wrong(message, label),
                };
            }
            "||" | "??" | "or" | "?:" => {
                let (message, label) = (format!("`{sign}` is not known in templates"), "write {{ default body.x 'y' }}");
                match words.as_slice() {
                    [field, _, other] => self.instead(message, label, &format!("{{{{ default {field} {} }}}}", single(other))),
                    _ => self.wrong(message, label),
                };
            }
            "+" | "-" | "*" | "/" | "–" | "−" | "×" => {
                let (message, label) = (format!("`{sign}` is not known in templates"), "calculate with helpers: {{ add body.a body.b }}");
                match calculation::ours(self.inner, &|_| true) {
                    Some(ours) => self.instead(message, label, &ours),
                    None => self.wrong(message, label),
                };
            }
            "?" => {
                let (message, label) = ("`?` is syntax from another tool", "write {{#if body.x}}…{{else}}…{{/if}}");
                let parts: Vec<&str> = self.inner.split(['?', ':']).map(str::trim).collect();
                match parts.as_slice() {
                    [a, b, c] if !a.contains(' ') => self.instead(message, label, &either(a, b, c)),
                    _ => self.wrong(message, label),
                };
            }
            "if" if self.inner.contains(" else ") => {
                let (message, label) = ("`if` is a block", "write {{#if body.x}}…{{else}}…{{/if}}");
                match self
                    .inner
                    .split_once(" if ")
                    .and_then(|(a, rest)| rest.split_once(" else ").map(|(b, c)| (a.trim(), b.trim(), c.trim())))
                {
                    Some((a, b, c)) if !b.contains(' ') => self.instead(message, label, &either(b, a, c)),
                    _ => self.wrong(message, label),
                };
            }
            "==" | "===" | "!=" | ">" | "<" | ">=" | "<=" => {
                let label = "put the comparison under `if:`, or write it as a helper: {{#if (gt body.total 100)}}…{{/if}}";
                self.wrong(format!("`{sign}` is syntax from another tool"), label);
            }
            _ => return false,
        }
        true
    }
}

/// One of two values, as a block; text in quotes stands in it without them.
fn either(about: &str, then: &str, otherwise: &str) -> String {
    let value = |v: &str| match v.strip_prefix(['\'', '"']).and_then(|t| t.strip_suffix(['\'', '"'])) {
        Some(text) => text.to_owned(),
        None => format!("{{{{ {v} }}}}"),
    };
    format!("{{{{#if {about}}}}}{}{{{{else}}}}{}{{{{/if}}}}", value(then), value(otherwise))
}

/// Text in single quotes, as it is in templates.
fn single(word: &str) -> String {
    match word.strip_prefix('"').and_then(|w| w.strip_suffix('"')) {
        Some(text) => format!("'{text}'"),
        None => word.to_owned(),
    }
}

/// The words between the braces; text in quotes is one word.
fn words_of(inner: &str) -> Vec<String> {
    let (mut out, mut word, mut quote) = (Vec::new(), String::new(), None);
    for c in inner.chars() {
        match quote {
            None if c.is_whitespace() => {
                if !word.is_empty() {
                    out.push(std::mem::take(&mut word));
                }
                continue;
            }
            None if matches!(c, '\'' | '"') => quote = Some(c),
            Some(q) if c == q => quote = None,
            _ => {}
        }
        word.push(c);
    }
    if !word.is_empty() {
        out.push(word);
    }
    out
}

/// `a | round(2) | upper` with our helpers; `None` if one of them is not known.
fn piped(inner: &str) -> Option<String> {
    let mut parts = inner.split('|').map(|p| p.trim_start_matches('>').trim());
    let mut value = parts.next().filter(|v| !v.is_empty() && !v.contains(' '))?.to_owned();
    let mut nested = false;
    for filter in parts {
        let end = end_of_name(filter);
        let arguments = span::from(filter, end).trim_matches(['(', ')', ':', ' ']);
        let helper = named_helper(filter)?.name;
        let inside = if nested { format!("({value})") } else { value };
        value = format!("{helper} {inside} {}", rewritten(helper, arguments)).trim_end().to_owned();
        nested = true;
    }
    nested.then_some(value)
}

fn end_of_name(filter: &str) -> usize {
    filter.find(['(', ':', ' ']).unwrap_or(filter.len())
}

/// Our helper for a filter of another tool: `round(2)`, `upcase`.
fn named_helper(filter: &str) -> Option<&'static Helper> {
    let filter = filter.trim_start_matches('>').trim();
    let name = span::before(filter, end_of_name(filter));
    let ours = HELPERS.iter().map(|h| h.name).find(|h| *h == name).or_else(|| ours(name))?;
    HELPERS.iter().copied().find(|h| h.name == ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_become_helpers_only_if_all_are_known() {
        assert_eq!(piped("body.a | round(2)").as_deref(), Some("round body.a 2"));
        assert_eq!(piped("body.a | trim | upcase").as_deref(), Some("upper (trim body.a)"));
        assert_eq!(piped("body.a | frobnicate"), None);
    }
}
