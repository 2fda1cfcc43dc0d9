//! Compiles the health protocol with protox, so that the build does not need protoc.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message;
use protox::Compiler;
use tonic_prost_build::FileDescriptorSet;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let out = PathBuf::from(env::var("OUT_DIR")?);

    let mut compiler = Compiler::new(["proto"])?;
    // `grpcurl describe` shows the comments of the protocol.
    compiler.include_source_info(true).include_imports(true);
    compiler.open_file("grpc/health/v1/health.proto")?;
    let encoded = compiler.encode_file_descriptor_set();

    tonic_prost_build::configure()
        .build_transport(false)
        .compile_fds(FileDescriptorSet::decode(encoded.as_slice())?)?;
    fs::write(out.join("health.binpb"), encoded)?;
    Ok(())
}
