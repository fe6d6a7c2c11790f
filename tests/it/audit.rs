//! What people did to a Doorbell can be read afterwards.

use crate::harness::{ClosedPort, Setup, until};

#[test]
fn what_people_do_is_written_down_with_and_without_serve() {
    let closed = ClosedPort::new();
    let rules = |name: &str| {
        let step = format!("{{ post: \"http://{}/\", tries: 1 }}", closed.address());
        format!("webhooks:\n  /a: {{ verify: none }}\nrules:\n  {name}: {{ when: {{ webhook: /a }}, then: [ {step} ] }}\n")
    };
    let setup = Setup::with(&rules("A"));
    assert_eq!(setup.printed(&["audit", "--data", "."]), "Nothing has been done yet.\n");
    let said = "doorbell: there is no folder nowhere; choose another one with --data\n";
    assert_eq!(setup.printed(&["audit", "--data", "nowhere"]), said);
    let doorbell = setup.serve();
    let event = doorbell.deliver("/a", "{}");
    until("it has failed", || setup.printed(&["failed"]).contains("1 failed run"));
    setup.printed(&["replay", &event]);
    setup.printed(&["cancel", &event]);
    setup.printed(&["prune", "--older-than", "1 second", "--failed", "--dry-run"]);
    setup.printed(&["backup", "copy.db"]);
    setup.write("rules/rules.yaml", &rules("B"));
    until("the rules are reloaded", || doorbell.logged("rules reloaded"));
    until("it has failed again", || setup.printed(&["failed"]).contains("1 failed run"));
    // The latest event is always kept.
    doorbell.deliver("/a", "{}");
    doorbell.stop();
    until("it is old enough", || setup.printed(&["prune", "--older-than", "1 second", "--failed"]).starts_with("1 event deleted"));
    let said = setup.printed(&["audit"]);
    // Without the times and the user.
    let deeds: Vec<&str> = said.lines().map(|line| line.splitn(6, ' ').last().unwrap().trim_start()).collect();
    let version = env!("CARGO_PKG_VERSION");
    let expected = [
        format!("started Doorbell {version}"),
        format!("replayed event {event}: 1 run"),
        format!("cancelled event {event}: 0 runs"),
        "copied everything to copy.db".to_owned(),
        "reloaded the rules: added `B`; removed `A`".to_owned(),
        "stopped Doorbell".to_owned(),
    ];
    assert_eq!(deeds[..6], expected, "{said}");
    assert!(deeds[6].starts_with("deleted events from before ") && deeds[6].ends_with(", failed ones too: 1 event"), "{said}");
    assert_eq!(setup.printed(&["audit", "--last", "1"]).lines().count(), 1);
}
