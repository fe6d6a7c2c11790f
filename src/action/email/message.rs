//! A message, and the bytes that a server takes. Names, subjects and file names are encoded by the library, so that no value can
//! add a header.

use std::os::unix::fs::FileExt as _;

use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Attachment, Mailbox, MultiPart, SinglePart};
use lettre::{Address, Message as Made};

use super::not_sent::NotSent;
use crate::action::attempt_context::AttemptContext;
use crate::action::files::attached::{AttachedContent, AttachedFile};
use crate::action::files::writer::Files;
use crate::action::mailbox;
use crate::model::hash::hash;

/// The largest message, in bytes of its files; most servers take no more.
const MAX_FILES: u64 = 25 << 20;

/// A message for one event.
pub(super) struct Message {
    pub to: Vec<String>,
    pub cc: Vec<String>,
    pub bcc: Vec<String>,
    pub reply_to: Vec<String>,
    pub subject: String,
    pub text: Option<String>,
    pub html: Option<String>,
    pub attach: Vec<AttachedFile>,
}

/// A message as it is sent.
pub(super) struct Sendable {
    /// Its Message-ID, without brackets: the same for every try of a step.
    pub id: String,
    pub from: Address,
    pub to: Vec<Address>,
    pub bytes: Vec<u8>,
}

impl Message {
    /// Everybody who gets it.
    pub(super) fn people(&self) -> impl Iterator<Item = &str> {
        [&self.to, &self.cc, &self.bcc].into_iter().flatten().map(String::as_str)
    }

    pub(super) fn bytes(&self) -> usize {
        let texts: usize = [&self.text, &self.html].into_iter().flatten().map(String::len).sum();
        texts + self.attach.iter().map(AttachedFile::bytes).sum::<usize>()
    }

    pub(super) async fn made(&self, from: &str, context: &AttemptContext, files: &Files) -> Result<Sendable, NotSent> {
        let never = |e: &dyn std::fmt::Display| NotSent::Never(format!("the message cannot be made: {e}"), None);
        let from = mailbox(from)?;
        let domain = from.email.domain().to_owned();
        let id = format!("{}@{domain}", &hash(context.idempotency_key().as_bytes())[..32]);
        let mut builder = Made::builder().from(from.clone()).message_id(Some(format!("<{id}>"))).subject(&self.subject);
        for one in &self.to {
            builder = builder.to(mailbox(one)?);
        }
        for one in &self.cc {
            builder = builder.cc(mailbox(one)?);
        }
        for one in &self.reply_to {
            builder = builder.reply_to(mailbox(one)?);
        }
        let text = |text: &String| SinglePart::plain(text.clone());
        let html = |html: &String| SinglePart::html(html.clone());
        let parts = self.parts(files).await?;
        let made = match (&self.text, &self.html, parts.is_empty()) {
            (Some(plain), None, true) => builder.singlepart(text(plain)),
            (None, Some(page), true) => builder.singlepart(html(page)),
            (plain, page, is_alone) => {
                let mut all = MultiPart::mixed().build();
                match (plain, page) {
                    (Some(plain), Some(page)) => {
                        let both = MultiPart::alternative().singlepart(text(plain)).singlepart(html(page));
                        if is_alone {
                            all = both;
                        } else {
                            all = all.multipart(both);
                        }
                    }
                    (Some(plain), None) => all = all.singlepart(text(plain)),
                    (None, Some(page)) => all = all.singlepart(html(page)),
                    (None, None) => {}
                }
                builder.multipart(parts.into_iter().fold(all, MultiPart::singlepart))
            }
        };
        let mut made = made.map_err(|e| never(&e))?;
        // So that nobody's "I am on holiday" comes back (RFC 3834).
        made.headers_mut().insert_raw(HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned()));
        let to = self.people().map(|one| mailbox(one).map(|one| one.email)).collect::<Result<_, _>>()?;
        Ok(Sendable { id, from: from.email, to, bytes: made.formatted() })
    }

    async fn parts(&self, files: &Files) -> Result<Vec<SinglePart>, NotSent> {
        let (mut parts, mut left) = (Vec::new(), MAX_FILES);
        let too_large = || NotSent::Never(format!("its files have more than {} MB together", MAX_FILES >> 20), None);
        for file in &self.attach {
            let bytes = match &file.content {
                AttachedContent::Bytes(bytes) => bytes.to_vec(),
                AttachedContent::File(name) => {
                    let (open, length) = files.open(name).await.map_err(|outcome| NotSent::Because(Box::new(outcome)))?;
                    if length > left {
                        return Err(too_large());
                    }
                    let read = tokio::task::spawn_blocking(move || {
                        let mut bytes = vec![0; length as usize];
                        open.read_exact_at(&mut bytes, 0).map(|()| bytes)
                    });
                    let read = read.await.unwrap_or_else(|panic| Err(std::io::Error::other(panic)));
                    read.map_err(|e| NotSent::Again(format!("{name} cannot be read: {e}"), None))?
                }
            };
            left = left.checked_sub(bytes.len() as u64).ok_or_else(too_large)?;
            let kind =
                ContentType::parse(&file.kind).unwrap_or(ContentType::parse("application/octet-stream").unwrap_or(ContentType::TEXT_PLAIN));
            parts.push(Attachment::new(file.name.clone()).body(bytes, kind));
        }
        Ok(parts)
    }
}

fn mailbox(text: &str) -> Result<Mailbox, NotSent> {
    let wrong = || NotSent::Never(format!("`{text}` is not one e-mail address"), None);
    let (name, address) = mailbox::parts(text).ok_or_else(wrong)?;
    Ok(Mailbox::new(name, address.parse().map_err(|_| wrong())?))
}
