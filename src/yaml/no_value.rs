//! A key without a value: what the author probably meant.

use super::fields::Item;
use super::layout::{indent, is_blank};
use super::place::scalar;
use crate::text::span;

impl Item<'_> {
    /// Reports that this key has no value.
    pub(super) fn nothing(&self) {
        let key = self.at(&self.at_its_key());
        let source = self.source();
        // What would not be shown needs no help, which costs a look at all lines below.
        let place = self.shows_more_errors().then(|| self.look(&key.path)).flatten();
        let Some((number, column)) = place else {
            return self.problem("this key has no value").label("write a value after it").add();
        };
        let line = source.line(number);
        let start = line.char_indices().nth(column - 1).map_or(line.len(), |(at, _)| at);
        let rest = span::from(line, start);
        let name = rest.split([',', '}']).next().unwrap_or(rest).trim_end();
        let before = span::before(line, start).trim_end();
        if rest.len() > name.len() && before.ends_with(['{', ',']) && !name.ends_with(':') {
            return self.without_colon(number, start, name);
        }
        let after = rest.split_once(':').map_or("", |(_, after)| after);
        let bytes = source.line_start(number).map(|n| n + start + (rest.len() - after.len())..n + line.len());
        let quoted = format!(" {}", scalar(after.trim()));
        if after.trim().starts_with('&') {
            let draft = self.problem("a value that begins with `&` has a special meaning in YAML").at_key();
            return draft.change(format!("write{quoted}"), bytes, quoted).label("put the value in quotes").add();
        }
        let draft = self.problem("this key has no value").at_key();
        if let Some((_, comment)) = after.split_once('#') {
            let value = scalar(&format!("#{}", comment.trim_end()));
            let draft = draft.change(format!("everything after # is a comment: write {value}"), bytes, format!(" {value}"));
            return draft.label("everything after # is a comment; write a value before it").add();
        }
        let next = (number + 1..=source.lines()).find(|n| !is_blank(source.line(*n)));
        let Some(next) = next.filter(|n| indent(source.line(*n)) == indent(line) && line.trim_start().len() == rest.len()) else {
            return draft.label("write a value after the colon").add();
        };
        // What belongs to the key is probably written below it, but not indented.
        let last = (next..=source.lines())
            .take_while(|n| is_blank(source.line(*n)) || indent(source.line(*n)) >= indent(line))
            .last()
            .unwrap_or(next);
        let deeper = source.moved(next, last, 2);
        let as_rule = source.rewritten(next, last, |n, line| match line.trim().is_empty() {
            true => line.to_owned(),
            false => " ".repeat(if n == next { 2 } else { 4 }) + line,
        });
        let says = "indent the lines that belong to it by two more spaces";
        let mut draft = draft.label("write a value after the colon, or indent the lines that belong to it");
        for (span, text) in deeper.into_iter().chain(as_rule) {
            draft = draft.change(says, Some(span), text);
        }
        draft.add();
    }

    /// In `{ }`: a part without a colon, or text with a comma.
    fn without_colon(&self, number: usize, start: usize, name: &str) {
        let (source, line) = (self.source(), self.source().line(number));
        let at = source.line_start(number).unwrap_or(0);
        let before = span::before(line, start);
        let here = Some(at + start..at + start + name.len());
        let has_comma = before.trim_end().ends_with(',');
        let draft = match has_comma {
            true => self
                .problem("a comma inside { } begins a new name, and this one has no value")
                .label("put text that contains a comma in quotes"),
            false => self.problem("inside { } each name needs a colon, a space and a value").label("write for example { name: value }"),
        };
        let is_number = has_comma
            && name.chars().all(|c| c.is_ascii_digit())
            && before.trim_end().trim_end_matches(',').ends_with(|c: char| c.is_ascii_digit());
        let draft = if is_number {
            draft.label("write the number with a point before its decimals, and nothing between the thousands")
        } else {
            draft
        };
        let mut draft = draft.at_key();
        let flags = [("exists", "exists: true"), ("not exists", "exists: false"), ("empty", "empty: true"), ("not empty", "empty: false")];
        for (_, ours) in flags.iter().filter(|(theirs, _)| *theirs == name) {
            draft = draft.change(format!("write {ours}"), here.clone(), *ours);
        }
        for sign in [" = ", "=", ":", " "] {
            if let Some((word, value)) = name.split_once(sign) {
                let pair = format!("{}: {}", word.trim(), value.trim());
                draft = draft.change(format!("write {pair}"), here.clone(), pair);
            }
        }
        // `{paid}`: a value that needs no braces.
        let braces = span::before(line, start).rfind('{').filter(|open| span::between(line, open + 1, start).trim().is_empty());
        let close = span::from(line, start + name.len()).find('}').map(|n| start + name.len() + n + 1);
        if let (Some(open), Some(close)) = (braces, close)
            && !has_comma
        {
            draft = draft.change(format!("write {name}"), Some(at + open..at + close), name);
        }
        if let Some(value_at) = before.rfind(": ").map(|n| n + 2).filter(|_| has_comma) {
            let end = start + name.len();
            let value = scalar(span::between(line, value_at, end).trim());
            draft = draft.change(format!("write {value}"), Some(at + value_at..at + end), value);
        }
        draft.add();
    }
}
