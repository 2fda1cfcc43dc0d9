//! Compiles the contract with protox, so that no protoc is needed.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message;
use protox::Compiler;
use tonic_prost_build::FileDescriptorSet;

/// The services, each with the name of its descriptor set.
const SERVICES: [(&str, &str); 2] = [
    ("microblog/user/v1/user_service.proto", "user_service.binpb"),
    ("microblog/post/v1/post_service.proto", "post_service.binpb"),
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=microblog");
    let out = PathBuf::from(env::var("OUT_DIR")?);

    for (proto, descriptor_set) in SERVICES {
        let mut compiler = Compiler::new(["."])?;
        // The comments of the contract are what `grpcurl describe` shows.
        compiler.include_source_info(true).include_imports(true);
        compiler.open_file(proto)?;
        let encoded = compiler.encode_file_descriptor_set();

        tonic_prost_build::configure()
            .build_transport(false)
            .compile_fds(FileDescriptorSet::decode(encoded.as_slice())?)?;
        fs::write(out.join(descriptor_set), encoded)?;
    }
    Ok(())
}
