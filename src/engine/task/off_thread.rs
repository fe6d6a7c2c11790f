//! CPU-heavy work (large bodies, costly templates and conditions), executed in a thread where it does not block other
//! tasks. Quick work is not moved to such a thread, because that would cost more than most events do.

use tokio::sync::Semaphore;

use super::crashed::Crashed;

/// How many jobs run at a time: each may take all the memory that its limits allow.
const AT_A_TIME: usize = 2;

static ROOM: Semaphore = Semaphore::const_new(AT_A_TIME);

/// Runs the work in a separate thread when it is its turn. If Doorbell stops first, it counts as crashed, too.
pub async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Crashed> {
    let turn = ROOM.acquire().await.map_err(|_| Crashed)?;
    let done = tokio::task::spawn_blocking(move || {
        // Held until the work is done, even if nobody waits for it any more.
        let _turn = turn;
        work()
    });
    done.await.map_err(|_| Crashed)
}
