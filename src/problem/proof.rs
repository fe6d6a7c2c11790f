//! Tries what could be written in rule files, on a copy in memory.
//!
//! A proposal becomes a correction only if, with it, the problem is gone and no new one has come: a correction that leads to
//! the next error is never shown. What a correction solves besides its own problem followed from the same mistake, and is
//! not shown either.

use std::collections::HashMap;

use super::correction::{Edit, Proposal};
use super::{Problem, Severity};

/// The most proposals that are tried in one check.
const MOST_TRIED: usize = 50;
/// The most bytes of rule files that are read again for this; each problem found costs another walk through its file.
const MOST_READ: usize = 24 << 20;

/// Tries the proposals of all problems, and keeps those that solve theirs. `size` is how many bytes one check reads, and
/// `check` checks all files again with one change; `None` if the change cannot be made.
pub fn prove(problems: &mut Vec<Problem>, size: usize, check: impl Fn(&Edit) -> Option<Vec<Problem>>) {
    let before = Counts::of(problems);
    let (mut tried, mut read) = (0, 0);
    let mut solved: Vec<Vec<usize>> = vec![Vec::new(); problems.len()];
    for n in 0..problems.len() {
        let mut proposals = std::mem::take(&mut problems[n].proposals);
        let mut attempt = |proposal: &Proposal| {
            if tried == MOST_TRIED || read >= MOST_READ {
                return None;
            }
            let after = check(proposal.edit())?;
            tried += 1;
            read += size.saturating_mul(2 + after.len());
            Some(after)
        };
        if proposals.len() > 1 && proposals.iter().all(Proposal::is_everywhere) {
            let readings = proposals.into_iter().filter_map(|proposal| attempt(&proposal).map(|after| (proposal, after)));
            proposals = likeliest(&before, &problems[n], readings.collect());
        }
        for proposal in proposals {
            let Some(after) = attempt(&proposal) else { continue };
            let correction = proposal.tried(|proposal| before.are_better(&problems[n], proposal, &after));
            if correction.is_some() {
                let counts = Counts::of(&after);
                // An error is never left out for the sake of a warning.
                let is_less = |m: usize| problems[m].severity >= problems[n].severity;
                let gone = |m: &usize| *m != n && is_less(*m) && counts.count(&problems[*m]) == 0;
                solved[n] = (0..problems.len()).filter(gone).collect();
                problems[n].correction = correction;
                break;
            }
        }
    }
    without_followers(problems, &solved);
}

/// Several ways to read the same characters, such as the width of a tab: the one with which the fewest problems come. What
/// is wrong then could also be wrong because of this reading, unless another one leads to just the same.
fn likeliest(before: &Counts, solved: &Problem, readings: Vec<(Proposal, Vec<Problem>)>) -> Vec<Proposal> {
    let is_new = |p: &&Problem| p.severity != Severity::Note && before.count(p) == 0;
    let seen = |after: &[Problem]| {
        let mut new: Vec<_> = after.iter().filter(is_new).map(|p| (p.severity, p.message.clone())).collect();
        new.sort();
        let count = |severity| new.iter().filter(|(s, _)| *s == severity).count();
        (count(Severity::Error), count(Severity::Warning), new)
    };
    let is_read = |after: &[Problem]| !after.iter().any(|p| p.unread && p.file == solved.file);
    let mut all: Vec<_> = readings.into_iter().filter(|(_, after)| is_read(after)).map(|(p, after)| (seen(&after), p)).collect();
    all.sort_by(|(a, _), (b, _)| a.cmp(b));
    let Some((best, proposal)) = all.first() else { return Vec::new() };
    let is_shared = all.iter().any(|(seen, other)| seen == best && other.edit() != proposal.edit());
    if best.2.is_empty() || best.0 == 0 || is_shared { vec![proposal.clone()] } else { Vec::new() }
}

/// Removes what the correction of another problem solves as well.
fn without_followers(problems: &mut Vec<Problem>, solved: &[Vec<usize>]) {
    let mut order: Vec<usize> = (0..problems.len()).collect();
    order.sort_by_key(|n| std::cmp::Reverse(solved[*n].len()));
    let mut follows = vec![false; problems.len()];
    for n in order {
        if !follows[n] {
            solved[n].iter().for_each(|m| follows[*m] = true);
        }
    }
    let mut follows = follows.into_iter();
    problems.retain(|_| !follows.next().unwrap_or(false));
}

/// How often each problem occurs. Positions do not count: a correction may move what follows it.
struct Counts(HashMap<(String, String), usize>);

impl Counts {
    fn of(problems: &[Problem]) -> Self {
        let mut counts = HashMap::new();
        for problem in problems {
            *counts.entry((problem.file.clone(), problem.message.clone())).or_insert(0) += 1;
        }
        Self(counts)
    }

    fn count(&self, problem: &Problem) -> usize {
        self.0.get(&(problem.file.clone(), problem.message.clone())).copied().unwrap_or(0)
    }

    /// Whether `problem` is solved by an edit that led to `after`, and nothing else is wrong because of it.
    fn are_better(&self, problem: &Problem, proposal: &Proposal, after: &[Problem]) -> bool {
        let edit = proposal.edit();
        let counts = Counts::of(after);
        // In a file that could not be read, everything else was hidden, also the same mistake further on.
        let is_here = |p: &Problem| p.file == problem.file && p.line >= problem.line && p.line <= last_line(problem, edit);
        let still = problem.unread && after.iter().any(|p| p.message == problem.message && is_here(p));
        if still || !problem.unread && counts.count(problem) >= self.count(problem) {
            return false;
        }
        after.iter().filter(|new| counts.count(new) > self.count(new)).all(|new| is_from_before(problem, proposal, new))
    }
}

/// The last line that an edit has written.
fn last_line(problem: &Problem, edit: &Edit) -> usize {
    problem.line.max(1) + edit.text.matches('\n').count()
}

/// Whether a problem that was not reported before was only hidden by the one that is solved.
fn is_from_before(solved: &Problem, proposal: &Proposal, new: &Problem) -> bool {
    let edit = proposal.edit();
    let is_after = new.file != edit.file || new.line > last_line(solved, edit);
    let is_beside = new.line == solved.line && !edit.text.contains('\n') && {
        let end = solved.column + edit.text.chars().count();
        new.column < solved.column || new.column >= end
    };
    let is_outside = is_after || new.line < solved.line || is_beside;
    match new.severity {
        Severity::Note => true,
        _ if proposal.is_everywhere() => solved.unread && !new.unread || is_outside,
        // What concerns several rules and addresses is looked at only when all of them can be read.
        _ if new.together => !solved.together,
        Severity::Warning => is_outside,
        // Below a key that was not known, and after a line that could not be read, nothing was read.
        Severity::Error => is_after && (solved.unread || solved.is_key && new.file == edit.file),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(line: usize, message: &str, proposal: Option<Edit>) -> Problem {
        let proposals = proposal.into_iter().map(|edit| Proposal::new(edit, "write this".into())).collect();
        Problem { line, column: 5, message: message.into(), proposals, unread: false, ..Problem::of_file("a.yaml", "", "") }
    }

    fn tried(after: Vec<Problem>) -> bool {
        let edit = Edit { file: "a.yaml".into(), span: 0..1, text: "b".into() };
        let mut problems = vec![problem(3, "wrong", Some(edit)), problem(5, "other", None)];
        prove(&mut problems, 10, |_| Some(after.clone()));
        problems[0].correction.is_some()
    }

    #[test]
    fn a_correction_is_kept_only_if_its_problem_is_gone_and_no_new_one_has_come() {
        assert!(tried(vec![problem(5, "other", None)]));
        assert!(!tried(vec![problem(3, "wrong", None), problem(5, "other", None)]), "still there");
        assert!(!tried(vec![problem(3, "next", None), problem(5, "other", None)]), "the next one");
        assert!(!tried(vec![problem(5, "other", None), problem(5, "other", None)]), "one more of a kind");
        let warning = |line| Problem { severity: Severity::Warning, ..problem(line, "open", None) };
        assert!(tried(vec![warning(9)]), "what is elsewhere was hidden before");
        assert!(!tried(vec![warning(3)]), "what was written is doubtful itself");
    }

    #[test]
    fn what_a_correction_solves_besides_its_own_problem_is_not_shown() {
        let edit = Edit { file: "a.yaml".into(), span: 0..1, text: "b".into() };
        let mut problems = vec![problem(3, "wrong", Some(edit.clone())), problem(4, "follows", None), problem(9, "other", Some(edit))];
        prove(&mut problems, 10, |_| Some(vec![problem(9, "other", None)]));
        assert_eq!(problems.iter().map(|p| p.message.as_str()).collect::<Vec<_>>(), ["wrong", "other"]);
    }

    #[test]
    fn of_several_readings_the_one_with_the_fewest_new_problems_is_kept() {
        let edit = |text: &str| Edit { file: "a.yaml".into(), span: 0..1, text: text.into() };
        let found = |text: &'static str, errors: &[&str]| (text, errors.iter().map(|m| problem(4, m, None)).collect::<Vec<_>>());
        let kept = |readings: &[(&'static str, Vec<Problem>)]| {
            let proposals = readings.iter().map(|(text, _)| Proposal::everywhere(edit(text), (*text).to_owned())).collect();
            let mut problems = vec![Problem { unread: true, proposals, ..problem(3, "wrong", None) }];
            prove(&mut problems, 10, |edit| readings.iter().find(|(text, _)| *text == edit.text).map(|(_, after)| after.clone()));
            problems[0].correction.as_ref().map(|c| c.says().to_owned())
        };
        let unread = ("b", vec![Problem { unread: true, ..problem(3, "wrong", None) }]);
        assert_eq!(kept(&[found("b", &["x", "y"]), found("c", &[])]).as_deref(), Some("c"));
        assert_eq!(kept(&[found("b", &["x", "y"]), found("c", &["z"])]), None, "each makes errors of its own");
        assert_eq!(kept(&[found("b", &["x"]), found("c", &["x"])]).as_deref(), Some("b"), "hidden by the characters");
        assert_eq!(kept(&[unread.clone(), found("c", &["x"])]), None);
        assert_eq!(kept(&[unread, found("c", &[])]).as_deref(), Some("c"));
    }

    #[test]
    fn the_work_is_limited() {
        let edit = |n: usize| Edit { file: "a.yaml".into(), span: n..n + 1, text: "b".into() };
        let all = || (0..200).map(|n| problem(n, &format!("wrong {n}"), Some(edit(n)))).collect::<Vec<_>>();
        let corrected = |size| {
            let mut problems = all();
            prove(&mut problems, size, |edit| Some(all().into_iter().filter(|p| p.line != edit.span.start).collect()));
            problems.iter().filter(|p| p.correction.is_some()).count()
        };
        assert_eq!(corrected(10), MOST_TRIED);
        assert_eq!(corrected(MOST_READ), 1);
    }
}
