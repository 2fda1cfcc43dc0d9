//! What can go wrong, by what a caller can do about it, and the only mapping to
//! `tonic::Status`.

use chassis::{
    database::{self, idempotency::ReplayError},
    failure,
    serving::{
        etag::EtagMismatch,
        status::{self, Metadata},
        violation::FieldViolations,
    },
};
use tonic::{Code, Status};

/// The domain of every `google.rpc.ErrorInfo` of this service.
pub const DOMAIN: &str = "microblog.user.v1";

/// A failure of a call.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request is wrong.
    #[error("{0}")]
    Invalid(FieldViolations),
    /// There is no user with this id.
    #[error("there is no user with the id {0}")]
    NotFound(i64),
    /// There is no user with this nickname or address.
    #[error("there is no user with this {0}")]
    KeyNotFound(&'static str),
    /// Another user has this nickname.
    #[error("the nickname `{0}` is taken; letter case does not count")]
    NicknameTaken(String),
    /// Another user has this address.
    #[error("the email address `{0}` is taken; letter case does not count")]
    EmailTaken(String),
    /// The user was changed since the caller looked.
    #[error("user {} has changed: its etag is now `{}`; read it again", .0.id, .0.etag)]
    EtagMismatch(EtagMismatch),
    /// A user who still has posts cannot be deleted.
    #[error("{0} still referenced by posts; delete those first, with PostService.PurgePosts")]
    HasPosts(String),
    /// The request id belongs to another request.
    #[error("this request id was used for another request within the last 24 hours")]
    RequestIdReused,
    /// One of several changes failed, and so all did.
    #[error("mutations[{index}]: {error}")]
    Mutation {
        /// Its place, from 0.
        index: usize,
        /// Why.
        error: Box<Error>,
    },
    /// The database did not do it.
    #[error(transparent)]
    Database(#[from] database::Error),
    /// Something that is stored could not have been written.
    #[error("the database holds what cannot be: {0}")]
    Corrupt(String),
}

impl From<FieldViolations> for Error {
    fn from(violations: FieldViolations) -> Self {
        Self::Invalid(violations)
    }
}

impl Error {
    /// The failure of one of several changes.
    #[must_use]
    pub fn at_index(self, index: usize) -> Self {
        Self::Mutation {
            index,
            error: Box::new(self),
        }
    }

    /// The status of the failure, whose ErrorInfo has `metadata` and its own.
    fn status(&self, message: String, mut metadata: Metadata) -> Status {
        let mut add = |key: &str, value: String| metadata.insert(key.into(), value);
        let (code, reason) = match self {
            Self::Invalid(violations) => {
                return status::invalid_argument(DOMAIN, violations, metadata);
            }
            Self::NotFound(id) => {
                add("id", id.to_string());
                (Code::NotFound, "USER_NOT_FOUND")
            }
            Self::KeyNotFound(_) => (Code::NotFound, "USER_NOT_FOUND"),
            Self::NicknameTaken(nickname) => {
                add("nickname", nickname.clone());
                (Code::AlreadyExists, "NICKNAME_TAKEN")
            }
            Self::EmailTaken(email) => {
                add("email", email.clone());
                (Code::AlreadyExists, "EMAIL_TAKEN")
            }
            Self::EtagMismatch(EtagMismatch { id, etag }) => {
                add("id", id.to_string());
                add("etag", etag.to_string());
                (Code::Aborted, "ETAG_MISMATCH")
            }
            Self::HasPosts(_) => (Code::FailedPrecondition, "USER_HAS_POSTS"),
            Self::RequestIdReused => {
                let reason = "REQUEST_ID_REUSED";
                let violations = FieldViolations::with_reason(reason, "request_id", self);
                return status::invalid_argument(DOMAIN, &violations, metadata);
            }
            Self::Mutation { index, error } => {
                add("mutation_index", index.to_string());
                return error.status(message, metadata);
            }
            Self::Database(error) => return failure::from_database_error(DOMAIN, error, metadata),
            Self::Corrupt(_) => return status::internal(DOMAIN, self),
        };
        status::with_error_info(DOMAIN, code, reason, message, metadata)
    }
}

impl From<ReplayError> for Error {
    fn from(error: ReplayError) -> Self {
        match error {
            ReplayError::KeyReused => Self::RequestIdReused,
            ReplayError::Corrupt(error) => {
                Self::Corrupt(format!("a request or its answer: {error}"))
            }
        }
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        error.status(error.to_string(), Metadata::new())
    }
}

/// The reasons that violations can have; those of other failures stand above.
pub mod reason {
    /// An order that names what there is not.
    pub const ORDER_BY: &str = "INVALID_ORDER_BY";
    /// A page token that was not given out for this list.
    pub const PAGE_TOKEN: &str = "INVALID_PAGE_TOKEN";
}
