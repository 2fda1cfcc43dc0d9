//! Compiles the contract with protox, so that the build does not need protoc.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message;
use prost_build::{Config, Method, Service, ServiceGenerator};
use protox::Compiler;
use tonic_prost_build::{Builder, FileDescriptorSet};

/// The `.proto` file of each service, and the file name of its descriptor set.
const SERVICES: [(&str, &str); 2] = [
    ("microblog/user/v1/user_service.proto", "user_service.binpb"),
    ("microblog/post/v1/post_service.proto", "post_service.binpb"),
];

/// The methods whose handlers cache encoded responses: their servers return `Encoded<M>`.
const ENCODED: [&str; 1] = ["ListPosts"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=microblog");
    let out = PathBuf::from(env::var("OUT_DIR")?);

    for (proto, descriptor_set) in SERVICES {
        let mut compiler = Compiler::new(["."])?;
        // `grpcurl describe` shows the comments of the contract.
        compiler.include_source_info(true).include_imports(true);
        compiler.open_file(proto)?;
        let encoded = compiler.encode_file_descriptor_set();

        Config::new()
            .service_generator(Box::new(Sides::new()))
            .compile_fds(FileDescriptorSet::decode(encoded.as_slice())?)?;
        fs::write(out.join(descriptor_set), encoded)?;
    }
    Ok(())
}

/// Generates the client and the server of a service with tonic. They differ in the response types
/// of the methods that are `ENCODED`.
struct Sides {
    client: Box<dyn ServiceGenerator>,
    server: Box<dyn ServiceGenerator>,
}

impl Sides {
    fn new() -> Self {
        let side = |client| {
            tonic_prost_build::configure()
                .build_client(client)
                .build_server(!client)
                .build_transport(false)
                .codec_path("crate::codec::Codec")
        };
        Self {
            client: Builder::service_generator(side(true)),
            server: Builder::service_generator(side(false)),
        }
    }
}

impl ServiceGenerator for Sides {
    fn generate(&mut self, mut service: Service, code: &mut String) {
        self.client.generate(service.clone(), code);
        let encoded = |method: &&mut Method| ENCODED.contains(&method.proto_name.as_str());
        for method in service.methods.iter_mut().filter(encoded) {
            method.output_type = format!("crate::Encoded<super::{}>", method.output_type);
        }
        self.server.generate(service, code);
    }

    fn finalize(&mut self, code: &mut String) {
        self.client.finalize(code);
        self.server.finalize(code);
    }
}
