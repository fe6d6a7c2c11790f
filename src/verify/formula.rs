//! A text template that is filled from a request: what a sender has signed, the answer to a handshake, what a token must
//! claim.
//!
//! Variables and places are in braces, `{ts}.{body}`; a function takes one or more of them joined with `+`,
//! `{sha256_hex(query:code+secret)}`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::{digest, hmac};

use super::location::Location;
use crate::model::request::Request;

/// The longest token that is signed for a handshake, in bytes. X sends 48, Zoom 22.
const LONGEST_TOKEN: usize = 128;

/// Whether a handshake may be answered with a signature of this text: a short token of letters, digits, `-` and `_`.
///
/// No scheme accepts such text as the signed text of an event ([`super::guard::Guard`]), so a signature made for a
/// handshake is useless for anything else.
pub(super) fn is_token(text: &[u8]) -> bool {
    (1..=LONGEST_TOKEN).contains(&text.len()) && text.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

/// Compiled text with variables.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Formula(Vec<FormulaPart>);

#[derive(Debug, Clone, PartialEq)]
enum FormulaPart {
    Text(String),
    One(Variable),
    Of(Function, Vec<Variable>),
}

#[derive(Debug, Clone, PartialEq)]
enum Variable {
    Body,
    Time,
    Id,
    Method,
    /// The address as the sender knows it: the public address, the path and the query after the ?.
    Url,
    /// The same with some characters unescaped, as HubSpot signs it.
    UrlDecoded,
    Path,
    PathAndQuery,
    /// A form's names and values, sorted by name.
    SortedForm,
    Secret,
    /// The `verify_token` in the rule file.
    VerifyToken,
    At(Location),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Function {
    Sha256Hex,
    Sha256Base64,
    HmacHex,
    HmacBase64,
    Crc32,
}

const VARIABLES: [(&str, Variable); 11] = [
    ("body", Variable::Body),
    ("ts", Variable::Time),
    ("id", Variable::Id),
    ("method", Variable::Method),
    ("url", Variable::Url),
    ("url_decoded", Variable::UrlDecoded),
    ("path", Variable::Path),
    ("path_and_query", Variable::PathAndQuery),
    ("form_sorted", Variable::SortedForm),
    ("secret", Variable::Secret),
    ("verify_token", Variable::VerifyToken),
];

const FUNCTIONS: [(&str, Function); 5] = [
    ("sha256_hex", Function::Sha256Hex),
    ("sha256_base64", Function::Sha256Base64),
    ("hmac_hex", Function::HmacHex),
    ("hmac_base64", Function::HmacBase64),
    ("crc32", Function::Crc32),
];

/// The escapes that HubSpot decodes before it signs an address.
const DECODED: [(&str, &str); 12] = [
    ("%3A", ":"),
    ("%2F", "/"),
    ("%3F", "?"),
    ("%40", "@"),
    ("%21", "!"),
    ("%24", "$"),
    ("%27", "'"),
    ("%28", "("),
    ("%29", ")"),
    ("%2A", "*"),
    ("%2C", ","),
    ("%3B", ";"),
];

/// The values of variables that do not come from the request.
#[derive(Default, Clone, Copy)]
pub(super) struct Given<'a> {
    pub time: Option<&'a str>,
    pub id: Option<&'a str>,
    pub secret: &'a str,
    /// The key of `hmac_…`.
    pub key: &'a [u8],
    pub verify_token: Option<&'a str>,
    pub public_url: Option<&'a str>,
    /// Whether the text is sent back to the caller, so that only a token in it may be signed.
    pub is_reply: bool,
}

impl Formula {
    /// Parses text; the error is the part that is unknown.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((text, opened)) = rest.split_once('{') {
            if !text.is_empty() {
                parts.push(FormulaPart::Text(text.replace("\\n", "\n")));
            }
            let Some((inner, behind)) = opened.split_once('}') else { return Err(format!("{{{opened}")) };
            parts.push(part(inner).ok_or_else(|| format!("{{{inner}}}"))?);
            rest = behind;
        }
        if !rest.is_empty() {
            parts.push(FormulaPart::Text(rest.replace("\\n", "\n")));
        }
        Ok(Self(parts))
    }

    /// Text without variables; braces in it have no special meaning.
    pub(super) fn fixed(text: &str) -> Self {
        Self(vec![FormulaPart::Text(text.to_owned())])
    }

    /// What may be written in braces.
    pub(super) fn known() -> String {
        let variables: Vec<String> = VARIABLES.iter().map(|(name, _)| format!("{{{name}}}")).collect();
        let functions: Vec<String> = FUNCTIONS.iter().map(|(name, _)| format!("{{{name}(body)}}")).collect();
        format!(
            "valid variables: {} {} {{header:Name}} {{query:name}} {{form:name}} {{json:/pointer}}",
            variables.join(" "),
            functions.join(" ")
        )
    }

    fn variables(&self) -> impl Iterator<Item = &Variable> {
        self.0.iter().flat_map(|part| match part {
            FormulaPart::Text(_) => &[],
            FormulaPart::One(one) => std::slice::from_ref(one),
            FormulaPart::Of(_, all) => all.as_slice(),
        })
    }

    /// The places that it uses.
    #[cfg(test)]
    pub(super) fn places(&self) -> impl Iterator<Item = &Location> {
        self.variables().filter_map(|v| if let Variable::At(place) = v { Some(place) } else { None })
    }

    /// Whether it can only be made if Doorbell knows its own address.
    pub(super) fn needs_url(&self) -> bool {
        self.variables().any(|v| matches!(v, Variable::Url | Variable::UrlDecoded))
    }

    /// Whether it contains the time.
    pub(super) fn has_time(&self) -> bool {
        self.variables().any(|v| *v == Variable::Time)
    }

    /// Whether something in it is signed with the key.
    pub(super) fn signs(&self) -> bool {
        self.0.iter().any(|part| matches!(part, FormulaPart::Of(Function::HmacHex | Function::HmacBase64, _)))
    }

    pub(super) fn has_secret(&self) -> bool {
        self.variables().any(|v| *v == Variable::Secret)
    }

    /// Whether only somebody who knows the secret can make it. A secret can be guessed from its checksum.
    pub(super) fn is_secret(&self) -> bool {
        self.0.iter().any(|part| match part {
            FormulaPart::Text(_) | FormulaPart::Of(Function::Crc32, _) => false,
            FormulaPart::One(one) => *one == Variable::Secret,
            FormulaPart::Of(_, all) => all.contains(&Variable::Secret),
        })
    }

    pub(super) fn has_id(&self) -> bool {
        self.variables().any(|v| *v == Variable::Id)
    }

    pub(super) fn has_verify_token(&self) -> bool {
        self.variables().any(|v| *v == Variable::VerifyToken)
    }

    /// The resulting bytes for a request. The error is for the operator.
    pub(super) fn bytes(&self, request: &Request, given: Given) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        for part in &self.0 {
            match part {
                FormulaPart::Text(text) => out.extend(text.as_bytes()),
                FormulaPart::One(one) => one.add_to(&mut out, request, given)?,
                FormulaPart::Of(function, all) => {
                    let mut bytes = Vec::new();
                    for one in all {
                        one.add_to(&mut bytes, request, given)?;
                    }
                    if given.is_reply && matches!(function, Function::HmacHex | Function::HmacBase64) && !is_token(&bytes) {
                        return Err(format!(
                            "the handshake asks for the signature of something that is not a token: 1 to {LONGEST_TOKEN} letters, digits, - and _"
                        ));
                    }
                    out.extend(function.of(&bytes, given.key).into_bytes());
                }
            }
        }
        Ok(out)
    }

    /// The same as text.
    pub(super) fn text(&self, request: &Request, given: Given) -> Result<String, String> {
        self.bytes(request, given).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }
}

fn part(inner: &str) -> Option<FormulaPart> {
    if let Some((name, rest)) = inner.split_once('(')
        && let Some((_, function)) = FUNCTIONS.iter().find(|(n, _)| *n == name)
    {
        let all = rest.strip_suffix(')')?.split('+').map(variable).collect::<Option<Vec<_>>>()?;
        return Some(FormulaPart::Of(*function, all));
    }
    variable(inner).map(FormulaPart::One)
}

fn variable(text: &str) -> Option<Variable> {
    let named = VARIABLES.iter().find(|(name, _)| *name == text).map(|(_, v)| v.clone());
    named.or_else(|| Location::read(text).map(Variable::At))
}

impl Variable {
    fn add_to(&self, out: &mut Vec<u8>, request: &Request, given: Given) -> Result<(), String> {
        let target = || match request.query.as_str() {
            "" => request.target.clone(),
            query => format!("{}?{query}", request.target),
        };
        let url = || {
            let base = given.public_url.ok_or("the address's `public_url` is not known")?;
            Ok::<_, String>(format!("{}{}", base.trim_end_matches('/'), target()))
        };
        match self {
            Variable::Body => out.extend_from_slice(&request.body),
            Variable::Time => out.extend(given.time.ok_or("the time of the signature is missing")?.as_bytes()),
            Variable::Id => out.extend(given.id.ok_or("the delivery's id is missing")?.as_bytes()),
            Variable::Method => out.extend(request.method.as_bytes()),
            Variable::Url => out.extend(url()?.into_bytes()),
            Variable::UrlDecoded => {
                let decoded = DECODED
                    .iter()
                    .fold(url()?, |url, (escape, mark)| url.replace(escape, mark).replace(&escape.to_ascii_lowercase(), mark));
                out.extend(decoded.into_bytes());
            }
            Variable::Path => out.extend(request.target.as_bytes()),
            Variable::PathAndQuery => out.extend(target().into_bytes()),
            Variable::SortedForm => {
                if crate::body::has_too_many_fields(&request.body) {
                    return Err("the form has too many fields".into());
                }
                let mut fields: Vec<(String, String)> = form_urlencoded::parse(&request.body).into_owned().collect();
                fields.sort();
                fields.dedup();
                fields.iter().for_each(|(name, value)| out.extend(format!("{name}{value}").into_bytes()));
            }
            Variable::Secret => out.extend(given.secret.as_bytes()),
            Variable::VerifyToken => {
                let draft = given.verify_token.ok_or("the rule file has no `verify_token:` next to `secret:`")?;
                out.extend(draft.as_bytes());
            }
            Variable::At(place) => {
                let found = place.find(request)?.ok_or_else(|| format!("{} is missing", place.description()))?;
                out.extend(found.into_bytes());
            }
        }
        Ok(())
    }
}

impl Function {
    fn of(self, bytes: &[u8], key: &[u8]) -> String {
        let sha256 = || digest::digest(&digest::SHA256, bytes);
        let tag = || hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), bytes);
        match self {
            Function::Sha256Hex => hex(sha256().as_ref()),
            Function::Sha256Base64 => STANDARD.encode(sha256()),
            Function::HmacHex => hex(tag().as_ref()),
            Function::HmacBase64 => STANDARD.encode(tag()),
            Function::Crc32 => crc32fast::hash(bytes).to_string(),
        }
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
