//! What senders sent that could not be verified, if the operator wants to keep it: with it, people can see which part of a
//! signature is wrong. In memory only, because it can contain what should not be stored; the latest, and no large ones.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use crate::model::request::Request;

/// How many are kept, and the most bytes of one.
const MOST: usize = 1_000;
const LARGEST: usize = 16 << 10;

/// The latest of them, each with the id that its sender got.
#[derive(Default)]
pub struct KeptRequests(Mutex<VecDeque<(String, Arc<Request>)>>);

impl KeptRequests {
    /// A copy of a request to keep if it is refused; nothing if it is too large.
    pub fn copy(request: &Request) -> Option<Request> {
        let headers: usize = request.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        let is_small = headers + request.target.len() + request.query.len() + request.body.len() <= LARGEST;
        // The body may be a part of something larger, which would stay in memory with it.
        is_small.then(|| Request { body: Bytes::copy_from_slice(&request.body), ..request.clone() })
    }

    pub fn keep(&self, id: String, request: Request) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() == MOST {
            all.pop_front();
        }
        all.push_back((id, Arc::new(request)));
    }

    /// The request whose id begins with this text, if it is still kept.
    pub fn find(&self, id: &str) -> Option<Arc<Request>> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().rev().find(|(kept, _)| kept.starts_with(id)).map(|(_, request)| request.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_small_requests_are_kept() {
        let kept = KeptRequests::default();
        for n in 0..=MOST {
            let request = Request { body: n.to_string().into(), ..Request::nobody() };
            kept.keep(format!("id-{n:04}"), KeptRequests::copy(&request).unwrap());
        }
        assert!(kept.find("id-0000").is_none());
        assert_eq!(kept.find("id-0001").unwrap().body, "1");
        assert_eq!(kept.find("id-").unwrap().body, MOST.to_string());
        let size = |body: usize, header: usize| {
            let headers = vec![("x".to_owned(), "y".repeat(header))];
            KeptRequests::copy(&Request { body: vec![b'z'; body].into(), headers, ..Request::nobody() }).is_some()
        };
        assert!(size(LARGEST - 100, 90) && !size(LARGEST - 100, 100));
    }
}
