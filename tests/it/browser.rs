//! The console in a real browser (Chromium), driven by the scripts in tests/browser.

use std::process::Command;

use crate::harness::{Setup, project_folder, unable};

const RULES: &str = r#"
webhooks:
  /orders: { verify: none }
rules:
  Every order:
    when: { webhook: /orders }
    then:
      - append: orders.log
        text: "{{ body.id }}"
    tests:
      - name: an order
        send: { json: { id: 1, total: 5 } }
        expect: [{ append: orders.log, text: "1" }]
  Big orders:
    when: { webhook: /orders }
    if:
      body.total: { over: 1000 }
    then:
      - append: big.log
        text: "{{ body.id }}"
"#;

/// Runs a script in a browser that looks at a Doorbell with these rules.
fn see(script: &str) -> Setup {
    let (Some(packages), Some(browser)) = (option_env!("PLAYWRIGHT_PACKAGES"), option_env!("CHROMIUM_PROGRAM")) else {
        unable("has_browser", "there is no browser")
    };
    let setup = Setup::with(RULES);
    let serving = setup.serve_with_console(&[]);
    let out = Command::new("node")
        .arg(project_folder().join("tests/browser").join(script))
        .args([&setup.console_link(), &format!("http://{}", serving.address)])
        .envs([("PLAYWRIGHT", packages), ("CHROMIUM", browser)])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{said}\n{}", serving.log.lock().unwrap());
    setup
}

#[test]
#[cfg_attr(not(has_browser), ignore = "needs node, Chromium, and playwright-core and axe-core in the folder that PLAYWRIGHT names")]
fn people_find_their_way_through_the_console() {
    // What was saved in the browser is what runs.
    assert!(see("pages.mjs").output("big.log").contains("after-the-edit"));
}

#[test]
#[cfg_attr(not(has_browser), ignore = "needs node, Chromium, and playwright-core and axe-core in the folder that PLAYWRIGHT names")]
fn a_rule_file_is_edited_with_completion_and_corrections() {
    assert_eq!(std::fs::read_to_string(see("editor.mjs").path("rules/rules.yaml")).unwrap(), RULES, "the script puts it back");
}
