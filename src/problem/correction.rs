//! A correction of a rule file: text to write in place of other text.
//!
//! Whoever reports a problem can only make a [`Proposal`], which nothing prints. [`prove`] tries it on a copy of the files in
//! memory; only if the problem is gone and no new one has come, it becomes a [`Correction`], which is shown to people and can
//! be applied. So a correction that leads to the next error is never shown. What a correction solves besides its own problem
//! followed from the same mistake, and is not shown either.

use std::collections::HashMap;
use std::ops::Range;

use super::{Problem, Severity};

/// The most proposals that are tried in one check.
const MOST_TRIED: usize = 50;
/// The most bytes of rule files that are read again for this; each problem found costs another walk through its file.
const MOST_READ: usize = 24 << 20;

/// A change of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// The file as the user named it.
    pub file: String,
    /// The bytes to replace, in the text without a BOM.
    pub span: Range<usize>,
    pub text: String,
}

impl Edit {
    /// The text after this change; `None` if it has no such place, or if nothing would change.
    pub fn applied(&self, text: &str) -> Option<String> {
        let (before, after) = (text.get(..self.span.start)?, text.get(self.span.end..)?);
        let old = text.get(self.span.clone())?;
        (old != self.text).then(|| [before, &self.text, after].concat())
    }
}

/// What could be written instead. Nobody has tried it yet.
#[derive(Clone, Debug)]
pub struct Proposal {
    edit: Edit,
    says: String,
}

impl Proposal {
    /// `says` is shown to people once the proposal is proven.
    pub fn new(edit: Edit, says: String) -> Self {
        Self { edit, says }
    }
}

/// A proposal that was tried: with it, the problem is gone and no new one has come. Only [`prove`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Correction {
    edit: Edit,
    says: String,
}

impl Correction {
    /// What to change.
    pub fn edit(&self) -> &Edit {
        &self.edit
    }
    /// What to write, for people.
    pub fn says(&self) -> &str {
        &self.says
    }
}

/// Tries the proposals of all problems, and keeps those that solve theirs. `size` is how many bytes one check reads, and
/// `check` checks all files again with one change; `None` if the change cannot be made.
pub fn prove(problems: &mut Vec<Problem>, size: usize, check: impl Fn(&Edit) -> Option<Vec<Problem>>) {
    let before = Counts::of(problems);
    let (mut tried, mut read) = (0, 0);
    let mut solved: Vec<Vec<usize>> = vec![Vec::new(); problems.len()];
    for n in 0..problems.len() {
        for proposal in std::mem::take(&mut problems[n].proposals) {
            if tried == MOST_TRIED || read >= MOST_READ {
                break;
            }
            let Some(after) = check(&proposal.edit) else { continue };
            tried += 1;
            read += size.saturating_mul(2 + after.len());
            if before.are_better(&problems[n], &proposal.edit, &after) {
                let counts = Counts::of(&after);
                let gone = |m: &usize| *m != n && problems[*m].severity == Severity::Error && counts.count(&problems[*m]) == 0;
                solved[n] = (0..problems.len()).filter(gone).collect();
                problems[n].correction = Some(Correction { edit: proposal.edit, says: proposal.says });
                break;
            }
        }
    }
    without_followers(problems, &solved);
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
    fn are_better(&self, problem: &Problem, edit: &Edit, after: &[Problem]) -> bool {
        let counts = Counts::of(after);
        // In a file that could not be read, everything else was hidden, also the same mistake further on.
        let still = after.iter().any(|p| p.message == problem.message && p.file == problem.file && p.line <= last_line(problem, edit));
        if still || !problem.unread && counts.count(problem) >= self.count(problem) {
            return false;
        }
        after.iter().filter(|new| counts.count(new) > self.count(new)).all(|new| is_from_before(problem, edit, new))
    }
}

/// The last line that an edit has written.
fn last_line(problem: &Problem, edit: &Edit) -> usize {
    problem.line.max(1) + edit.text.matches('\n').count()
}

/// Whether a problem that was not reported before was only hidden by the one that is solved.
fn is_from_before(solved: &Problem, edit: &Edit, new: &Problem) -> bool {
    let is_outside = new.file != edit.file || new.line < solved.line || new.line > last_line(solved, edit);
    match new.severity {
        Severity::Note => true,
        // An address or a rule that can be read now may be one to warn of.
        Severity::Warning => is_outside,
        // Below a key that was not known, nothing was read.
        Severity::Error => is_outside && (solved.unread || solved.is_key && new.line > solved.line && new.file == edit.file),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(line: usize, message: &str, proposal: Option<Edit>) -> Problem {
        let proposals = proposal.into_iter().map(|edit| Proposal::new(edit, "write this".into())).collect();
        Problem { line, message: message.into(), proposals, ..Problem::of_file("a.yaml", "", "") }
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
    fn the_work_is_limited() {
        let edit = |n: usize| Edit { file: "a.yaml".into(), span: n..n + 1, text: "b".into() };
        let mut problems: Vec<_> = (0..200).map(|n| problem(n, &format!("wrong {n}"), Some(edit(n)))).collect();
        prove(&mut problems, 10, |_| Some(Vec::new()));
        assert_eq!(problems.iter().filter(|p| p.correction.is_some()).count(), MOST_TRIED);
        let mut problems: Vec<_> = (0..200).map(|n| problem(n, &format!("wrong {n}"), Some(edit(n)))).collect();
        prove(&mut problems, MOST_READ, |_| Some(Vec::new()));
        assert_eq!(problems.iter().filter(|p| p.correction.is_some()).count(), 1);
    }

    #[test]
    fn an_edit_outside_of_the_text_changes_nothing() {
        let edit = |span, text: &str| Edit { file: "a.yaml".into(), span, text: text.into() };
        assert_eq!(edit(1..2, "é").applied("abc").as_deref(), Some("aéc"));
        assert_eq!(edit(1..9, "x").applied("abc"), None);
        assert_eq!(edit(1..2, "x").applied("é"), None, "inside of a character");
        assert_eq!(edit(0..1, "a").applied("abc"), None);
    }
}
