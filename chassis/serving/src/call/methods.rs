//! What is known of each method before it is called: from the descriptors, since the
//! path of a request does not tell a stream from a single answer.

use prost::{DecodeError, Message};
use prost_types::FileDescriptorSet;

/// Services that are there for operators: they answer before the server is ready, and
/// however much there is to do.
const OPERATIONAL: [&str; 2] = ["/grpc.health.v1.", "/grpc.reflection."];

/// What is known of a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    /// It answers with a stream.
    pub(crate) streams: bool,
    /// It is there for operators.
    pub(crate) operational: bool,
}

/// The methods of a server.
#[derive(Debug)]
pub(crate) struct Methods {
    /// The paths of those that answer with a stream: few.
    streaming: Vec<String>,
}

impl Methods {
    /// Those of the services that encoded descriptor sets declare.
    ///
    /// # Errors
    ///
    /// If one of the sets is no `google.protobuf.FileDescriptorSet`.
    pub(crate) fn of(descriptor_sets: &[&[u8]]) -> Result<Self, DecodeError> {
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
    pub(crate) fn kind(&self, path: &str) -> Kind {
        Kind {
            streams: self.streaming.iter().any(|streaming| streaming == path),
            operational: OPERATIONAL.iter().any(|prefix| path.starts_with(prefix)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::v1::FILE_DESCRIPTOR_SET;

    #[test]
    fn streams_are_told_from_single_answers() {
        let methods = Methods::of(&[FILE_DESCRIPTOR_SET]).unwrap();

        assert!(methods.kind("/grpc.health.v1.Health/Watch").streams);
        assert!(!methods.kind("/grpc.health.v1.Health/Check").streams);
        assert!(!methods.kind("/test.v1.Missing/Watch").streams);
    }

    #[test]
    fn health_and_reflection_are_operational_and_nothing_else_is() {
        let methods = Methods::of(&[]).unwrap();

        for path in [
            "/grpc.health.v1.Health/Check",
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        ] {
            assert!(methods.kind(path).operational, "{path}");
        }
        assert!(!methods.kind("/test.v1.Test/Get").operational);
    }
}
