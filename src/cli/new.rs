//! `doorbell new`: a commented rule to begin with: one of the recipes, or one made of a webhook that came in, with a test
//! that holds it.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use jiff::Timestamp;
use serde_json::Value;

use super::Ended;
use super::settings::Data;
use crate::event::{Event, EventId};
use crate::field::Field;
use crate::problem::nearest;
use crate::template::spell;

/// The recipes that ship, by the name of their file.
const RECIPES: [(&str, &str); 16] = [
    ("alerts-in-one-message", include_str!("../../rules/alerts-in-one-message.yaml")),
    ("bad-rating-to-the-boss", include_str!("../../rules/bad-rating-to-the-boss.yaml")),
    ("bookings-in-a-sheet", include_str!("../../rules/bookings-in-a-sheet.yaml")),
    ("chat-slash-command", include_str!("../../rules/chat-slash-command.yaml")),
    ("contact-form", include_str!("../../rules/contact-form.yaml")),
    ("customers-up-to-date", include_str!("../../rules/customers-up-to-date.yaml")),
    ("failed-payment-to-chat", include_str!("../../rules/failed-payment-to-chat.yaml")),
    ("github-push-to-chat", include_str!("../../rules/github-push-to-chat.yaml")),
    ("low-stock-reminder", include_str!("../../rules/low-stock-reminder.yaml")),
    ("new-customer", include_str!("../../rules/new-customer.yaml")),
    ("newsletter-signup", include_str!("../../rules/newsletter-signup.yaml")),
    ("order-items-to-rows", include_str!("../../rules/order-items-to-rows.yaml")),
    ("order-to-another-app", include_str!("../../rules/order-to-another-app.yaml")),
    ("release-to-two-places", include_str!("../../rules/release-to-two-places.yaml")),
    ("survey-answers-to-sheet", include_str!("../../rules/survey-answers-to-sheet.yaml")),
    ("website-down", include_str!("../../rules/website-down.yaml")),
];

/// Headers that tell who sent a webhook, and how that sender is verified.
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
/// Fields that say what kind of event it is, and those that are worth writing down, the best first.
const TELLING: [&str; 6] = ["type", "event", "event_type", "action", "status", "state"];
const WORTH: [&str; 12] =
    ["id", "number", "order_id", "reference", "email", "name", "title", "subject", "total", "amount", "message", "url"];
/// The longest value that is written into a line.
const LONGEST: usize = 60;

#[derive(Args)]
#[command(
    after_help = "Examples: doorbell new\n          doorbell new contact-form --to rules/contact.yaml\n          doorbell new --event 0192f3c1 --to rules/orders.yaml"
)]
pub struct New {
    /// A recipe; without one, they are listed
    recipe: Option<String>,
    /// Make a rule of this event: its id, or its beginning
    #[arg(long, value_name = "EVENT", conflicts_with_all = ["recipe", "from"])]
    event: Option<String>,
    /// Make a rule of the body in this file
    #[arg(long, value_name = "FILE", requires = "path", conflicts_with = "recipe")]
    from: Option<PathBuf>,
    /// The address that the file came to
    #[arg(long, value_name = "PATH")]
    path: Option<String>,
    /// A header that came with the file, `Name: value`; can be given several times
    #[arg(long = "header", value_name = "HEADER")]
    headers: Vec<String>,
    /// Write it into this file, which must not be there yet
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    #[command(flatten)]
    data: Data,
}

impl New {
    pub fn run(self) -> anyhow::Result<Ended> {
        let text = match (&self.recipe, &self.event, &self.from) {
            (Some(name), ..) => recipe(name)?.to_owned(),
            (_, Some(event), _) => {
                let records = self.data.records()?;
                let id = records.ask(|r| r.find(event))?;
                let event = records.ask(|r| r.dossier(id))?.event;
                made_of(&event, &format!("the event {}", event.id))
            }
            (.., Some(file)) => {
                let body = std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
                made_of(&self.read(body)?, &format!("{}", file.display()))
            }
            _ => return list(),
        };
        match &self.to {
            None => write!(std::io::stdout().lock(), "{text}")?,
            Some(to) => {
                let mut file = std::fs::File::create_new(to).with_context(|| format!("{} cannot be made", to.display()))?;
                file.write_all(text.as_bytes())?;
                writeln!(std::io::stdout().lock(), "{} is made; look at it, then: doorbell test {}", to.display(), to.display())?;
            }
        }
        Ok(Ended::Good)
    }

    fn read(&self, body: Vec<u8>) -> anyhow::Result<Event> {
        let mut headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        for header in &self.headers {
            let (name, value) = header.split_once(':').with_context(|| format!("a header is written `Name: value`, not `{header}`"))?;
            let name = name.trim().to_ascii_lowercase();
            headers.retain(|(n, _)| *n != name);
            headers.push((name, value.trim().to_owned()));
        }
        let kind = headers.iter().find(|(n, _)| n == "content-type").map(|(_, v)| v.clone());
        let body_value = crate::body::read(kind.as_deref(), &body).map_err(|e| anyhow::anyhow!(e.why))?;
        let address = self.path.clone().unwrap_or_default();
        anyhow::ensure!(address.starts_with('/'), "an address begins with a slash, such as /orders");
        let received = Timestamp::now();
        let mut event = Event::nobody();
        event.id = EventId::new(received, [0; 10]);
        (event.method, event.address, event.headers, event.raw, event.body) = ("POST".into(), address, headers, body.into(), body_value);
        Ok(event)
    }
}

fn recipe(name: &str) -> anyhow::Result<&'static str> {
    let plain = name.trim_end_matches(".yaml");
    match RECIPES.iter().find(|(n, _)| *n == plain) {
        Some((_, text)) => Ok(text),
        None => {
            let near = nearest(plain, RECIPES.iter().map(|(n, _)| *n)).map_or_else(String::new, |n| format!("; did you mean {n}?"));
            anyhow::bail!("no recipe is called `{name}`{near} `doorbell new` lists them")
        }
    }
}

fn list() -> anyhow::Result<Ended> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "Recipes:\n")?;
    for (name, text) in RECIPES {
        let comment: Vec<&str> = text.lines().skip(1).map_while(|l| l.strip_prefix("# ")).collect();
        let first = comment.join(" ").split_inclusive(". ").next().unwrap_or("").trim_end().to_owned();
        writeln!(out, "  {name:24} {}", crate::condition::trace::short(&first, 110))?;
    }
    writeln!(out, "\ndoorbell new NAME prints one, --to FILE writes it; --event makes one of a webhook that came in")?;
    Ok(Ended::Good)
}

/// A rule for events like this one.
fn made_of(event: &Event, from: &str) -> String {
    let kind = event.headers.iter().find(|(n, _)| KINDS.contains(&n.as_str()));
    let sender = SENDERS.iter().find(|(header, ..)| event.headers.iter().any(|(n, _)| n == header));
    let sender = sender.filter(|(h, ..)| {
        *h != "authorization" || event.header("authorization").is_some_and(|v| v.as_str().is_some_and(|t| t.starts_with("Bearer ")))
    });
    let fields = fields(&event.body);
    let telling = TELLING.iter().find_map(|t| fields.iter().find(|(f, v)| f == &format!("body.{t}") && v.is_string()));
    let says = |v: &Value| spell(v).is_some_and(|t| !t.trim().is_empty());
    let named = |word: &str| fields.iter().find(|(f, v)| f.ends_with(&format!(".{word}")) && says(v));
    let mut worth: Vec<&(String, Value)> = WORTH.iter().filter_map(|w| named(w)).take(3).collect();
    if worth.is_empty() {
        worth.extend(fields.iter().filter(|(_, v)| says(v)).take(3));
    }
    let name = event.address.trim_matches('/').replace(['/', '-', '_'], " ");
    let file = name.split(' ').next_back().filter(|n| !n.is_empty()).unwrap_or("events").to_owned();
    let quoted = |text: &str| Value::from(text).to_string();
    let mut out = String::from("# yaml-language-server: $schema=doorbell.schema.json\n");
    out += &format!("# Made of {from}. What came in can be named in conditions and in {{{{ }}}}:\n");
    for (field, value) in fields.iter().take(25) {
        out += &format!("#   {field} = {}\n", crate::condition::trace::short(&value.to_string(), LONGEST));
    }
    if fields.len() > 25 {
        out += &format!("#   … and {} more\n", fields.len() - 25);
    }
    out += &format!("\nwebhooks:\n  {}:\n", quoted(&event.address));
    match sender {
        Some((_, name, verify)) => out += &format!("    verify: {verify}   # it looks like {name}\n"),
        None => {
            out += "    verify: none   # anyone can ring; better: { bearer: \"{{ secret.NAME }}\" } or { token: { header: X-Token, value: … } }\n"
        }
    }
    out += &format!(
        "\nrules:\n  {}:\n    when: {{ webhook: {} }}\n",
        quoted(&format!("What comes to {}", event.address)),
        quoted(&event.address)
    );
    if kind.is_some() || telling.is_some() {
        out += "    if:                        # all lines must hold; take out what does not matter\n";
        if let Some((header, value)) = kind {
            out += &format!("      header.{header}: {}\n", quoted(value));
        }
        if let Some((field, value)) = telling {
            out += &format!("      {field}: {value}\n");
        }
    }
    let shown: Vec<String> = worth.iter().map(|(f, _)| format!("{{{{ {f} }}}}")).collect();
    out += &format!(
        "    then:\n      - append: {file}.log\n        text: {}\n",
        quoted(&format!("{{{{ now }}}} {}", shown.join(" ")).trim_end().replace('"', "'"))
    );
    out += "    tests:\n      - name: what it was made of\n        send:\n";
    if let Some((header, value)) = kind {
        out += &format!("          headers: {{ {header}: {} }}\n", quoted(value));
    }
    let pretty = serde_json::to_string_pretty(&event.body).unwrap_or_default().replace('\n', "\n          ");
    out += &match &event.body {
        Value::Null => String::new(),
        Value::String(text) => format!("          text: {}\n", quoted(text)),
        _ => format!("          json: {pretty}\n"),
    };
    if event.body.is_null() && kind.is_none() {
        out += "          headers: {}\n";
    }
    let line: Vec<String> = worth.iter().map(|(_, v)| spell(v).map_or_else(String::new, |t| t.replace(['\n', '\r'], " "))).collect();
    let expected = format!("2030-01-01T00:00:00Z {}", line.join(" "));
    out += &format!("        expect:\n          - append: {file}.log\n            text: {}\n", quoted(expected.trim_end()));
    out
}

/// Every single value of a body, by its field.
fn fields(body: &Value) -> Vec<(String, Value)> {
    fn walk(at: &str, value: &Value, out: &mut Vec<(String, Value)>) {
        match value {
            Value::Object(map) => {
                for (name, value) in map {
                    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-') && !name.is_empty();
                    let field = if plain { format!("{at}.{name}") } else { format!("{at}['{name}']") };
                    if Field::read(&field).is_ok() {
                        walk(&field, value, out);
                    }
                }
            }
            Value::Array(list) => {
                if let Some(first) = list.first() {
                    walk(&format!("{at}[0]"), first, out);
                }
            }
            one => out.push((at.to_owned(), one.clone())),
        }
    }
    let mut out = Vec::new();
    if body.is_object() || body.is_array() {
        walk("body", body, &mut out);
    }
    out
}
