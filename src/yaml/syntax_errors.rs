//! What the author probably meant when a file is not valid YAML: the common mistakes, each with its own message.
//!
//! `serde_yaml` says what its scanner expected; this looks at the line and says what to write. Mistakes that are valid YAML
//! (a key without a value, braces without quotes) are reported where the values are read, in [`super::fields`].

use super::layout::{indent, is_blank};
use super::place::scalar;
use super::source::Source;
use crate::problem::{Problem, Severity};
use crate::text::{span, trigger_path};

pub(super) fn problem(source: &Source, line: usize, column: usize, length: usize, message: &str, label: &str) -> Problem {
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
        is_key: false,
        unread: true,
        together: false,
        not_set: None,
        proposals: Vec::new(),
        correction: None,
    }
}

/// Values in values in values, too many of them.
pub(super) fn too_deep(source: &Source, line: usize, column: usize) -> Problem {
    problem(source, line, column, 1, "this is nested too deeply", "use fewer than 100 levels")
}

/// Turns a parser error into what the author should do about it.
pub(super) fn explain(source: &Source, said: &str, line: usize, column: usize) -> Problem {
    let mut problem = explained(source, said, line, column);
    let places = [problem.line, line, context(said).map_or(0, |(l, _)| l), line.saturating_sub(1)];
    for (n, place) in places.iter().enumerate() {
        if *place > 0 && !places[..n].contains(place) {
            problem = repairs(problem, source, *place);
        }
    }
    problem
}

/// What could be written on this line instead; each is tried.
fn repairs(mut problem: Problem, source: &Source, number: usize) -> Problem {
    let line = source.line(number);
    let Some(whole) = source.span_of(number, number) else { return problem };
    let spaces = " ".repeat(indent(line));
    let bare = line.trim();
    let mut first: Vec<(String, std::ops::Range<usize>, String)> = Vec::new();
    let mut instead = |says: String, text: String| {
        problem = std::mem::replace(&mut problem, Problem::of_file("", "", "")).propose(says, Some(whole.clone()), text);
    };
    if bare == "..." || bare.starts_with("```") {
        instead("remove this line".into(), String::new());
    }
    if let Some(rest) = bare.strip_prefix("//") {
        instead("a comment begins with `#`, not with `//`".into(), format!("{spaces}#{rest}"));
    } else if let Some((before, comment)) = bare.split_once(" //") {
        instead("a comment begins with `#`, not with `//`".into(), format!("{spaces}{before} #{comment}"));
    }
    for sign in [" && ", " and "] {
        if bare.contains('{') && bare.contains(sign) {
            instead("write a comma between two tests".into(), format!("{spaces}{}", bare.replace(sign, ", ")));
        }
    }
    if let Some(rest) = bare.strip_suffix([';', ',']) {
        instead(format!("remove the `{}` at the end", bare.chars().last().unwrap_or(',')), format!("{spaces}{rest}"));
    }
    for dash in ['–', '—', '•', '*', '·'] {
        if let Some(rest) = bare.strip_prefix(dash).filter(|rest| rest.starts_with(' ')) {
            instead("begin the line with a dash: `- `".into(), format!("{spaces}-{rest}"));
        }
    }
    if let Some((before, after)) = line.split_once('：') {
        instead("write the colon that is on your keyboard: `:`".into(), format!("{before}: {}", after.trim_start()).trim_end().to_owned());
    }
    if let Some((key, value)) = line.split_once(": (")
        && let Some(value) = value.trim_end().strip_suffix(')')
    {
        instead(format!("write {{ {} }}", value.trim()), format!("{key}: {{ {} }}", value.trim()));
    }
    if let Some((key, value)) = line.split_once(": ") {
        let value = value.trim();
        if let Some((_, link)) = value.strip_prefix('[').and_then(|v| v.strip_suffix(')')).and_then(|v| v.split_once("](")) {
            instead(format!("write {link}"), format!("{key}: {link}"));
        }
        for (entity, plain) in [("&quot;", "\""), ("&#39;", "'"), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")] {
            if value.contains(entity) {
                let all = [("&quot;", "\""), ("&#39;", "'"), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")];
                let value = all.iter().fold(value.to_owned(), |v, (entity, plain)| v.replace(entity, plain));
                instead(format!("`{entity}` is how a web page writes `{plain}`: write {value}"), format!("{key}: {value}"));
                break;
            }
        }
        if value.contains(['“', '”', '„']) {
            let inner = value.trim_matches(['“', '”', '„']).replace(['“', '”', '„'], "'");
            instead(format!("write {}", scalar(&inner)), format!("{key}: {}", scalar(&inner)));
        }
    }
    if bare == "-" && source.line(number + 1).trim_end().len() > indent(source.line(number + 1)) {
        let next = source.line(number + 1).trim_start();
        if let Some(span) = source.span_of(number, number + 1) {
            problem = problem.propose("write the step after its dash", Some(span), format!("{spaces}- {next}"));
        }
    }
    if let Some((key, "-")) = line.trim_end().rsplit_once(": ") {
        first.push(("write \"-\"".to_owned(), whole.clone(), format!("{key}: \"-\"")));
    }
    // The line above has no dash, although this one has.
    let before = (1..number).rev().find(|n| !is_blank(source.line(*n))).unwrap_or(0);
    if bare.starts_with("- ")
        && before > 0
        && indent(source.line(before)) == indent(line)
        && !source.line(before).trim_start().starts_with("- ")
    {
        first.extend(source.span_of(before, before).map(|span| {
            ("put a dash before the line above, too: `- `".to_owned(), span, format!("{spaces}- {}", source.line(before).trim()))
        }));
    }
    // Text that goes on below `key: |` or `key: >` must be indented more than the key.
    let above = source.line(number.saturating_sub(1)).trim_end();
    if number > 1 && above.ends_with(['|', '>']) && above.contains(": ") {
        let key = indent(above) + if above.trim_start().starts_with("- ") { 2 } else { 0 };
        let last =
            (number..=source.lines()).take_while(|n| source.line(*n).trim().is_empty() || indent(source.line(*n)) == indent(line)).last();
        let moved = last.and_then(|last| source.moved(number, last, (key + 2) as isize - indent(line) as isize));
        first.extend(moved.map(|(span, text)| ("indent the text by two more spaces than its key".to_owned(), span, text)));
    }
    // These are tried before everything else.
    let later = std::mem::take(&mut problem.proposals);
    for (says, span, text) in first {
        problem = problem.propose(says, Some(span), text);
    }
    problem.proposals.extend(later);
    // Another indentation that occurs above, nearest first.
    let mut depths: Vec<usize> = Vec::new();
    for n in (1..number).rev().filter(|n| !is_blank(source.line(*n))).take(30) {
        let other = source.line(n);
        for depth in [indent(other), indent(other) + 2] {
            if depth != indent(line) && !depths.contains(&depth) && depths.len() < 6 {
                depths.push(depth);
            }
        }
    }
    depths.sort_by_key(|depth| depth.abs_diff(indent(line)));
    let end = source.block_end(number);
    for depth in depths.into_iter().filter(|_| !bare.is_empty()) {
        if let Some((span, text)) = source.moved(number, end, depth as isize - indent(line) as isize) {
            let says = format!("indent it by {depth} spaces instead of {}", indent(line));
            problem = problem.propose(says, Some(span), text);
        }
    }
    problem
}

fn explained(source: &Source, said: &str, line: usize, column: usize) -> Problem {
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
        return at(l, 1, "one file contains one document; `---` begins a second one", "move what follows to a file of its own");
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
        let start = source.offset(l, c).unwrap_or(0);
        let text = source.line(l).trim_end();
        let end = source.line_start(l).unwrap_or(0) + text.len();
        let quote = span::from(&source.text, start).chars().next().unwrap_or('"');
        return at(l, c, "this quote is never closed", "close it at the end of the text").propose(
            format!("write a {quote} at the end of the line"),
            Some(end..end),
            quote,
        );
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

/// Where `\x`, `\u` or `\U` is without the number that belongs to it.
fn incomplete_escape(line: &str) -> Option<usize> {
    let digits = |letter| match letter {
        'x' => Some(2),
        'u' => Some(4),
        'U' => Some(8),
        _ => None,
    };
    line.match_indices('\\').map(|(at, _)| at).find(|at| {
        let mut after = span::from(line, at + 1).chars();
        let most = after.next().and_then(digits);
        most.is_some_and(|most| after.take(most).take_while(char::is_ascii_hexdigit).count() < most)
    })
}

/// Mistakes that are visible on one line.
fn by_line(source: &Source, said: &str, number: usize, column: usize) -> Option<Problem> {
    let line = source.line(number);
    let at = |byte: usize, length: usize, message: &str, label: &str| {
        Some(problem(source, number, span::before(line, byte).chars().count() + 1, length, message, label))
    };
    let begins = source.line_start(number).unwrap_or(0);
    // A problem with what to write in place of the line from a byte to another.
    let with = |draft: Option<Problem>, from: usize, to: usize, text: String| {
        draft.map(|p| p.propose(format!("write {text}"), Some(begins + from..begins + to), text))
    };
    if let Some(byte) = line.find(['“', '”', '„']) {
        return at(byte, 1, "these are curly quotes, which YAML does not read as quotes", "use straight quotes: \"");
    }
    if line.trim_start().starts_with('#') {
        return None;
    }
    let is_unknown = said.contains("unknown escape character");
    // `\U` and `\x` are known, but not with these letters after them.
    let is_incomplete = said.contains("expected hexadecimal number") || said.contains("invalid Unicode character escape");
    if is_unknown || is_incomplete {
        let byte = line.char_indices().nth(column.saturating_sub(1)).map_or(0, |(i, _)| i);
        let byte = match is_unknown {
            true => span::from(line, byte).find('\\').map_or(byte, |n| byte + n),
            false => incomplete_escape(line).unwrap_or(byte),
        };
        let draft = at(
            byte,
            2,
            "in double quotes, `\\` begins an escape sequence, and YAML does not know this one",
            "use single quotes around the text: '…'",
        );
        let start = span::before(line, byte).rfind('"').unwrap_or(byte);
        let end = span::from(line, byte).find('"').map_or(line.len(), |n| byte + n);
        let inner = span::between(line, start + 1, end).replace('\'', "''");
        return with(draft, start, end + 1, format!("'{inner}'"));
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
        let draft = at(value_at, value.chars().count(), "a value that begins with `{{` must be in quotes", "put the whole value in quotes");
        let draft = with(draft, value_at, value_at + value.len(), format!("\"{}\"", value.replace('"', "'")));
        return with(draft, value_at, value_at + value.len(), format!("'{}'", value.replace('\'', "''")));
    }
    for quote in ['"', '\''] {
        if let Some(inner) = value.strip_prefix(quote)
            && let Some((text, rest)) = inner.split_once(quote)
        {
            let behind = rest.trim_start();
            let inside_braces = text.rsplit_once("{{").is_some_and(|(_, tag)| !tag.contains("}}"));
            if quote == '"' && inside_braces {
                let message = "the quotes inside the braces end the text too early";
                let draft = at(value_at, value.chars().count(), message, "use single quotes inside the braces");
                return with(draft, value_at, value_at + value.len(), format!("\"{}\"", inner.trim_end_matches('"').replace('"', "'")));
            }
            if !behind.is_empty() && !behind.starts_with(['#', ',', '}', ']', ':']) {
                let byte = value_at + (value.len() - behind.len());
                let message = "there is text after the closing quote";
                let end = value_at + value.len();
                // `'it's here'`: a quote inside the text, which ends with one.
                if let Some(whole) = inner.strip_suffix(quote).filter(|_| !rest.starts_with(' ')) {
                    let other = if quote == '\'' { '"' } else { '\'' };
                    let draft = at(
                        byte,
                        behind.chars().count(),
                        message,
                        "a quote inside the text ends it; put the other kind of quotes around all of it",
                    );
                    return with(draft, value_at, end, format!("{other}{whole}{other}"));
                }
                let whole = format!("{text}{rest}");
                if let Some(list) = several(value) {
                    let draft = at(byte, behind.chars().count(), message, "write several values as a list: [one, two]");
                    return with(draft, value_at, end, list);
                }
                let draft = at(byte, behind.chars().count(), message, "put the quotes around all of it");
                let draft = with(draft, value_at, end, scalar(&whole.replace(quote, "")));
                return with(draft, value_at, end, scalar(&whole));
            }
        }
    }
    if let Some(first) = value.chars().next()
        && matches!(first, '@' | '`' | '%' | '*' | '&' | '!' | '|' | '>')
        && !(matches!(first, '|' | '>') && value.len() <= 2)
    {
        let message = format!("a value that begins with `{first}` has a special meaning in YAML");
        let draft = at(value_at, value.chars().count(), &message, "put text that begins with it in quotes");
        let end = value_at + value.len();
        if let Some(tests) = value.strip_prefix('>').and_then(|_| limits(value)) {
            return with(draft, value_at, end, tests);
        }
        if let Some((span, field)) = trigger_path::find(value).filter(|(span, _)| *span == (0..value.len())) {
            return with(draft, value_at, value_at + span.end, format!("\"{{{{ {field} }}}}\""));
        }
        let draft = match first {
            '*' if value == "*" => with(draft, value_at, end, "{ exists: true }".to_owned()),
            '*' if !value.contains(' ') => with(draft, value_at, end, format!("{{ like: '{value}' }}")),
            _ => draft,
        };
        if value.contains("&quot;") || value.contains("&#39;") {
            return draft;
        }
        return with(draft, value_at, end, format!("\"{}\"", value.replace('"', "'")));
    }
    let flow = value.starts_with('{') || trimmed.starts_with('{') || trimmed.starts_with("- {");
    if flow {
        if let Some(n) = value.find("{{")
            && !span::before(value, n).ends_with(['"', '\''])
            && span::before(value, n).matches('"').count().is_multiple_of(2)
        {
            let draft = at(value_at + n, 2, "a value that begins with `{{` must be in quotes", "put it in quotes: \"{{ … }}\"");
            let end = span::from(value, n).find("}}").map_or(n, |end| n + end + 2);
            let tag = span::between(value, n, end).replace('"', "'");
            return with(draft, value_at + n, value_at + end, format!("\"{tag}\""));
        }
        if let Some(n) = value.char_indices().skip(1).find(|(_, c)| matches!(c, '{' | '[')).map(|(n, _)| n)
            && span::before(value, n).ends_with(|c: char| !c.is_whitespace() && !"{[:,\"'".contains(c))
            && span::before(value, n).matches('"').count().is_multiple_of(2)
        {
            let from = span::before(value, n).rfind([' ', '{', ',']).map_or(0, |m| m + 1);
            let word: String = span::from(value, from).chars().take_while(|c| !c.is_whitespace() && *c != ',').collect();
            let word = word.trim_end_matches(':').to_owned();
            let message = "a `{` or `[` inside { } begins a new map or list";
            let draft = at(value_at + from, word.chars().count(), message, "put the whole value in quotes");
            let (from, to) = (value_at + from, value_at + from + word.len());
            let bare = word.trim_end_matches([' ', '}']);
            // `${NAME}` is how other tools write a variable.
            let draft = match word.strip_prefix("${").and_then(|w| w.split_once('}')) {
                Some((name, _)) if name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_') => {
                    with(draft, from, from + name.len() + 3, format!("\"{{{{ secret.{name} }}}}\""))
                }
                _ => draft,
            };
            let draft = with(draft, from, to, format!("\"{word}\""));
            return with(draft, from, from + bare.len(), format!("\"{bare}\""));
        }
    }
    if said.contains("mapping values are not allowed") && !value.starts_with(['"', '\'', '{', '[']) {
        let after_key = colon.map_or("", |_| value);
        if let Some(n) = after_key.find(": ") {
            let draft = at(
                value_at + n,
                1,
                "this line contains a second `: `",
                "put the whole value in quotes, or write the second name on a line of its own",
            );
            if value.starts_with('(') {
                return draft;
            }
            return with(draft, value_at, value_at + value.len(), scalar(value));
        }
    }
    if said.contains("could not find expected ':'") || said.contains("mapping values are not allowed") {
        let bare = span::from(line, start);
        if let Some((key, value)) = bare.split_once(':')
            && !bare.contains(": ")
            && value.chars().next().is_some_and(|c| !c.is_whitespace() && c != '/')
        {
            let draft = at(start + key.len(), 1, "a space is missing after this colon", "write a space after the colon");
            return with(draft, start, start + bare.trim_end().len(), format!("{key}: {}", value.trim()));
        }
        if said.contains("could not find expected ':'") && !bare.contains(':') && number == context(said).map_or(number, |c| c.0) {
            let word = bare.trim();
            let draft = at(start, word.chars().count(), "a `:` is missing after this name", "write a colon and a space");
            let is_word = |key: &str| key.chars().all(|c| c.is_ascii_lowercase() || c == '_');
            let draft = match word.split_once(' ').filter(|(key, _)| is_word(key)) {
                Some((key, value)) => with(draft, start, start + word.len(), format!("{key}: {value}")),
                None => draft,
            };
            return with(draft, start, start + word.len(), format!("{word}:"));
        }
    }
    None
}

/// `'paid' or 'open'` as a list.
fn several(value: &str) -> Option<String> {
    let parts = [" or ", " OR ", "||", " and ", " AND ", "&&", ","]
        .into_iter()
        .fold(vec![value], |parts, sign| parts.into_iter().flat_map(|part| part.split(sign)).map(str::trim).collect());
    let inside = |part: &str| ['"', '\''].iter().find_map(|quote| part.strip_prefix(*quote)?.strip_suffix(*quote)).map(scalar);
    let all: Option<Vec<String>> = parts.into_iter().map(inside).collect();
    all.filter(|all| all.len() > 1).map(|all| format!("[{}]", all.join(", ")))
}

/// `> 100 && <= 200` as tests.
fn limits(value: &str) -> Option<String> {
    let parts = value.split("&&").flat_map(|part| part.split(" and ")).map(str::trim);
    let tests = parts.map(|part| {
        let signs = [(">=", "at_least"), ("<=", "at_most"), (">", "over"), ("<", "under")];
        let (number, test) = signs.iter().find_map(|(sign, test)| Some((part.strip_prefix(sign)?.trim(), test)))?;
        let is_number = number.starts_with(|c: char| c.is_ascii_digit()) && number.parse::<f64>().is_ok();
        is_number.then(|| format!("{test}: {number}"))
    });
    tests.collect::<Option<Vec<_>>>().map(|tests| format!("{{ {} }}", tests.join(", ")))
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
