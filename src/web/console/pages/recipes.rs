//! `/recipes`: the gallery of recipes, by theme and with a search; and one recipe: what it does, what it needs, its text.

use maud::{Markup, html};

use crate::operations::recipes::{self, NeededSecret, Recipe};
use crate::text::count::number;
use crate::web::console::answer::{Answer, Page};
use crate::web::console::ask::{Ask, escaped};
use crate::web::console::draw;
use crate::web::console::fault::Fault;

/// The most apps that are offered for a click.
const MOST_APPS: usize = 12;

pub fn show(ask: &Ask) -> Answer {
    let words = ask.query("search").unwrap_or_default();
    let found = recipes::search(&words);
    let still = html! {
        p { "A recipe is a rule for apps that many people use, with comments and tests. Use one as it is, or change it. None of them runs before you save it." }
        (search(ask, &words))
        @if words.is_empty() { (popular(ask)) } @else {
            p role="status" { (number(found.len(), "recipe")) " for “" (draw::brief(&words)) "”. " a href=(ask.at("/recipes")) { "Show all" } }
        }
        @if found.is_empty() { (nothing(ask, &words)) }
        @for (theme, all) in recipes::by_theme(&found) {
            section {
                h2 { (theme) }
                ul.cards { @for recipe in all { (card(ask, recipe)) } }
            }
        }
    };
    Answer::Page(Page::new("Recipes", "/rules", still))
}

/// The form that searches for recipes.
pub fn search(ask: &Ask, words: &str) -> Markup {
    html! {
        form.filters role="search" method="get" action=(ask.at("/recipes")) {
            label { "App or word" input type="search" name="search" value=(words) placeholder="Shopify, Slack, forms …"; }
            button { "Search recipes" }
        }
    }
}

/// The apps with the most recipes, each a search.
pub fn popular(ask: &Ask) -> Markup {
    let all = recipes::all();
    let mut apps: Vec<&str> = all.iter().flat_map(|recipe| recipe.apps.iter().copied()).filter(|app| !app.contains(' ')).collect();
    apps.sort_unstable();
    let mut counted: Vec<(usize, &str)> = apps.chunk_by(|a, b| a == b).map(|same| (same.len(), same[0])).collect();
    counted.sort_by_key(|(n, app)| (std::cmp::Reverse(*n), *app));
    html! { ul.tags aria-label="Apps" { @for (_, app) in counted.into_iter().take(MOST_APPS) { li { (app_link(ask, app)) } } } }
}

fn app_link(ask: &Ask, app: &str) -> Markup {
    html! { a.tag href=(ask.at(&format!("/recipes?search={}", escaped(app)))) { (app) } }
}

fn nothing(ask: &Ask, words: &str) -> Markup {
    html! {
        p.empty {
            "There is no recipe for this yet. "
            @if let Some(app) = recipes::similar_app(words) { "Did you mean " (app_link(ask, app)) "? " }
            "A rule can also begin with what your app sends: " a href=(ask.at("/new")) { "wait for its first webhook" } "."
        }
    }
}

fn card(ask: &Ask, recipe: &Recipe) -> Markup {
    html! {
        li {
            a href=(address(ask, recipe)) { (with_code(&recipe.does)) }
            ul.tags aria-label="Apps" { @for app in &recipe.apps { li.tag { (app) } } }
        }
    }
}

/// Text of a comment, in which code is between backticks.
fn with_code(text: &str) -> Markup {
    html! { @for (n, part) in text.split('`').enumerate() { @if n % 2 == 1 { code { (part) } } @else { (part) } } }
}

fn address(ask: &Ask, recipe: &Recipe) -> String {
    ask.at(&format!("/recipes/{}", recipe.name))
}

pub fn one(ask: &Ask, name: &str) -> Result<Answer, Fault> {
    let recipe = recipes::find(name).map_err(|_| Fault::NotFound(format!("No recipe is called “{}”.", draw::plain(name))))?;
    let needs = recipe.needs();
    let still = html! {
        p { a href=(ask.at("/recipes")) { "Recipes" } " › " (recipe.theme) " › " code { (recipe.name) } }
        ul.tags aria-label="Apps" { @for app in &recipe.apps { li { (app_link(ask, app)) } } }
        div.deeds { (use_it(ask, &recipe)) }
        section {
            h2 { "How to set it up" }
            ol.steps { @for step in recipe.setup_steps() { li { (with_code(&step.text)) @if !step.code.is_empty() { (draw::copy(&step.code)) } } } }
        }
        section {
            h2 { "What it needs" }
            table.pairs {
                @for address in &needs.addresses { tr { th scope="row" { "Address" } td { code { (address) } } } }
                @for secret in &needs.secrets { tr { th scope="row" { "Secret" } td { code { (secret.name) } " " (state(ask, secret)) } } }
            }
            @if !needs.secrets.is_empty() { p.note { "Set a secret where Doorbell runs: in the file of " code { "serve --env-file" } ", as a file " code { "/run/secrets/NAME" } ", or as an environment variable, which needs a restart. Until all are set, the rules that need them are saved switched off." } }
        }
        section.whole { h2 { "The rule file" } (draw::copy(recipe.text)) }
    };
    Ok(Answer::Page(Page::new(recipe.does.trim_end_matches('.').replace('`', ""), "/rules", still)))
}

fn state(ask: &Ask, secret: &NeededSecret) -> Markup {
    let (class, sign, words) = match ((ask.console.has_secret)(&secret.name), secret.from_sender) {
        (true, _) => ("good", "✓", "set"),
        (false, true) => ("off", "–", "the sender sends it"),
        (false, false) => ("wait", "…", "not set yet"),
    };
    html! { span.state.(class) { span aria-hidden="true" { (sign) } " " (words) } }
}

/// The button, or what to do where rules are not edited in the browser.
fn use_it(ask: &Ask, recipe: &Recipe) -> Markup {
    if ask.may_edit() {
        return html! {
            form.inline method="post" action=(ask.at("/new")) {
                input type="hidden" name="recipe" value=(recipe.name);
                button.primary { "Use this recipe" }
            }
        };
    }
    html! { div { p { "Rules are not edited here. In the folder where Doorbell runs:" } (draw::copy(&format!("doorbell new {} --to rules/{}", recipe.name, recipe.file()))) } }
}
