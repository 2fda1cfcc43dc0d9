//! Generates the client from the contract, with protox instead of protoc.

use std::error::Error;

const CONTRACT: &str = "../../proto";
const SERVICES: [&str; 2] = [
    "microblog/user/v1/user_service.proto",
    "microblog/post/v1/post_service.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={CONTRACT}");
    let compiled = protox::compile(SERVICES, [CONTRACT])?;
    tonic_prost_build::configure()
        .build_server(false)
        .compile_fds(compiled)?;
    Ok(())
}
