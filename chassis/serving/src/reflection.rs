//! Server reflection, by which grpcurl and similar tools read the contract from a server.

use tonic::service::Routes;
use tonic_reflection::{
    pb::{v1, v1alpha},
    server::{Builder, Error},
};
use tonic_types::pb::FILE_DESCRIPTOR_SET as ERROR_DETAILS;

use super::health;

/// The admin services that reflection lists besides the service itself.
const ADMIN_SERVICES: [&str; 3] = [
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
];

/// Adds reflection of the service `name`, as v1 and as v1alpha, which grpcurl up to 1.8.7 uses.
///
/// # Errors
///
/// If `descriptor_set` is not a valid `google.protobuf.FileDescriptorSet`.
pub(super) fn add_reflection(
    routes: Routes,
    name: &str,
    descriptor_set: &[u8],
    max_message_bytes: usize,
) -> Result<Routes, Error> {
    let builder = || {
        let builder = Builder::configure()
            .register_encoded_file_descriptor_set(descriptor_set)
            .register_encoded_file_descriptor_set(health::v1::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(v1::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(v1alpha::FILE_DESCRIPTOR_SET)
            // Without these types, grpcurl prints error details as base64.
            .register_encoded_file_descriptor_set(ERROR_DETAILS)
            .with_service_name(name);
        ADMIN_SERVICES
            .into_iter()
            .fold(builder, Builder::with_service_name)
    };
    Ok(routes
        .add_service(
            builder()
                .build_v1()?
                .max_decoding_message_size(max_message_bytes),
        )
        .add_service(
            builder()
                .build_v1alpha()?
                .max_decoding_message_size(max_message_bytes),
        ))
}
