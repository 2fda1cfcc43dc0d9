//! The idempotency records of the service: requests that were answered, and their responses.

use chassis::database::idempotency_table;

use crate::error::Error;

idempotency_table!("user_requests", Error);
