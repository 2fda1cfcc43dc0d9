//! The idempotency records of the service: requests, and their saved responses.

use chassis::database::idempotency_table;

use crate::error::Error;

idempotency_table!("user_requests", Error);
