//! Reflection: what grpcurl and its like ask a server to learn its contract.

use tonic::service::Routes;
use tonic_reflection::{
    pb::{v1, v1alpha},
    server::{Builder, Error},
};
use tonic_types::pb::FILE_DESCRIPTOR_SET as ERROR_DETAILS;

use super::health;

/// What a server lists beside its own service.
const ADMIN_SERVICES: [&str; 3] = [
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
];

/// Adds reflection of the service `name`, in the version of today and in the one before
/// it, which grpcurl up to 1.8.7 asks for.
///
/// # Errors
///
/// If `descriptor_set` is no `google.protobuf.FileDescriptorSet`.
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
            // Without it grpcurl prints the details of a failure as base64.
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
