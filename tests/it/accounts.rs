//! `using:` of calls, with real servers: accounts whose tokens are fetched, renewed and saved (`oauth2:`), and what nobody ever sees
//! of them.

use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::harness::{Doorbell, Setup, Target, json, until};

const RULES: &str = "webhooks:\n  /a: { verify: none }\nrules:\n  A:\n    when: { webhook: /a }\n    then:\n      - post: \"http://API/things\"\n        json: { n: \"{{ body.n }}\" }\n        using: crm\n        first_wait: 50 milliseconds\n        save_as: answer\n      - append: done.txt\n        text: \"{{ body.n }} {{ answer.body.said }}\"\n";

/// A rule that calls the API, and a connection with an account at the token server; `more` are further lines of it.
fn setup(api: &Target, tokens: &Target, more: &str) -> Setup {
    let setup = Setup::new().env("CRM_SECRET", "client-s3cr3t");
    write(&setup, api, tokens, more);
    setup
}

fn write(setup: &Setup, api: &Target, tokens: &Target, more: &str) {
    setup.write("rules/rules.yaml", &RULES.replace("API", &api.address));
    let account = "      client_id: shop\n      client_secret: \"{{ secret.CRM_SECRET }}\"\n";
    let url = tokens.url("/oauth/token");
    setup.write("rules/connections.yaml", &format!("connections:\n  crm:\n    oauth2:\n      token_url: {url}\n{account}{more}"));
}

/// An answer with a token.
fn token(name: &str, more: &str) -> String {
    json(200, &format!("{{\"access_token\":\"{name}\",\"token_type\":\"Bearer\"{more}}}"))
}

/// Whether a form has this field.
fn has(form: &str, name: &str, value: &str) -> bool {
    form_urlencoded::parse(form.as_bytes()).any(|(n, v)| n == name && v == value)
}

fn log(doorbell: &Doorbell) -> String {
    doorbell.log.lock().unwrap().clone()
}

#[test]
fn a_token_is_fetched_when_it_is_needed_and_used_for_all_calls() {
    let api = Target::new(&[&json(200, "{\"said\":\"hello\"}")]);
    // So slow that many calls wait for it.
    let tokens = Target::answering(|_, _| {
        std::thread::sleep(Duration::from_millis(300));
        token("t0ken-one-and-only", ",\"expires_in\":3600")
    });
    let setup =
        setup(&api, &tokens, "      scope: [contacts.read, contacts.write]\n      parameters: { audience: https://api.example.com }\n");
    let doorbell = setup.serve();
    assert!(tokens.calls().is_empty(), "nothing is fetched before it is needed");
    for n in 0..20 {
        doorbell.deliver("/a", &format!("{{\"n\":{n}}}"));
    }
    until("all are done", || setup.output("done.txt").lines().count() == 20);
    assert!(api.calls().iter().all(|call| call.header("authorization") == "Bearer t0ken-one-and-only"));
    let asked = tokens.calls();
    assert_eq!(asked.len(), 1, "one token for all");
    assert_eq!(asked[0].line, "POST /oauth/token HTTP/1.1");
    assert_eq!(asked[0].header("authorization"), format!("Basic {}", STANDARD.encode("shop:client-s3cr3t")));
    assert_eq!(asked[0].body, "grant_type=client_credentials&scope=contacts.read+contacts.write&audience=https%3A%2F%2Fapi.example.com");
    assert_eq!(asked[0].header("idempotency-key"), "", "it belongs to no step");
}

#[test]
fn a_token_is_renewed_before_it_ends_and_when_it_is_not_accepted_any_more() {
    // The API accepts the newest token only.
    let newest = Arc::new(AtomicUsize::new(0));
    let (given, accepted) = (newest.clone(), newest.clone());
    let tokens = Target::answering(move |_, _| {
        let n = given.fetch_add(1, Ordering::SeqCst) + 1;
        let lasts = if n == 1 { ",\"expires_in\":1" } else { "" };
        token(&format!("t0ken-number-{n}"), lasts)
    });
    let api = Target::answering(move |call, _| {
        let is_newest = call.header("authorization") == format!("Bearer t0ken-number-{}", accepted.load(Ordering::SeqCst));
        if is_newest { json(200, "{\"said\":\"yes\"}") } else { json(401, "{\"error\":\"expired\"}") }
    });
    let setup = setup(&api, &tokens, "      client_auth: body\n");
    let doorbell = setup.serve();
    assert!(setup.explained(&doorbell.deliver("/a", "{\"n\":1}")).contains("✓ A"));
    assert!(has(&tokens.calls()[0].body, "client_secret", "client-s3cr3t") && tokens.calls()[0].header("authorization").is_empty());
    std::thread::sleep(Duration::from_millis(1_000));
    assert!(setup.explained(&doorbell.deliver("/a", "{\"n\":2}")).contains("✓ A"));
    let sent: Vec<String> = api.calls().iter().map(|call| call.header("authorization").to_owned()).collect();
    assert_eq!(sent, ["Bearer t0ken-number-1", "Bearer t0ken-number-2"], "the first one was not sent after its time");
    // Somebody revokes the token: the same try goes on with a new one.
    newest.fetch_add(1, Ordering::SeqCst);
    let shown = setup.explained(&doorbell.deliver("/a", "{\"n\":3}"));
    assert!(shown.contains("✓ A") && !shown.contains("retry") && !shown.contains("answered 401"), "{shown}");
    let calls = api.calls();
    assert_eq!(calls.len(), 4);
    assert_eq!(calls[2].header("idempotency-key"), calls[3].header("idempotency-key"));
    assert_eq!((calls[2].body.as_str(), calls[3].body.as_str()), ("{\"n\":3}", "{\"n\":3}"));
    assert_eq!(tokens.calls().len(), 3);
}

#[test]
fn a_new_token_that_is_not_accepted_either_makes_the_step_fail() {
    let tokens = Target::answering(|_, number| token(&format!("t0ken-{number}"), ""));
    let api = Target::new(&[&json(200, "{\"said\":\"yes\"}"), &json(401, "{\"error\":\"no\"}")]);
    let setup = setup(&api, &tokens, "");
    let doorbell = setup.serve();
    assert!(setup.explained(&doorbell.deliver("/a", "{\"n\":1}")).contains("✓ A"));
    let shown = setup.explained(&doorbell.deliver("/a", "{\"n\":2}"));
    assert!(shown.contains("✗ A") && shown.contains("answered 401: {\"error\":\"no\"}"), "{shown}");
    assert_eq!((tokens.calls().len(), api.calls().len()), (2, 3));
}

#[test]
fn files_are_sent_and_saved_whole_when_a_token_is_renewed_on_the_way() {
    let tokens = Target::answering(|_, number| token(&format!("t0ken-{number}"), ""));
    // A token is not accepted any more when it is used for the second time.
    let api = Target::answering(|call, number| match number {
        1 => json(401, "{\"error\":\"expired\"}"),
        3 => json(401, "{\"error\":\"expired\"}"),
        _ => json(200, &format!("{{\"line\":\"{}\",\"size\":{}}}", call.line, call.body.len())),
    });
    let setup = setup(&api, &tokens, "");
    let rules = format!(
        "webhooks:\n  /a: {{ verify: none }}\nrules:\n  A:\n    when: {{ webhook: /a }}\n    then:\n      - get: http://{0}/one\n        using: crm\n      - get: http://{0}/two\n        to_file: two.json\n        using: crm\n      - post: http://{0}/three\n        files: {{ it: two.json }}\n        using: crm\n",
        api.address
    );
    setup.write("rules/rules.yaml", &rules);
    let doorbell = setup.serve();
    let shown = setup.explained(&doorbell.deliver("/a", "{\"n\":1}"));
    assert!(shown.contains("✓ A") && !shown.contains("retry"), "{shown}");
    assert_eq!(setup.output("two.json"), "{\"line\":\"GET /two HTTP/1.1\",\"size\":0}");
    let calls = api.calls();
    let sent: Vec<(&str, &str)> = calls.iter().map(|call| (call.line.split(' ').nth(1).unwrap(), call.header("authorization"))).collect();
    let expected = ["/one 0", "/two 0", "/two 1", "/three 1", "/three 2"].map(|call| call.split_once(' ').unwrap());
    let expected: Vec<(&str, String)> = expected.iter().map(|(path, n)| (*path, format!("Bearer t0ken-{n}"))).collect();
    assert!(sent.iter().zip(&expected).all(|(a, b)| a.0 == b.0 && a.1 == b.1) && sent.len() == 5, "{sent:?}");
    assert!(calls[3].body.contains("GET /two") && calls[3].body == calls[4].body);
}

#[test]
fn nobody_sees_a_token_or_a_secret_not_even_if_a_server_repeats_it() {
    let api = Target::answering(|call, number| match number {
        0 => json(200, &format!("{{\"said\":\"{}\"}}", call.header("authorization"))),
        _ => json(400, &format!("{{\"you\":\"{}\"}}", call.header("authorization"))),
    });
    let tokens = Target::answering(|call, number| match number {
        0 => json(503, &format!("{{\"error\":\"server_error\",\"error_description\":\"{}\"}}", call.body)),
        _ => token("t0ken/with+chars==", ",\"expires_in\":\"3600\""),
    });
    let setup = setup(&api, &tokens, "      client_auth: body\n");
    setup.write("a.json", "{\"n\":1}");
    let shown = setup.printed(&["try", "a.json", "--path", "/a"]);
    assert!(shown.contains("\n     using: crm\n") || shown.contains("using: crm"), "{shown}");
    assert!(tokens.calls().is_empty(), "a dry run asks for no token");
    let doorbell = setup.serve();
    let first = setup.explained(&doorbell.deliver("/a", "{\"n\":1}"));
    assert!(first.contains("✓ A") && first.contains("crm: 127.0.0.1 answered 503 (server_error: "), "{first}");
    assert_eq!(setup.output("done.txt"), "1 Bearer ***\n");
    let second = setup.explained(&doorbell.deliver("/a", "{\"n\":2}"));
    assert!(second.contains("answered 400: {\"you\":\"Bearer ***\"}"), "{second}");
    for text in [shown, first, second, log(&doorbell)] {
        assert!(!text.contains("t0ken") && !text.contains("s3cr3t"), "{text}");
    }
    doorbell.stop();
    let stored = std::fs::read(setup.path("data/doorbell.db")).unwrap();
    let stored = String::from_utf8_lossy(&stored);
    assert!(!stored.contains("t0ken/with") && !stored.contains("s3cr3t"));
    assert!(!setup.path("data/tokens").exists(), "without a refresh token, nothing is stored");
}

/// A server that accepts each refresh token once, and gives a new one with every token, as many do.
struct Rotating {
    server: Target,
    /// The refresh token that is accepted.
    current: Arc<Mutex<String>>,
}

impl Rotating {
    fn new(first: &str) -> Self {
        let current = Arc::new(Mutex::new(first.to_owned()));
        let known = current.clone();
        let server = Target::answering(move |call, number| {
            let mut current = known.lock().unwrap();
            if !has(&call.body, "grant_type", "refresh_token") || !has(&call.body, "refresh_token", &current) {
                return json(400, "{\"error\":\"invalid_grant\",\"error_description\":\"the token was used\"}");
            }
            *current = format!("r3fresh-{}", number + 1);
            token(&format!("t0ken-{}", number + 1), &format!(",\"expires_in\":3600,\"refresh_token\":\"{current}\""))
        });
        Self { server, current }
    }
}

const REFRESH: &str = "      refresh_token: \"{{ secret.CRM_REFRESH }}\"\n";

/// What is stored about refresh tokens.
fn stored(setup: &Setup) -> Vec<(u32, String)> {
    let files = std::fs::read_dir(setup.path("data/tokens")).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_none());
    files
        .map(|path| (path.metadata().unwrap().mode() & 0o777, String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned()))
        .collect()
}

#[test]
fn a_new_refresh_token_outlives_restarts_and_a_secret_that_people_change_wins() {
    for with_key in [false, true] {
        let api = Target::new(&[&json(200, "{\"said\":\"yes\"}")]);
        let tokens = Rotating::new("first-r3fresh");
        let setup = setup(&api, &tokens.server, REFRESH).env("CRM_REFRESH", "first-r3fresh");
        setup.write("key", &"0123456789abcdef".repeat(4));
        let options: &[&str] = if with_key { &["--data-key", "key"] } else { &[] };
        let explained = |event: &str| {
            let mut shown = String::new();
            until("the run has ended", || {
                shown = setup.printed(&[&["explain", event], options].concat());
                shown.contains("✓ A")
            });
            shown
        };
        let doorbell = setup.serve_with(options);
        explained(&doorbell.deliver("/a", "{\"n\":1}"));
        let all = stored(&setup);
        assert_eq!(all.len(), 1);
        assert_eq!((all[0].0, all[0].1.contains("r3fresh-1")), (0o600, !with_key), "{all:?}");
        doorbell.kill();
        let doorbell = setup.serve_with(options);
        explained(&doorbell.deliver("/a", "{\"n\":2}"));
        drop(doorbell);
        // Trying it uses the stored one, too, and stores the next.
        let allow = ["connections", "--online", "--allow-network", "127.0.0.0/8"];
        let shown = setup.printed(&[&allow[..], options].concat());
        assert!(shown.contains("crm  OAuth 2 at 127.0.0.1:") && shown.contains("\n  used by: A\n  works\n"), "{shown}");
        // Somebody logs in again: what was stored does not count any more.
        *tokens.current.lock().unwrap() = "second-r3fresh".to_owned();
        let setup = setup.env("CRM_REFRESH", "second-r3fresh");
        let doorbell = setup.serve_with(options);
        let event = doorbell.deliver("/a", "{\"n\":3}");
        until("it is done", || setup.printed(&[&["explain", &event], options].concat()).contains("✓ A"));
        let used: Vec<bool> = ["first-r3fresh", "r3fresh-1", "r3fresh-2", "second-r3fresh"]
            .iter()
            .zip(tokens.server.calls())
            .map(|(token, call)| has(&call.body, "refresh_token", token))
            .collect();
        assert_eq!(used, [true; 4]);
        assert!(!log(&doorbell).contains("r3fresh"), "{}", log(&doorbell));
    }
}

#[test]
fn a_crash_after_a_new_refresh_token_was_given_loses_nothing() {
    // The API does not answer at first, so that Doorbell can be killed between the token and its use.
    let api = Target::answering(|_, number| {
        if number == 0 {
            std::thread::sleep(Duration::from_secs(3_600));
        }
        json(200, "{\"said\":\"yes\"}")
    });
    let tokens = Rotating::new("first-r3fresh");
    let setup = setup(&api, &tokens.server, REFRESH).env("CRM_REFRESH", "first-r3fresh");
    let doorbell = setup.serve();
    let event = doorbell.deliver("/a", "{\"n\":1}");
    until("the token is used", || !api.calls().is_empty());
    doorbell.kill();
    let _doorbell = setup.serve();
    assert!(setup.explained(&event).contains("✓ A"));
    let calls = tokens.server.calls();
    assert_eq!(calls.len(), 2);
    assert!(has(&calls[1].body, "refresh_token", "r3fresh-1"), "{}", calls[1].body);
}

#[test]
fn an_account_that_was_closed_holds_its_runs_until_somebody_logs_in_again() {
    let api = Target::new(&[&json(200, "{\"said\":\"yes\"}")]);
    let tokens = Rotating::new("right-r3fresh");
    let setup = setup(&api, &tokens.server, REFRESH);
    setup.write(".env", "CRM_REFRESH=wrong-r3fresh\n");
    let doorbell = setup.serve_with_console(&["--env-file", ".env"]);
    let events: Vec<String> = (0..3).map(|n| doorbell.deliver("/a", &format!("{{\"n\":{n}}}"))).collect();
    let why = "crm: 127.0.0.1 answered 400 (invalid_grant: the token was used); get a new refresh token and set it";
    for event in &events {
        until("it waits and says why", || setup.printed(&["explain", event]).contains(&format!("paused: {why}")));
    }
    assert_eq!(tokens.server.calls().len(), 1, "the server is not asked again for each of them");
    until("it is logged", || doorbell.logged("connection needs somebody to look after it, and what uses it waits"));
    let health = setup.printed(&["health", "--listen", &doorbell.address]);
    assert!(health.contains("the connection crm needs somebody to look after it: 127.0.0.1 answered 400 (invalid_grant"), "{health}");
    let visitor = setup.visitor();
    let page = visitor.get("/").body;
    assert!(page.contains("needs somebody to look after it.") && page.contains("get a new refresh token and set it"), "{page}");
    assert!(api.calls().is_empty());
    setup.write(".env", "CRM_REFRESH=right-r3fresh\n");
    doorbell.reload();
    for event in &events {
        assert!(setup.explained(event).contains("✓ A"));
    }
    let health = setup.printed(&["health", "--listen", &doorbell.address]);
    assert!(!health.contains("look after"), "{health}");
    assert!(!visitor.get("/").body.contains("look after"));
    assert!(!log(&doorbell).contains("r3fresh"));
}

#[test]
fn a_token_server_that_fails_or_is_slow_is_asked_again_and_one_that_refuses_is_not() {
    let api = Target::new(&[&json(200, "{\"said\":\"yes\"}")]);
    let tokens = Target::answering(|_, number| match number {
        0 => json(500, "oops"),
        1 => String::new(),
        2 => {
            std::thread::sleep(Duration::from_millis(1_500));
            token("too-late-t0ken", "")
        }
        _ => token("t0ken", ""),
    });
    let setup = setup(&api, &tokens, "");
    let rules = RULES.replace("API", &api.address).replace("first_wait", "timeout: 1 second\n        first_wait");
    setup.write("rules/rules.yaml", &rules);
    let doorbell = setup.serve();
    let shown = setup.explained(&doorbell.deliver("/a", "{\"n\":1}"));
    assert!(shown.contains("✓ A") && shown.contains("crm: 127.0.0.1 answered 500"), "{shown}");
    assert!(shown.contains("crm: no token from 127.0.0.1: the connection was interrupted"), "{shown}");
    assert!(shown.contains("crm: no token within "), "{shown}");
    // What came too late for one try is used by the next one.
    assert_eq!((tokens.calls().len(), api.calls()[0].header("authorization")), (3, "Bearer too-late-t0ken"));
    drop(doorbell);
    let refusing = Target::new(&[&json(400, "{\"error\":\"invalid_scope\"}")]);
    write(&setup, &api, &refusing, "      scope: none-such\n");
    let doorbell = setup.serve();
    let shown = setup.explained(&doorbell.deliver("/a", "{\"n\":2}"));
    assert!(shown.contains("✗ A") && shown.contains("failed: crm: 127.0.0.1 answered 400 (invalid_scope)"), "{shown}");
    let shown = setup.printed(&["check", "--online", "--allow-network", "127.0.0.0/8"]);
    assert!(
        shown.contains("The connection `crm` (") && shown.contains(") does not work: 127.0.0.1 answered 400 (invalid_scope)\n"),
        "{shown}"
    );
    // A token is not fetched from a private network that nobody has allowed.
    let asked = refusing.calls().len();
    let shown = setup.printed(&["check", "--online"]);
    assert!(
        shown.contains("does not work: no token from 127.0.0.1: 127.0.0.1 is in a private network, and calls to it are refused"),
        "{shown}"
    );
    assert_eq!(refusing.calls().len(), asked);
}

#[test]
fn a_refresh_token_that_could_not_be_saved_is_not_asked_for() {
    let api = Target::new(&[&json(200, "{\"said\":\"yes\"}")]);
    let tokens = Rotating::new("first-r3fresh");
    let setup = setup(&api, &tokens.server, REFRESH).env("CRM_REFRESH", "first-r3fresh");
    // There is a file where the folder would be.
    setup.write("data/tokens", "");
    let doorbell = setup.serve();
    let event = doorbell.deliver("/a", "{\"n\":1}");
    until("it is tried again", || {
        setup.printed(&["explain", &event]).contains("so none is asked for: there is a file where a folder is needed")
    });
    assert!(tokens.server.calls().is_empty());
    std::fs::remove_file(setup.path("data/tokens")).unwrap();
    assert!(setup.explained(&event).contains("✓ A"));
    assert_eq!(tokens.server.calls().len(), 1);
}

#[test]
fn a_refresh_token_that_the_disk_does_not_take_is_saved_before_anything_else() {
    let api = Target::new(&[&json(200, "{\"said\":\"yes\"}")]);
    // While the server answers, the folder goes away.
    let folder = Arc::new(Mutex::new(std::path::PathBuf::new()));
    let there = folder.clone();
    let tokens = Target::answering(move |_, _| {
        let folder = there.lock().unwrap();
        std::fs::remove_dir_all(&*folder).unwrap();
        std::fs::write(&*folder, "").unwrap();
        token("t0ken-1", ",\"refresh_token\":\"r3fresh-1\"")
    });
    let setup = setup(&api, &tokens, REFRESH).env("CRM_REFRESH", "first-r3fresh");
    *folder.lock().unwrap() = setup.path("data/tokens");
    let doorbell = setup.serve();
    let event = doorbell.deliver("/a", "{\"n\":1}");
    until("it says why it waits", || {
        setup.printed(&["explain", &event]).contains("crm: the new refresh token cannot be saved in data/tokens")
    });
    assert!(api.calls().is_empty(), "the token is not used before");
    std::fs::remove_file(setup.path("data/tokens")).unwrap();
    assert!(setup.explained(&event).contains("✓ A"));
    assert_eq!((tokens.calls().len(), api.calls()[0].header("authorization")), (1, "Bearer t0ken-1"));
    assert!(stored(&setup)[0].1.contains("r3fresh-1"));
}

#[test]
fn a_connection_that_only_disabled_rules_use_needs_no_secrets() {
    let rules = |enabled: &str| {
        format!(
            "webhooks:\n  /a: {{ verify: none }}\nconnections:\n  crm: {{ oauth2: {{ token_url: https://login.example.com/token, client_id: shop, client_secret: \"{{{{ secret.NOT_SET }}}}\" }} }}\nrules:\n  A:\n    {enabled}when: {{ webhook: /a }}\n    then: [{{ post: https://api.example.com, using: crm }}]\n"
        )
    };
    let setup = Setup::with(&rules(""));
    assert!(setup.printed(&["check"]).contains("error: the secret NOT_SET is not set"));
    setup.write("rules/rules.yaml", &rules("enabled: false\n    "));
    let shown = setup.printed(&["check"]);
    assert!(
        shown.contains("the secret NOT_SET is not set; this rule is switched off") && shown.ends_with(": valid, with 1 note\n"),
        "{shown}"
    );
}

#[test]
fn a_call_whose_connection_was_removed_waits_for_it_and_uses_that_of_today() {
    let away = Target::new(&[&json(503, "")]);
    let api = Target::new(&[&json(200, "{\"said\":\"yes\"}")]);
    let (old, new) = (Target::new(&[&token("old-t0ken", "")]), Target::new(&[&token("new-t0ken", "")]));
    let setup = setup(&away, &old, "");
    let doorbell = setup.serve();
    let event = doorbell.deliver("/a", "{\"n\":1}");
    until("it is tried again", || setup.printed(&["explain", &event]).contains("retry"));
    setup.write("rules/connections.yaml", "connections: { other: { smtp: smtps://mail.example.com, from: a@example.com } }\n");
    setup.write("rules/rules.yaml", "webhooks:\n  /b: { verify: none }\nrules:\n  B:\n    when: { webhook: /b }\n    then: [{ log: x }]\n");
    doorbell.reload();
    until("it waits", || setup.printed(&["explain", &event]).contains("the connection `crm` is not in the rule files any more"));
    // Its own rule is finished as it was when the event came, with the connection of today.
    write(&setup, &api, &new, "");
    doorbell.reload();
    until("it has the new token", || away.calls().last().is_some_and(|call| call.header("authorization") == "Bearer new-t0ken"));
    assert_eq!((old.calls().len(), new.calls().len()), (1, 1));
}

#[test]
fn tests_of_rules_say_which_connection_is_used() {
    let rules = |used: &str| {
        format!(
            "webhooks:\n  /a: {{ verify: none }}\nconnections:\n  crm: {{ oauth2: {{ token_url: https://login.example.com/token, client_id: shop, client_secret: \"{{{{ secret.CRM }}}}\" }} }}\n  seal: {{ signs: {{ standard_webhooks: \"{{{{ secret.SEAL }}}}\" }} }}\nrules:\n  A:\n    when: {{ webhook: /a }}\n    then:\n      - post: https://api.example.com/things\n        json: {{ n: 1 }}\n        using: [crm, seal]\n      - get: https://api.example.com/things\n        using: crm\n    tests:\n      - name: it\n        send: {{}}\n        expect:\n          - post: https://api.example.com/things\n            json: {{ n: 1 }}\n            using: [crm, seal]\n          - get: https://api.example.com/things\n            using: {used}\n"
        )
    };
    let setup = Setup::with(&rules("crm"));
    assert!(setup.printed(&["test"]).ends_with("\n1 test passed\n"), "{}", setup.printed(&["test"]));
    setup.write("rules/rules.yaml", &rules("seal"));
    assert!(setup.printed(&["test"]).contains("≠ using: seal"), "{}", setup.printed(&["test"]));
    assert!(
        setup.printed(&["check", "--no-secrets"]).ends_with("1 rule in 1 file: valid\n"),
        "{}",
        setup.printed(&["check", "--no-secrets"])
    );
}
