//! AWS SNS: each message names the address of its signing certificate, and the first one asks Doorbell to visit an
//! address. Source: the AWS documentation of message signatures, and aws-sdk-ruby's message verifier.

use std::sync::LazyLock;
use std::time::Duration;

use serde_json::{Map, Value};

use super::check::{Unit, is_near};
use super::contract::{Scheme, SenderFacts};
use super::guard::Guard;
use super::handshake::Handshake;
use super::key::{Algorithm, unbase64};
use super::location::Location;
use super::secret::read_text;
use super::verifier::{KeyAt, MOST_UNPROVEN, Published, Signed, Verify};
use crate::expr::names::{Names, is_stand_in};
use crate::expr::projection::Projection;
use crate::model::request::Request;
use crate::yaml::fields::Item;

pub struct Sns;

/// How long ago a message may have been sent: as long as SNS retries by default.
const TOLERANCE: Duration = Duration::from_secs(3_600);
const TYPES: [&str; 3] = ["Notification", "SubscriptionConfirmation", "UnsubscribeConfirmation"];
const NOTIFICATION: [&str; 6] = ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"];
const CONFIRMATION: [&str; 7] = ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"];

impl Scheme for Sns {
    fn name(&self) -> &'static str {
        "aws_sns"
    }
    fn facts(&self) -> Option<SenderFacts> {
        Some(SenderFacts {
            title: "AWS SNS".into(),
            delivery_id: vec!["body.MessageId".into()],
            remembered: None,
            write: "{ aws_sns: \"arn:aws:sns:eu-west-1:123456789012:orders\" }".into(),
            paste: "create a subscription to the topic with the protocol HTTPS and the address as its endpoint".into(),
            within: "15 seconds".into(),
            note: "there is no secret; Doorbell compares the topic's ARN instead, and confirms the subscription itself; turn raw message delivery off, because raw messages are not signed; the body is read as JSON whatever its content type is".into(),
        })
    }
    fn read(&self, item: &Item, known: &Names, _: Option<&str>) -> Option<Guard> {
        let mut topics = Vec::new();
        for item in item.one_or_more("write the ARN of the topic")? {
            let topic = read_text(&item, known)?.reveal().to_owned();
            if host(&topic).is_none() && !is_stand_in(&topic) {
                item.problem("this is not the ARN of an SNS topic")
                    .label("write for example arn:aws:sns:eu-west-1:123456789012:orders")
                    .add();
                return None;
            }
            topics.push(topic);
        }
        let place = |text: &str| Location::read(text);
        let confirmation = Handshake::visiting(
            (place("json:/Type")?, "SubscriptionConfirmation".into()),
            place("json:/SubscribeURL | json:/SubscribeUrl")?,
            confirms,
        );
        Some(Guard::of(Topics(topics)).greeting([confirmation]))
    }
}

struct Topics(Vec<String>);

/// The signed fields, and those needed to verify them: nothing else is built before that.
static WANTED: LazyLock<Projection> = LazyLock::new(|| {
    let beside = ["Signature", "SignatureVersion", "SigningCertURL", "SigningCertUrl", "SubscribeUrl"];
    let all = NOTIFICATION.iter().chain(&CONFIRMATION).chain(&beside).map(|name| format!("/{name}"));
    Projection::at(all.collect::<Vec<_>>().iter().map(String::as_str))
});

fn message(request: &Request) -> Result<Map<String, Value>, String> {
    match WANTED.read_at_most(&request.body, MOST_UNPROVEN) {
        Some(Value::Object(message)) => Ok(message),
        _ => Err("the body is not an SNS message; check that raw message delivery is off".to_owned()),
    }
}

/// A field, also in the spelling used by Lambda.
fn field<'m>(message: &'m Map<String, Value>, name: &str) -> Option<&'m str> {
    message.get(name).or_else(|| message.get(&name.replace("URL", "Url"))).and_then(Value::as_str)
}

/// The maximum number of characters in a certificate's own name; today's have 32.
const MAX_NAME: usize = 64;

/// The region of a topic, and the domain of its hosts: `.cn` in China. `None` if this is not a topic's ARN.
fn place(topic: &str) -> Option<(&str, &'static str)> {
    let parts: Vec<&str> = topic.split(':').collect();
    let ["arn", partition, "sns", region, _, name] = parts.as_slice() else { return None };
    let end = if *partition == "aws-cn" { "amazonaws.com.cn" } else { "amazonaws.com" };
    (is_region(region) && !name.is_empty()).then_some((*region, end))
}

/// Whether it is two letters, words and a number, such as `us-gov-west-1`. Besides the hosts of regions there are those
/// of other services, such as `sns.s3.amazonaws.com`, where anyone can store anything.
fn is_region(text: &str) -> bool {
    let words: Vec<&str> = text.split('-').collect();
    let Some((number, words)) = words.split_last() else { return false };
    words.len() >= 2
        && words[0].len() == 2
        && words.iter().all(|w| !w.is_empty() && w.bytes().all(|b| b.is_ascii_lowercase()))
        && !number.is_empty()
        && number.bytes().all(|b| b.is_ascii_digit())
}

/// The SNS host for a topic.
fn host(topic: &str) -> Option<String> {
    place(topic).map(|(region, end)| format!("sns.{region}.{end}"))
}

/// Whether this is exactly the address of an SNS certificate: on an SNS host in any region of the topic's AWS partition,
/// with a name that cannot lead to any other address.
fn is_certificate(topic: &str, address: &str) -> bool {
    let Some((_, end)) = place(topic) else { return false };
    let Some((host, name)) = address.strip_prefix("https://sns.").and_then(|rest| rest.split_once('/')) else { return false };
    let name = name.strip_prefix("SimpleNotificationService-").and_then(|n| n.strip_suffix(".pem")).unwrap_or_default();
    host.strip_suffix(end).and_then(|h| h.strip_suffix('.')).is_some_and(is_region)
        && (1..=MAX_NAME).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// Whether this address confirms the subscription in a message, and does nothing else.
fn confirms(request: &Request, address: &str) -> bool {
    let Ok(message) = message(request) else { return false };
    let (topic, token) = (field(&message, "TopicArn").unwrap_or_default(), field(&message, "Token").unwrap_or_default());
    let query = host(topic).and_then(|host| address.strip_prefix("https://")?.strip_prefix(host.as_str())?.strip_prefix("/?"));
    let Some(query) = query.filter(|q| !q.contains('#')) else { return false };
    let mut pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    pairs.sort();
    let wanted = [("Action", "ConfirmSubscription"), ("Token", token), ("TopicArn", topic)];
    !token.is_empty() && pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())).eq(wanted)
}

fn signed(message: &Map<String, Value>) -> String {
    let is_notification = field(message, "Type") == Some("Notification");
    let names: &[&str] = if is_notification { &NOTIFICATION } else { &CONFIRMATION };
    let line = |name: &&str| field(message, name).map(|value| format!("{name}\n{value}\n"));
    names.iter().filter_map(line).collect()
}

/// A message that has passed every check that does not need its certificate.
struct Message {
    fields: Map<String, Value>,
    algorithm: Algorithm,
    signature: Vec<u8>,
    certificate: String,
}

impl Topics {
    fn read(&self, request: &Request) -> Result<Message, String> {
        let fields = message(request)?;
        let must = |name: &str| field(&fields, name).ok_or(format!("`{name}` is missing in the body"));
        let topic = must("TopicArn")?;
        if !self.0.iter().any(|t| t == topic) {
            return Err("the message is from a different topic than the one in the rule file".into());
        }
        if !TYPES.contains(&must("Type")?) {
            return Err("this kind of message is unknown".into());
        }
        let algorithm = match must("SignatureVersion")? {
            "1" => Algorithm::RsaSha1,
            "2" => Algorithm::RsaSha256,
            _ => return Err("this version of SNS signatures is unknown".into()),
        };
        is_near(must("Timestamp")?, Unit::Rfc3339, TOLERANCE, request.received)?;
        let signature = unbase64(must("Signature")?).ok_or("the signature in the body cannot be decoded")?;
        let certificate = must("SigningCertURL")?.to_owned();
        if !is_certificate(topic, &certificate) {
            return Err("the certificate is not at an SNS address".into());
        }
        Ok(Message { algorithm, signature, certificate, fields })
    }
}

impl Verify for Topics {
    fn key_at(&self, request: &Request) -> Result<Option<KeyAt>, String> {
        self.read(request).map(|message| Some(KeyAt::Named(message.certificate)))
    }

    fn check(&self, request: &Request, published: Option<&Published>) -> Result<Signed, String> {
        let message = self.read(request)?;
        let published = published.ok_or("the SNS certificate could not be fetched")?;
        let signed = signed(&message.fields).into_bytes();
        match published.0.is_good(message.algorithm, &signed, &message.signature, None) {
            true => Ok(vec![signed]),
            false => Err("the signature is for a different message".into()),
        }
    }
    fn signs(&self) -> bool {
        true
    }
    fn expected(&self, request: &Request) -> Option<Vec<u8>> {
        Some(signed(&message(request).ok()?).into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_must_be_in_the_region_of_the_topic() {
        for (region, is_one) in [
            ("eu-west-1", true),
            ("us-gov-west-1", true),
            ("ap-southeast-12", true),
            ("s3", false),
            ("s3-us-west-2", false),
            ("execute-api", false),
            ("eu-1", false),
            ("eu-west-", false),
            ("eu--1", false),
            ("EU-west-1", false),
            ("eu-west-1.evil.example", false),
            ("", false),
        ] {
            let found = host(&format!("arn:aws:sns:{region}:123456789012:orders"));
            assert_eq!(found, is_one.then(|| format!("sns.{region}.amazonaws.com")), "{region}");
        }
        assert_eq!(host("arn:aws-cn:sns:cn-north-1:123456789012:orders").as_deref(), Some("sns.cn-north-1.amazonaws.com.cn"));
        for topic in
            ["orders", "arn:aws:sqs:eu-west-1:123456789012:orders", "arn:aws:sns:eu-west-1:123456789012:", "arn:aws:sns:eu-west-1:1:a:b"]
        {
            assert_eq!(host(topic), None, "{topic}");
        }
    }

    #[test]
    fn a_certificate_must_be_on_an_sns_host() {
        let (topic, name) = ("arn:aws:sns:eu-west-1:123456789012:orders", "SimpleNotificationService-0123456789abcdef0123456789abcdef.pem");
        let china = "arn:aws-cn:sns:cn-north-1:123456789012:orders";
        for (topic, host, is_one) in [
            (topic, "sns.eu-west-1.amazonaws.com", true),
            (topic, "sns.us-gov-west-1.amazonaws.com", true),
            (topic, "sns.cn-north-1.amazonaws.com.cn", false),
            (china, "sns.cn-north-1.amazonaws.com.cn", true),
            (china, "sns.cn-north-1.amazonaws.com", false),
            (topic, "sns.s3-us-west-2.amazonaws.com", false),
            (topic, "sns.eu-west-1.s3.amazonaws.com", false),
            (topic, "sns.eu-west-1xamazonaws.com", false),
        ] {
            assert_eq!(is_certificate(topic, &format!("https://{host}/{name}")), is_one, "{topic} {host}");
        }
        let named =
            |name: &str| is_certificate(topic, &format!("https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-{name}.pem"));
        assert!(named("1") && named(&"a".repeat(MAX_NAME)) && !named(&"a".repeat(MAX_NAME + 1)));
    }

    #[test]
    fn only_the_address_that_confirms_this_subscription_is_called() {
        let topic = "arn:aws:sns:us-west-2:123456789012:MyTopic";
        let body = serde_json::json!({ "Type": "SubscriptionConfirmation", "TopicArn": topic, "Token": "2336412f37" }).to_string();
        let request = Request { body: body.into(), ..Request::nobody() };
        let good = format!("https://sns.us-west-2.amazonaws.com/?Action=ConfirmSubscription&TopicArn={topic}&Token=2336412f37");
        assert!(confirms(&request, &good) && confirms(&request, &good.replace(':', "%3A").replace("https%3A", "https:")));
        for (from, to) in [
            ("sns.us-west-2", "sns.us-east-1"),
            ("sns.us-west-2", "sns.s3"),
            ("sns.us-west-2.amazonaws.com", "evil.example"),
            ("amazonaws.com", "amazonaws.com.evil.example"),
            ("amazonaws.com", "amazonaws.com:8443"),
            ("https", "http"),
            ("com/?", "com/other?"),
            ("ConfirmSubscription", "DeleteTopic"),
            ("MyTopic", "Other"),
            ("2336412f37", "2336412f38"),
            ("&Token=2336412f37", ""),
            ("&Token", "&Token=2336412f37&Token"),
            ("&Token", "&AuthenticateOnUnsubscribe=true&Token"),
            ("2336412f37", "2336412f37#x"),
        ] {
            assert!(!confirms(&request, &good.replacen(from, to, 1)), "{from} {to}");
        }
    }
}
