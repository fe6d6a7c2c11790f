//! The recipes: rule files for common apps that people copy and change. They are in `docs/recipes/` and compiled in; none of
//! them is loaded. What a list shows about a recipe (its sentence, theme, apps and set-up) is in its opening comment.

use serde::Serialize;

use super::recipe_words;
use crate::expr::names::{Resolver, stand_in};
use crate::rule::load::load;
use crate::rule::ruleset::Ruleset;
use crate::text::nearest::nearest;
use crate::text::span;
use crate::yaml::source::Source;

/// All recipes, by file name.
const RECIPES: [(&str, &str); 75] = [
    ("airtable-records-to-chat", include_str!("../../docs/recipes/airtable-records-to-chat.yaml")),
    ("alerts-in-one-message", include_str!("../../docs/recipes/alerts-in-one-message.yaml")),
    ("aws-alarms-to-chat", include_str!("../../docs/recipes/aws-alarms-to-chat.yaml")),
    ("bad-rating-to-the-boss", include_str!("../../docs/recipes/bad-rating-to-the-boss.yaml")),
    ("bookings-in-a-sheet", include_str!("../../docs/recipes/bookings-in-a-sheet.yaml")),
    ("calcom-bookings-to-chat", include_str!("../../docs/recipes/calcom-bookings-to-chat.yaml")),
    ("calendly-bookings-to-sheet", include_str!("../../docs/recipes/calendly-bookings-to-sheet.yaml")),
    ("chat-slash-command", include_str!("../../docs/recipes/chat-slash-command.yaml")),
    ("contact-form", include_str!("../../docs/recipes/contact-form.yaml")),
    ("contact-form-by-email", include_str!("../../docs/recipes/contact-form-by-email.yaml")),
    ("cron-job-missing-to-phone", include_str!("../../docs/recipes/cron-job-missing-to-phone.yaml")),
    ("customers-up-to-date", include_str!("../../docs/recipes/customers-up-to-date.yaml")),
    ("discord-slash-command", include_str!("../../docs/recipes/discord-slash-command.yaml")),
    ("docusign-signed-to-chat", include_str!("../../docs/recipes/docusign-signed-to-chat.yaml")),
    ("failed-payment-to-chat", include_str!("../../docs/recipes/failed-payment-to-chat.yaml")),
    ("failed-rule-to-chat", include_str!("../../docs/recipes/failed-rule-to-chat.yaml")),
    ("form-to-airtable", include_str!("../../docs/recipes/form-to-airtable.yaml")),
    ("form-to-hubspot", include_str!("../../docs/recipes/form-to-hubspot.yaml")),
    ("form-to-salesforce", include_str!("../../docs/recipes/form-to-salesforce.yaml")),
    ("github-failed-builds-to-chat", include_str!("../../docs/recipes/github-failed-builds-to-chat.yaml")),
    ("github-issues-to-notion", include_str!("../../docs/recipes/github-issues-to-notion.yaml")),
    ("github-push-to-chat", include_str!("../../docs/recipes/github-push-to-chat.yaml")),
    ("github-review-requests-to-chat", include_str!("../../docs/recipes/github-review-requests-to-chat.yaml")),
    ("gitlab-failed-pipelines-to-chat", include_str!("../../docs/recipes/gitlab-failed-pipelines-to-chat.yaml")),
    ("gitlab-merge-requests-to-chat", include_str!("../../docs/recipes/gitlab-merge-requests-to-chat.yaml")),
    ("google-form-to-chat", include_str!("../../docs/recipes/google-form-to-chat.yaml")),
    ("google-sheet-rows-to-chat", include_str!("../../docs/recipes/google-sheet-rows-to-chat.yaml")),
    ("grafana-alerts-to-phone", include_str!("../../docs/recipes/grafana-alerts-to-phone.yaml")),
    ("home-assistant-alarms-to-phone", include_str!("../../docs/recipes/home-assistant-alarms-to-phone.yaml")),
    ("home-assistant-readings-to-sheet", include_str!("../../docs/recipes/home-assistant-readings-to-sheet.yaml")),
    ("hubspot-new-contacts-to-chat", include_str!("../../docs/recipes/hubspot-new-contacts-to-chat.yaml")),
    ("jira-urgent-issues-to-teams", include_str!("../../docs/recipes/jira-urgent-issues-to-teams.yaml")),
    ("jotform-answers-to-sheet", include_str!("../../docs/recipes/jotform-answers-to-sheet.yaml")),
    ("lemonsqueezy-sales-to-chat", include_str!("../../docs/recipes/lemonsqueezy-sales-to-chat.yaml")),
    ("linear-done-issues-to-changelog", include_str!("../../docs/recipes/linear-done-issues-to-changelog.yaml")),
    ("low-stock-reminder", include_str!("../../docs/recipes/low-stock-reminder.yaml")),
    ("mailchimp-unsubscribes-to-sheet", include_str!("../../docs/recipes/mailchimp-unsubscribes-to-sheet.yaml")),
    ("mattermost-on-call", include_str!("../../docs/recipes/mattermost-on-call.yaml")),
    ("newsletter-signup", include_str!("../../docs/recipes/newsletter-signup.yaml")),
    ("no-orders-to-phone", include_str!("../../docs/recipes/no-orders-to-phone.yaml")),
    ("notion-new-pages-to-chat", include_str!("../../docs/recipes/notion-new-pages-to-chat.yaml")),
    ("order-items-to-rows", include_str!("../../docs/recipes/order-items-to-rows.yaml")),
    ("order-to-another-app", include_str!("../../docs/recipes/order-to-another-app.yaml")),
    ("orders-of-gold-customers-to-chat", include_str!("../../docs/recipes/orders-of-gold-customers-to-chat.yaml")),
    ("orders-of-two-shops", include_str!("../../docs/recipes/orders-of-two-shops.yaml")),
    ("orders-to-aws-queue", include_str!("../../docs/recipes/orders-to-aws-queue.yaml")),
    ("orders-to-partner", include_str!("../../docs/recipes/orders-to-partner.yaml")),
    ("pagerduty-incidents-to-chat", include_str!("../../docs/recipes/pagerduty-incidents-to-chat.yaml")),
    ("paypal-payments-to-sheet", include_str!("../../docs/recipes/paypal-payments-to-sheet.yaml")),
    ("plex-dims-the-lights", include_str!("../../docs/recipes/plex-dims-the-lights.yaml")),
    ("release-to-two-places", include_str!("../../docs/recipes/release-to-two-places.yaml")),
    ("script-reports-to-phone", include_str!("../../docs/recipes/script-reports-to-phone.yaml")),
    ("sendgrid-bounces-to-sheet", include_str!("../../docs/recipes/sendgrid-bounces-to-sheet.yaml")),
    ("sentry-errors-to-chat", include_str!("../../docs/recipes/sentry-errors-to-chat.yaml")),
    ("shelly-door-to-phone", include_str!("../../docs/recipes/shelly-door-to-phone.yaml")),
    ("shopify-big-orders-to-chat", include_str!("../../docs/recipes/shopify-big-orders-to-chat.yaml")),
    ("shopify-orders-to-sheet", include_str!("../../docs/recipes/shopify-orders-to-sheet.yaml")),
    ("shopify-refunds-to-chat", include_str!("../../docs/recipes/shopify-refunds-to-chat.yaml")),
    ("slack-reaction-to-sheet", include_str!("../../docs/recipes/slack-reaction-to-sheet.yaml")),
    ("sms-to-chat", include_str!("../../docs/recipes/sms-to-chat.yaml")),
    ("stock-counter-to-chat", include_str!("../../docs/recipes/stock-counter-to-chat.yaml")),
    ("stripe-disputes-to-phone", include_str!("../../docs/recipes/stripe-disputes-to-phone.yaml")),
    ("stripe-payments-to-sheet", include_str!("../../docs/recipes/stripe-payments-to-sheet.yaml")),
    ("tally-answers-to-chat", include_str!("../../docs/recipes/tally-answers-to-chat.yaml")),
    ("telegram-notes", include_str!("../../docs/recipes/telegram-notes.yaml")),
    ("trello-done-cards-to-sheet", include_str!("../../docs/recipes/trello-done-cards-to-sheet.yaml")),
    ("typeform-answers-to-sheet", include_str!("../../docs/recipes/typeform-answers-to-sheet.yaml")),
    ("vercel-failed-deployments-to-chat", include_str!("../../docs/recipes/vercel-failed-deployments-to-chat.yaml")),
    ("website-down", include_str!("../../docs/recipes/website-down.yaml")),
    ("weekday-reminder-to-chat", include_str!("../../docs/recipes/weekday-reminder-to-chat.yaml")),
    ("whatsapp-messages-to-chat", include_str!("../../docs/recipes/whatsapp-messages-to-chat.yaml")),
    ("woocommerce-new-customers", include_str!("../../docs/recipes/woocommerce-new-customers.yaml")),
    ("woocommerce-orders-to-sheet", include_str!("../../docs/recipes/woocommerce-orders-to-sheet.yaml")),
    ("zendesk-urgent-tickets-to-phone", include_str!("../../docs/recipes/zendesk-urgent-tickets-to-phone.yaml")),
    ("zoom-recordings-to-chat", include_str!("../../docs/recipes/zoom-recordings-to-chat.yaml")),
];

/// The themes, in the order in which they are listed.
pub const THEMES: [&str; 9] = [
    "Shops and payments",
    "Forms and surveys",
    "Customers and newsletters",
    "Chat and messages",
    "Calendars and bookings",
    "Tables and tasks",
    "Code and releases",
    "Alerts and monitoring",
    "Home and devices",
];

/// What the lines of an opening comment begin with.
const THEME: &str = "Theme: ";
const APPS: &str = "Apps: ";
const SETUP: &str = "To set it up:";
/// Without an `s` at its end, a shorter word could be any other: `news` and `new`.
const SHORTEST: usize = 4;
/// How far code is indented in a step of the set-up.
const CODE: &str = "       ";

/// A recipe.
#[derive(Debug, Clone, Serialize)]
pub struct Recipe {
    pub name: &'static str,
    /// What it does: the first sentence of its comment.
    pub does: String,
    pub theme: &'static str,
    /// The apps that it connects.
    pub apps: Vec<&'static str>,
    /// The whole rule file.
    pub text: &'static str,
}

/// A step of the set-up.
#[derive(Debug, PartialEq, Serialize)]
pub struct SetupStep {
    pub text: String,
    /// Lines to copy; empty if there are none.
    pub code: String,
}

/// What a recipe uses that is outside its file.
#[derive(Debug, PartialEq, Serialize)]
pub struct Needs {
    pub secrets: Vec<NeededSecret>,
    /// The addresses that it listens at.
    pub addresses: Vec<String>,
}

/// A secret that a recipe uses.
#[derive(Debug, PartialEq, Serialize)]
pub struct NeededSecret {
    pub name: String,
    /// Whether the sender hands it over, so that nobody sets it.
    pub from_sender: bool,
}

/// All recipes, in the order of their themes.
pub fn all() -> Vec<Recipe> {
    let mut all: Vec<Recipe> = RECIPES.into_iter().map(|(name, text)| Recipe::read(name, text)).collect();
    all.sort_by_key(|recipe| THEMES.iter().position(|theme| *theme == recipe.theme));
    all
}

/// The recipes for these words: each is in their name, sentence, theme or apps, or something else that people mean by it.
pub fn search(words: &str) -> Vec<Recipe> {
    let terms = recipe_words::terms(words);
    let found = |is_in: fn(&Recipe, &str) -> bool| {
        let is_wanted = |recipe: &Recipe, term: &str| {
            let single = recipe_words::singular(term);
            is_in(recipe, term)
                || single.len() >= SHORTEST && is_in(recipe, single)
                || recipe_words::meant(term).any(|text| recipe.contains(text))
        };
        all().into_iter().filter(|recipe| terms.iter().all(|term| is_wanted(recipe, term))).collect::<Vec<_>>()
    };
    // A `form` is not in a platform, but somebody who writes `commerce` may mean WooCommerce.
    let found_words = found(Recipe::has_word);
    if found_words.is_empty() { found(Recipe::contains) } else { found_words }
}

/// An app that somebody has probably meant.
pub fn similar_app(word: &str) -> Option<&'static str> {
    nearest(word.trim(), all().iter().flat_map(|recipe| recipe.apps.iter().copied()))
}

/// Recipes by theme, without the themes that have none.
pub fn by_theme(all: &[Recipe]) -> Vec<(&'static str, Vec<&Recipe>)> {
    let of = |theme: &'static str| (theme, all.iter().filter(|recipe| recipe.theme == theme).collect::<Vec<_>>());
    THEMES.into_iter().map(of).filter(|(_, recipes)| !recipes.is_empty()).collect()
}

/// A recipe by its name. The error is a message for people.
pub fn find(name: &str) -> Result<Recipe, String> {
    let plain = name.trim_end_matches(".yaml");
    if let Some((name, text)) = RECIPES.into_iter().find(|(n, _)| *n == plain) {
        return Ok(Recipe::read(name, text));
    }
    if all().iter().flat_map(|recipe| &recipe.apps).any(|app| app.eq_ignore_ascii_case(plain)) {
        return Err(format!("there is no recipe called `{name}`; `doorbell new --search {plain}` lists the recipes for this app"));
    }
    let near = nearest(plain, RECIPES.iter().map(|(n, _)| *n)).map_or_else(String::new, |n| format!("; did you mean {n}?"));
    Err(format!("there is no recipe called `{name}`{near} (`doorbell new` lists them)"))
}

impl Recipe {
    fn read(name: &'static str, text: &'static str) -> Self {
        let line = |start| comment(text).find_map(|line| line.strip_prefix(start)).unwrap_or_default();
        let before: Vec<&str> = comment(text).take_while(|line| !line.is_empty()).collect();
        Self {
            name,
            does: before.join(" ").split_inclusive(". ").next().unwrap_or_default().trim_end().to_owned(),
            theme: line(THEME),
            apps: line(APPS).split(", ").collect(),
            text,
        }
    }

    /// The name of its file in the rules folder.
    pub fn file(&self) -> String {
        format!("{}.yaml", self.name)
    }

    /// Whether its name, sentence, theme or apps contain this text, which is in lower case.
    fn contains(&self, text: &str) -> bool {
        self.texts().iter().any(|own| own.contains(text))
    }

    /// Whether one of their words begins with this text.
    fn has_word(&self, text: &str) -> bool {
        let begins = |own: &str, at: usize| !span::before(own, at).ends_with(char::is_alphanumeric);
        self.texts().iter().any(|own| own.match_indices(text).any(|(at, _)| begins(own, at)))
    }

    /// What is searched, in lower case.
    fn texts(&self) -> [String; 4] {
        [self.name, &self.does, self.theme, &self.apps.join(" ")].map(str::to_lowercase)
    }

    /// How to set it up, as its comment says it: what to do here, and what to paste where at the sender.
    pub fn setup(&self) -> impl Iterator<Item = &'static str> {
        comment(self.text).skip_while(|line| *line != SETUP).skip(1)
    }

    /// The same, step by step.
    pub fn setup_steps(&self) -> Vec<SetupStep> {
        let mut steps: Vec<SetupStep> = Vec::new();
        for line in self.setup() {
            let begins = line.trim_start().split_once(". ").filter(|(n, _)| n.len() == 1 && n.bytes().all(|b| b.is_ascii_digit()));
            if let (Some((_, text)), false) = (begins, line.starts_with(CODE)) {
                steps.push(SetupStep { text: text.to_owned(), code: String::new() });
            } else if let Some(step) = steps.last_mut() {
                match line.strip_prefix(CODE) {
                    Some(code) => step.code += &format!("{code}\n"),
                    None if line.is_empty() => {}
                    None => step.text += &format!(" {}", line.trim()),
                }
            }
        }
        steps
    }

    /// What it needs, as the loader of rules finds it.
    pub fn needs(&self) -> Needs {
        let Some(ruleset) = self.load_without(None) else { return Needs { secrets: Vec::new(), addresses: Vec::new() } };
        // Rules that load without a secret wait until its sender hands it over.
        let secret = |name: String| NeededSecret { from_sender: self.load_without(Some(&name)).is_some(), name };
        Needs {
            secrets: ruleset.vault.names().into_iter().map(secret).collect(),
            addresses: ruleset.addresses.iter().map(|address| address.route.text().to_owned()).collect(),
        }
    }

    /// Its rules, with a stand-in for every secret but this one; none if they need it.
    fn load_without(&self, missing: Option<&str>) -> Option<Ruleset> {
        let secret = |name: &str| (Some(name) != missing).then(|| stand_in(name));
        let lookup = Resolver::new(&secret, &|_| None, &|_| None);
        load(vec![Source::stored(self.file(), self.text.to_owned())], lookup, false).ruleset
    }
}

/// The lines of the opening comment, after the line for editors and without `# `.
fn comment(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.lines().skip(1).map_while(|line| line.strip_prefix('#')).map(|line| line.strip_prefix(' ').unwrap_or(line))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::locate::WALKS;

    #[test]
    fn recipes_are_found_by_app_theme_and_word() {
        let names = |words: &str| search(words).iter().map(|r| r.name).collect::<Vec<_>>();
        assert_eq!(names("Sentry"), ["sentry-errors-to-chat"]);
        assert_eq!(names("stripe EXCEL"), ["stripe-payments-to-sheet"]);
        assert!(names("home").contains(&"plex-dims-the-lights") && names("slack").len() > 10);
        assert_eq!(names("").len(), all().len());
        assert_eq!((names("zebra").len(), similar_app("Shopfy"), similar_app("zebra")), (0, Some("Shopify"), None));
    }

    #[test]
    fn every_word_finds_recipes() {
        for word in recipe_words::WORDS.iter().flat_map(|(words, _)| words.iter()) {
            assert!(!search(word).is_empty(), "{word}");
        }
        for found in recipe_words::WORDS.iter().flat_map(|(_, found)| found.iter()) {
            assert!(all().iter().any(|recipe| recipe.contains(found)), "no recipe contains {found}");
        }
    }

    #[test]
    fn everyday_words_find_what_they_mean() {
        for (words, wanted) in [
            ("email", "contact-form"),
            ("gmail", "newsletter-signup"),
            ("mail", "sendgrid-bounces-to-sheet"),
            ("Emails", "mailchimp-unsubscribes-to-sheet"),
            ("spreadsheet", "stripe-payments-to-sheet"),
            ("excel", "bookings-in-a-sheet"),
            ("sheets", "order-items-to-rows"),
            ("chat", "telegram-notes"),
            ("payment", "paypal-payments-to-sheet"),
            ("payments", "stripe-disputes-to-phone"),
            ("shop", "shopify-orders-to-sheet"),
            ("form", "typeform-answers-to-sheet"),
            ("survey", "google-form-to-chat"),
            ("payment spreadsheet", "stripe-payments-to-sheet"),
            ("shop chat", "woocommerce-new-customers"),
            ("smart home", "shelly-door-to-phone"),
            ("text message", "sms-to-chat"),
            ("send me a text message from Twilio", "sms-to-chat"),
            ("commerce", "woocommerce-new-customers"),
            ("news", "newsletter-signup"),
        ] {
            assert!(search(words).iter().any(|recipe| recipe.name == wanted), "{words}");
        }
        assert!(search("zebra").is_empty() && search("payment zebra").is_empty());
        assert!(!search("form").iter().any(|recipe| recipe.name == "sentry-errors-to-chat"));
        assert!(!search("ci").iter().any(|recipe| recipe.name == "pagerduty-incidents-to-chat"), "only the beginnings of words");
    }

    #[test]
    fn a_recipe_says_what_it_needs_and_how_to_set_it_up() {
        let recipe = find("telegram-notes.yaml").unwrap();
        assert_eq!(recipe.file(), "telegram-notes.yaml");
        assert_eq!((recipe.theme, recipe.apps.as_slice()), ("Chat and messages", ["Telegram", "CSV"].as_slice()));
        assert_eq!(recipe.does, "Makes a Telegram bot write down what you send to it, and answer that it did.");
        let names = |needs: &Needs| needs.secrets.iter().map(|s| (s.name.clone(), s.from_sender)).collect::<Vec<_>>();
        let needs = recipe.needs();
        assert_eq!(names(&needs), [("TELEGRAM_BOT_TOKEN".to_owned(), false), ("TELEGRAM_SECRET".to_owned(), false)]);
        assert_eq!(needs.addresses, ["/telegram/notes"]);
        let notion = names(&find("notion-new-pages-to-chat").unwrap().needs());
        assert!(
            notion.contains(&("NOTION_WEBHOOK".to_owned(), true)) && notion.contains(&("NOTION_TOKEN".to_owned(), false)),
            "{notion:?}"
        );
        let steps = recipe.setup_steps();
        assert_eq!((steps.len(), steps[2].text.as_str()), (4, "Tell Telegram your address, once:"));
        assert!(steps[2].code.starts_with("curl https://api.telegram.org/") && steps[3].code.is_empty(), "{steps:?}");
    }

    #[test]
    fn every_recipe_has_a_sentence_a_theme_apps_and_a_set_up() {
        for recipe in all() {
            let name = recipe.name;
            assert!(recipe.does.ends_with('.') && (30..=115).contains(&recipe.does.len()), "{name}: {}", recipe.does);
            assert!(THEMES.contains(&recipe.theme), "{name}: {}", recipe.theme);
            assert!(!recipe.apps.is_empty() && recipe.apps.iter().all(|app| !app.is_empty()), "{name}");
            assert!(recipe.text.contains("\n    tests:\n"), "{name} has no tests");
            let (needs, setup) = (recipe.needs(), recipe.setup().collect::<Vec<_>>().join("\n"));
            // It is called, or starts by itself.
            let starts_by_itself = ["when: { at: ", "when: { failed: "].iter().any(|when| recipe.text.contains(when));
            assert!(!needs.addresses.is_empty() || starts_by_itself, "{name}");
            assert!(!recipe.setup_steps().is_empty(), "{name}");
            for needed in needs.secrets.iter().map(|secret| &secret.name).chain(&needs.addresses) {
                assert!(setup.contains(needed), "the set-up of {name} does not mention {needed}");
            }
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_what_was_meant() {
        assert_eq!(
            find("contact").unwrap_err(),
            "there is no recipe called `contact`; did you mean contact-form? (`doorbell new` lists them)"
        );
        assert_eq!(
            find("slack").unwrap_err(),
            "there is no recipe called `slack`; `doorbell new --search slack` lists the recipes for this app"
        );
        assert_eq!(find("mastodon").unwrap_err(), "there is no recipe called `mastodon` (`doorbell new` lists them)");
    }

    /// Where something is in a file is only needed to say what is wrong with it, and costs a parse of the file. Only for words
    /// like `yes` it matters whether they are in quotes.
    #[test]
    fn loading_what_is_right_walks_to_almost_no_place() {
        for recipe in all() {
            let source = Source::stored(recipe.name, recipe.text.to_owned());
            let any = |name: &str| Some(stand_in(name));
            WALKS.set(0);
            load(vec![source], Resolver::new(&any, &any, &|_| None), false);
            assert!(WALKS.get() <= 2, "{}: {}", recipe.name, WALKS.get());
        }
    }
}
