//! The idempotency records of the service: idempotency keys and saved responses.

use chassis::database::idempotency_table;

use crate::error::Error;

idempotency_table!("user_requests", Error);
