//! `email: ADDRESS` sends a message through a connection with `smtp:`.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use super::message::Message;
use super::not_sent::NotSent;
use super::server::send;
use crate::action::attempt_context::AttemptContext;
use crate::action::connections::{Connection, Role};
use crate::action::contract::{Action, ConnectionUse, Effect, EffectView, Kind, Performing};
use crate::action::files::attached::{Attached, AttachedFile};
use crate::action::mailbox;
use crate::action::world::World;
use crate::expr::field::Field;
use crate::expr::names::Names;
use crate::expr::scope::Scope;
use crate::expr::template::data::Data;
use crate::expr::template::{Destination, Template, Unrendered};
use crate::model::outcome::{Outcome, Success};
use crate::text::word::{Shape, Word};
use crate::yaml::Node;
use crate::yaml::fields::{Fields, Item};
use crate::yaml::locate::Path;

pub struct Email;

const SUBJECT: Word = Word { name: "subject", shape: Shape::Text, does: "the subject" };
const TEXT: Word = Word { name: "text", shape: Shape::Text, does: "the message, as text" };
const HTML: Word = Word { name: "html", shape: Shape::Text, does: "the message, as HTML; values are escaped" };
const CC: Word = Word { name: "cc", shape: Shape::List, does: "who gets a copy" };
const BCC: Word = Word { name: "bcc", shape: Shape::List, does: "who gets a copy that the others do not see" };
const REPLY_TO: Word = Word { name: "reply_to", shape: Shape::Text, does: "where answers go" };
const USING: Word = Word { name: "using", shape: Shape::Text, does: "the connection that is used" };
/// How long a run waits before it looks again whether its connection is back.
const GONE: Duration = Duration::from_secs(10);
/// How many recipients a message may have.
const MOST_RECIPIENTS: usize = 100;

impl Kind for Email {
    fn verbs(&self) -> &'static [&'static str] {
        &["email"]
    }
    fn does(&self) -> &'static str {
        "sends an e-mail"
    }
    fn value(&self) -> &'static str {
        "the address"
    }
    fn phrase(&self, _: &str) -> &'static str {
        "send an e-mail to"
    }
    fn step_schema(&self, _: &str) -> Value {
        json!({ "required": ["subject", "using"], "properties": { "using": { "type": ["string", "number", "boolean"] } }, "anyOf": [{ "required": ["text"] }, { "required": ["html"] }] })
    }
    fn keys(&self) -> &'static [Word] {
        const KEYS: [Word; 8] =
            [SUBJECT, TEXT, HTML, CC, BCC, REPLY_TO, Word { name: "attach", shape: Shape::Of("files"), does: "files to attach" }, USING];
        &KEYS
    }
    fn expected(&self) -> &'static [Word] {
        const EXPECTED: [Word; 8] =
            [SUBJECT, TEXT, HTML, CC, BCC, REPLY_TO, Word { name: "attach", shape: Shape::List, does: "the attached files" }, USING];
        &EXPECTED
    }
    fn calls(&self) -> bool {
        true
    }
    fn example(&self) -> &'static str {
        "email: ada@example.com\nsubject: \"Order {{ body.id }}\"\ntext: Thank you!\nusing: mail\n"
    }
    fn read(&self, verb: &'static str, fields: &mut Fields, known: &Names) -> Option<Box<dyn Action>> {
        let to = fields.must(verb).and_then(|item| Recipients::read(&item, known));
        let subject = fields.must("subject").and_then(|item| Template::read(&item, Destination::Line, known));
        let text = fields.may("text").map(|item| Template::read(&item, Destination::Plain, known));
        let html = fields.may("html").map(|item| Template::read(&item, Destination::Html, known));
        if !fields.has("text") && !fields.has("html") {
            fields.lacks("text", "the message is missing", "write `text:` or `html:` below it");
        }
        let mut more = |key: &'static str| fields.may(key).map(|item| Recipients::read(&item, known));
        let (cc, bcc, reply_to) = (more("cc"), more("bcc"), more("reply_to"));
        let attach = fields.may("attach").map(|item| Attached::read_all(&item, known));
        let using = fields.must("using").and_then(|item| Some((item.text()?, item.path.clone())));
        fn given<T>(read: Option<Option<T>>) -> Option<Option<T>> {
            read.map_or(Some(None), |read| read.map(Some))
        }
        Some(Box::new(Mailing {
            to: to?,
            cc: given(cc)?,
            bcc: given(bcc)?,
            reply_to: given(reply_to)?,
            subject: subject?,
            text: given(text)?,
            html: given(html)?,
            attach: given(attach)?.unwrap_or_default(),
            using: using?,
        }))
    }
}

/// One address, or a list of them.
struct Recipients(Data);

impl Recipients {
    fn read(item: &Item, known: &Names) -> Option<Self> {
        if let Node::Map(_) = item.node {
            item.problem("an address is text").label("write for example Ada <ada@example.com>").add();
            return None;
        }
        let errors = item.errors();
        for one in item.one_or_many() {
            if let Some(text) = one.text().filter(|text| !text.contains("{{") && !mailbox::is_one(text)) {
                let draft = one.problem(format!("`{text}` is not an e-mail address"));
                match text.contains([',', ';']) {
                    true => draft.label("write several addresses as a list: [ada@example.com, bob@example.com]").add(),
                    false => draft.label("write for example ada@example.com").add(),
                }
            }
        }
        let data = Data::read(item, Destination::Header, known)?;
        (item.errors() == errors).then_some(Self(data))
    }

    /// The addresses for one event; null is nobody.
    fn render(&self, scope: &Scope) -> Result<Vec<String>, Unrendered> {
        let wrong = |message: String| {
            let path = if let Data::Template(template) = &self.0 { template.path().clone() } else { Vec::new() };
            Unrendered { message, path }
        };
        let mut all = Vec::new();
        let mut add = |value: Value| match value {
            Value::Null => Ok(()),
            Value::String(text) if mailbox::is_one(&text) => {
                all.push(text.trim().to_owned());
                Ok(())
            }
            other => {
                let shown = other.as_str().map_or_else(|| other.to_string(), str::to_owned);
                Err(wrong(format!("`{shown}` is not one e-mail address")))
            }
        };
        match self.0.value(scope)? {
            Value::Array(list) => list.into_iter().try_for_each(&mut add)?,
            one => add(one)?,
        }
        Ok(all)
    }
}

struct Mailing {
    to: Recipients,
    cc: Option<Recipients>,
    bcc: Option<Recipients>,
    reply_to: Option<Recipients>,
    subject: Template,
    text: Option<Template>,
    html: Option<Template>,
    attach: Vec<Attached>,
    /// The connection, and where its name is.
    using: (String, Path),
}

impl Action for Mailing {
    fn fields(&self) -> Vec<&Field> {
        let people = [Some(&self.to), self.cc.as_ref(), self.bcc.as_ref(), self.reply_to.as_ref()];
        let people = people.into_iter().flatten().flat_map(|people| people.0.fields());
        let texts = [Some(&self.subject), self.text.as_ref(), self.html.as_ref()].into_iter().flatten().flat_map(Template::fields);
        people.chain(texts).chain(self.attach.iter().flat_map(Attached::fields)).collect()
    }
    fn saved_parts(&self) -> &'static [&'static str] {
        &["id"]
    }
    fn uses(&self) -> Option<ConnectionUse<'_>> {
        let names = vec![(self.using.0.as_str(), &self.using.1)];
        Some(ConnectionUse { verb: "email", names, takes: &[Role::SendsMail], own_login: None, sends_files: None })
    }
    fn render(&self, scope: &Scope) -> Result<Box<dyn Effect>, Unrendered> {
        let people = |people: &Option<Recipients>| people.as_ref().map_or(Ok(Vec::new()), |people| people.render(scope));
        let text = |text: &Option<Template>| text.as_ref().map(|text| text.text(scope)).transpose();
        let (to, cc, bcc) = (self.to.render(scope)?, people(&self.cc)?, people(&self.bcc)?);
        let path = || self.subject.path().clone();
        let count = to.len() + cc.len() + bcc.len();
        if to.is_empty() {
            return Err(Unrendered { message: "there is nobody to send it to".to_owned(), path: path() });
        }
        if count > MOST_RECIPIENTS {
            let message = format!("it would go to {count} addresses; a message goes to {MOST_RECIPIENTS} at most, so use `for_each`");
            return Err(Unrendered { message, path: path() });
        }
        let attach = self.attach.iter().map(|file| file.render(scope)).collect::<Result<Vec<AttachedFile>, _>>()?;
        let message = Message {
            to,
            cc,
            bcc,
            reply_to: people(&self.reply_to)?,
            subject: self.subject.text(scope)?,
            text: text(&self.text)?,
            html: text(&self.html)?,
            attach,
        };
        Ok(Box::new(Mail { message, using: self.using.0.clone() }))
    }
}

struct Mail {
    message: Message,
    using: String,
}

impl Mail {
    fn done(&self, id: &str) -> Outcome {
        let said = format!("sent to {} using {}", self.message.people().collect::<Vec<_>>().join(", "), self.using);
        Outcome::Done(Success { said, output: Some(json!({ "id": id })), ..Success::default() })
    }
}

impl fmt::Display for Mail {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Message { to, cc, bcc, reply_to, subject, text, html, attach } = &self.message;
        write!(f, "email  {}", to.join(", "))?;
        for (name, people) in [("cc", cc), ("bcc", bcc), ("reply_to", reply_to)] {
            if !people.is_empty() {
                write!(f, "\n{name}: {}", people.join(", "))?;
            }
        }
        write!(f, "\nsubject: {subject}")?;
        for file in attach {
            write!(f, "\nattach: {}", file.shown())?;
        }
        [text, html].into_iter().flatten().try_for_each(|text| write!(f, "\n{text}"))
    }
}

impl Effect for Mail {
    fn bytes(&self) -> usize {
        self.message.bytes()
    }
    fn perform<'a>(self: Box<Self>, world: &'a World, context: AttemptContext) -> Performing<'a> {
        Box::pin(async move {
            let connections = (world.connections)();
            let Some(connection) = connections.get(&self.using) else {
                let why = format!("the connection `{}` is not in the rule files any more", self.using);
                return Outcome::Paused { why, wait: GONE };
            };
            let Connection::Smtp(smtp) = &**connection else {
                let why = format!("the connection `{}` is for {} now", self.using, connection.way().name);
                return Outcome::Paused { why, wait: GONE };
            };
            let said = |why: String| format!("{}: {why}", self.using);
            let sending = async {
                let made = self.message.made(&smtp.from, &context, &world.files).await?;
                send(&world.net, smtp, &made).await.map(|()| made.id)
            };
            match tokio::time::timeout(context.timeout, sending).await {
                Ok(Ok(id)) => self.done(&id),
                Ok(Err(NotSent::Because(outcome))) => *outcome,
                Ok(Err(NotSent::Again(why, status))) => Outcome::Retry { why: said(why), not_before: None, status, receipt: None },
                Ok(Err(NotSent::Never(why, status))) => Outcome::Failed { why: said(why), status },
                Err(_) => Outcome::retry(said(format!("no answer within {} seconds", context.timeout.as_secs_f32()))),
            }
        })
    }
    fn assumed(&self) -> Outcome {
        self.done("message@example.com")
    }
    fn view(&self) -> EffectView {
        let Message { to, cc, bcc, reply_to, subject, text, html, attach } = &self.message;
        let mut seen =
            EffectView::new("email", to.join(", ")).with("subject", subject.as_str().into()).with("using", self.using.as_str().into());
        for (name, people) in [("cc", cc), ("bcc", bcc)].into_iter().filter(|(_, people)| !people.is_empty()) {
            seen = seen.with(name, people.as_slice().into());
        }
        if let Some(one) = reply_to.first() {
            seen = seen.with("reply_to", one.as_str().into());
        }
        for (name, text) in [("text", text), ("html", html)] {
            seen = text.iter().fold(seen, |seen, text| seen.with(name, text.as_str().into()));
        }
        if attach.is_empty() { seen } else { seen.with("attach", attach.iter().map(AttachedFile::view).collect()) }
    }
}
