//! The user service from outside.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a failed test")]

#[path = "../support/mod.rs"]
mod support;

use support::System;

#[tokio::test]
async fn a_user_is_created() {
    let system = System::start().await;
    system.create_user("susan").await.unwrap();
    system.stop().await;
}
