//! Words that people search recipes with, and what recipes call the same thing. [`super::recipes`] does the search.

/// Each line: words that mean the same, and what a recipe for it contains in its name, sentence, theme or apps.
pub static WORDS: [(&[&str], &[&str]); 18] = [
    (&["email", "e-mail", "mail", "gmail", "outlook", "smtp", "inbox"], &["mailchimp", "sendgrid", "newsletter-signup", "contact-form"]),
    (&["newsletter", "news", "marketing", "campaign"], &["mailchimp", "sendgrid", "newsletter-signup"]),
    (&["spreadsheet", "excel", "sheet", "xlsx", "csv", "table", "libreoffice", "row"], &["excel", "csv", "google sheets", "airtable"]),
    (&["chat", "message", "messenger", "im"], &["slack", "discord", "mattermost", "telegram", "whatsapp", "microsoft teams"]),
    (
        &["payment", "pay", "paid", "invoice", "billing", "money", "checkout", "subscription"],
        &["stripe", "paypal", "lemon squeezy", "payment"],
    ),
    (&["shop", "store", "ecommerce", "e-commerce", "webshop", "order", "cart", "customer"], &["shops and payments", "any shop"]),
    (&["form", "survey", "questionnaire", "poll", "answer", "feedback", "website", "webpage"], &["forms and surveys", "your web page"]),
    (&["lead", "crm", "contact", "sales"], &["hubspot", "contact-form", "woocommerce-new-customers", "customers-up-to-date"]),
    (&["phone", "push", "notification", "notify", "mobile"], &["to-phone", "telegram"]),
    (&["text message", "sms", "call"], &["twilio", "to-phone"]),
    (&["calendar", "appointment", "meeting", "booking", "schedule", "event"], &["calendars and bookings"]),
    (&["task", "todo", "to-do", "kanban", "board", "project"], &["tables and tasks", "jira", "linear"]),
    (&["ticket", "support", "helpdesk", "issue", "bug"], &["zendesk", "helpdesk", "jira", "github-issues", "linear"]),
    (&["alert", "alarm", "monitoring", "uptime", "outage", "down", "incident", "server"], &["alerts and monitoring"]),
    (&["error", "exception", "crash"], &["sentry", "failed"]),
    (&["git", "code", "ci", "build", "deploy", "deployment", "release", "commit", "pull request", "devops"], &["code and releases"]),
    (&["smart home", "home", "iot", "sensor", "light", "door", "device"], &["home and devices"]),
    (&["database", "notes", "wiki", "document"], &["airtable", "notion", "telegram-notes", "docusign"]),
];

/// Words of a search that say nothing about a recipe.
const FILLERS: [&str; 25] = [
    "a", "an", "the", "my", "me", "our", "i", "to", "from", "in", "into", "on", "for", "of", "with", "via", "by", "and", "or", "when",
    "if", "send", "receive", "want", "please",
];

/// What is searched for, in lower case: words, or several words that mean one thing. Fillers are left out, unless there is
/// nothing else.
pub fn terms(search: &str) -> Vec<String> {
    let search = search.to_lowercase();
    let words: Vec<&str> = search.split_whitespace().collect();
    let mut terms = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let pair = words.get(at..at + 2).map(|pair| pair.join(" ")).filter(|pair| lines(pair).next().is_some());
        at += if pair.is_some() { 2 } else { 1 };
        terms.push(pair.unwrap_or_else(|| words[at - 1].to_owned()));
    }
    let is_filler = |term: &String| FILLERS.contains(&term.as_str());
    if !terms.iter().all(is_filler) {
        terms.retain(|term| !is_filler(term));
    }
    terms
}

/// What else a recipe may contain instead of this word, in lower case.
pub fn meant(word: &str) -> impl Iterator<Item = &'static str> {
    lines(word).flat_map(|(_, found)| found.iter().copied())
}

/// The lines of the table that have this word, or the word for one of them.
fn lines(word: &str) -> impl Iterator<Item = &'static (&'static [&'static str], &'static [&'static str])> {
    let (word, single) = (word.to_owned(), singular(word).to_owned());
    WORDS.iter().filter(move |(words, _)| words.contains(&word.as_str()) || words.contains(&single.as_str()))
}

/// The word for one of them.
pub fn singular(word: &str) -> &str {
    word.strip_suffix('s').filter(|rest| rest.len() > 2 && !rest.ends_with('s')).unwrap_or(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_belong_together_are_one_term_and_fillers_are_none() {
        assert_eq!(terms("Send me a Text Message"), ["text message"]);
        assert_eq!(terms("orders to  Google Sheets"), ["orders", "google", "sheets"]);
        assert_eq!((terms("the"), terms(" ")), (vec!["the".to_owned()], Vec::new()));
    }
}
