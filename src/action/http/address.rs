//! Checks the address of a call when rules are loaded, as far as that is possible without an event.

use super::target::{Target, check_scheme_and_port};
use crate::expr::doubt;
use crate::expr::names::Names;
use crate::expr::template::url::Url;
use crate::text::nearest::nearest;
use crate::text::span;
use crate::yaml::fields::Item;

/// Reports what is wrong with an address.
pub(super) fn check_url(url: &Url, item: &Item, targets: &[Target], known: &Names) {
    if url.host_from_data && targets.is_empty() {
        item.problem("a value from the request would decide which server is called")
            .label("list the servers that may be called: hosts: [hooks.slack.com]")
            .add();
        return;
    }
    let Some(sample) = url.sample() else { return };
    let written = item.text().unwrap_or_default();
    if !sample.starts_with("http://") && !sample.starts_with("https://") {
        return without_scheme(item, &written);
    }
    let parsed = match reqwest::Url::parse(sample.trim_end()) {
        Ok(parsed) => parsed,
        Err(e) => {
            item.problem(format!("this address is not valid: {e}")).label("write for example https://api.example.com/orders").add();
            return;
        }
    };
    let host = parsed.host_str().unwrap_or("");
    if host.contains("..") || host.starts_with('.') {
        item.problem("the host in this address has two dots in a row")
            .label("correct the host")
            .write(&written.replacen("..", ".", 1))
            .add();
    } else if sample.contains(char::is_whitespace) {
        let draft = item.problem("this address contains a space").label("remove it; spaces in values are encoded automatically");
        let plain = |text: &str| !text.contains("{{");
        match (written.trim() != written && plain(&written), plain(&written)) {
            (true, _) => draft.write(written.trim()).add(),
            (_, true) => draft.write(&written.replace(' ', "%20")).add(),
            _ => draft.add(),
        }
    } else if let Some(why) = known.lookup.refuses(&sample) {
        item.warning(why).add();
    }
    doubtful(item, &sample, &written);
    if url.host_from_data {
        check_scheme_and_port(&parsed, targets, item);
    }
}

/// Parts of an address that are valid, and not what they look like.
fn doubtful(item: &Item, sample: &str, written: &str) {
    if sample.contains('\\') {
        item.warning("an address has no `\\`; it is read as `/`").label("write `/`").write(&written.replace('\\', "/")).add();
    }
    let path = sample.split_once("://").and_then(|(_, rest)| rest.split_once('/')).map_or("", |(_, path)| path);
    let path = path.split(['?', '#']).next().unwrap_or("");
    if let Some(name) = path.split('/').find_map(|part| part.strip_prefix(':')).filter(|n| n.starts_with(|c: char| c.is_alphabetic())) {
        item.warning(format!("`:{name}` is sent as it is: a value is inserted with two braces"))
            .label("write where the value comes from, such as {{ body.id }}")
            .within(&format!(":{name}"))
            .write(&format!("{{{{ body.{name} }}}}"))
            .add();
    }
    if let Some(name) = path.split('/').find_map(|part| part.strip_prefix('<').and_then(|p| p.strip_suffix('>'))) {
        item.warning(format!("`<{name}>` is sent as it is: a value is inserted with two braces"))
            .label("write where the value comes from, such as {{ body.id }}")
            .add();
    }
    let is_hex = |at: usize| {
        span::between(sample, at + 1, at + 3).len() == 2 && span::between(sample, at + 1, at + 3).chars().all(|c| c.is_ascii_hexdigit())
    };
    if let Some((at, _)) = sample.match_indices('%').find(|(at, _)| !is_hex(*at)) {
        let shown: String = span::from(sample, at).chars().take(2).collect();
        item.warning(format!("`{shown}` has no meaning in an address: a `%` is followed by two digits or letters from a to f"))
            .label("to insert a value write {{ body.id }}; a percent sign itself is %25")
            .add();
    }
    if sample.contains('#') {
        item.warning("the part of an address after `#` is never sent")
            .label("remove it")
            .write(written.split('#').next().unwrap_or(written))
            .add();
    }
}

/// An address that does not begin with https:// or http://.
fn without_scheme(item: &Item, written: &str) {
    let lower = written.to_lowercase();
    let text = written.trim_start_matches('<').trim_end_matches('>');
    if lower.starts_with("mailto:") || text.contains('@') && !text.contains('/') && !text.contains("{{") {
        item.problem("this is an address of e-mail, and calls go to web addresses")
            .label("write `email:` with `subject:`, `text:` and `using:`")
            .add();
        return;
    }
    if text.starts_with('/') && !text.starts_with("//") {
        item.problem("the address of a call begins with https:// or http://")
            .label("write the whole address, with the name of the server")
            .add();
        return;
    }
    let root = text.split('.').next().unwrap_or("");
    if matches!(root, "secret" | "env" | "body") && root.len() < text.len() && !text.contains(['/', ' ', '{']) {
        // The same words as for this mistake elsewhere.
        doubt::field_as(item.problem(doubt::is_text(text)), text).add();
        return;
    }
    if doubt::variable(item, text) {
        return;
    }
    let draft = item
        .problem("the address of a call begins with https:// or http://")
        .label("write the whole address, such as https://api.example.com/orders");
    let scheme_end = text.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(0);
    let scheme = span::before(text, scheme_end).to_lowercase();
    let rest = span::from(text, scheme_end).trim_start_matches([':', '/']);
    let near = nearest(&scheme, ["https", "http"]).filter(|_| scheme.len() > 2);
    let has_scheme = span::from(text, scheme_end).starts_with([':', '/']) && scheme_end > 0;
    let bare = text.trim_start_matches('/');
    let has_host = bare.split('/').next().is_some_and(|host| host.contains('.') && !host.contains([' ', '{']));
    match near.filter(|_| has_scheme) {
        Some(near) => draft.write(&format!("{near}://{rest}")).add(),
        None if !text.contains("://") && has_host => draft.write(&format!("https://{bare}")).add(),
        None => draft.add(),
    }
}
