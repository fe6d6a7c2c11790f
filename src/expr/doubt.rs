//! Text that is probably not meant as text: the name of a field without braces, another tool's placeholder, a secret, a path
//! of Windows whose `\n` became a line break. All of it is valid, so each is a warning.

use std::sync::LazyLock;

use regex::Regex;

use crate::expr::calculation;
use crate::expr::field::Field;
use crate::expr::names::Names;
use crate::text::{span, trigger_path};
use crate::yaml::Node;
use crate::yaml::duration;
use crate::yaml::fields::Item;
use crate::yaml::reader::ProblemDraft;

/// Words before a dot that begin a field; others (`now`, `ip`) are words of everyday language.
const ROOTS: &str = "body|header|query|path|item|secret|env|event|input";

fn regex(pattern: &str) -> Option<Regex> {
    Regex::new(pattern).ok()
}

/// A whole text that is a field.
static FIELD: LazyLock<Option<Regex>> =
    LazyLock::new(|| regex(&format!(r"^(?:(?:{ROOTS})\.[A-Za-z_][\w.\-]*(?:\[[^\]]*\][\w.\-]*)*|\$\.[A-Za-z_][\w.\[\]*]*)$")));
/// A field in a sentence.
static IN_TEXT: LazyLock<Option<Regex>> =
    LazyLock::new(|| regex(r"(?:^|[\s(#:])((?:body|header|secret)\.[a-z_][\w]*(?:\.[a-z_]\w*)*)(?:$|[\s,.;:!?)])"));
/// `${x}`, `#{x}`, `%{x}`, `@{x}`, `<%= x %>`, `[[x]]`, `{x}`: the name is the first group that matches.
static PLACEHOLDER: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let name = r"\s*([A-Za-z_][\w]*(?:\.[\w\[\]]+)*)\s*";
    let tight = r"([A-Za-z_][\w]*(?:\.[\w\[\]]+)*)";
    regex(&format!(
        r"[$#%@]\{{{name}\}}|<%=?{name}%>|\[\[{name}\]\]|\{{{tight}\}}|\{{ ((?:{ROOTS})\.[\w.\[\]]+) \}}|[$<]((?:{ROOTS})\.[\w.]+)>?|\[((?:{ROOTS})\.[\w.]+)\]|%((?:{ROOTS})\.[\w.]+)%"
    ))
});
/// A whole text that is a variable of a shell.
static VARIABLE: LazyLock<Option<Regex>> =
    LazyLock::new(|| regex(r"^(?:\$([A-Za-z_][0-9A-Za-z_]{2,}(?:\.[0-9A-Za-z_.]+)?)|%([A-Z_][A-Z0-9_]{2,})%)$"));
/// Shapes that only secrets have. (No `\w`: it means the letters of all languages, and repeated so often it needs 20 MB.)
static SECRET: LazyLock<Option<Regex>> = LazyLock::new(|| {
    regex(concat!(
        r"\b(?:sk|rk|pk)_(?:live|test)_[0-9A-Za-z]{8,}|\bgh[pousr]_[A-Za-z0-9]{20,}|\bgithub_pat_[0-9A-Za-z_]{20,}|\bglpat-[0-9A-Za-z_-]{16,}|\bxox[abeprs]-[A-Za-z0-9-]{10,}",
        r"|\bAKIA[0-9A-Z]{16}\b|\bAIza[0-9A-Za-z_-]{30,}|\bSG\.[0-9A-Za-z_-]{16,}\.[0-9A-Za-z_-]{16,}|\bshpat_[0-9a-fA-F]{16,}|\bwhsec_[A-Za-z0-9+/=]{10,}|\beyJ[0-9A-Za-z_-]{10,}\.eyJ[0-9A-Za-z_-]{10,}\.",
        r"|hooks\.slack\.com/services/T[0-9A-Za-z_]{6,}/B[0-9A-Za-z_]{6,}/[0-9A-Za-z_]{16,}|discord(?:app)?\.com/api/webhooks/[0-9]{5,}/[0-9A-Za-z_-]{20,}|api\.telegram\.org/bot[0-9]{5,}:[0-9A-Za-z_-]{20,}",
        r"|-----BEGIN [A-Z ]*PRIVATE KEY|^https?://[^/\s:@{}]+:[^/\s@{}]+@|[?&](?:api_?key|access_token|token|secret|key|sig|code|password)=[^&{}\s#]{8,}",
    ))
});
/// `"C:\new"` in double quotes.
static BROKEN_PATH: LazyLock<Option<Regex>> =
    LazyLock::new(|| regex(r"(?:^|[\s'])[A-Za-z]:[^\n]{0,60}?[\x00\x07-\x0d\x1b\u{85}\u{a0}\u{2028}\u{2029}]"));

/// A call of a function in another tool.
static FUNCTION: LazyLock<Option<Regex>> = LazyLock::new(|| regex(r"@\{[A-Za-z]\w*\([^{}]*\)[^{}]*\}|^@[A-Za-z]\w*\([^{}]*\)\S*$"));

/// Looks at text without `{{ }}` that is written as a value.
pub fn text(item: &Item, text: &str, known: &Names) {
    if field(item, text, known) || placeholders(item, text) {
        return;
    }
    if let Some(ours) = calculation(text, known) {
        calculated(item.warning(is_text(text)), &ours).add();
        return;
    }
    if let Some(found) = IN_TEXT.as_ref().and_then(|r| r.captures(text)).and_then(|c| c.get(1)) {
        let name = found.as_str();
        let draft = item.warning(is_text(name)).within(name);
        if let Some(helper) = called(text) {
            let draft = draft.label("write the helper, then its arguments, in quotes and two braces: \"{{ upper body.x }}\"");
            let whole = item.raw().and_then(|raw| item.span_within(raw));
            return draft.change(format!("write {helper}"), whole, helper).add();
        }
        let draft = draft.label("to insert the value, put the field in two braces: {{ … }}");
        // In a calculation, the value alone would only become a part of the text.
        let is_sign = |c: char| "*/^%=<>|&+?".contains(c);
        let (before, after) = (span::before(text, found.start()).trim_end(), span::from(text, found.end()).trim_start());
        match before.ends_with(is_sign) || after.starts_with(is_sign) || before.ends_with('(') && !before.ends_with(" (") {
            true => draft.add(),
            false => draft.write(&format!("{{{{ {name} }}}}")).add(),
        }
        return;
    }
    broken_path(item, text);
}

/// Whether the whole text is the name of a field; reported.
pub fn field(item: &Item, text: &str, known: &Names) -> bool {
    let root = text.split(['.', '[']).next().unwrap_or("");
    let is_named = root.len() < text.len() && text.starts_with(&format!("{root}.")) && known.named.iter().any(|n| n == root);
    let is_field = FIELD.as_ref().is_some_and(|r| r.is_match(text)) || is_named && !text.contains(' ');
    if !is_field || Field::read(text).is_err() {
        return false;
    }
    field_as(item.warning(is_text(text)), text).add();
    true
}

/// `upper(body.x)` as a helper and its arguments; whether there is such a helper is found out by trying it.
fn called(text: &str) -> Option<String> {
    let (name, arguments) = text.strip_suffix(')')?.split_once('(')?;
    let is_plain = |argument: &&str| {
        let argument = argument.trim();
        !argument.is_empty() && !argument.contains(['(', ')', '"', ' ', '*', '+'])
    };
    let arguments: Vec<&str> = arguments.split(',').collect();
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let all = || arguments.iter().map(|argument| argument.trim()).collect::<Vec<_>>().join(" ");
    (is_name && arguments.iter().all(is_plain)).then(|| format!("\"{{{{ {name} {} }}}}\"", all()))
}

/// The same with our helpers, if the text calculates with fields, perhaps after the `=` of a spreadsheet.
pub fn calculation(text: &str, known: &Names) -> Option<String> {
    let text = text.strip_prefix('=').unwrap_or(text);
    let is_field = |word: &str| {
        let (root, rest) = word.split_at(word.find(['.', '[']).unwrap_or(word.len()));
        let is_root = !rest.is_empty() && (root == "$" || ROOTS.split('|').any(|ours| ours == root));
        is_root || known.named.iter().any(|name| name == root)
    };
    calculation::ours(text, &is_field)
}

/// What to write instead of a calculation.
pub fn calculated<'p>(draft: ProblemDraft<'p>, ours: &str) -> ProblemDraft<'p> {
    draft.label("calculate with helpers, in quotes and two braces: \"{{ add body.a body.b }}\"").write(&format!("\"{ours}\""))
}

/// That a field was written as text.
pub fn is_text(field: &str) -> String {
    format!("`{field}` is text here, not the value of the field")
}

/// What to write instead of the text.
pub fn field_as<'p>(draft: ProblemDraft<'p>, field: &str) -> ProblemDraft<'p> {
    let draft = draft.label("to insert the value, put the field in quotes and two braces: \"{{ … }}\"");
    draft.write(&format!("\"{{{{ {field} }}}}\""))
}

/// Placeholders of other tools, in text with or without ours; reported. Returns whether there was one.
pub fn placeholders(item: &Item, text: &str) -> bool {
    let blank = without_ours(text);
    if let Some(name) = variable_name(text) {
        foreign(item.warning(is_foreign(text)), &format!("\"{{{{ {} }}}}\"", ours(name))).add();
        return true;
    }
    let mut any = false;
    let mut rest = blank.clone();
    while let Some((span, field)) = trigger_path::find(&rest) {
        let whole = span::between(&rest, span.start, span.end).to_owned();
        let draft = item.warning(is_foreign(&whole));
        match whole == text {
            true => foreign(draft, &format!("\"{{{{ {field} }}}}\"")).add(),
            // An object in the middle of a text.
            false if field == "body" => foreign(draft.within(&whole), "{{ json body }}").add(),
            false => foreign(draft.within(&whole), &format!("{{{{ {field} }}}}")).add(),
        }
        any = true;
        rest = span::from(&rest, span.end).to_owned();
    }
    if !any && let Some(found) = FUNCTION.as_ref().and_then(|r| r.find(&blank)) {
        let draft = item.warning(format!("`{}` is text here: it is a function of another tool", found.as_str())).within(found.as_str());
        draft.label("write where the value comes from, such as {{ body.id }}, or a helper, such as {{ upper body.id }}").add();
        return true;
    }
    for found in PLACEHOLDER.iter().flat_map(|r| r.captures_iter(&blank)).take(5) {
        let (Some(whole), Some(name)) = (found.get(0), found.iter().skip(1).flatten().next()) else { continue };
        let before = span::before(&blank, whole.start());
        // `{{x}` is reported where braces are read, `\{` is meant, and `{x}` in a path is a placeholder of an address.
        if before.ends_with(['{', '\\']) || span::from(&blank, whole.end()).starts_with('}') {
            continue;
        }
        // The same characters further ahead, as in `${x} {x}`: a problem would point there.
        if blank.find(whole.as_str()).is_some_and(|first| first < whole.start()) {
            continue;
        }
        let is_whole = whole.as_str() == text;
        let value = format!("{{{{ {} }}}}", ours(name.as_str()));
        let draft = item.warning(is_foreign(whole.as_str()));
        let draft = if is_whole { draft } else { draft.within(whole.as_str()) };
        foreign(draft, &if is_whole { format!("\"{value}\"") } else { value }).add();
        any = true;
    }
    any
}

/// The name in a whole text that is a variable of a shell.
fn variable_name(text: &str) -> Option<&str> {
    let found = VARIABLE.as_ref()?.captures(text)?;
    found.get(1).or_else(|| found.get(2)).map(|m| m.as_str())
}

/// Whether a whole text is a variable of a shell, where text of this kind cannot be; reported.
pub fn variable(item: &Item, text: &str) -> bool {
    let Some(name) = variable_name(text) else { return false };
    foreign(item.problem(is_foreign(text)), &format!("\"{{{{ {} }}}}\"", ours(name))).add();
    true
}

fn is_foreign(theirs: &str) -> String {
    format!("`{theirs}` is text here: a value is inserted with two braces")
}

fn foreign<'p>(draft: ProblemDraft<'p>, ours: &str) -> ProblemDraft<'p> {
    draft.label("write where the value comes from, such as {{ body.id }} or {{ secret.NAME }}").write(ours)
}

/// A placeholder's name as a field of ours.
fn ours(name: &str) -> String {
    let root = name.split(['.', '[']).next().unwrap_or(name);
    let rest = span::from(name, root.len());
    match root {
        "body" | "header" | "query" | "path" | "item" | "secret" | "env" | "event" if !rest.is_empty() => name.to_owned(),
        "headers" => format!("header{rest}"),
        "secrets" => format!("secret{rest}"),
        "payload" | "data" | "json" | "request" | "trigger" if !rest.is_empty() => {
            format!("body{}", rest.strip_prefix(".body").unwrap_or(rest))
        }
        _ if name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_') => format!("secret.{name}"),
        _ => format!("body.{name}"),
    }
}

/// The text with everything in `{{ }}` replaced by spaces, so that positions stay.
fn without_ours(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, inside)) = rest.split_once("{{") {
        out.push_str(before);
        let (tag, after) = inside.split_once("}}").unwrap_or((inside, ""));
        out.extend(std::iter::repeat_n(' ', tag.len() + 4));
        rest = after.trim_start_matches('}');
    }
    out + rest
}

/// A secret that is written in the rule file; reported.
pub fn secret(item: &Item, text: &str) -> bool {
    let is_secret = SECRET.as_ref().is_some_and(|r| r.is_match(text)) && !is_example(text);
    if is_secret {
        said(item);
    }
    is_secret
}

/// A value that is always secret, such as a password; reported if it is written in the rule file.
pub fn always_secret(item: &Item, fixed: Option<&str>) {
    if let Some(text) = fixed.filter(|text| !text.is_empty() && !is_example(text)) {
        let scheme = ["Bearer ", "Basic ", "Token "].iter().find_map(|s| text.strip_prefix(s)).unwrap_or(text);
        if !placeholders(item, scheme) && !scheme.starts_with("secret.") {
            said(item);
        }
    }
}

fn is_example(text: &str) -> bool {
    ["xxxx", "…", "...", "<", "YOUR", "your-", "your_"].iter().any(|mark| text.contains(mark))
}

fn said(item: &Item) {
    item.warning("a secret is written in the rule file, where anyone who can read the file sees it")
        .label("write \"{{ secret.NAME }}\" and set NAME")
        .add();
}

/// Fields of a step that were written one level too deep, into the content of `json:`.
pub fn modifiers(json: &Item) {
    let Node::Map(entries) = json.node else { return };
    let is_time = |node: &Node| matches!(node, Node::Text(t) if duration::read(t).is_ok());
    let is_strong = |key: &str, node: &Node| match key {
        "tries" | "first_wait" | "on_error" | "save_as" | "for_each" => true,
        "timeout" => is_time(node),
        _ => false,
    };
    if !entries.iter().any(|(key, node)| is_strong(key, node)) {
        return;
    }
    let Some(fields) = json.fields("this") else { return };
    for (key, _) in entries.iter().filter(|(key, node)| is_strong(key, node) || matches!(key.as_str(), "headers" | "auth" | "ok")) {
        fields
            .key(key)
            .warning(format!("`{key}:` is a part of the content here, not of the step"))
            .at_key()
            .one_level_out()
            .label("to set it for the step, align it with `json:`")
            .add();
    }
}

/// A whole object or list of JSON that was written as text.
pub fn json_text(item: &Item) {
    let Node::Text(text) = item.node else { return };
    let text = text.trim();
    let is_json = text.starts_with('{') && !text.starts_with("{{") && text.ends_with('}') && text.contains(':')
        || text.starts_with("[{") && text.ends_with("}]");
    if is_json {
        item.warning("this is sent as one text, not as an object")
            .label("write names and values without quotes around all of it")
            .write(text)
            .add();
    }
}

/// A path of Windows in double quotes, in which `\n` or `\t` has become another character.
fn broken_path(item: &Item, text: &str) {
    if BROKEN_PATH.as_ref().is_some_and(|r| r.is_match(text))
        && let Some(raw) = item.raw().filter(|raw| raw.starts_with('"'))
    {
        item.warning("in double quotes, `\\` and the character after it are one special character")
            .label("use single quotes around the text: '…'")
            .write(&format!("'{}'", raw.trim_matches('"').replace('\'', "''")))
            .add();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everyday_text_is_not_taken_for_a_field_or_a_placeholder() {
        for text in [
            "Hello {{ body.name }}",
            "a {{#if x}}b{{/if}} c",
            "{\"a\": 1}",
            "{ }",
            "function () { return 1; }",
            "100 %",
            "$5",
            "a.b.c",
            "<b>hi</b>",
            "[1]",
            "{1,2}",
        ] {
            let blank = without_ours(text);
            assert!(!PLACEHOLDER.as_ref().unwrap().is_match(&blank), "{text}");
            assert!(!VARIABLE.as_ref().unwrap().is_match(text), "{text}");
            assert!(!FIELD.as_ref().unwrap().is_match(text), "{text}");
        }
        for text in ["${x}", "a {name} b", "{body.id}", "{ body.id }", "<%= x %>", "#{x.y}", "[[ x ]]", "@{x}"] {
            assert!(PLACEHOLDER.as_ref().unwrap().is_match(text), "{text}");
        }
        for text in ["body.id", "header.X-Token", "body.items[0].sku", "secret.API_KEY", "$.items[*].sku"] {
            assert!(FIELD.as_ref().unwrap().is_match(text), "{text}");
        }
    }

    #[test]
    fn secrets_are_known_by_their_shape() {
        let is = |text: &str| SECRET.as_ref().unwrap().is_match(text) && !is_example(text);
        for text in [
            "Bearer sk_live_abcdefghijklmnop1234",
            "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX",
            "https://api.telegram.org/bot123456:ABC-DEF1234ghIkl-zyx57W2v1u123ew11/sendMessage",
            "https://user:pw@x.example.com/a",
        ] {
            assert!(is(text), "{text}");
        }
        for text in ["https://x.example.com/a?page=2", "sk_live", "a token: {{ secret.X }}", "https://x.example.com/a?token={{ secret.X }}"]
        {
            assert!(!is(text), "{text}");
        }
    }
}
