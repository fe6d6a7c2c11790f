//! What is around every page: the navigation, a message about what was just done, and the pages for those who are not in.

use maud::{DOCTYPE, Markup, html};

use super::answer::Page;
use super::ask::Ask;
use super::{Console, assets};

/// The most failed runs that are counted for the navigation.
pub const MOST_COUNTED: usize = 1_000;

/// The pages of the navigation: path, name, and the key that leads there after `g`.
const PLACES: [(&str, &str, &str); 7] = [
    ("/", "Now", "n"),
    ("/events", "Events", "e"),
    ("/rules", "Rules", "r"),
    ("/failed", "Failed", "f"),
    ("/waiting", "Waiting", "w"),
    ("/servers", "Servers and files", "s"),
    ("/senders", "Senders", "v"),
];

/// A page in its frame.
pub fn framed(ask: &Ask, page: &Page, failed: u64) -> Markup {
    let said = ask.console.sessions.said(&ask.visitor);
    let inside = html! {
        a.skip href="#main" { "Skip to the content" }
        header.bar data-live=(ask.at("/live")) {
            a.brand href=(ask.at("/")) { img src=(ask.at(assets::path("icon.svg"))) alt="" width="22" height="22"; "Doorbell" }
            nav aria-label="Pages" {
                ul {
                    @for (path, name, key) in PLACES {
                        li { a href=(ask.at(path)) data-key=(key) aria-current=[(page.place == path).then_some("page")] {
                            (name)
                            @if path == "/failed" { " " span.count #failed-count hidden[failed == 0] { (counted(failed)) } }
                        } }
                    }
                }
            }
            @if ask.may_edit() { a.button.primary.new href=(ask.at("/new")) data-key="c" { "New rule" } }
        }
        main #main tabindex="-1" {
            h1 { (page.title) }
            @if let Some(said) = &said { p.said role="status" { (said) } }
            (page.still)
            @if let Some(live) = &page.live {
                div #live { (live) }
                p.live-state #live-state { span #live-word { "As of now. Reload the page to see what came since." } " " button.quiet #pause type="button" hidden { "Pause" } }
            }
            (page.below)
        }
        footer {
            a href=(ask.at("/system")) { "Doorbell " (env!("CARGO_PKG_VERSION")) }
            @if !ask.may_change() { span { "You can look at everything and change nothing." } }
            form method="post" action=(ask.at("/logout")) { button.quiet { "Log out" } }
        }
    };
    document(&ask.console, &page.title, &inside)
}

/// The number of failed runs, as the navigation shows it; empty if there are none.
pub fn counted(failed: u64) -> String {
    match failed {
        0 => String::new(),
        n if n >= MOST_COUNTED as u64 => "999+".to_owned(),
        n => n.to_string(),
    }
}

/// The page that asks for the password.
pub fn login(console: &Console, to: &str, wrong: Option<&str>) -> Markup {
    let inside = html! {
        main.narrow #main {
            h1 { "Doorbell" }
            @if let Some(wrong) = wrong { p.said.bad role="alert" { (wrong) } }
            @if console.sessions.has_password() {
                form.stack method="post" action=(console.at("/login")) {
                    input type="hidden" name="to" value=(to);
                    label for="password" { "Password" }
                    input #password type="password" name="password" autocomplete="current-password" required autofocus;
                    button.primary { "Log in" }
                }
            } @else {
                p { "Open the link that Doorbell printed when it started. To see it again, run this in the folder where Doorbell runs:" }
                pre { code { "doorbell console" } }
            }
        }
    };
    document(console, "Log in", &inside)
}

/// A page for somebody about whom nothing is known: without links, styles or anything of this Doorbell.
pub fn plain(title: &str, said: &str) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head { meta charset="utf-8"; title { (title) } meta name="viewport" content="width=device-width, initial-scale=1"; }
            body { main { h1 { (title) } p { (said) } } }
        }
    }
}

fn document(console: &Console, title: &str, inside: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                title { (title) " · Doorbell" }
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                link rel="icon" href=(console.at(assets::path("icon.svg")));
                link rel="stylesheet" href=(console.at(assets::path("style.css")));
                script src=(console.at(assets::path("console.js"))) defer {}
            }
            body { (inside) }
        }
    }
}
