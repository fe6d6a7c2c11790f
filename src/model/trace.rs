//! Which trace an event belongs to (W3C Trace Context), and the ids of what is done for it. All ids follow from the event and the
//! run, so that nothing has to be saved for them, and a run has the same ids after a restart.

use super::event::Event;
use super::hash::hash;
use super::place::Place;
use super::run::Run;

/// The headers that pass a trace on.
pub const PARENT: &str = "traceparent";
pub const STATE: &str = "tracestate";
/// The longest `tracestate` that is passed on.
const LONGEST_STATE: usize = 512;

/// A trace, as the sender of an event began it, or else named after the event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// 32 hexadecimal digits.
    pub id: String,
    /// What the sender was doing: 16 hexadecimal digits.
    pub parent: Option<String>,
    /// Whether the trace is recorded. The sender decides for everybody behind it.
    pub is_recorded: bool,
}

impl Trace {
    /// The trace of an event.
    pub fn of(event: &Event) -> Self {
        let own = || Self { id: event.id.0.simple().to_string(), parent: None, is_recorded: true };
        Self::begun(&event.headers).unwrap_or_else(own)
    }

    /// The trace that the sender of a request began, if its header is valid.
    fn begun(headers: &[(String, String)]) -> Option<Self> {
        let mut all = headers.iter().filter(|(name, _)| name == PARENT);
        let (Some((_, value)), None) = (all.next(), all.next()) else { return None };
        let parts: Vec<&str> = value.trim().split('-').collect();
        let [version, id, parent, flags, more @ ..] = parts.as_slice() else { return None };
        let is_hex = |text: &str, length| text.len() == length && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let is_id = |text: &str, length| is_hex(text, length) && text.bytes().any(|b| b != b'0');
        // A later version may say more.
        let is_version = is_hex(version, 2) && *version != "ff" && (*version != "00" || more.is_empty());
        let is_valid = is_version && is_id(id, 32) && is_id(parent, 16) && is_hex(flags, 2);
        let is_recorded = u8::from_str_radix(flags, 16).is_ok_and(|flags| flags & 1 == 1);
        is_valid.then(|| Self { id: (*id).to_owned(), parent: Some((*parent).to_owned()), is_recorded })
    }

    /// The headers of a call that is made for an event: as its sender sent them, or, where the call is recorded itself, with
    /// `span` as what the other app is called by. None if there is no trace.
    pub fn headers(event: &Event, span: Option<&str>) -> Vec<(&'static str, String)> {
        let begun = Self::begun(&event.headers);
        let (trace, span) = match (begun.clone(), span) {
            (None, None) => return Vec::new(),
            (None, Some(span)) => (Self::of(event), Some(span)),
            (Some(trace), span) => (trace.clone(), span.filter(|_| trace.is_recorded)),
        };
        let parent = span.map(str::to_owned).or(trace.parent).unwrap_or_default();
        let mut all = vec![(PARENT, format!("00-{}-{parent}-0{}", trace.id, u8::from(trace.is_recorded)))];
        let state: Vec<&str> = event.headers.iter().filter(|(name, _)| name == STATE).map(|(_, value)| value.as_str()).collect();
        let state = state.join(",");
        if begun.is_some() && !state.is_empty() && state.len() <= LONGEST_STATE && state.bytes().all(|b| matches!(b, b' '..=b'~')) {
            all.push((STATE, state));
        }
        all
    }
}

/// The id of a run in a trace; a replayed run is another one.
pub fn run_span(run: &Run) -> String {
    span(&format!("{} {} {}", run.event, run.id, run.replays))
}

/// The id of a try of a step. `number` is counted from 1.
pub fn attempt_span(run: &Run, place: Place, number: u32) -> String {
    span(&format!("{} {} {} {} {} {number}", run.event, run.id, run.replays, place.step, place.element))
}

fn span(of: &str) -> String {
    hash(of.as_bytes()).chars().take(16).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(headers: &[(&str, &str)]) -> Event {
        Event { headers: headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(), ..Event::nobody() }
    }

    const ID: &str = "0af7651916cd43dd8448eb211c80319c";

    #[test]
    fn a_trace_that_the_sender_began_is_taken_over_if_it_is_valid() {
        for (value, is_recorded) in [
            (format!("00-{ID}-b7ad6b7169203331-01"), true),
            (format!("00-{ID}-b7ad6b7169203331-00"), false),
            (format!("cc-{ID}-b7ad6b7169203331-03-what-comes-later"), true),
        ] {
            let trace = Trace { id: ID.into(), parent: Some("b7ad6b7169203331".into()), is_recorded };
            assert_eq!(Trace::of(&event(&[(PARENT, &value)])), trace, "{value}");
        }
        for value in [
            "".to_owned(),
            format!("00-{ID}-b7ad6b7169203331"),
            format!("00-{ID}-b7ad6b7169203331-01-more"),
            format!("ff-{ID}-b7ad6b7169203331-01"),
            format!("00-{}-b7ad6b7169203331-01", "0".repeat(32)),
            format!("00-{ID}-0000000000000000-01"),
            format!("00-{}-b7ad6b7169203331-01", ID.to_uppercase()),
            format!("00-{ID}-é7ad6b716920333-01"),
        ] {
            let event = event(&[(PARENT, &value)]);
            assert_eq!(Trace::of(&event), Trace { id: event.id.0.simple().to_string(), parent: None, is_recorded: true }, "{value}");
            assert!(Trace::headers(&event, None).is_empty(), "{value}");
        }
        let valid = format!("00-{ID}-b7ad6b7169203331-01");
        assert_eq!(Trace::of(&event(&[(PARENT, &valid), (PARENT, &valid)])).parent, None, "there must be one only");
    }

    #[test]
    fn a_trace_is_passed_on_with_the_span_of_the_call_if_it_is_recorded() {
        let sent = |flags: &str, span| {
            let value = format!("00-{ID}-b7ad6b7169203331-{flags}");
            Trace::headers(&event(&[(PARENT, &value), (STATE, "a=1"), (STATE, "b=2")]), span)
        };
        let expected = |parent: &str, flags: &str| vec![(PARENT, format!("00-{ID}-{parent}-{flags}")), (STATE, "a=1,b=2".to_owned())];
        assert_eq!(sent("01", None), expected("b7ad6b7169203331", "01"));
        assert_eq!(sent("01", Some("00f067aa0ba902b7")), expected("00f067aa0ba902b7", "01"));
        assert_eq!(sent("00", Some("00f067aa0ba902b7")), expected("b7ad6b7169203331", "00"));
        let own = event(&[(STATE, "a=1")]);
        let id = own.id.0.simple();
        assert_eq!(Trace::headers(&own, Some("00f067aa0ba902b7")), [(PARENT, format!("00-{id}-00f067aa0ba902b7-01"))]);
    }
}
