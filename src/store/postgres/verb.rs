//! How an operation of the contract is executed: on one connection, in one transaction. What happens in the transaction
//! is defined elsewhere.

/// An operation: what is done in one transaction.
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
