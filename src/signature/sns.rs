//! AWS SNS: a message that names the address of the certificate it was signed with, and a first one that asks for a visit.
//! Source: the AWS documentation of message signatures, and aws-sdk-ruby's message verifier.

use std::sync::LazyLock;
use std::time::Duration;

use serde_json::{Map, Value};
use url::Url;

use super::check::{Unit, is_near};
use super::contract::{Guard, MOST_UNPROVEN, Published, Scheme, Told, Verify};
use super::handshake::Handshake;
use super::key::{Algorithm, unbase64};
use super::password::read_text;
use super::place::Place;
use crate::known::Known;
use crate::projection::Projection;
use crate::request::Request;
use crate::yaml::fields::Item;

pub struct Sns;

/// How long ago a message may have been sent: as long as SNS tries again by default.
const TOLERANCE: Duration = Duration::from_secs(3_600);
const NOTIFICATION: [&str; 6] = ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"];
const CONFIRMATION: [&str; 7] = ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"];

impl Scheme for Sns {
    fn name(&self) -> &'static str {
        "aws_sns"
    }
    fn told(&self) -> Option<Told> {
        Some(Told {
            title: "AWS SNS".into(),
            delivery_id: vec!["body.MessageId".into()],
            remembered: None,
            write: "{ aws_sns: \"arn:aws:sns:eu-west-1:123456789012:orders\" }".into(),
            paste: "create a subscription of the topic with the protocol HTTPS and the address as its endpoint".into(),
            within: "15 seconds".into(),
            note: "the topic's ARN is what is compared, there is no secret; Doorbell confirms the subscription itself; turn raw message delivery off, it is not signed; the body is JSON whatever its content type says".into(),
        })
    }
    fn read(&self, item: &Item, known: &Known, _: Option<&str>) -> Option<Guard> {
        let mut topics = Vec::new();
        for item in item.one_or_many() {
            topics.push(read_text(&item, known)?.reveal().to_owned());
        }
        let place = |text: &str| Place::read(text);
        let confirmation = Handshake::visiting(
            (place("json:/Type")?, "SubscriptionConfirmation".into()),
            place("json:/SubscribeURL | json:/SubscribeUrl")?,
            is_of_amazon,
        );
        Some(Guard { vouchers: vec![Box::new(Topics(topics))], greetings: vec![confirmation] })
    }
}

struct Topics(Vec<String>);

/// What is signed, and what that is checked with: nothing else is built before.
static WANTED: LazyLock<Projection> = LazyLock::new(|| {
    let beside = ["Signature", "SignatureVersion", "SigningCertURL", "SigningCertUrl", "SubscribeUrl"];
    let all = NOTIFICATION.iter().chain(&CONFIRMATION).chain(&beside).map(|name| format!("/{name}"));
    Projection::at(all.collect::<Vec<_>>().iter().map(String::as_str))
});

fn message(request: &Request) -> Result<Map<String, Value>, String> {
    match WANTED.read_at_most(&request.body, MOST_UNPROVEN) {
        Some(Value::Object(message)) => Ok(message),
        _ => Err("the body is no message of SNS; is raw message delivery on?".to_owned()),
    }
}

/// A field, also as Lambda spells it.
fn field<'m>(message: &'m Map<String, Value>, name: &str) -> Option<&'m str> {
    message.get(name).or_else(|| message.get(&name.replace("URL", "Url"))).and_then(Value::as_str)
}

/// Whether an address is one of SNS itself.
fn is_of_amazon(address: &str) -> bool {
    let Ok(url) = Url::parse(address) else { return false };
    let host = url.host_str().unwrap_or_default();
    let region =
        host.strip_prefix("sns.").and_then(|rest| rest.strip_suffix(".amazonaws.com").or_else(|| rest.strip_suffix(".amazonaws.com.cn")));
    let is_region = region.is_some_and(|r| !r.is_empty() && r.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'));
    is_region && url.scheme() == "https" && url.port().is_none() && url.username().is_empty() && url.password().is_none()
}

fn signed(message: &Map<String, Value>) -> String {
    let is_notification = field(message, "Type") == Some("Notification");
    let names: &[&str] = if is_notification { &NOTIFICATION } else { &CONFIRMATION };
    let line = |name: &&str| field(message, name).map(|value| format!("{name}\n{value}\n"));
    names.iter().filter_map(line).collect()
}

impl Verify for Topics {
    fn key_at(&self, request: &Request) -> Result<Option<String>, String> {
        let message = message(request)?;
        let address = field(&message, "SigningCertURL").ok_or("`SigningCertURL` is missing in the body")?;
        let is_certificate = is_of_amazon(address) && Url::parse(address).is_ok_and(|u| u.path().ends_with(".pem"));
        is_certificate.then(|| Some(address.to_owned())).ok_or_else(|| "the certificate does not stand at an address of SNS".into())
    }

    fn check(&self, request: &Request, published: Option<&Published>) -> Result<(), String> {
        let message = message(request)?;
        let must = |name: &str| field(&message, name).ok_or(format!("`{name}` is missing in the body"));
        let topic = must("TopicArn")?;
        if !self.0.iter().any(|t| t == topic) {
            return Err("the message is of another topic than the rule file says".into());
        }
        let algorithm = match must("SignatureVersion")? {
            "1" => Algorithm::RsaSha1,
            "2" => Algorithm::RsaSha256,
            _ => return Err("this version of SNS's signatures is not known".into()),
        };
        is_near(must("Timestamp")?, Unit::Rfc3339, TOLERANCE, request.received)?;
        let sent = unbase64(must("Signature")?).ok_or("the signature in the body cannot be decoded")?;
        let published = published.ok_or("the certificate of SNS could not be fetched")?;
        match published.0.is_good(algorithm, signed(&message).as_bytes(), &sent, None) {
            true => Ok(()),
            false => Err("the signature belongs to another message".into()),
        }
    }
    fn signs(&self) -> bool {
        true
    }
    fn signed(&self, request: &Request) -> Option<Vec<u8>> {
        Some(signed(&message(request).ok()?).into_bytes())
    }
}
