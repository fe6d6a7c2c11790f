//! How a verb of the contract is done: on a connection of its own, in one transaction. What is done in it is left to others.

/// A verb: what is done in one transaction.
macro_rules! verb {
    ($store:expr, |$sql:ident| $done:expr) => {
        Box::pin(async move {
            let mut connection = $store.connections.get().await?;
            let transaction = connection.begin().await?;
            let done = {
                let $sql = &transaction;
                $done
            };
            transaction.commit().await?;
            Ok(done)
        })
    };
}

pub(super) use verb;
