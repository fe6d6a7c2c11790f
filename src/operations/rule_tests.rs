//! Runs the `tests:` of rules, and compares what is expected with what would happen.
//!
//! Nothing is sent or written, no sender is verified, and `secret.NAME` is used as the value of every secret: the ruleset must be
//! loaded with these stand-ins.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::action::contract::{Asks, EffectView, MockResponse};
use crate::action::kind_of;
use crate::action::memory::DryMemory;
use crate::engine::starts::made::{self, Start};
use crate::expr::condition::trace;
use crate::expr::number;
use crate::model::called;
use crate::model::event::{Event, EventId};
use crate::model::request::Request;
use crate::operations::preview::{Followed, Replies, What, dry_steps_of, json_reply};
use crate::operations::schedules::not_a_moment;
use crate::route;
use crate::rule::failed::FailedRules;
use crate::rule::ruleset::Ruleset;
use crate::rule::step::Step;
use crate::rule::test::{Body, Expected, Test};
use crate::rule::{Rule, UNDECIDED};
use crate::schedule::timetable::Timetable;
use crate::secret::Vault;
use crate::text::printable::short;
use crate::verify::guard::Guard;

/// The value of `now` in tests: 2030-01-01T00:00:00Z.
const NOW: i64 = 1_893_456_000;
/// The width of the left of two columns, in characters.
const WIDTH: usize = 56;

/// The result of one test.
#[derive(Debug, PartialEq, Serialize)]
pub struct TestResult {
    pub rule: Arc<str>,
    pub test: String,
    pub file: String,
    pub line: usize,
    pub column: usize,
    /// What is different, as lines in two columns, or why the test cannot run; nothing if it passed.
    pub differences: Option<String>,
}

/// The results of all tests, in the order of the files.
#[derive(Debug, PartialEq, Serialize)]
pub struct TestResults {
    pub tests: Vec<TestResult>,
    /// How many rules have no tests.
    pub without: usize,
}

impl TestResults {
    pub fn failed(&self) -> usize {
        self.tests.iter().filter(|test| test.differences.is_some()).count()
    }
}

/// Runs the tests of all rules, or of one. Files that tests send are looked for next to their rule file and in `folder`.
pub fn run(ruleset: &Ruleset, folder: &Path, only: Option<&str>) -> TestResults {
    let mut results = TestResults { tests: Vec::new(), without: 0 };
    for rule in ruleset.rules.iter().filter(|rule| only.is_none_or(|name| name == &*rule.name)) {
        results.without += usize::from(rule.tests.is_empty());
        for test in &rule.tests {
            let differences = (Stage { ruleset, rule, folder }).differences(test).unwrap_or_else(|why| Some(format!("    {why:#}\n")));
            let (line, column) = rule.source.locate(&test.path).unwrap_or((1, 1));
            let (rule, file) = (rule.name.clone(), rule.source.name.clone());
            results.tests.push(TestResult { rule, test: test.name.clone(), file, line, column, differences });
        }
    }
    results
}

/// What a rule does with the request of a test. The error says why the test cannot run.
pub fn effects(ruleset: &Ruleset, rule: &Arc<Rule>, test: &Test) -> anyhow::Result<Vec<EffectView>> {
    let stage = Stage { ruleset, rule, folder: Path::new("") };
    let (event, given) = (stage.event(test)?, given(rule, test));
    let saved: Map<String, Value> = given.clone().into_iter().collect();
    let Some(started) = rule.start(&rule.scope(&event, &ruleset.vault, &saved)) else { return Ok(Vec::new()) };
    anyhow::ensure!(started.step != UNDECIDED, "the rule would fail: {}", rule.why_undecided());
    let event = ruleset.sealed(event);
    let (steps, _) = dry_steps_of(Followed { ruleset, rule, start: started.step, given }, &event, &mut Given::of(test));
    let mut views = Vec::new();
    for step in steps {
        match step.what {
            What::Effect { view, .. } => views.push(view),
            What::Failed(why, _) => anyhow::bail!("step {} ({}) would fail: {why}", step.step.number, step.step.title()),
            What::Depends(_) | What::Unknown(_) | What::Skipped(_) | What::NotCalled(_) | What::CalledIf(_) | What::Empty(_) => {}
        }
    }
    Ok(views)
}

/// What another rule gives a rule in a test.
fn given(rule: &Rule, test: &Test) -> Option<(String, Value)> {
    let input = test.send.input.clone()?;
    Some(called::given(Value::Object(input), true, 1, rule.name.to_string(), None))
}

/// The answers of a test, in order; of each kind, the last one is repeated.
struct Given<'t> {
    test: &'t Test,
    /// How many of each kind were given.
    given: Vec<Asks>,
}

impl<'t> Given<'t> {
    fn of(test: &'t Test) -> Self {
        Self { test, given: Vec::new() }
    }
}

impl Replies for Given<'_> {
    fn remembered(&self) -> DryMemory {
        DryMemory { values: self.test.remembered.clone().into_iter().collect(), is_whole: true }
    }

    fn next(&mut self, _: &Rule, _: &Step, asks: Asks) -> Option<MockResponse> {
        let number = self.given.iter().filter(|given| **given == asks).count();
        self.given.push(asks);
        let mut all = self.test.replies.iter().filter(|reply| reply.to == asks);
        let reply = all.clone().nth(number).or_else(|| all.next_back());
        Some(match (reply, asks) {
            (Some(reply), _) => {
                let headers = reply.headers.iter().map(|(n, v)| (n.to_ascii_lowercase(), v.clone())).collect();
                json_reply(reply.status, headers, &reply.body)
            }
            (None, Asks::Response) => json_reply(200, Vec::new(), &Value::Object(Map::new())),
            (None, Asks::Rows) => json_reply(200, Vec::new(), &Value::Array(Vec::new())),
        })
    }
}

struct Stage<'a> {
    ruleset: &'a Ruleset,
    rule: &'a Arc<Rule>,
    folder: &'a Path,
}

impl Stage<'_> {
    /// The differences from what is expected, as lines; `None` if there are none.
    fn differences(&self, test: &Test) -> anyhow::Result<Option<String>> {
        if let (Some(timetable), Some(text)) = (&self.rule.timetable, &test.send.planned) {
            let planned = timetable.read(text).map_err(anyhow::Error::msg)?;
            if !timetable.has(planned) {
                // That it does not start then may be what the test shows.
                return Ok((!test.expect.is_empty()).then(|| format!("    {}\n", not_a_moment(timetable, text, planned))));
            }
        }
        let event = self.event(test)?;
        let given = given(self.rule, test);
        let saved: Map<String, Value> = given.clone().into_iter().collect();
        let scope = self.rule.scope(&event, &self.ruleset.vault, &saved);
        let Some(started) = self.rule.start(&scope) else {
            if test.expect.is_empty() {
                return Ok(None);
            }
            // A test has no secrets, only their names.
            let lines = trace::explain(&self.rule.condition, &scope, &Vault::default(), true);
            return Ok(Some(format!("    the rule did not run:\n{}", trace::aligned(&lines, 8))));
        };
        if started.step == UNDECIDED {
            return Ok(Some(format!("    the rule would fail: {}\n", self.rule.why_undecided())));
        }
        let event = self.ruleset.sealed(event);
        let followed = Followed { ruleset: self.ruleset, rule: self.rule, start: started.step, given };
        let (dry_steps, _) = dry_steps_of(followed, &event, &mut Given::of(test));
        let is_quiet = |verb: &str| kind_of(verb).is_some_and(|kind| kind.is_quiet()) && test.expect.iter().all(|e| e.verb != verb);
        let mut got: Vec<EffectView> = Vec::new();
        let mut failed: Vec<String> = Vec::new();
        for dry_step in dry_steps {
            match dry_step.what {
                What::Effect { view, .. } if is_quiet(&view.verb) => {}
                What::Effect { view, .. } => got.push(view),
                What::Failed(why, _) => {
                    let whose = if dry_step.depth > 0 { format!(" of `{}`", dry_step.rule.name) } else { String::new() };
                    failed.push(format!("    step {} ({}){whose} would fail: {why}\n", dry_step.step.number, dry_step.step.title()))
                }
                What::Depends(_) | What::Unknown(_) | What::Skipped(_) | What::NotCalled(_) | What::CalledIf(_) | What::Empty(_) => {}
            }
        }
        let same = got.len() == test.expect.len() && got.iter().zip(&test.expect).all(|(g, e)| compared(e, g).iter().all(|(l, r)| l == r));
        if same {
            return Ok(None);
        }
        let mut out = failed.concat();
        out.push_str(&format!("      {:WIDTH$} got\n", "expected"));
        for n in 0..got.len().max(test.expect.len()) {
            for (left, right) in pair(test.expect.get(n), got.get(n)) {
                let mark = if left == right { ' ' } else { '≠' };
                let line = format!("    {mark} {:WIDTH$} {}", short(&left, WIDTH), short(&right, 120));
                out.push_str(line.trim_end());
                out.push('\n');
            }
        }
        Ok(Some(out))
    }

    /// The event that a test sends.
    fn event(&self, test: &Test) -> anyhow::Result<Event> {
        if let (Some(timetable), Some(text)) = (&self.rule.timetable, &test.send.planned) {
            return self.moment(timetable, text, test.send.missed);
        }
        if let (Some(of), Some(details)) = (&self.rule.failed, &test.send.failed) {
            return self.failure(of, details);
        }
        if let (Some(silence), Some(given)) = (&self.rule.silence, &test.send.silent) {
            let received = Timestamp::from_second(NOW)?;
            return Ok(made::sample_silence(self.rule, silence, given, EventId::new(received, [0; 10]), received));
        }
        if test.send.input.is_some() {
            // What the event of the caller is does not matter.
            let received = Timestamp::from_second(NOW)?;
            return Ok(Event { id: EventId::new(received, [0; 10]), received, ..Event::nobody() });
        }
        let Some(when) = self.rule.when.first() else {
            anyhow::bail!("write the moment at which it starts: send: {{ planned: 2026-03-02T09:00 }}");
        };
        let path = match (&test.send.path, when.route.literal()) {
            (Some(path), _) => path.clone(),
            (None, Some(path)) => path,
            (None, None) => {
                anyhow::bail!("write which address to call: send: {{ path: {} }}, with a value for each {{ }}", when.route.text())
            }
        };
        let (path, query) = path.split_once('?').unwrap_or((&path, ""));
        if !self.rule.when.iter().any(|w| w.route.fit(route::normal(&route::decode(path))).is_some()) {
            anyhow::bail!("the path {path} does not match the rule's address {}", when.route.text());
        }
        let mut pairs = form_urlencoded::Serializer::new(query.to_owned());
        pairs.extend_pairs(&test.send.query);
        let (kind, body) = match &test.send.body {
            Body::Nothing => ("", Vec::new()),
            Body::Json(value) => ("application/json", value.to_string().into_bytes()),
            Body::Form(fields) => (
                "application/x-www-form-urlencoded",
                form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish().into_bytes(),
            ),
            Body::Text(text) => ("text/plain; charset=utf-8", text.clone().into_bytes()),
            Body::File(name) => (content_type(name), self.file(name)?),
        };
        let mut headers: Vec<(String, String)> = test.send.headers.iter().map(|(n, v)| (n.to_ascii_lowercase(), v.clone())).collect();
        if !kind.is_empty() && !headers.iter().any(|(n, _)| n == "content-type") {
            headers.push(("content-type".into(), kind.into()));
        }
        let method = match (&test.send.method, &when.methods) {
            (Some(method), _) => method.clone(),
            (None, Some(methods)) => methods[0].clone(),
            (None, None) => "POST".into(),
        };
        let received = Timestamp::from_second(NOW)?;
        let ip = "127.0.0.1".to_owned();
        let request = Request {
            method,
            path: route::decode(path),
            target: path.to_owned(),
            query: pairs.finish(),
            headers,
            ip,
            body: body.into(),
            received,
        };
        let (id, sender) = (EventId::new(received, [0; 10]), test.send.sender.as_ref().map(|(name, _)| name.as_str()));
        let Some(address) = self.ruleset.address(&request.path) else {
            // Only rules that are switched off use it, so nobody listens there.
            let event = Guard::open().admit_unproven(request, None, id).map_err(anyhow::Error::msg)?;
            return Ok(Event { sender: sender.map(Into::into), ..event });
        };
        let event = address.guard.admit_unproven(request, sender, id).map_err(anyhow::Error::msg)?;
        let senders = address.guard.senders();
        if event.sender.is_none() && senders.len() > 1 && self.rule.reads_sender() {
            anyhow::bail!("write who sends it, such as send: {{ sender: {} }}; its senders: {}", senders[0], senders.join(", "));
        }
        Ok(event)
    }

    /// The event of a failure of a rule that this one is told of.
    fn failure(&self, of: &FailedRules, details: &Map<String, Value>) -> anyhow::Result<Event> {
        let failed = details.get("rule").and_then(Value::as_str).unwrap_or_else(|| of.example());
        anyhow::ensure!(of.include(failed, &self.rule.name), "a failed run of `{failed}` does not start this rule");
        let mut body = made::sample_failure(failed);
        body.extend(details.clone());
        let received = Timestamp::from_second(NOW)?;
        Ok(made::failure(failed, body, EventId::new(received, [0; 10]), received))
    }

    /// The event of a moment.
    fn moment(&self, timetable: &Timetable, text: &str, missed: u64) -> anyhow::Result<Event> {
        let planned = timetable.read(text).map_err(anyhow::Error::msg)?;
        let start = Start { planned, previous: None, missed: missed as usize, is_by_hand: false };
        Ok(made::moment(self.rule, timetable, start, EventId::new(planned, [0; 10]), planned))
    }

    /// A file that a test sends; its path is relative to the rule file.
    fn file(&self, name: &str) -> anyhow::Result<Vec<u8>> {
        let base = if self.folder.is_dir() { self.folder } else { self.folder.parent().unwrap_or(Path::new("")) };
        let below = Path::new(&self.rule.source.name).parent().unwrap_or(Path::new(""));
        let candidates = [below.join(name), base.join(below).join(name), base.join(name)];
        let found = candidates.iter().find(|p| p.is_file());
        let path = found.ok_or_else(|| anyhow::anyhow!("the file {name} does not exist next to the rule file"))?;
        Ok(std::fs::read(path)?)
    }
}

fn content_type(name: &str) -> &'static str {
    match Path::new(name).extension().and_then(|e| e.to_str()) {
        Some("xml") => "application/xml",
        Some("form") => "application/x-www-form-urlencoded",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/json",
    }
}

/// Lines in two columns.
fn pair(expected: Option<&Expected>, got: Option<&EffectView>) -> Vec<(String, String)> {
    match (expected, got) {
        (Some(expected), Some(got)) => compared(expected, got),
        (Some(expected), None) => {
            let head = [format!("{}: {}", expected.verb, expected.what)].into_iter();
            head.chain(expected.fields.iter().flat_map(|(n, v)| lines(n, v))).map(|l| (l, String::new())).collect()
        }
        (None, Some(got)) => {
            let body = got.fields.iter().filter(|(n, _)| *n != "headers").flat_map(|(n, v)| lines(n, v));
            [format!("{}: {}", got.verb, got.what)].into_iter().chain(body).map(|l| (String::new(), l)).collect()
        }
        (None, None) => Vec::new(),
    }
}

/// What was expected next to what would be done, line by line, with equal lines aligned.
fn compared(expected: &Expected, got: &EffectView) -> Vec<(String, String)> {
    let mut out = vec![(format!("{}: {}", expected.verb, expected.what), format!("{}: {}", got.verb, got.what))];
    for (name, wanted) in &expected.fields {
        let key = if name == "json_has" { "json" } else { name };
        let found = got.fields.get(key);
        let same = match (name.as_str(), found) {
            (_, None) => false,
            ("json_has", Some(found)) => has(found, wanted),
            ("headers", Some(found)) => has(found, &lowered(wanted)),
            ("files", Some(found)) => has(found, &as_files(wanted)),
            ("form", Some(found)) => spelled(found) == spelled(wanted),
            (_, Some(found)) => is(found, wanted),
        };
        let left = lines(name, wanted);
        if same {
            out.extend(left.into_iter().map(|l| (l.clone(), l)));
            continue;
        }
        let right = found.map_or_else(|| vec![format!("(no {key})")], |f| lines(key, f));
        for n in 0..left.len().max(right.len()) {
            out.push((left.get(n).cloned().unwrap_or_default(), right.get(n).cloned().unwrap_or_default()));
        }
    }
    out
}

/// A field as lines: short ones on one line, others with a line for each name.
fn lines(name: &str, value: &Value) -> Vec<String> {
    let short = match value {
        Value::String(text) if !text.contains('\n') => format!("{name}: {text}"),
        other => format!("{name}: {other}"),
    };
    if short.chars().count() <= WIDTH {
        return vec![short];
    }
    let pretty = match value {
        Value::String(text) => text.clone(),
        other => serde_json::to_string_pretty(other).unwrap_or_default(),
    };
    [format!("{name}:")].into_iter().chain(pretty.lines().map(|l| format!("  {l}"))).collect()
}

/// Whether two values are equal; numbers are compared by value.
fn is(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Number(a), Value::Number(b)) => number::canonical(&a.to_string()) == number::canonical(&b.to_string()),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is(a, b)),
        (Value::Object(a), Value::Object(b)) => a.len() == b.len() && b.iter().all(|(k, b)| a.get(k).is_some_and(|a| is(a, b))),
        (a, b) => a == b,
    }
}

/// Whether everything that is expected is present.
fn has(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| has(a, b)),
        (Value::Object(a), Value::Object(b)) => b.iter().all(|(k, b)| a.get(k).is_some_and(|a| has(a, b))),
        (a, b) => is(a, b),
    }
}

/// Files of which only the name is written.
fn as_files(wanted: &Value) -> Value {
    let file = |value: &Value| if value.is_string() { json!({ "file": value }) } else { value.clone() };
    let files = |value: &Value| if let Value::Array(all) = value { all.iter().map(file).collect() } else { file(value) };
    match wanted {
        Value::Object(map) => Value::Object(map.iter().map(|(name, value)| (name.clone(), files(value))).collect()),
        other => other.clone(),
    }
}

/// Header names in lower case, values as text.
fn lowered(headers: &Value) -> Value {
    let Value::Object(map) = headers else { return headers.clone() };
    map.iter().map(|(n, v)| (n.to_ascii_lowercase(), spelled(v))).collect::<Map<_, _>>().into()
}

/// Values as a form encodes them.
fn spelled(value: &Value) -> Value {
    match value {
        Value::Object(map) => map.iter().map(|(n, v)| (n.clone(), spelled(v))).collect::<Map<_, _>>().into(),
        Value::Array(list) => list.iter().map(spelled).collect(),
        Value::String(_) | Value::Null => value.clone(),
        other => Value::String(other.to_string()),
    }
}
