//! The contract: code generated from the `.proto` files, and their descriptor sets.
//!
//! The code that is not generated encodes Protobuf and converts timestamps. It must not name a
//! message of the contract.

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

        /// The compiled contract of the user service, with imports and comments: an
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

        /// The compiled contract of the post service, with imports and comments: an
        /// encoded `google.protobuf.FileDescriptorSet`.
        pub const FILE_DESCRIPTOR_SET: &[u8] =
            include_bytes!(concat!(env!("OUT_DIR"), "/post_service.binpb"));
    }
}
