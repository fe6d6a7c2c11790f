//! Work that continues when its caller is gone. While a task awaits it, it is part of that task, which costs nothing;
//! when that task is dropped (because a caller has disconnected), it becomes a task of its own.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use super::crashed::Crashed;

/// Such work. It starts when it is first polled, and from then on runs to its end.
pub struct CarryOn<F: Future + Send + 'static>
where
    F::Output: Send,
{
    /// `None` once it has ended.
    work: Option<Pin<Box<F>>>,
    has_begun: bool,
}

impl<F: Future + Send + 'static> CarryOn<F>
where
    F::Output: Send,
{
    pub fn new(work: F) -> Self {
        Self { work: Some(Box::pin(work)), has_begun: false }
    }
}

impl<F: Future + Send + 'static> Future for CarryOn<F>
where
    F::Output: Send,
{
    type Output = Result<F::Output, Crashed>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.has_begun = true;
        let Some(work) = &mut self.work else { return Poll::Ready(Err(Crashed)) };
        let ended = match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(output)) => Ok(output),
            Err(_) => Err(Crashed),
        };
        self.work = None;
        Poll::Ready(ended)
    }
}

impl<F: Future + Send + 'static> Drop for CarryOn<F>
where
    F::Output: Send,
{
    fn drop(&mut self) {
        if let Some(work) = self.work.take()
            && self.has_begun
            // There is no runtime when the whole program ends.
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(work);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn work_continues_when_nobody_waits_for_it_any_more() {
        let (go, may_go) = oneshot::channel::<()>();
        let (done, is_done) = oneshot::channel();
        let work = async move {
            may_go.await.unwrap();
            done.send(()).unwrap();
        };
        let mut carried = Box::pin(CarryOn::new(work));
        tokio::select! {
            biased;
            _ = &mut carried => panic!("it is not done yet"),
            () = tokio::task::yield_now() => {}
        }
        drop(carried);
        go.send(()).unwrap();
        assert_eq!(is_done.await, Ok(()));
    }

    #[tokio::test]
    async fn the_result_of_the_work_is_returned_and_a_crash_is_reported() {
        assert_eq!(CarryOn::new(async { 7 }).await, Ok(7));
        assert_eq!(CarryOn::new(async { panic!("planted") }).await, Err::<(), _>(Crashed));
    }

    #[tokio::test]
    async fn work_that_is_dropped_before_it_begins_never_begins() {
        let (began, has_begun) = oneshot::channel::<()>();
        drop(CarryOn::new(async move { began.send(()) }));
        assert!(has_begun.await.is_err());
    }
}
