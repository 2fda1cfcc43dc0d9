//! The wire: the messages and services of the contract, their descriptor sets, and how what
//! is stored gets into them.
//!
//! What is not generated from the `.proto` files beside it knows how Protobuf encodes, and
//! how times travel, and nothing of what is said.

pub mod codec;
mod encoded;
pub mod timestamp;

pub use self::encoded::Encoded;

/// The accounts of the microblog.
pub mod user {
    /// The package `microblog.user.v1`.
    #[expect(clippy::pedantic, clippy::allow_attributes, reason = "generated code")]
    pub mod v1 {
        tonic::include_proto!("microblog.user.v1");

        /// The compiled contract of the user service, imports and comments included: an
        /// encoded `google.protobuf.FileDescriptorSet`.
        pub const FILE_DESCRIPTOR_SET: &[u8] =
            include_bytes!(concat!(env!("OUT_DIR"), "/user_service.binpb"));
    }
}

/// The posts of the microblog.
pub mod post {
    /// The package `microblog.post.v1`.
    #[expect(clippy::pedantic, clippy::allow_attributes, reason = "generated code")]
    pub mod v1 {
        tonic::include_proto!("microblog.post.v1");

        /// The compiled contract of the post service, imports and comments included: an
        /// encoded `google.protobuf.FileDescriptorSet`.
        pub const FILE_DESCRIPTOR_SET: &[u8] =
            include_bytes!(concat!(env!("OUT_DIR"), "/post_service.binpb"));
    }
}
