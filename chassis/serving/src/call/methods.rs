//! What is known of each method before it is called: from the descriptors, since the
//! path of a request does not tell a stream from a single answer.

use prost::{DecodeError, Message};
use prost_types::FileDescriptorSet;

/// Services that are there for operators: they answer before the server is ready, and
/// however much there is to do.
const ADMIN_SERVICES: [&str; 2] = ["/grpc.health.v1.", "/grpc.reflection."];

/// The properties of a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MethodInfo {
    /// It answers with a stream.
    pub(crate) server_streaming: bool,
    /// It is there for operators.
    pub(crate) admin: bool,
}

/// The methods of a server.
#[derive(Debug)]
pub(crate) struct MethodTable {
    /// The paths of those that answer with a stream: few.
    streaming: Vec<String>,
}

impl MethodTable {
    /// Those of the services that encoded descriptor sets declare.
    ///
    /// # Errors
    ///
    /// If one of the sets is no `google.protobuf.FileDescriptorSet`.
    pub(crate) fn from_descriptor_sets(descriptor_sets: &[&[u8]]) -> Result<Self, DecodeError> {
        let mut streaming = Vec::new();
        for set in descriptor_sets {
            for file in FileDescriptorSet::decode(*set)?.file {
                let package = file.package();
                for service in &file.service {
                    let methods = service.method.iter().filter(|m| m.server_streaming());
                    streaming.extend(
                        methods.map(|m| format!("/{package}.{}/{}", service.name(), m.name())),
                    );
                }
            }
        }
        Ok(Self { streaming })
    }

    /// What is known of the method at `path`. One that does not exist is taken for one
    /// with a single answer, as its failure is.
    pub(crate) fn info(&self, path: &str) -> MethodInfo {
        MethodInfo {
            server_streaming: self.streaming.iter().any(|streaming| streaming == path),
            admin: ADMIN_SERVICES.iter().any(|prefix| path.starts_with(prefix)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::v1::FILE_DESCRIPTOR_SET;

    #[test]
    fn streams_are_told_from_single_answers() {
        let methods = MethodTable::from_descriptor_sets(&[FILE_DESCRIPTOR_SET]).unwrap();

        assert!(
            methods
                .info("/grpc.health.v1.Health/Watch")
                .server_streaming
        );
        assert!(
            !methods
                .info("/grpc.health.v1.Health/Check")
                .server_streaming
        );
        assert!(!methods.info("/test.v1.Missing/Watch").server_streaming);
    }

    #[test]
    fn health_and_reflection_are_operational_and_nothing_else_is() {
        let methods = MethodTable::from_descriptor_sets(&[]).unwrap();

        for path in [
            "/grpc.health.v1.Health/Check",
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        ] {
            assert!(methods.info(path).admin, "{path}");
        }
        assert!(!methods.info("/test.v1.Test/Get").admin);
    }
}
