//! Takes secrets out of an event before it is stored: out of the headers and the query values that rules compare with secrets.
//! The body stays as it was received.

use std::collections::BTreeSet;

use super::event::Event;
use super::sealed_part::{PartOf, SealedPart};
use crate::secret::{STRUCK, Vault};

/// Which values of an event may contain secrets, because a rule that knows secrets reads them. Names of headers are in lower
/// case.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Exposed {
    pub headers: BTreeSet<String>,
    pub all_headers: bool,
    pub query: bool,
    /// Those that are compared with secrets, so that even a wrong value is not for everybody.
    pub compared_headers: BTreeSet<String>,
    pub compared_query: BTreeSet<String>,
}

impl Event {
    /// Replaces secrets in these values. A value that is compared with a secret is replaced as a whole. What cannot be referred to
    /// by the name of a secret is replaced for good.
    pub fn seal(&mut self, exposed: &Exposed, vault: &Vault) {
        let mut sealed = Vec::new();
        let is_exposed = |name: &str| exposed.all_headers || exposed.headers.contains(name);
        for (at, (name, value)) in self.headers.iter_mut().enumerate().filter(|(_, (name, _))| is_exposed(name)) {
            seal(value, exposed.compared_headers.contains(name), PartOf::Header(at), vault, &mut sealed);
        }
        if exposed.query {
            let mut is_struck = false;
            let mut query = form_urlencoded::Serializer::new(String::new());
            for (at, (name, mut value)) in form_urlencoded::parse(self.query.as_bytes()).into_owned().enumerate() {
                let struck = vault.strike(&name);
                is_struck |= seal(&mut value, exposed.compared_query.contains(&name), PartOf::Query(at), vault, &mut sealed);
                is_struck |= struck != name;
                query.append_pair(&struck, &value);
            }
            if is_struck {
                self.hash_before = Some(self.request_hash());
                self.query = query.finish();
            }
        }
        self.sealed.extend(sealed);
    }
}

/// Replaces the secrets in a value, and keeps it with their names; returns whether it is changed.
fn seal(value: &mut String, is_compared: bool, of: PartOf, vault: &Vault, sealed: &mut Vec<SealedPart>) -> bool {
    let struck = vault.strike(value);
    let has_secret = struck != *value;
    if has_secret {
        sealed.extend(vault.seal(value).map(|text| SealedPart { of, text }));
    }
    match is_compared && !value.is_empty() {
        true => STRUCK.clone_into(value),
        false => *value = struck,
    }
    has_secret || is_compared
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_in_headers_and_the_query_are_stored_by_name_and_seen_again() {
        let mut vault = Vault::default();
        vault.keep("KEY", "p@ss word/7".into());
        let mut event = Event {
            query: "a=1&key=p%40ss+word%2F7&&b=x+y".into(),
            headers: vec![
                ("x-a".into(), "p@ss word/7".into()),
                ("x-b".into(), "one".into()),
                ("x-b".into(), "Token p@ss word/7".into()),
                ("x-c".into(), "p%40ss%20word%2F7".into()),
                ("x-other".into(), "p@ss word/7".into()),
            ],
            ..Event::nobody()
        };
        let seen = |event: &Event, vault: &Vault| (event.headers_object(vault), event.query_object(vault), event.header("X-B", vault));
        let before = seen(&event, &vault);
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let exposed = Exposed { headers: names(&["x-a", "x-b", "x-c"]), query: true, ..Exposed::default() };
        let hash = event.request_hash();
        event.seal(&exposed, &vault);
        assert_eq!(event.request_hash(), hash, "it is the same request");
        assert_eq!(event.query, "a=1&key=***&b=x+y");
        let headers: Vec<&str> = event.headers.iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!(headers, ["***", "one", "Token ***", "***", "p@ss word/7"], "only what rules read is looked at");
        let stored = serde_json::to_string(&event.sealed).unwrap();
        assert!(!stored.contains("p@ss"), "{stored}");
        event.sealed = serde_json::from_str(&stored).unwrap();
        let mut expected = before;
        expected.0["x-c"] = json!("***");
        assert_eq!(seen(&event, &vault), expected);
        vault.keep("KEY", "new".into());
        assert_eq!(seen(&event, &vault).2, Some(json!(["one", "Token new"])));
        assert_eq!(seen(&event, &Vault::default()).1, json!({ "a": "1", "key": "***", "b": "x y" }), "nobody knows it any more");
    }

    #[test]
    fn a_value_that_is_compared_with_a_secret_is_replaced_even_if_it_is_wrong() {
        let mut vault = Vault::default();
        vault.keep("KEY", "right-value".into());
        let names = |name: &str| BTreeSet::from([name.to_owned()]);
        let exposed = Exposed {
            headers: BTreeSet::from(["x-key".to_owned(), "x-shop".to_owned()]),
            query: true,
            compared_headers: names("x-key"),
            compared_query: names("key"),
            all_headers: false,
        };
        let sealed = |key: &str| {
            let headers = vec![("x-key".to_owned(), format!("Key {key}")), ("x-shop".to_owned(), "berlin".to_owned())];
            let mut event = Event { query: format!("shop=berlin&key={key}"), headers, ..Event::nobody() };
            event.seal(&exposed, &vault);
            assert!(!format!("{event:?}").contains("value"), "{event:?}");
            (event.header("x-key", &vault).unwrap(), event.query_object(&vault), event.request_hash())
        };
        let (right, wrong) = (sealed("right-value"), sealed("wrong-value"));
        assert_eq!((right.0, right.1), (json!("Key right-value"), json!({ "shop": "berlin", "key": "right-value" })));
        assert_eq!((wrong.0, wrong.1), (json!("***"), json!({ "shop": "berlin", "key": "***" })));
        assert_ne!(right.2, wrong.2, "they are different requests");
    }
}
