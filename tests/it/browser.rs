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
    if: { body.total: { over: 1000 } }
    then:
      - append: big.log
        text: "{{ body.id }}"
"#;

#[test]
#[cfg_attr(not(has_browser), ignore = "needs node, Chromium, and playwright-core and axe-core in the folder that PLAYWRIGHT names")]
fn people_find_their_way_through_the_console() {
    let (Some(packages), Some(browser)) = (option_env!("PLAYWRIGHT_PACKAGES"), option_env!("CHROMIUM_PROGRAM")) else {
        unable("has_browser", "there is no browser")
    };
    let setup = Setup::with(RULES);
    let serving = setup.serve_with_console(&[]);
    let script = project_folder().join("tests/browser/pages.mjs");
    let out = Command::new("node")
        .arg(script)
        .args([&setup.console_link(), &format!("http://{}", serving.address)])
        .envs([("PLAYWRIGHT", packages), ("CHROMIUM", browser)])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{said}\n{}", serving.log.lock().unwrap());
    // What was saved in the browser is what runs.
    assert!(setup.output("big.log").contains("after-the-edit"));
}
