//! The idempotency records of the service: idempotency keys and saved responses.

use chassis::database::postgres_idempotency_table;

use crate::error::Error;

postgres_idempotency_table!("user_requests", Error);
