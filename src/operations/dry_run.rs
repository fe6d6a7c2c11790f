//! A dry run: what the rules would do with a sample webhook, as a value. Nothing is sent or written.
//!
//! Matching, rendering and the order of steps use the production code ([`crate::operations::preview`]); here the result
//! becomes values that can be shown anywhere and contain no secrets. The caller loads rules and reads files.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::action::contract::{Asks, MockResponse};
use crate::body::number_text;
use crate::expr::condition::trace::TraceLine;
use crate::model::event::{Event, EventId};
use crate::model::request::Request;
use crate::model::run::State;
use crate::operations::preview::{DryStep, Followed, Replies, What, dry_steps_of, json_reply};
use crate::route;
use crate::rule::Rule;
use crate::rule::ruleset::{Ruleset, Verdict};
use crate::rule::sentence::{self, Sentence};
use crate::rule::step::Step;
use crate::text::phrase::joined;
use crate::verify::guard::Guard;

/// A sample webhook made up by a person.
pub struct Webhook {
    pub method: String,
    /// The path, with the query after a `?`.
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Webhook {
    /// The event it would become if this sender sent it; if nobody is named, the only sender of the address. The error is a
    /// message for people.
    pub fn into_event(self, ruleset: &Ruleset, sender: Option<&str>, now: Timestamp) -> Result<Event, String> {
        let (path, query) = self.target.split_once('?').unwrap_or((&self.target, ""));
        let request = Request {
            method: self.method.to_uppercase(),
            path: route::decode(path),
            target: path.to_owned(),
            query: query.to_owned(),
            headers: self.headers,
            ip: "127.0.0.1".to_owned(),
            body: self.body.into(),
            received: now,
        };
        let open = Guard::open();
        let guard = ruleset.address(&request.path).map_or(&open, |address| &address.guard);
        guard.admit_unproven(request, sender, EventId::new(now, [0; 10]))
    }
}

/// Why there is nothing to preview.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NoPreview {
    /// No rule listens there; the sender would get 404. `known` lists the addresses of the rules.
    /// `switched_off` lists the disabled rules that would.
    UnknownAddress { address: String, known: Vec<String>, switched_off: Vec<Arc<str>> },
    /// The address accepts other methods; the sender would get 405.
    WrongMethod { address: String, method: String, methods: Vec<String> },
    /// No rule of this name listens at the address.
    UnknownRule { address: String, rule: String },
}

/// The senders of an event's address, if it is not known which of them sent it and a rule asks for that.
pub fn possible_senders(ruleset: &Ruleset, event: &Event) -> Vec<Arc<str>> {
    let senders = ruleset.address(&event.address).map(|address| address.guard.senders()).unwrap_or_default();
    let asks = || ruleset.verdicts(event, false).iter().any(|verdict| verdict.rule.reads_sender());
    if event.sender.is_none() && senders.len() > 1 && asks() { senders } else { Vec::new() }
}

/// What the rules would do.
#[derive(Debug, Serialize)]
pub struct Preview {
    /// The rules that listen at the address, in the order of the files; only the requested one, if a rule was requested.
    pub rules: Vec<RulePreview>,
    /// The status the sender would get if no rule at the address would run; the event would still be stored.
    pub ignored_status: Option<u16>,
    /// The disabled rules that listen at the address.
    pub switched_off: Vec<Arc<str>>,
}

impl Preview {
    /// Whether a rule would fail.
    pub fn fails(&self) -> bool {
        self.rules.iter().any(|rule| rule.fails)
    }
}

/// What one rule would do.
#[derive(Debug, Serialize)]
pub struct RulePreview {
    pub rule: Arc<str>,
    /// Which of its steps would run; `None` if it would not run.
    pub branch: Option<Branch>,
    /// The evaluation of its `if:`, line by line.
    pub trace: Vec<TraceLine>,
    pub steps: Vec<StepPreview>,
    /// Whether its run would fail.
    pub fails: bool,
    /// What happens if it fails after all, if the rule says so.
    pub on_error: String,
}

/// The steps of `then:`, or those of `else:`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Branch {
    Then,
    Else,
    /// Neither: evaluating its `if:` exceeds the limits on work or memory, so its run fails immediately.
    Undecided,
}

/// What one step would do.
#[derive(Debug, Serialize)]
pub struct StepPreview {
    /// The rule that it is a step of, and how many rules are around that one, each of which calls the next.
    pub rule: Arc<str>,
    pub depth: u32,
    /// The number shown to people: `2`, `2.1` inside a `do:`, `else 1`.
    pub number: String,
    /// Which element of its `for_each`, from 1.
    pub element: Option<usize>,
    pub name: Option<String>,
    pub verb: String,
    /// Whether later steps can use its answer.
    #[serde(skip)]
    pub saves: bool,
    pub what: StepEffect,
    /// What happens if it fails, if the rule says so: `continue`, or steps.
    pub on_error: String,
}

impl StepPreview {
    /// The step's name, or else its verb.
    pub fn title(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.verb)
    }
}

/// The result of a step.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StepEffect {
    /// The effect in lines, and why it would fail with the given reply.
    Done { shown: String, failed: Option<String> },
    /// It cannot be shown without the answer of the step with this number.
    Unknown { of: String },
    /// Its `if:` depends on an answer that is not known; the next one shows what it would do if it is true.
    Depends { trace: Vec<TraceLine> },
    /// Its `if:` is false.
    Skipped { trace: Vec<TraceLine> },
    /// The rule that it calls would not run, because its `if:` is false.
    NotCalled { trace: Vec<TraceLine> },
    /// Whether that rule runs depends on an answer that is not known; the next ones show what it would do.
    CalledIf { trace: Vec<TraceLine> },
    /// Its `for_each` has no elements.
    Empty { why: String },
    /// It cannot be rendered.
    Failed { why: String },
}

/// What the answer of a step would be.
#[derive(Debug, Clone, PartialEq)]
pub struct StepAnswer {
    pub rule: String,
    /// Its number, as shown to people.
    pub step: String,
    pub body: Vec<u8>,
}

/// The bodies that targets would answer with.
#[derive(Clone, Copy)]
pub enum Answers<'a> {
    /// One for each call with `save_as`, in the order of the calls.
    InOrder(&'a [Vec<u8>]),
    /// By step; each of its calls gets the same.
    OfSteps(&'a [StepAnswer]),
}

/// Shows what the rules would do with an event; only one rule, if one is given.
pub fn preview(ruleset: &Ruleset, event: &Event, rule: Option<&str>, answers: Answers) -> Result<Preview, NoPreview> {
    let address = event.address.clone();
    let disabled = ruleset.rules.iter().filter(|r| !r.enabled && r.listens_at(&address));
    let switched_off: Vec<Arc<str>> = disabled.map(|r| r.name.clone()).collect();
    let ignored = match (event.is_request(), ruleset.address(&address)) {
        // Nobody gets an answer.
        (false, _) => None,
        (true, None) => {
            let known = ruleset.addresses.iter().map(|a| a.route.text().to_owned()).collect();
            return Err(NoPreview::UnknownAddress { address, known, switched_off });
        }
        (true, Some(found)) if !found.methods.contains(&event.method) => {
            return Err(NoPreview::WrongMethod { address, method: event.method.clone(), methods: found.methods.clone() });
        }
        (true, Some(found)) => Some(found.ignored.status),
    };
    let verdicts = ruleset.verdicts(event, true);
    let is_wanted = |verdict: &Verdict| rule.is_none_or(|name| name == &*verdict.rule.name);
    if let Some(rule) = rule
        && !verdicts.iter().any(is_wanted)
    {
        return Err(NoPreview::UnknownRule { address, rule: rule.to_owned() });
    }
    let ignored_status = ignored.filter(|_| verdicts.iter().all(|v| !v.runs()));
    let event = &ruleset.sealed(event.clone());
    let mut previewer = Previewer { event, ruleset, replies: Given { next: 0, answers } };
    let rules = verdicts.into_iter().filter(is_wanted).map(|verdict| previewer.rule(verdict)).collect();
    let switched_off = switched_off.into_iter().filter(|name| rule.is_none_or(|wanted| wanted == &**name)).collect();
    Ok(Preview { rules, ignored_status, switched_off })
}

/// What all rules of a preview share.
struct Previewer<'a> {
    event: &'a Event,
    ruleset: &'a Ruleset,
    replies: Given<'a>,
}

impl Previewer<'_> {
    fn rule(&mut self, verdict: Verdict) -> RulePreview {
        let (rule, ruleset) = (verdict.rule, self.ruleset);
        let on_error = joined(&Sentence::of(rule, &ruleset.vault).on_error);
        let followed = |start| Followed { ruleset, rule, start, given: None };
        let run = verdict.starts.map(|start| dry_steps_of(followed(start), self.event, &mut self.replies));
        let (dry_steps, end) = run.map_or((Vec::new(), None), |(dry_steps, end)| (dry_steps, Some(end)));
        RulePreview {
            rule: verdict.rule.name.clone(),
            branch: branch(&verdict),
            trace: verdict.trace,
            steps: dry_steps.into_iter().map(|dry_step| self.step(dry_step)).collect(),
            fails: end == Some(State::Failed),
            on_error,
        }
    }

    fn step(&self, dry_step: DryStep) -> StepPreview {
        let (rule, vault) = (dry_step.rule, &self.ruleset.vault);
        let strike = |text: &str| vault.strike(text);
        let what = match dry_step.what {
            What::Unknown(of) => StepEffect::Unknown { of },
            What::Depends(trace) => StepEffect::Depends { trace },
            What::Skipped(trace) => StepEffect::Skipped { trace },
            What::NotCalled(trace) => StepEffect::NotCalled { trace },
            What::CalledIf(trace) => StepEffect::CalledIf { trace },
            What::Empty(why) => StepEffect::Empty { why: strike(&why) },
            What::Failed(why, _) => StepEffect::Failed { why: strike(&why) },
            What::Effect { shown, failed, .. } => StepEffect::Done { shown: strike(&shown), failed: failed.as_deref().map(strike) },
        };
        StepPreview {
            rule: rule.name.clone(),
            depth: dry_step.depth,
            number: dry_step.step.number.clone(),
            element: dry_step.element,
            name: dry_step.step.name.as_deref().map(strike),
            verb: dry_step.step.verb.to_owned(),
            saves: dry_step.step.save_as.is_some() && dry_step.step.waits().is_none() && dry_step.step.rule().is_none(),
            what,
            on_error: rule
                .steps
                .iter()
                .position(|s| std::ptr::eq(s, dry_step.step))
                .map_or_else(String::new, |n| sentence::handlers(rule, vault, n as u32)),
        }
    }
}

fn branch(verdict: &Verdict) -> Option<Branch> {
    match verdict {
        _ if !verdict.runs() => None,
        _ if verdict.is_undecided() => Some(Branch::Undecided),
        _ if verdict.is_else() => Some(Branch::Else),
        _ => Some(Branch::Then),
    }
}

/// The given answers, for the calls that save their answer.
struct Given<'a> {
    /// How many were given so far.
    next: usize,
    answers: Answers<'a>,
}

impl Replies for Given<'_> {
    fn next(&mut self, rule: &Rule, step: &Step, _: Asks) -> Option<MockResponse> {
        step.save_as.as_ref()?;
        let body = match self.answers {
            Answers::InOrder(all) => all.get(self.next)?,
            Answers::OfSteps(all) => &all.iter().find(|answer| *answer.rule == *rule.name && answer.step == step.number)?.body,
        };
        self.next += 1;
        let text = String::from_utf8_lossy(body);
        let value = number_text::parse(&text).unwrap_or_else(|_| Value::String(text.into_owned()));
        Some(json_reply(200, Vec::new(), &value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::names::{Resolver, stand_in};
    use crate::rule::load::load;
    use crate::yaml::source::Source;

    const RULES: &str = r#"
webhooks:
  /orders: { verify: none, method: POST }
rules:
  Orders:
    when: { webhook: /orders }
    if: { secret.KEY: { exists: false }, body.a: "{{ secret.UNSET }}" }
    then:
      - log: ran
    else:
      - post: https://crm.example.com/orders
        text: "{{ body.all }} {{ secret.KEY }}"
"#;
    const KEY: &str = "first-l1ne\nsecond-l1ne";

    fn rules() -> Ruleset {
        let secret = |name: &str| Some(if name == "KEY" { KEY.to_owned() } else { stand_in(name) });
        let source = Source::stored("rules/a.yaml", RULES.into());
        let loaded = load(vec![source], Resolver::new(&secret, &|_| None, &|_| None), false);
        loaded.ruleset.unwrap_or_else(|| panic!("{:?}", loaded.problems))
    }

    fn event(method: &str, target: &str, body: &str) -> Event {
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        let webhook = Webhook { method: method.into(), target: target.into(), headers, body: body.into() };
        webhook.into_event(&rules(), None, Timestamp::UNIX_EPOCH).unwrap()
    }

    #[test]
    fn each_reason_for_no_preview_is_reported_separately() {
        let rules = rules();
        let (address, known) = ("/b".to_owned(), vec!["/orders".to_owned()]);
        assert_eq!(
            preview(&rules, &event("POST", "/b?x=1", "1"), None, Answers::InOrder(&[])).unwrap_err(),
            NoPreview::UnknownAddress { address, known, switched_off: Vec::new() }
        );
        let wrong = NoPreview::WrongMethod { address: "/orders".into(), method: "PUT".into(), methods: vec!["POST".into()] };
        assert_eq!(preview(&rules, &event("put", "/orders", "1"), None, Answers::InOrder(&[])).unwrap_err(), wrong);
        let unknown = NoPreview::UnknownRule { address: "/orders".into(), rule: "Other".into() };
        assert_eq!(preview(&rules, &event("POST", "/orders", "1"), Some("Other"), Answers::InOrder(&[])).unwrap_err(), unknown);
    }

    #[test]
    fn answers_are_given_in_the_order_of_the_calls_or_by_step() {
        let text = "webhooks:\n  /a: { verify: none }\nrules:\n  One:\n    when: { webhook: /a }\n    then:\n      - post: https://x.example.com/1\n        save_as: one\n      - post: https://x.example.com/2\n        save_as: two\n      - log: \"{{ one.body.n }} {{ two.body.n }}\"\n";
        let source = Source::stored("rules/a.yaml", text.into());
        let rules = load(vec![source], Resolver::new(&|_| None, &|_| None, &|_| None), false).ruleset.unwrap();
        let last = |answers: Answers| {
            let shown = preview(&rules, &event("POST", "/a", "{}"), None, answers).unwrap();
            shown.rules.into_iter().next().unwrap().steps.pop().unwrap().what
        };
        let logged = |said: &str| StepEffect::Done { shown: format!("log  {said}"), failed: None };
        assert_eq!(last(Answers::InOrder(&[br#"{"n":1}"#.to_vec(), br#"{"n":2}"#.to_vec()])), logged("1 2"));
        let of = |step: &str, body: &str| StepAnswer { rule: "One".into(), step: step.into(), body: body.into() };
        assert_eq!(last(Answers::OfSteps(&[of("2", r#"{"n":2}"#), of("1", r#"{"n":1}"#)])), logged("1 2"));
        assert_eq!(last(Answers::OfSteps(&[of("1", r#"{"n":1}"#)])), logged("1 ‹two.body.n›"));
    }

    #[test]
    fn a_preview_contains_no_secret_but_names_one_that_is_not_set() {
        let body = serde_json::json!({ "a": 1, "all": KEY }).to_string();
        let preview = preview(&rules(), &event("POST", "/orders", &body), None, Answers::InOrder(&[])).unwrap();
        let rule = &preview.rules[0];
        assert_eq!((rule.branch, rule.fails, preview.ignored_status), (Some(Branch::Else), false, None));
        let lines: Vec<String> = rule.trace.iter().map(|l| format!("{}: {}", l.text, l.outcome.text())).collect();
        assert_eq!(lines[1], "body.a is {{ secret.UNSET }}: NO, it was 1");
        let told = serde_json::to_string(&preview).unwrap();
        assert!(!told.contains("l1ne") && told.contains("***"), "{told}");
    }
}
