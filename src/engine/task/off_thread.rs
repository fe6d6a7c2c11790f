//! Work that takes a thread for a while (large bodies, costly templates and conditions), done where it holds up nothing
//! that waits for its turn. What is quick stays where it is: handing over costs more than most events do.

use tokio::sync::Semaphore;

/// How much of it is done at a time: each may take all the memory that its limits allow.
const AT_A_TIME: usize = 2;

static ROOM: Semaphore = Semaphore::const_new(AT_A_TIME);

/// It panicked, or Doorbell stops.
#[derive(Debug)]
pub struct Crashed;

/// Does it in a thread of its own, once its turn has come.
pub async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Crashed> {
    let turn = ROOM.acquire().await.map_err(|_| Crashed)?;
    let done = tokio::task::spawn_blocking(move || {
        // Kept until it is done, also where nobody waits for it any more.
        let _turn = turn;
        work()
    });
    done.await.map_err(|_| Crashed)
}
