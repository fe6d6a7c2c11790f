//! What comes into a rule file with the text that somebody pasted: invisible characters, tabs, the frame of a code block, the
//! `+` of a difference, line numbers. It is recognised before YAML is read, because YAML would complain about its effects.

use super::layout::{Rewritten, indent, is_blank};
use super::source::Source;
use super::syntax_errors::problem;
use crate::problem::Problem;
use crate::text::span;

/// Characters that cannot be seen.
pub fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}' | '\u{2060}' | '\u{feff}')
}

/// The first such problem.
pub(super) fn find(source: &Source) -> Option<Problem> {
    let text = &source.text;
    if text.trim().is_empty() {
        return Some(Problem::of_file(&source.name, "this file is empty", "write `rules:` and a rule below it, or delete the file"));
    }
    let nul = text.matches('\0').count();
    if nul * 4 > text.len() {
        return Some(Problem::of_file(
            &source.name,
            "this file is not UTF-8 text; it is probably UTF-16",
            "save it as UTF-8 in your editor",
        ));
    }
    let lone = text.replace("\r\n", "\n").matches('\r').count();
    if lone > 0 && text.matches('\n').count() <= lone {
        let fixed = text.trim_end_matches('\n').replace("\r\n", "\n").replace('\r', "\n");
        let draft = Problem::of_file(
            &source.name,
            "the lines of this file end with CR alone, as on old computers",
            "save it with line ends of Unix (LF) or Windows (CRLF)",
        );
        return Some(draft.propose_everywhere("write LF after each line", 0..text.trim_end_matches('\n').len(), fixed));
    }
    framed(source).or_else(|| prefixed(source)).or_else(|| lines(source))
}

/// A web page, a code block, or sentences around the rules.
fn framed(source: &Source) -> Option<Problem> {
    let first = (1..=source.lines()).find(|n| !is_blank(source.line(*n)));
    let Some(first) = first else {
        let said = "this file contains only comments";
        return Some(Problem::of_file(&source.name, said, "write `rules:` and a rule below it, or delete the file"));
    };
    let line = source.line(first);
    let lower = line.trim_start().to_lowercase();
    if lower.starts_with("<!doctype") || lower.starts_with("<html") {
        return Some(problem(
            source,
            first,
            1,
            line.chars().count(),
            "this is a web page, not a rule file",
            "download the file itself, for example with the button Raw",
        ));
    }
    let fence = (1..=source.lines()).find(|n| source.line(*n).trim_start().starts_with("```"));
    let is_start = |l: &str| l.starts_with("rules:") || l.starts_with("webhooks:");
    let start = (1..=source.lines()).find(|n| is_start(source.line(*n)))?;
    if let Some(fence) = fence {
        let end = (start..=source.lines()).find(|n| source.line(*n).trim_start().starts_with("```")).unwrap_or(source.lines() + 1);
        let draft = problem(
            source,
            fence,
            1,
            source.line(fence).chars().count(),
            "this line is the frame of a code block, not a part of the rules",
            "remove everything before and after the rules",
        );
        return Some(kept(draft, source, start, end, "remove the lines that begin with ```"));
    }
    let is_sentence = |n: usize| {
        !is_blank(source.line(n))
            && source.line(n).trim_end_matches(':').contains(' ')
            && !source.line(n).starts_with([' ', '-', '$', '"', '\'', '%', '{', '+'])
            && !source.line(n).contains(": ")
    };
    if start > first && is_sentence(first) && !line.starts_with("//") && !line.starts_with("1 ") {
        let draft = problem(
            source,
            first,
            1,
            line.chars().count(),
            "this line is not a part of the rules",
            "remove everything before and after the rules",
        );
        return Some(kept(draft, source, start, source.lines() + 1, "remove the lines before the rules"));
    }
    None
}

/// Proposes to keep only the lines from `start` to before `end`.
fn kept(draft: Problem, source: &Source, start: usize, end: usize, says: &str) -> Problem {
    let lines: Vec<&str> = (start..end).map(|n| source.line(n)).collect();
    draft.propose_everywhere(says, 0..source.text.len(), lines.join("\n") + "\n")
}

/// The `+` of a difference, or line numbers, before every line.
fn prefixed(source: &Source) -> Option<Problem> {
    let all: Vec<&str> = source.text.lines().filter(|l| !l.trim().is_empty()).collect();
    if all.len() < 3 {
        return None;
    }
    let said = |message: &str, label: &str, rewritten: Rewritten| {
        let (span, text) = rewritten?;
        let draft = problem(source, 1, 1, 1, message, label);
        Some(draft.propose_everywhere(label, span, text))
    };
    if all.iter().all(|l| l.starts_with('+')) {
        let without = source.rewritten(1, source.lines(), |_, l| l.strip_prefix('+').unwrap_or(l).to_owned());
        return said(
            "every line begins with a `+`, as in a difference between two files",
            "remove the `+` at the beginning of every line",
            without,
        );
    }
    let number = |l: &str| {
        let rest = l.trim_start().trim_start_matches(|c: char| c.is_ascii_digit());
        let digits = l.trim_start().len() - rest.len();
        (digits > 0 && rest.starts_with([' ', '|', '\t'])).then(|| rest.strip_prefix([' ', '|', '\t']).unwrap_or(rest).to_owned())
    };
    if all.iter().all(|l| number(l).is_some()) {
        let without = source.rewritten(1, source.lines(), |_, l| number(l).unwrap_or_default());
        return said("every line begins with its number", "remove the number at the beginning of every line", without);
    }
    None
}

/// Characters at the beginning of a line that are not the spaces they look like.
fn lines(source: &Source) -> Option<Problem> {
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
        let at = |message: &str, label: &str| problem(source, n + 1, indent + 1, 1, message, label);
        if let Some(c) = rest.chars().next() {
            match c {
                '\t' if rest.trim().is_empty() => {}
                '\t' => {
                    let mut draft = at("this line begins with a tab; YAML allows only spaces there", "replace it with spaces");
                    for width in [2, 4, 8] {
                        if let Some((span, text)) = spaced(source, n + 1, '\t', width) {
                            draft = draft.propose_everywhere(
                                format!("replace each tab at the beginning of a line with {width} spaces"),
                                span,
                                text,
                            );
                        }
                    }
                    if let Some((span, text)) = nested(source, n + 1) {
                        draft = draft.propose_everywhere("replace the tabs at the beginning of lines with spaces", span, text);
                    }
                    return Some(draft);
                }
                '\u{a0}' | '\u{200b}' | '\u{3000}' | '\u{feff}' => {
                    let draft = at("this line begins with an invisible character (a no-break space)", "replace it with spaces");
                    // As wide as it is shown, so there is only one way to read it.
                    let (width, says) = match c {
                        '\u{a0}' => (1, "replace it with spaces"),
                        '\u{3000}' => (2, "replace it with two spaces"),
                        _ => (0, "remove it"),
                    };
                    return Some(match spaced(source, n + 1, c, width) {
                        Some((span, text)) => draft.propose_everywhere(says, span, text),
                        None => draft,
                    });
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

/// From this line on: each such character among the first of a line becomes this many spaces.
fn spaced(source: &Source, first: usize, which: char, width: usize) -> Rewritten {
    source.rewritten(first, source.lines(), |_, line| {
        let rest = line.trim_start_matches([' ', which]);
        let start = span::before(line, line.len() - rest.len());
        start.replace(which, &" ".repeat(width)) + rest
    })
}

/// From this line on: a line with tabs belongs to the one above, and each further tab is one level more.
fn nested(source: &Source, first: usize) -> Rewritten {
    let own = |line: &str| indent(line) + if line.trim_start().starts_with("- ") { 2 } else { 0 };
    let above = (1..first).rev().find(|n| !is_blank(source.line(*n)))?;
    let is_opener = |line: &str| line.trim_end().ends_with(':');
    let above = source.line(above);
    let base = own(above) + if is_opener(above) { 2 } else { 0 };
    let tabs = |line: &str| line.chars().take_while(|c| matches!(c, ' ' | '\t')).filter(|c| *c == '\t').count();
    let least = tabs(source.line(first));
    source.rewritten(first, source.lines(), |_, line| match tabs(line) {
        0 => line.to_owned(),
        n => " ".repeat(base + 2 * n.saturating_sub(least)) + line.trim_start_matches([' ', '\t']),
    })
}
