//! The methods of a server. The descriptors tell which ones are server streaming, and the types of
//! their requests, which the path of a request does not.

use prost::{DecodeError, Message};
use prost_types::FileDescriptorSet;

use super::message_types::{MessageTypes, TypeIndex};

/// The path prefixes of admin services. They respond before the server is ready, and do not count
/// towards the limit of concurrent calls.
const ADMIN_SERVICES: [&str; 2] = ["/grpc.health.v1.", "/grpc.reflection."];

/// The properties of a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MethodInfo {
    /// The response is a stream.
    pub(crate) server_streaming: bool,
    /// The service is for operators: health or reflection.
    pub(crate) admin: bool,
    /// The type of the request. An unknown method has none.
    pub(crate) request: Option<TypeIndex>,
}

impl MethodInfo {
    /// Reports whether a running call of this method needs a place.
    pub(crate) fn needs_place(self) -> bool {
        !self.admin && !self.server_streaming
    }
}

/// The methods of a server.
#[derive(Debug)]
pub(crate) struct MethodTable {
    /// The methods by their paths. A server has few, so a scan is fast.
    methods: Vec<(String, MethodInfo)>,
    types: MessageTypes,
}

impl MethodTable {
    /// Collects the methods of the services in the encoded descriptor sets.
    ///
    /// # Errors
    ///
    /// If a set is not a valid `google.protobuf.FileDescriptorSet`.
    pub(crate) fn from_descriptor_sets(descriptor_sets: &[&[u8]]) -> Result<Self, DecodeError> {
        let mut set = FileDescriptorSet::default();
        for encoded in descriptor_sets {
            set.merge(*encoded)?;
        }
        let (types, names) = MessageTypes::from_descriptor_set(&set);
        let mut methods = Vec::new();
        for file in &set.file {
            for service in &file.service {
                methods.extend(service.method.iter().map(|method| {
                    let (service, name) = (service.name(), method.name());
                    let path = format!("/{}.{service}/{name}", file.package());
                    let info = MethodInfo {
                        server_streaming: method.server_streaming(),
                        admin: is_admin(&path),
                        request: names.get(method.input_type()).copied(),
                    };
                    (path, info)
                }));
            }
        }
        Ok(Self { methods, types })
    }

    /// Returns the properties of the method at `path`. An unknown method counts as unary.
    pub(crate) fn info(&self, path: &str) -> MethodInfo {
        let known = self.methods.iter().find(|(known, _)| known == path);
        known.map_or_else(
            || MethodInfo {
                server_streaming: false,
                admin: is_admin(path),
                request: None,
            },
            |(_, info)| *info,
        )
    }

    /// Returns the types of the messages.
    pub(crate) fn types(&self) -> &MessageTypes {
        &self.types
    }
}

fn is_admin(path: &str) -> bool {
    ADMIN_SERVICES.iter().any(|prefix| path.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::v1::FILE_DESCRIPTOR_SET;

    #[test]
    fn server_streaming_methods_are_recognised() {
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
    fn only_health_and_reflection_are_admin_services() {
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
