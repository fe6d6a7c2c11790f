//! Google Pub/Sub push: a token that Google signed for a service account. The body is not signed.
//! Source: Google Cloud's documentation, "Authentication for push subscriptions".

use super::contract::{NAME_OUTSIDE, Scheme, SenderFacts};
use super::guard::Guard;
use super::key::Algorithm;
use super::location::Location;
use super::secret::read_text;
use super::token::Token;
use super::verifier::{KeyAt, Published, Signed, Verify};
use crate::expr::names::Names;
use crate::model::request::Request;
use crate::yaml::Node;
use crate::yaml::fields::Item;

pub struct PubSub;

/// Where Google publishes its keys.
const KEYS: &str = "https://www.googleapis.com/oauth2/v3/certs";
const ISSUERS: [&str; 2] = ["https://accounts.google.com", "accounts.google.com"];

impl Scheme for PubSub {
    fn name(&self) -> &'static str {
        "google_pubsub"
    }
    fn facts(&self) -> Option<SenderFacts> {
        Some(SenderFacts {
            title: "Google Pub/Sub (push)".into(),
            delivery_id: vec!["body.message.messageId".into()],
            remembered: Some(192),
            write: "{ google_pubsub: { email: pusher@my-project.iam.gserviceaccount.com, audience: \"https://hooks.example.com/orders\" } }".into(),
            paste: "create a push subscription with the address as its endpoint, authentication on, and a service account".into(),
            within: "up to the acknowledgement deadline of the subscription (10 seconds by default)".into(),
            note: "the body is not signed; the audience is the push address unless the subscription sets another one; without `audience:`, Doorbell expects public_url and the path".into(),
        })
    }
    fn read(&self, item: &Item, known: &Names, public_url: Option<&str>) -> Option<Guard> {
        let (email, audience) = match item.node {
            Node::Map(_) => {
                let mut fields = item.fields("`google_pubsub:`")?;
                let email = fields.must("email").and_then(|i| read_text(&i, known));
                let audience = fields.may("audience").map(|i| read_text(&i, known));
                fields.done(&[("service_account", "email"), ("aud", "audience"), ("name", NAME_OUTSIDE)]);
                (email?, audience.map_or(Some(None), |a| a.map(Some))?)
            }
            _ => (read_text(item, known)?, None),
        };
        if audience.is_none() && public_url.is_none() {
            item.problem("the token names the address that it is for, so Doorbell must know its public address")
                .at_key()
                .label("write `audience:` next to `email:`, or `public_url: https://hooks.example.com` next to `verify:`")
                .add();
            return None;
        }
        Some(Guard::of(Pushed {
            email: email.reveal().to_owned(),
            audience: audience.map(|a| a.reveal().to_owned()),
            public_url: public_url.map(|u| u.trim_end_matches('/').to_owned()),
        }))
    }
}

struct Pushed {
    email: String,
    audience: Option<String>,
    public_url: Option<String>,
}

impl Pushed {
    /// The token, after every check that does not need Google's keys.
    fn read(&self, request: &Request) -> Result<Token, String> {
        let header = request.only_header("Authorization")?;
        let token = header.split_once(' ').filter(|(word, _)| word.eq_ignore_ascii_case("bearer")).map(|(_, token)| token.trim());
        let token = token.ok_or("the header Authorization does not begin with Bearer")?;
        let token = Token::read(token, Algorithm::JwtRs256, request.received)?;
        let own = || format!("{}{}", self.public_url.as_deref().unwrap_or_default(), request.target);
        let audience = self.audience.clone().unwrap_or_else(own);
        for (name, any_of) in [
            ("iss", ISSUERS.map(str::to_owned).to_vec()),
            ("aud", vec![audience]),
            ("email", vec![self.email.clone()]),
            ("email_verified", vec!["true".to_owned()]),
        ] {
            if !token.claims(name, &any_of) {
                return Err(format!("the token's `{name}` is not {}", any_of.join(" or ")));
            }
        }
        match token.has("exp") {
            true => Ok(token),
            false => Err("the token has no expiry time".into()),
        }
    }
}

impl Verify for Pushed {
    fn key_at(&self, request: &Request) -> Result<Option<KeyAt>, String> {
        self.read(request).map(|_| Some(KeyAt::Fixed(KEYS.to_owned())))
    }

    fn check(&self, request: &Request, published: Option<&Published>) -> Result<Signed, String> {
        let token = self.read(request)?;
        let published = published.ok_or("Google's keys could not be fetched")?;
        token.prove(&[&published.0])?;
        // Google sends one token with many messages, so it does not distinguish them.
        Ok(Signed::new())
    }

    fn secret_at(&self) -> Vec<Location> {
        vec![Location::header("Authorization")]
    }
}
