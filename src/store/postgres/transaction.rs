//! PostgreSQL: executes an operation of the contract on one connection, in one transaction. What happens in the
//! transaction is defined elsewhere.

/// An operation: what is done in one transaction.
macro_rules! in_transaction {
    ($store:expr, |$sql:ident| $done:expr) => {
        Box::pin(async move {
            let waited = std::time::Instant::now();
            let done: crate::store::contract::Result<_> = async {
                let mut connection = $store.connections.get().await?;
                let began = std::time::Instant::now();
                let transaction = connection.begin().await?;
                let done = {
                    let $sql = &transaction;
                    $done
                };
                transaction.commit().await?;
                $store.connections.commits.count(began.elapsed(), 1, 0);
                $store.connections.news.tell();
                Ok(done)
            }
            .await;
            if done.is_err() {
                $store.connections.commits.count(waited.elapsed(), 0, 1);
            }
            done
        })
    };
}

pub(super) use in_transaction;
