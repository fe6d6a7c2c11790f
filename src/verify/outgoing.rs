//! `signs:` of a connection: the schemes of `verify:` the other way round. A block that verifies what somebody signs with a shared
//! secret also signs what that somebody verifies; what only matters to who verifies (`tolerance`, `optional`) is read and not used.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::check::{Encoding, Format, SignatureScheme};
use super::custom::read_scheme;
use super::formula::Given;
use super::key::{Key, KeyForm};
use super::location::Location;
use super::secret::read_secret;
use super::senders;
use crate::action::connections::{Signer, UnsignedCall};
use crate::expr::names::{Names, is_stand_in};
use crate::model::request::Request;
use crate::secret::Secret;
use crate::text::word::{Shape, Word};
use crate::yaml::fields::Item;

const STANDARD: &str = "standard_webhooks";
/// The header with the id of a message in Standard Webhooks, which is a part of what is signed.
const STANDARD_ID: &str = "webhook-id";

/// The keys of `signs:`.
pub const SIGNS: &[Word] = &[
    Word {
        name: STANDARD,
        shape: Shape::Each(1, &Shape::Text),
        does: "the secret (whsec_…) for headers as Standard Webhooks describes them; several sign with each",
    },
    Word { name: "custom", shape: Shape::Map, does: "a scheme of your own, in the words of `custom:` in `verify:`" },
];

/// A scheme with its secrets.
struct OutgoingSignature {
    /// For people.
    name: String,
    scheme: SignatureScheme,
    /// The header for the signature, for the time, and for the id.
    to: String,
    time_to: Option<String>,
    id_to: Option<String>,
    fixed: Vec<(String, String)>,
    keys: Vec<(Secret, Key)>,
}

/// Reads `signs:`.
pub fn read_signs(item: &Item, known: &Names) -> Option<Arc<dyn Signer>> {
    let mut fields = item.fields("`signs:`")?;
    let (standard, custom) = (fields.may(STANDARD), fields.may("custom"));
    let is_unknown = fields.left().next().is_some();
    fields.done(&[("secret", STANDARD), ("hmac", "custom"), ("webhooks", STANDARD), ("svix", STANDARD)]);
    match (standard, custom) {
        (Some(secret), None) => {
            let scheme = senders::all().iter().find(|sender| sender.name == STANDARD)?.scheme.clone();
            let signature = OutgoingSignature::of("Standard Webhooks", scheme, item)?;
            signature.with(&secret, Some(STANDARD_ID), known)
        }
        (None, Some(custom)) => read_custom(&custom, known),
        (Some(_), Some(second)) => {
            second.problem("a connection signs in one way only").at_key().label("write a second connection for this").add();
            None
        }
        (None, None) => {
            if !is_unknown && !item.node.has(STANDARD) && !item.node.has("custom") {
                let draft = item.problem("it is not said how calls are signed");
                draft.label("write { standard_webhooks: \"{{ secret.NAME }}\" }, or `custom:`").add();
            }
            None
        }
    }
}

fn read_custom(item: &Item, known: &Names) -> Option<Arc<dyn Signer>> {
    let mut fields = item.fields("`custom:`")?;
    let secret = fields.must("secret");
    let scheme = read_scheme(&mut fields, item);
    fields.done(&[
        ("header", "write `signature: { from: header:Name }`"),
        ("hash", "algorithm"),
        ("tolerance", "write it under `timestamp:`"),
        ("handshake", "remove it: only who verifies calls answers a handshake"),
    ]);
    let (secret, scheme) = (secret?, scheme?);
    let id = scheme.id.first().and_then(Location::header_name).map(str::to_owned);
    OutgoingSignature::of("a custom scheme", scheme, item)?.with(&secret, id.as_deref(), known)
}

impl OutgoingSignature {
    /// A scheme without its secrets; what cannot be signed with it is reported.
    fn of(name: &str, scheme: SignatureScheme, item: &Item) -> Option<Self> {
        let refused = |message: &str, label: &str| {
            item.problem(message).label(label).add();
            None
        };
        if !scheme.algorithm.is_shared() {
            return refused(
                "calls can only be signed with a secret that both sides have",
                "write `algorithm: hmac-sha256`, or another hmac",
            );
        }
        if !matches!(scheme.key, KeyForm::Text | KeyForm::Hex | KeyForm::Base64 | KeyForm::Whsec | KeyForm::ToBase64) {
            return refused("a public key cannot sign", "write `key: utf8`, `hex`, `base64` or `whsec`");
        }
        if scheme.encoding == Encoding::Text {
            return refused("a signature is not text", "write `encoding: hex`, or `base64`");
        }
        if scheme.signed.has_verify_token() {
            return refused("`{verify_token}` is only for handshakes", "remove it from `signed:`");
        }
        const ONLY_HEADERS: &str = "write each place as header:Name";
        let Some(to) = scheme.from.first().and_then(Location::header_name).map(str::to_owned) else {
            return refused("a signature is sent in a header", ONLY_HEADERS);
        };
        let time_to = match scheme.time.as_ref().map(|time| &time.from) {
            Some(Some(place)) => match place.header_name() {
                Some(name) => Some(name.to_owned()),
                None => return refused("the time of a signature is sent in a header", ONLY_HEADERS),
            },
            _ => None,
        };
        let is_beside = scheme.time.as_ref().is_some_and(|time| time.from.is_none());
        let has_place = matches!(&scheme.format, Format::Pairs { time: Some(_), .. });
        if is_beside != has_place {
            return match is_beside {
                true => refused(
                    "the time is sent with the signature, and `format:` has no place for it",
                    "write for example format: \"t={ts},v1={sig}\"",
                ),
                false => refused("`format:` has a place for the time", "write `timestamp: { from: signature }`"),
            };
        }
        if scheme.id.len() > 1 || scheme.id.iter().any(|place| place.header_name().is_none()) {
            return refused("the id of a call is sent in one header", "write `id: header:Name`");
        }
        let fixed = scheme.require.iter().map(|(place, value)| Some((place.header_name()?.to_owned(), value.clone())));
        let Some(fixed) = fixed.collect::<Option<Vec<_>>>() else {
            return refused("what `require:` names is sent in headers", ONLY_HEADERS);
        };
        Some(Self { name: name.to_owned(), scheme, to, time_to, id_to: None, fixed, keys: Vec::new() })
    }

    /// The same with one secret, or several while one is being replaced by another.
    fn with(mut self, item: &Item, id_to: Option<&str>, known: &Names) -> Option<Arc<dyn Signer>> {
        let all = item.one_or_more("write \"{{ secret.NAME }}\"")?;
        let takes_several = self.scheme.list.is_some() || matches!(self.scheme.format, Format::Pairs { .. });
        if let [_, second, ..] = all.as_slice()
            && !takes_several
        {
            second.problem("with several secrets, several signatures are sent").label("write what separates them: `list: \" \"`").add();
            return None;
        }
        for item in all {
            let secret = read_secret(&item, known)?;
            match Key::read(self.scheme.algorithm, self.scheme.key, secret.reveal()) {
                Ok(key) => self.keys.push((secret, key)),
                // A placeholder does not have the form of a secret.
                Err(_) if is_stand_in(secret.reveal()) => {}
                Err(why) => {
                    item.problem(why).label("copy it again from the app that you call").add();
                    return None;
                }
            }
        }
        self.id_to = id_to.map(str::to_owned);
        Some(Arc::new(self))
    }
}

/// Without its secrets.
impl fmt::Debug for OutgoingSignature {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Signer for OutgoingSignature {
    fn scheme(&self) -> String {
        self.name.clone()
    }

    fn headers(&self, call: &UnsignedCall) -> Result<Vec<(String, String)>, String> {
        let scheme = &self.scheme;
        let at = scheme.time.as_ref().map(|time| time.unit.write(call.at));
        let mut added = self.fixed.clone();
        added.extend(self.time_to.iter().cloned().zip(at.clone()));
        added.extend(self.id_to.iter().map(|name| (name.clone(), call.id.to_owned())));
        let is_added = |name: &str| added.iter().any(|(added, _)| added.eq_ignore_ascii_case(name));
        let own = call.headers.iter().filter(|(name, _)| !is_added(name)).chain(&added);
        let (url, target) = (call.url, call.url.path().to_owned());
        let request = Request {
            method: call.method.to_owned(),
            path: percent_encoding::percent_decode_str(&target).decode_utf8_lossy().into_owned(),
            target,
            query: url.query().unwrap_or_default().to_owned(),
            headers: own.map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect(),
            ip: String::new(),
            body: Bytes::copy_from_slice(call.body),
            received: call.at,
        };
        // The public address of the one who is called.
        let origin = url.origin().ascii_serialization();
        let mut signatures = Vec::new();
        for (secret, key) in &self.keys {
            let given = Given {
                time: at.as_deref(),
                id: Some(call.id),
                secret: secret.reveal(),
                key: key.bytes(),
                public_url: Some(&origin),
                ..Given::default()
            };
            let signed = scheme.signed.bytes(&request, given).map_err(|why| format!("it cannot be signed: {why}"))?;
            signatures.extend(key.sign(scheme.algorithm, &signed).map(|signature| scheme.encoding.encode(&signature)));
        }
        if signatures.is_empty() {
            return Err("it cannot be signed: the secret is missing".to_owned());
        }
        added.push((self.to.clone(), scheme.format.write(&signatures, scheme.list.as_deref(), at.as_deref())));
        Ok(added)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::names::Resolver;
    use crate::problem::Severity;
    use crate::verify;
    use crate::verify::guard::Keys;
    use crate::yaml::reader::{Effort, Reader};
    use crate::yaml::source::Source;

    /// Reads the value of a key; the problems if it is not valid.
    fn read<T>(text: &str, key: &'static str, with: impl Fn(&Item, &Names) -> Option<T>) -> Result<T, Vec<String>> {
        let source = Source::stored("rules.yaml", text.to_owned());
        let node = source.read().unwrap();
        let effort = Effort::default();
        let reader = Reader::new(&source, &effort);
        let lookup = Resolver::new(&|name| Some(format!("secret-{name}")), &|_| None, &|_| None);
        let read = reader.top(&node).fields("a test").unwrap().may(key).and_then(|item| with(&item, &Names::new(&lookup)));
        let problems: Vec<String> = reader.problems().into_iter().filter(|p| p.severity == Severity::Error).map(|p| p.message).collect();
        read.filter(|_| problems.is_empty()).ok_or(problems)
    }

    fn signed(signer: &dyn Signer, body: &str) -> Request {
        let url = "https://partner.example.com/in/b%20c?x=1".parse().unwrap();
        let at: jiff::Timestamp = "2021-02-25T15:15:30Z".parse().unwrap();
        let own = [("Content-Type".to_owned(), "application/json".to_owned())];
        let call = UnsignedCall { method: "POST", url: &url, headers: &own, body: body.as_bytes(), id: "msg_p5jXN8AQM9LWM0D4loKWxJek", at };
        let added = signer.headers(&call).unwrap();
        let headers = own.into_iter().chain(added).map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
        Request {
            path: "/in/b c".into(),
            target: "/in/b%20c".into(),
            query: "x=1".into(),
            headers,
            body: Bytes::copy_from_slice(body.as_bytes()),
            received: at,
            ..Request::nobody()
        }
    }

    #[test]
    fn a_message_gets_the_signature_that_the_libraries_of_standard_webhooks_make() {
        let text = "signs: { standard_webhooks: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw }\n";
        let signer = read(text, "signs", read_signs).unwrap();
        let request = signed(&*signer, "{\"test\": 2432232314}");
        assert_eq!(request.only_header("webhook-id"), Ok("msg_p5jXN8AQM9LWM0D4loKWxJek"));
        assert_eq!(request.only_header("webhook-timestamp"), Ok("1614266130"));
        let at: jiff::Timestamp = jiff::Timestamp::from_second(1_614_265_330).unwrap();
        let url = "https://partner.example.com/".parse().unwrap();
        let call = UnsignedCall {
            method: "POST",
            url: &url,
            headers: &[],
            body: b"{\"test\": 2432232314}",
            id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
            at,
        };
        let added = signer.headers(&call).unwrap();
        assert_eq!(added.last().unwrap(), &("webhook-signature".to_owned(), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=".to_owned()));
        assert_eq!(format!("{signer:?}"), "Standard Webhooks");
    }

    #[test]
    fn what_is_signed_is_accepted_by_the_same_block_under_verify() {
        for block in [
            "{ standard_webhooks: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw }",
            "{ standard_webhooks: [whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw, whsec_AAECAwQFBgcICQoLDA0ODw==] }",
            "{ custom: { secret: \"{{ secret.A }}\", algorithm: hmac-sha256, signature: { from: header:X-Signature } } }",
            "{ custom: { secret: \"{{ secret.A }}\", algorithm: hmac-sha512, signature: { from: header:X-Signature, format: \"sha512={sig}\", encoding: base64 } } }",
            "{ custom: { secret: [\"{{ secret.A }}\", \"{{ secret.B }}\"], algorithm: hmac-sha1, signature: { from: header:X-S, format: \"t={ts},v1={sig}\" }, signed: \"{ts}.{body}\", timestamp: { from: signature } } }",
            "{ custom: { secret: \"{{ secret.A }}\", algorithm: hmac-sha384, signature: { from: header:X-S, encoding: base64url }, signed: \"{method}{url}{header:X-Time}{id}{body}\", timestamp: { from: header:X-Time, unit: rfc3339, tolerance: 60 }, id: header:X-Id, require: { \"header:X-Version\": v2 } } }",
            "{ custom: { secret: \"{{ secret.A }}\", algorithm: sha256, signature: { from: header:X-S, encoding: base64-of-hex }, signed: \"{secret}{ts}{path_and_query}{json:/a}\", timestamp: { from: header:Date, unit: http-date } } }",
            "{ custom: { secret: \"{{ secret.A }}\", algorithm: hmac-sha256, key: to-base64, signature: { from: header:X-S }, signed: \"{ts}{sha256_hex(body)}{path}\", timestamp: { from: header:X-T, unit: ms } } }",
        ] {
            let signer = read(&format!("signs: {block}\n"), "signs", read_signs).unwrap_or_else(|e| panic!("{block}: {e:?}"));
            let guard = read(&format!("verify: {block}\n"), "verify", |item, known| {
                verify::read(item, known, Some("https://partner.example.com")).map(|read| read.guard)
            });
            let guard = guard.unwrap_or_else(|e| panic!("{block}: {e:?}"));
            let request = signed(&*signer, "{\"a\": 1}");
            assert!(guard.check(&request, &Keys::new()).is_ok(), "{block}\n{:?}", request.headers);
            for changed in
                [Request { body: Bytes::from_static(b"{\"a\": 2}"), ..request.clone() }, Request { headers: Vec::new(), ..request.clone() }]
            {
                assert!(guard.check(&changed, &Keys::new()).is_err(), "{block}");
            }
        }
    }

    #[test]
    fn a_scheme_that_cannot_sign_is_a_problem() {
        let custom = |more: &str| format!("signs: {{ custom: {{ secret: \"{{{{ secret.A }}}}\", {more} }} }}\n");
        for (more, problem) in [
            ("algorithm: rsa-sha256, signature: { from: header:X }", "calls can only be signed with a secret that both sides have"),
            ("algorithm: equals, signature: { from: header:X }", "calls can only be signed with a secret that both sides have"),
            ("algorithm: hmac-sha256, key: pem, signature: { from: header:X }", "a public key cannot sign"),
            ("algorithm: hmac-sha256, signature: { from: query:sig }", "a signature is sent in a header"),
            ("algorithm: hmac-sha256, signature: { from: header:X, encoding: text }", "a signature is not text"),
            (
                "algorithm: hmac-sha256, signature: { from: header:X }, timestamp: { from: json:/t }",
                "the time of a signature is sent in a header",
            ),
            (
                "algorithm: hmac-sha256, signature: { from: header:X }, timestamp: { from: signature }",
                "the time is sent with the signature, and `format:` has no place for it",
            ),
            ("algorithm: hmac-sha256, signature: { from: header:X, format: \"t={ts},v1={sig}\" }", "`format:` has a place for the time"),
            ("algorithm: hmac-sha256, signature: { from: header:X }, id: body:x", "`body:x` does not name a part of the request"),
            ("algorithm: hmac-sha256, signature: { from: header:X }, id: json:/x", "the id of a call is sent in one header"),
            (
                "algorithm: hmac-sha256, signature: { from: header:X }, require: { \"query:v\": \"1\" }",
                "what `require:` names is sent in headers",
            ),
            (
                "algorithm: hmac-sha256, signature: { from: header:X }, signed: \"{verify_token}\"",
                "`{verify_token}` is only for handshakes",
            ),
            (
                "algorithm: hmac-sha256, signature: { from: header:X }, signed: \"{hmac_hex(body)}\"",
                "`{hmac_hex(…)}` is only for handshakes",
            ),
            ("algorithm: hmac-sha256, signature: { from: header:X }, handshake: {}", "`handshake` is not a valid key in `custom:`"),
        ] {
            let found = read(&custom(more), "signs", read_signs).err();
            assert_eq!(found, Some(vec![problem.to_owned()]), "{more}");
        }
    }
}
