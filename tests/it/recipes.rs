//! The recipes: all of them are listed, valid and tested, and `doorbell new` copies them and says how to set them up.

use std::collections::BTreeSet;

use doorbell::operations::recipes;

use crate::harness::{Setup, project_folder};

fn folder() -> std::path::PathBuf {
    project_folder().join("docs/recipes")
}

#[test]
fn the_list_and_the_folder_are_the_same() {
    let files = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let files: BTreeSet<String> = files.filter(|name| name != "README.md").collect();
    let listed: BTreeSet<String> = recipes::all().iter().map(recipes::Recipe::file).collect();
    assert_eq!(files, listed);
    assert!(listed.len() >= 40);
    for recipe in recipes::all() {
        assert_eq!(recipe.text, std::fs::read_to_string(folder().join(recipe.file())).unwrap(), "{}", recipe.name);
    }
}

#[test]
fn all_recipes_are_valid_also_together_and_pass_their_tests() {
    // Together, so that anybody can use several: no address and no name of a rule occurs twice.
    let setup = Setup::new();
    for recipe in recipes::all() {
        setup.write(&format!("rules/{}", recipe.file()), recipe.text);
    }
    let said = setup.printed(&["check", "--no-secrets"]);
    let (first, schedules) = said.split_once('\n').unwrap();
    assert!(first.ends_with(&format!(" rules in {} files: valid", recipes::all().len())), "{said}");
    assert!(schedules.lines().all(|line| line.contains("` starts ")), "{said}");
    let tested = setup.run(&["test"]);
    let said = String::from_utf8(tested.stdout).unwrap();
    assert!(tested.status.success(), "{said}");
    let passed: usize = said.trim_end().lines().last().and_then(|line| line.split(' ').next()).and_then(|n| n.parse().ok()).unwrap();
    assert!(passed > 100, "{said}");
}

#[test]
fn a_recipe_leaves_nothing_open_by_oversight() {
    for recipe in recipes::all() {
        let setup = Setup::with(recipe.text);
        let said = setup.printed(&["check", "--no-secrets", "--require-verify"]);
        let (first, schedules) = said.split_once('\n').unwrap();
        assert!(first.ends_with(": valid") && schedules.lines().all(|line| line.contains("` starts ")), "{}: {said}", recipe.name);
        // Whoever lets everybody in limits how often.
        assert!(!recipe.text.contains("verify: none") || recipe.text.contains("per caller"), "{}", recipe.name);
    }
}

#[test]
fn the_readme_of_the_recipes_lists_them() {
    let mut text = "# Recipes\n\nRules for common apps, with comments and tests of what these apps really send. `doorbell new NAME --to rules/NAME.yaml` copies one and\n\
                    shows how to set it up; the console shows them under *New rule*. They do nothing until they are copied.\n"
        .to_owned();
    for (theme, all) in recipes::by_theme(&recipes::all()) {
        text += &format!("\n## {theme}\n\n| recipe | what it does | apps |\n|---|---|---|\n");
        for recipe in all {
            text += &format!("| [{}]({}) | {} | {} |\n", recipe.name, recipe.file(), recipe.does, recipe.apps.join(", "));
        }
    }
    let file = folder().join("README.md");
    if std::env::var_os("DOORBELL_BLESS").is_some() {
        std::fs::write(&file, &text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text, "to update it, run again with DOORBELL_BLESS=1");
    let readme = std::fs::read_to_string(project_folder().join("README.md")).unwrap();
    assert_eq!(readme.matches(&format!("{} rules for common apps", recipes::all().len())).count(), 2, "README says how many there are");
}

#[test]
fn they_are_listed_by_theme_and_found_by_app() {
    let setup = Setup::new();
    let listed = setup.printed(&["new"]);
    for recipe in recipes::all() {
        let line = format!("  {}", recipe.name);
        assert!(listed.lines().any(|l| l.starts_with(&line) && l.ends_with(&recipe.does)), "{} is not listed:\n{listed}", recipe.name);
    }
    let themes: Vec<&str> = listed.lines().filter(|line| recipes::THEMES.contains(line)).collect();
    assert_eq!(themes, recipes::THEMES);
    assert_eq!(
        setup.printed(&["new", "--search", "sentry"]),
        "Code and releases\n\n  sentry-errors-to-chat  Posts new errors from Sentry to Discord, each once an hour at most.\n\n\
         1 recipe. `doorbell new NAME` prints one, --to FILE saves it and shows how to set it up, and --search WORDS finds those for an app;\n\
         --event creates a rule from a webhook that was received.\n"
    );
    assert_eq!(
        setup.printed(&["new", "--search", "shopfy"]),
        "doorbell: there is no recipe for `shopfy`; did you mean Shopify? (`doorbell new` lists all of them)\n"
    );
    assert_eq!(
        setup.printed(&["new", "contact"]),
        "doorbell: there is no recipe called `contact`; did you mean contact-form? (`doorbell new` lists them)\n"
    );
    assert_eq!(
        setup.printed(&["new", "Slack"]),
        "doorbell: there is no recipe called `Slack`; `doorbell new --search Slack` lists the recipes for this app\n"
    );
}

#[test]
fn copying_one_shows_how_to_set_it_up_and_never_overwrites_a_file() {
    let setup = Setup::new().env("HELPDESK_TOKEN", "a long enough token");
    assert_eq!(
        setup.printed(&["new", "contact-form", "--to", "rules/contact.yaml"]),
        "rules/contact.yaml created. To set it up:\n\n  \
         1. Change the addresses of your page and of the helpdesk below, and set the secret HELPDESK_TOKEN to its API key.\n  \
         2. On your web page, send the form to https://YOUR-SERVER/contact with the fields `email` and `message`.\n\n\
         Secrets, as environment variables or files (docs/operating.md):\n  HELPDESK_TOKEN  set\n\nThen run: doorbell check\n"
    );
    assert_eq!(std::fs::read_to_string(setup.path("rules/contact.yaml")).unwrap(), recipes::find("contact-form").unwrap().text);
    assert_eq!(setup.printed(&["check"]), "1 rule in 1 file: valid\n");
    assert_eq!(
        setup.printed(&["new", "order-items-to-rows", "--to", "rules/contact.yaml"]),
        "doorbell: rules/contact.yaml cannot be created: File exists (os error 17)\n"
    );
    assert_eq!(setup.printed(&["new", "contact-form.yaml"]), recipes::find("contact-form").unwrap().text);
    let said = setup.printed(&["new", "notion-new-pages-to-chat", "--to", "notion.yaml"]);
    assert!(
        said.contains("\n  NOTION_TOKEN    not set yet\n  NOTION_WEBHOOK  the sender sends it\n  SLACK_URL       not set yet\nUntil all of them are set, "),
        "{said}"
    );
}

#[test]
fn the_console_shows_them_with_a_search_what_each_needs_and_leads_to_the_editor() {
    let setup = Setup::new().env("SLACK_URL", "https://hooks.slack.com/services/T0/B0/abc");
    setup.write("rules/a.yaml", "webhooks:\n  /a: { verify: none }\nrules:\n  A: { when: { webhook: /a }, then: [ log: x ] }\n");
    let _serving = setup.serve_with_console(&[]);
    let visitor = setup.visitor();
    let page = visitor.get("/recipes").body;
    for recipe in recipes::all() {
        assert!(page.contains(&format!("href=\"/recipes/{}\"", recipe.name)), "{}", recipe.name);
    }
    assert!(recipes::THEMES.iter().all(|theme| page.contains(&format!("<h2>{theme}</h2>"))), "{page}");
    let page = visitor.get("/recipes?search=sentry%20discord").body;
    assert!(page.contains("1 recipe for") && page.contains("/recipes/sentry-errors-to-chat") && !page.contains("/recipes/website-down"));
    let page = visitor.get("/recipes?search=%3Cscript%3E").body;
    assert!(page.contains("&lt;script&gt;") && page.contains("There is no recipe for this yet.") && !page.contains("<script>"), "{page}");
    assert!(visitor.get("/recipes?search=shopfy").body.contains("/recipes?search=Shopify"));
    let page = visitor.get("/recipes/sentry-errors-to-chat").body;
    for words in [
        "Posts new errors from Sentry to Discord",
        "/sentry",
        "SENTRY_SECRET",
        "not set yet",
        "Use this recipe",
        "header.Sentry-Hook-Resource: issue",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    let page = visitor.get("/recipes/notion-new-pages-to-chat").body;
    assert!(page.contains("the sender sends it") && page.contains("✓") && !page.contains("hooks.slack.com"), "{page}");
    assert_eq!(visitor.get("/recipes/no-such").status, 404);
    let next = visitor.submit("/new", &[("recipe", "sentry-errors-to-chat")]);
    assert_eq!((next.status, next.header("location")), (303, "/edit/sentry-errors-to-chat.yaml?recipe=sentry-errors-to-chat"));
    assert!(visitor.get(next.header("location")).body.contains("Sentry errors to the chat:"));
    assert!(!setup.path("rules/sentry-errors-to-chat.yaml").exists(), "nothing is written before somebody saves it");
}

#[test]
fn where_rules_are_not_edited_the_console_shows_how_to_copy_one() {
    let setup = Setup::with("webhooks:\n  /a: { verify: none }\nrules:\n  A: { when: { webhook: /a }, then: [ log: x ] }\n");
    let _serving = setup.serve_with_console(&["--console-read-only"]);
    let page = setup.visitor().get("/recipes/contact-form").body;
    assert!(page.contains("doorbell new contact-form --to rules/contact-form.yaml") && !page.contains("Use this recipe"), "{page}");
}
