//! The errors of the service, one variant for each thing that a caller can do about them, and
//! their only mapping to [`Status`].

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
    /// Fields of the request are invalid.
    #[error("{0}")]
    Invalid(FieldViolations),
    /// No user has this id.
    #[error("no user has the id {0}")]
    NotFound(i64),
    /// No user has this nickname or email address.
    #[error("no user has this {0}")]
    KeyNotFound(&'static str),
    /// Another user has this nickname.
    #[error("the nickname `{0}` is taken; letter case does not count")]
    NicknameTaken(String),
    /// Another user has this email address.
    #[error("the email address `{0}` is taken; letter case does not count")]
    EmailTaken(String),
    /// The user has been updated since the caller read it.
    #[error("user {} has changed: its etag is now `{}`; read it again", .0.id, .0.etag)]
    EtagMismatch(EtagMismatch),
    /// A user who has posts cannot be deleted.
    #[error("{0} still referenced by posts; delete those first, with PostService.PurgePosts")]
    HasPosts(String),
    /// The idempotency key was used for another request.
    #[error("this request id was used for another request within the last 24 hours")]
    RequestIdReused,
    /// A mutation of a commit failed, and none was executed.
    #[error("mutations[{index}]: {error}")]
    Mutation {
        /// The index of the mutation, from 0.
        index: usize,
        /// The error of the mutation.
        error: Box<Error>,
    },
    /// The database failed or is overloaded.
    #[error(transparent)]
    Database(#[from] database::Error),
    /// A stored value violates a rule of this service.
    #[error("corrupt data in the database: {0}")]
    Corrupt(String),
}

impl From<FieldViolations> for Error {
    fn from(violations: FieldViolations) -> Self {
        Self::Invalid(violations)
    }
}

impl Error {
    /// Returns the error of a commit whose mutation at `index` failed with this error.
    #[must_use]
    pub fn at_index(self, index: usize) -> Self {
        Self::Mutation {
            index,
            error: Box::new(self),
        }
    }

    /// Returns the status of the error. Its ErrorInfo has `metadata` and the metadata of the
    /// error.
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
            ReplayError::Corrupt(error) => Self::Corrupt(format!("an idempotency record: {error}")),
        }
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        error.status(error.to_string(), Metadata::new())
    }
}

/// The reasons of field violations, except the general one.
pub mod reason {
    /// The order is malformed or names an unknown field.
    pub const ORDER_BY: &str = "INVALID_ORDER_BY";
    /// The page token is malformed or belongs to another query.
    pub const PAGE_TOKEN: &str = "INVALID_PAGE_TOKEN";
}
