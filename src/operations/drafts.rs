//! Drafts of rules, as values: a rule generated from a received webhook, with a test for it. The caller writes the text to a
//! file. Rules for common apps are in [`super::recipes`].

use serde::Serialize;
use serde_json::Value;

use super::event_fields::fields;
use super::neighbours::Neighbours;
use crate::body;
use crate::expr::spell::spell;
use crate::model::event::Event;
use crate::text::printable::short;

/// Headers that identify the sender, and how to verify it.
const SENDERS: [(&str, &str, &str); 6] = [
    ("x-github-event", "GitHub", "{ github: \"{{ secret.GITHUB_WEBHOOK }}\" }"),
    ("x-gitlab-token", "GitLab", "{ token: { header: X-Gitlab-Token, value: \"{{ secret.GITLAB_TOKEN }}\" } }"),
    (
        "x-telegram-bot-api-secret-token",
        "Telegram",
        "{ token: { header: X-Telegram-Bot-Api-Secret-Token, value: \"{{ secret.TELEGRAM_TOKEN }}\" } }",
    ),
    ("x-token", "this sender", "{ token: { header: X-Token, value: \"{{ secret.SENDER_TOKEN }}\" } }"),
    ("x-api-key", "this sender", "{ token: { header: X-Api-Key, value: \"{{ secret.SENDER_KEY }}\" } }"),
    ("authorization", "this sender", "{ bearer: \"{{ secret.SENDER_TOKEN }}\" }"),
];
/// Headers that say what kind of event it is.
const KINDS: [&str; 5] = ["x-github-event", "x-gitlab-event", "x-event-key", "x-shopify-topic", "x-event"];
/// Fields that say what kind of event it is, and fields worth logging, the best first.
const TELLING: [&str; 6] = ["type", "event", "event_type", "action", "status", "state"];
const WORTH: [&str; 12] =
    ["id", "number", "order_id", "reference", "email", "name", "title", "subject", "total", "amount", "message", "url"];
/// The maximum length of a value that is written into a line.
const LONGEST: usize = 60;

/// The maximum number of values of a body that are looked at.
const MOST_READ: usize = 10_000;
/// The maximum number of fields that are listed above a rule.
const MOST_LISTED: usize = 25;
/// The maximum number of fields that are written into a line.
const MOST_WORTH: usize = 3;
/// The value of `now` in the test of a rule.
const TEST_NOW: &str = "2030-01-01T00:00:00Z";
/// The log and file name for a rule whose address has no usable name.
const UNNAMED: &str = "events";

/// A rule to start from.
#[derive(Debug, Serialize)]
pub struct Draft {
    /// The whole rule file.
    pub text: String,
    /// A suggested file name in the rules folder.
    pub file: String,
}

/// The parts of a webhook that are needed to make a rule.
pub struct Sample {
    address: String,
    /// Names in lower case.
    headers: Vec<(String, String)>,
    body: Value,
}

impl Sample {
    /// A webhook sent to an address. If a header is repeated, the last one counts; a body without a `content-type` is
    /// read as JSON. The error is a message for people.
    pub fn read(address: &str, headers: Vec<(String, String)>, body: &[u8]) -> Result<Self, String> {
        let mut kept: Vec<(String, String)> = vec![("content-type".to_owned(), "application/json".to_owned())];
        for (name, value) in headers {
            kept.retain(|(n, _)| *n != name);
            kept.push((name, value));
        }
        let kind = kept.iter().find(|(n, _)| n == "content-type").map(|(_, v)| v.as_str());
        let body = body::read(kind, body).map_err(|e| e.why)?;
        if !address.starts_with('/') {
            return Err("an address begins with a slash, such as /orders".to_owned());
        }
        Ok(Self { address: address.to_owned(), headers: kept, body })
    }

    /// The sender, if a header identifies it, and how to verify it.
    fn sender(&self) -> Option<(&'static str, &'static str)> {
        let (header, name, verify) = SENDERS.into_iter().find(|(header, ..)| self.headers.iter().any(|(n, _)| n == header))?;
        (header != "authorization" || self.has_bearer()).then_some((name, verify))
    }

    fn has_bearer(&self) -> bool {
        let mut all = self.headers.iter().filter(|(n, _)| n == "authorization");
        all.next().is_some_and(|(_, value)| value.starts_with("Bearer ")) && all.next().is_none()
    }
}

impl From<Event> for Sample {
    fn from(event: Event) -> Self {
        Self { address: event.address, headers: event.headers, body: event.body }
    }
}

/// Generates a rule for webhooks like this one, which fits next to other rule files: what they already say about the address
/// is not repeated. `from` names the webhook in the rule's comment.
pub fn draft(sample: &Sample, from: &str, neighbours: &Neighbours) -> Draft {
    let fields = fields(&sample.body, MOST_READ);
    let found = Findings::of(sample, &fields, neighbours);
    let webhook = if found.is_described { String::new() } else { found.webhook() };
    let text = [found.head(from), webhook, found.rule(), found.test()].concat();
    Draft { text, file: format!("{}.yaml", file_name(&found.log)) }
}

/// Only the letters and digits of a name, because an address can contain anything.
fn file_name(name: &str) -> String {
    let plain: String = name.chars().filter(|c| c.is_alphanumeric()).collect();
    if plain.is_empty() { UNNAMED.to_owned() } else { plain }
}

/// What the generated rule is made from.
struct Findings<'s> {
    sample: &'s Sample,
    /// The address as the rule writes it: another file may have placeholders in it.
    address: &'s str,
    /// Whether another file says who may call it.
    is_described: bool,
    /// The name of the rule.
    title: String,
    /// Every single value of the body, by its field.
    fields: &'s [(String, Value)],
    /// The header and the field that identify the kind of event.
    kind: Option<&'s (String, String)>,
    telling: Option<&'s (String, Value)>,
    /// Fields worth logging.
    worth: Vec<&'s (String, Value)>,
    /// The log that the rule writes to, without `.log`.
    log: String,
}

impl<'s> Findings<'s> {
    fn of(sample: &'s Sample, fields: &'s [(String, Value)], neighbours: &'s Neighbours) -> Self {
        let name = words_of(&sample.address);
        let (address, is_described) =
            neighbours.address(&sample.address).map_or((sample.address.as_str(), false), |(route, is)| (route.text(), is));
        Self {
            sample,
            address,
            is_described,
            title: neighbours.free_name(&format!("Webhooks at {}", sample.address)),
            fields,
            kind: sample.headers.iter().find(|(n, _)| KINDS.contains(&n.as_str())),
            telling: TELLING.iter().find_map(|t| fields.iter().find(|(f, v)| f == &format!("body.{t}") && v.is_string())),
            worth: worth(fields),
            log: name.split(' ').next_back().filter(|n| !n.is_empty()).unwrap_or(UNNAMED).to_owned(),
        }
    }

    /// The comment above the rule: where it is from, and which fields can be used.
    fn head(&self, from: &str) -> String {
        let mut out = String::from("# yaml-language-server: $schema=doorbell.schema.json\n");
        out += &format!("# Created from {from}. Use these fields in conditions and in {{{{ }}}}:\n");
        for (field, value) in self.fields.iter().take(MOST_LISTED) {
            out += &format!("#   {field} = {}\n", short(&value.to_string(), LONGEST));
        }
        if self.fields.len() > MOST_LISTED {
            out += &format!("#   … and {} more\n", self.fields.len() - MOST_LISTED);
        }
        out
    }

    /// The address, and how its sender is verified.
    fn webhook(&self) -> String {
        let verify = match self.sample.sender() {
            Some((name, verify)) => format!("{verify}   # it looks like {name}"),
            None => {
                "none   # anyone can call this address; better: { bearer: \"{{ secret.NAME }}\" } or { token: { header: X-Token, value: … } }".to_owned()
            }
        };
        format!("\nwebhooks:\n  {}:\n    verify: {verify}\n", quoted(self.address))
    }

    fn rule(&self) -> String {
        let (title, address) = (quoted(&self.title), quoted(self.address));
        let mut out = format!("\nrules:\n  {title}:\n    when: {{ webhook: {address} }}\n");
        if self.kind.is_some() || self.telling.is_some() {
            out += "    if:                        # all lines must be true; remove those that do not matter\n";
        }
        if let Some((header, value)) = self.kind {
            out += &format!("      header.{header}: {}\n", quoted(value));
        }
        if let Some((field, value)) = self.telling {
            out += &format!("      {field}: {value}\n");
        }
        let shown: Vec<String> = self.worth.iter().map(|(f, _)| format!("{{{{ {f} }}}}")).collect();
        let line = format!("{{{{ now }}}} {}", shown.join(" "));
        out + &format!("    then:\n      - append: {}.log\n        text: {}\n", self.log, quoted(&line.trim_end().replace('"', "'")))
    }

    /// The sample as a test of the rule, and the line that it writes.
    fn test(&self) -> String {
        let body = &self.sample.body;
        let mut out = "    tests:\n      - name: the webhook that this rule was created from\n        send:\n".to_owned();
        if let Some((header, value)) = self.kind {
            out += &format!("          headers: {{ {header}: {} }}\n", quoted(value));
        }
        let has_path = self.address != self.sample.address;
        if has_path {
            out += &format!("          path: {}\n", quoted(&self.sample.address));
        }
        out += &match body {
            Value::Null if self.kind.is_none() && !has_path => "          headers: {}\n".to_owned(),
            Value::Null => String::new(),
            Value::String(text) => format!("          text: {}\n", quoted(text)),
            other => {
                let pretty = serde_json::to_string_pretty(other).unwrap_or_default();
                format!("          json: {}\n", pretty.replace('\n', "\n          "))
            }
        };
        let written: Vec<String> =
            self.worth.iter().map(|(_, v)| spell(v).map_or_else(String::new, |t| t.replace(['\n', '\r'], " "))).collect();
        let line = format!("{TEST_NOW} {}", written.join(" "));
        out + &format!("        expect:\n          - append: {}.log\n            text: {}\n", self.log, quoted(line.trim_end()))
    }
}

/// An address as words: `/shop/new-orders` is `shop new orders`.
fn words_of(address: &str) -> String {
    address.trim_matches('/').replace(['/', '-', '_'], " ")
}

/// Quoted text, for YAML.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// The fields worth logging: the best known ones, else the first.
fn worth(fields: &[(String, Value)]) -> Vec<&(String, Value)> {
    let has_text = |value: &Value| spell(value).is_some_and(|t| !t.trim().is_empty());
    let named = |word: &str| fields.iter().find(|(f, v)| f.ends_with(&format!(".{word}")) && has_text(v));
    let best: Vec<_> = WORTH.iter().filter_map(|w| named(w)).take(MOST_WORTH).collect();
    if best.is_empty() { fields.iter().filter(|(_, v)| has_text(v)).take(MOST_WORTH).collect() } else { best }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(address: &str, headers: &[(&str, &str)], body: &str) -> Result<Sample, String> {
        Sample::read(address, headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(), body.as_bytes())
    }

    #[test]
    fn a_draft_has_a_valid_file_name() {
        let file = |address| draft(&sample(address, &[], "{}").unwrap(), "a test", &Neighbours::default()).file;
        for (address, expected) in
            [("/shop/new-orders/", "orders.yaml"), ("/", "events.yaml"), ("/a/..", "events.yaml"), ("/é:*", "é.yaml")]
        {
            assert_eq!(file(address), expected, "{address}");
        }
    }

    #[test]
    fn the_last_header_of_a_name_counts_and_a_body_is_json_by_default() {
        let headers = [("x-event", "a"), ("authorization", "Basic eA=="), ("x-event", "b")];
        let read = sample("/a", &headers, r#"{"id": 1}"#).unwrap();
        let text = draft(&read, "a test", &Neighbours::default()).text;
        assert!(text.contains("header.x-event: \"b\"") && text.contains("body.id = 1"), "{text}");
        assert!(text.contains("verify: none"), "Basic is not a bearer token: {text}");
        assert!(sample("/a", &[("content-type", "text/plain")], "{").is_ok_and(|s| s.body == "{"));
        assert!(sample("/a", &[], "{").is_err() && sample("a", &[], "{}").is_err());
    }
}
