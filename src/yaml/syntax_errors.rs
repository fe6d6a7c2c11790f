//! What the author probably meant when a file is not valid YAML: the common mistakes, each with its own message.
//!
//! `serde_yaml` says what its scanner expected; this looks at the line and says what to write. Mistakes that are valid YAML
//! (a key without a value, braces without quotes) are reported where the values are read, in [`super::fields`].

use super::source::Source;
use crate::problem::{Problem, Severity};
use crate::text::span;

/// Mistakes that are best found before parsing: invisible characters at the beginning of a line, NUL.
pub(super) fn before(source: &Source) -> Option<Problem> {
    if source.text.trim().is_empty() {
        return Some(Problem::of_file(&source.name, "this file is empty", "write `rules:` and a rule below it, or delete the file"));
    }
    let mut block: Option<usize> = None;
    for (n, line) in source.text.lines().enumerate() {
        let rest = line.trim_start_matches(' ');
        let indent = line.len() - rest.len();
        if let Some(parent) = block {
            if indent > parent || line.trim().is_empty() {
                continue;
            }
            block = None;
        }
        let at = |message: &str, label: &str| Some(problem(source, n + 1, indent + 1, 1, message, label));
        if let Some(c) = rest.chars().next() {
            match c {
                '\t' if rest.trim().is_empty() => {}
                '\t' => return at("this line begins with a tab; YAML allows only spaces there", "replace it with spaces"),
                '\u{a0}' | '\u{200b}' | '\u{3000}' | '\u{feff}' => {
                    return at("this line begins with an invisible character (a no-break space)", "replace it with spaces");
                }
                _ => {}
            }
        }
        if let Some(column) = line.chars().position(|c| c == '\0') {
            return Some(problem(source, n + 1, column + 1, 1, "this is a NUL character", "remove it, and check that this is a text file"));
        }
        let plain = rest.trim_end();
        if [": |", ": >", ": |-", ": >-", ": |+", ": >+", "- |", "- >", "- |-", "- >-"].iter().any(|end| plain.ends_with(end)) {
            // `- text: |`: the block is indented relative to `text`, not to the dash.
            block = Some(if rest.starts_with("- ") && rest.contains(": ") { indent + 2 } else { indent });
        }
    }
    None
}

fn problem(source: &Source, line: usize, column: usize, length: usize, message: &str, label: &str) -> Problem {
    Problem {
        severity: Severity::Error,
        file: source.name.clone(),
        line,
        column,
        length,
        message: message.to_owned(),
        label: label.to_owned(),
        notes: Vec::new(),
        text: source.line(line).to_owned(),
    }
}

/// Values in values in values, too many of them.
pub(super) fn too_deep(source: &Source, line: usize, column: usize) -> Problem {
    problem(source, line, column, 1, "this is nested too deeply", "use fewer than 100 levels")
}

/// Turns a parser error into what the author should do about it.
pub(super) fn explain(source: &Source, said: &str, line: usize, column: usize) -> Problem {
    let begun = context(said);
    // The mistake is usually where something began earlier: an open quote, a key without its colon.
    let mut places = Vec::new();
    places.extend(begun);
    if line > 0 {
        places.push((line, column));
    }
    for (l, c) in places.iter().copied() {
        if let Some(p) = by_line(source, said, l, c) {
            return p;
        }
    }
    for (l, _) in places.iter().copied() {
        if l > 1
            && let Some(p) = by_line(source, said, l - 1, 1)
        {
            return p;
        }
    }
    let (l, c) = (line.max(1), column.max(1));
    let at = |l: usize, c: usize, message: &str, label: &str| problem(source, l, c, 1, message, label);
    if said.contains("more than one document") {
        let l = source.text.lines().skip(1).position(|l| l.starts_with("---")).map_or(1, |n| n + 2);
        return at(
            l,
            1,
            "one file contains one document; `---` begins a second one",
            "delete this line, or move what follows to a file of its own",
        );
    }
    if said.contains("recursion limit") {
        return too_deep(source, l, c);
    }
    if said.contains("repetition limit") || said.contains("too many values") {
        return at(
            l,
            c,
            "this file becomes too large because it repeats itself through `*` names",
            "write the values out where they are needed",
        );
    }
    if said.contains("quoted scalar") && said.contains("end of stream") {
        let (l, c) = begun.unwrap_or((l, c));
        return at(l, c, "this quote is never closed", "close it at the end of the text");
    }
    if said.contains("unknown anchor") {
        return at(l, c, "a value that begins with `*` has a special meaning in YAML", "put it in quotes");
    }
    if said.contains("mapping values are not allowed")
        || said.contains("did not find expected key")
        || said.contains("block mapping")
        || said.contains("did not find expected '-'")
        || said.contains("block collection")
    {
        return indentation(source, l);
    }
    if said.contains("could not find expected ':'") {
        let (l, c) = begun.unwrap_or((l, c));
        return problem(
            source,
            l,
            c,
            source.line(l).trim().chars().count(),
            "a `:` is missing after this name",
            "write a colon and a space",
        );
    }
    if said.contains("',' or '}'") || said.contains("',' or ']'") || said.contains("flow") {
        let (l, c) = begun.unwrap_or((l, c));
        return at(l, c, "these brackets are not closed, or a comma is missing between two values", "check each { } and [ ]");
    }
    at(l, c, "this line is not valid YAML", "check the quotes, colons and spaces here and on the line above")
}

/// Where, according to the parser, the failed construct began: `while …ing … at line 3 column 5`.
fn context(said: &str) -> Option<(usize, usize)> {
    let (_, rest) = said.rsplit_once("while ")?;
    let (_, rest) = rest.split_once("at line ")?;
    let mut words = rest.split([' ', ',']);
    let line = words.next()?.parse().ok()?;
    words.next();
    Some((line, words.next()?.parse().ok()?))
}

/// Mistakes that are visible on one line.
fn by_line(source: &Source, said: &str, number: usize, column: usize) -> Option<Problem> {
    let line = source.line(number);
    let at = |byte: usize, length: usize, message: &str, label: String| {
        Some(problem(source, number, span::before(line, byte).chars().count() + 1, length, message, &label))
    };
    if let Some(byte) = line.find(['“', '”', '„']) {
        return at(byte, 1, "these are curly quotes, which YAML does not read as quotes", "use straight quotes: \"".into());
    }
    if line.trim_start().starts_with('#') {
        return None;
    }
    if said.contains("unknown escape character") {
        let byte = line.char_indices().nth(column.saturating_sub(1)).map_or(0, |(i, _)| i);
        let byte = span::from(line, byte).find('\\').map_or(byte, |n| byte + n);
        return at(
            byte,
            2,
            "in double quotes, `\\` begins an escape sequence, and YAML does not know this one",
            "use single quotes around the text: '…'".into(),
        );
    }
    // Where the value begins on this line: after the first colon, or after the dash.
    let trimmed = line.trim_start();
    let mut start = line.len() - trimmed.len();
    while let Some(rest) = span::from(line, start).strip_prefix("- ") {
        start = line.len() - rest.trim_start().len();
    }
    let colon = span::from(line, start).find(": ").map(|n| start + n + 2);
    let value_at = colon.map_or(start, |n| line.len() - span::from(line, n).trim_start().len());
    let value = span::from(line, value_at).trim_end();
    if value.starts_with("{{") {
        return at(
            value_at,
            value.chars().count(),
            "a value that begins with `{{` must be in quotes",
            format!("write \"{}\"", value.replace('"', "'")),
        );
    }
    for quote in ['"', '\''] {
        if let Some(inner) = value.strip_prefix(quote)
            && let Some((text, rest)) = inner.split_once(quote)
        {
            let behind = rest.trim_start();
            let inside_braces = text.rsplit_once("{{").is_some_and(|(_, tag)| !tag.contains("}}"));
            if quote == '"' && inside_braces {
                let fix = format!("inside the braces use single quotes: \"{}\"", inner.trim_end_matches('"').replace('"', "'"));
                return at(value_at, value.chars().count(), "the quotes inside the braces end the text too early", fix);
            }
            if !behind.is_empty() && !behind.starts_with(['#', ',', '}', ']', ':']) {
                let whole = format!("{text}{rest}").replace(quote, "");
                let byte = value_at + (value.len() - behind.len());
                let byte_message = "there is text after the closing quote";
                return at(byte, behind.chars().count(), byte_message, format!("put the quotes around all of it: {quote}{whole}{quote}"));
            }
        }
    }
    if let Some(first) = value.chars().next()
        && matches!(first, '@' | '`' | '%' | '*' | '&' | '!' | '|' | '>')
        && !(matches!(first, '|' | '>') && value.len() <= 2)
    {
        let message = format!("a value that begins with `{first}` has a special meaning in YAML");
        return at(value_at, value.chars().count(), &message, format!("put it in quotes: \"{}\"", value.replace('"', "'")));
    }
    let flow = value.starts_with('{') || trimmed.starts_with('{') || trimmed.starts_with("- {");
    if flow {
        if let Some(n) = value.find("{{")
            && !span::before(value, n).ends_with(['"', '\''])
            && span::before(value, n).matches('"').count().is_multiple_of(2)
        {
            return at(value_at + n, 2, "a value that begins with `{{` must be in quotes", "put it in quotes: \"{{ … }}\"".into());
        }
        if let Some(n) = value.char_indices().skip(1).find(|(_, c)| matches!(c, '{' | '[')).map(|(n, _)| n)
            && span::before(value, n).ends_with(|c: char| !c.is_whitespace() && !"{[:,\"'".contains(c))
            && span::before(value, n).matches('"').count().is_multiple_of(2)
        {
            let from = span::before(value, n).rfind([' ', '{', ',']).map_or(0, |m| m + 1);
            let word: String = span::from(value, from).chars().take_while(|c| !c.is_whitespace() && *c != ',').collect();
            let word = word.trim_end_matches(':').to_owned();
            let message = "a `{` or `[` inside { } begins a new map or list";
            return at(value_at + from, word.chars().count(), message, format!("put it in quotes: \"{word}\""));
        }
    }
    if said.contains("mapping values are not allowed") && !value.starts_with(['"', '\'', '{', '[']) {
        let after_key = colon.map_or("", |_| value);
        if let Some(n) = after_key.find(": ") {
            let fix = format!("put the whole value in quotes: \"{}\"", value.replace('"', "'"));
            return at(value_at + n, 1, "this line contains a second `: `", fix);
        }
    }
    if said.contains("could not find expected ':'") || said.contains("mapping values are not allowed") {
        let bare = span::from(line, start);
        if let Some((key, value)) = bare.split_once(':')
            && !bare.contains(": ")
            && value.chars().next().is_some_and(|c| !c.is_whitespace() && c != '/')
        {
            return at(start + key.len(), 1, "a space is missing after this colon", format!("write `{key}: {}`", value.trim()));
        }
        if said.contains("could not find expected ':'") && !bare.contains(':') && number == context(said).map_or(number, |c| c.0) {
            let word = bare.trim();
            return at(start, word.chars().count(), "a `:` is missing after this name", format!("write `{word}: …`"));
        }
    }
    None
}

/// A line is indented more or less than those it belongs to.
fn indentation(source: &Source, line: usize) -> Problem {
    let indent = |l: &str| l.len() - l.trim_start().len();
    let lines: Vec<&str> = source.text.lines().take(line).collect();
    let here = lines.last().copied().unwrap_or("");
    let before = || lines.iter().rev().skip(1).copied().filter(|l| !l.trim().is_empty() && !l.trim_start().starts_with('#'));
    let above = before().next();
    let spaces = indent(here);
    let siblings = before()
        .map(|l| if l.trim_start().starts_with("- ") { indent(l) + 2 } else { indent(l) })
        .find(|other| other.abs_diff(spaces) == 1)
        .or_else(|| above.map(indent).filter(|a| *a < spaces));
    let label = match siblings {
        Some(other) if other != spaces => format!("it is indented by {spaces} spaces, and the lines around it by {other}"),
        _ if above.is_some_and(|a| a.trim_start().starts_with("- ")) => {
            "if it begins a new step, put a dash before it; if it belongs to the step above, align it with that step".to_owned()
        }
        _ => "align it with the lines that it belongs to".to_owned(),
    };
    let message = match above {
        _ if siblings.is_some_and(|other| other > spaces) => "this line is not indented far enough",
        Some(a) if indent(a) < spaces && a.contains(": ") && !a.trim_end().ends_with(':') => {
            "this line is indented too far; the key above it already has a value"
        }
        _ => "the indentation of this line does not match the lines around it",
    };
    problem(source, line, spaces + 1, here.trim().chars().count().max(1), message, &label)
}
